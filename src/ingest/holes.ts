import type { Stream } from "../events/streams.ts";
import type { Subscription } from "../exchanges/exchange.ts";
import { gapOf } from "./gaps.ts";
import type { GapNotice, GapReason } from "./messages.ts";

/** Why a channel brings nothing, or too late. */
export type HoleReason = Extract<GapReason, "start" | "disconnect" | "silence" | "lag">;

interface Hole {
  readonly reason: HoleReason;
  /** µs */
  readonly from: number;
}

interface ClosedHole extends Hole {
  readonly subscription: Subscription;
  /** µs */
  readonly to: number;
}

/** Closed holes wait this long for others of the same outage, µs. */
const SETTLE = 1_000_000;
/** And no longer than this, µs. */
const SETTLE_MAX = 15_000_000;

/** A `start` that is open for this long is noted like any other hole: its channel may be refused for ever, µs. */
const START_NOTED_AFTER = 15_000_000;

/** How certain it is that something is missing. */
const CERTAINTY: Readonly<Record<HoleReason, GapNotice["certainty"]>> = {
  start: "planned",
  disconnect: "possible",
  silence: "possible",
  lag: "possible",
};

/**
 * Keeps account of the holes in what one exchange's channels bring: each is opened when a channel goes
 * quiet, closed when it is whole again, and told once it is closed; one row for a whole stream where all of
 * its instruments were concerned.
 */
export class Holes {
  readonly #exchange: string;
  readonly #alone: boolean;
  /** What every wanted channel brings, by its name. */
  readonly #wanted: ReadonlyMap<string, Subscription>;
  readonly #open = new Map<string, Hole>();
  #closed: ClosedHole[] = [];
  #firstClosedAt = 0;
  #lastClosedAt = 0;
  #changes = 0;

  /**
   * @param wanted all channels of the exchange on this worker; may change
   * @param alone whether no other worker has channels of the exchange: all of ours are then all there are
   */
  constructor(exchange: string, wanted: ReadonlyMap<string, Subscription>, alone = true) {
    this.#exchange = exchange;
    this.#alone = alone;
    this.#wanted = wanted;
  }

  /** Channels that bring nothing at the moment. */
  get open(): number {
    return this.#open.size;
  }

  /** Grows with every change of what {@link untold} says. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether a channel is known to bring nothing at the moment. */
  isOpen(channel: string): boolean {
    return this.#open.has(channel);
  }

  /**
   * A channel has been incomplete since `from` (µs). One that is so already keeps its reason; what it was asked for
   * again for may turn out to have begun earlier.
   */
  begin(channel: string, reason: HoleReason, from: number): void {
    const known = this.#open.get(channel);
    if (known === undefined) this.#open.set(channel, { reason, from });
    else if (known.reason !== "start" && from < known.from) this.#open.set(channel, { ...known, from });
    else return;
    this.#changes++;
  }

  /** A channel is complete from `to` (µs) on. */
  end(channel: string, to: number): void {
    const hole = this.#open.get(channel);
    const subscription = this.#wanted.get(channel);
    if (this.#open.delete(channel)) this.#changes++;
    if (hole === undefined || subscription === undefined) return;
    if (this.#closed.length === 0) this.#firstClosedAt = to;
    this.#lastClosedAt = to;
    this.#closed.push({ ...hole, subscription, to });
  }

  /** A channel is complete from `to` (µs) on if this was what it suffered from. */
  endIf(channel: string, reason: HoleReason, to: number): void {
    if (this.#open.get(channel)?.reason === reason) this.end(channel, to);
  }

  /** A channel is not wanted any more, or was never incomplete after all. */
  forget(channel: string): void {
    if (this.#open.delete(channel)) this.#changes++;
  }

  /**
   * What is not told yet: the holes that are open (`to` null), and those that have just closed. A `start` younger than
   * a while is left out: it is about to be told, with everything that was missing before.
   *
   * @param now µs
   */
  untold(now: number): GapNotice[] {
    const gaps: GapNotice[] = [];
    const holes: ClosedHole[] = [];
    for (const [channel, hole] of this.#open) {
      const subscription = this.#wanted.get(channel);
      if (subscription === undefined || (hole.reason === "start" && now - hole.from < START_NOTED_AFTER))
        continue;
      holes.push({ ...hole, subscription, to: Number.POSITIVE_INFINITY });
    }
    for (const gap of this.#gapsOf(holes)) gaps.push({ ...gap, to: null });
    return [...gaps, ...this.#gapsOf(this.#closed)];
  }

  /** The gaps that are complete; with `all`, also those that still go on, up to `now` (µs). */
  take(now: number, all = false): GapNotice[] {
    if (all) for (const channel of [...this.#open.keys()]) this.end(channel, now);
    if (this.#closed.length === 0) return [];
    const quiet = now - this.#lastClosedAt >= SETTLE || now - this.#firstClosedAt >= SETTLE_MAX;
    if (!quiet && !all) return [];
    const closed = this.#closed;
    this.#closed = [];
    this.#changes++;
    return this.#gapsOf(closed);
  }

  #gapsOf(closed: readonly ClosedHole[]): GapNotice[] {
    const gaps: GapNotice[] = [];
    const byStream = new Map<string, { stream: Stream; reason: HoleReason; holes: ClosedHole[] }>();
    for (const hole of closed) {
      for (const stream of hole.subscription.streams) {
        const key = `${stream} ${hole.reason}`;
        const group = byStream.get(key);
        if (group === undefined) byStream.set(key, { stream, reason: hole.reason, holes: [hole] });
        else group.holes.push(hole);
      }
    }
    for (const { stream, reason, holes } of byStream.values()) {
      const one = holes.some(({ subscription }) => subscription.instrument === null);
      const all =
        one || this.#allOf(stream, new Set(holes.map(({ subscription: { instrument } }) => instrument)));
      if (one || (all && this.#alone)) {
        const from = Math.min(...holes.map((one) => one.from));
        gaps.push(this.#gap(stream, null, reason, from, Math.max(...holes.map((one) => one.to))));
      } else {
        for (const { subscription, from, to } of holes)
          gaps.push({
            ...this.#gap(stream, subscription.instrument, reason, from, to),
            ...(all ? { wholePart: true } : {}),
          });
      }
    }
    return gaps;
  }

  /** Whether these are all instruments of which a stream is wanted; others may be among them. */
  #allOf(stream: Stream, instruments: ReadonlySet<string | null>): boolean {
    for (const { streams, instrument } of this.#wanted.values())
      if (streams.includes(stream) && !instruments.has(instrument)) return false;
    return true;
  }

  #gap(stream: Stream, instrument: string | null, reason: HoleReason, from: number, to: number): GapNotice {
    const of = { exchange: this.#exchange, stream, instrument };
    return gapOf(of, reason, CERTAINTY[reason], from, Math.max(from, to));
  }
}
