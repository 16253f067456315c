import type { Stream } from "../events/streams.ts";
import type { Connection } from "../exchanges/connection.ts";
import { type Channels, LIVELY, UNJUDGED } from "./channels.ts";
import { ClockApart } from "./clock-apart.ts";
import type { Gates } from "./gates.ts";
import { type HoleReason, Holes } from "./holes.ts";
import type { Kin } from "./kin.ts";
import { Losses } from "./losses.ts";
import type { ExchangeJob, GapNotice, IngestNotice } from "./messages.ts";
import { SIBLINGS_ALIVE, Silences, type Source } from "./silences.ts";
import { UnheardTrades } from "./unheard-trades.ts";
import { Untold, type UntoldHoles } from "./untold.ts";

/**
 * A symbol is judged beside siblings of half the silence that is too long, where that is less than
 * {@link SIBLINGS_ALIVE}: else a pause of the whole connection would look like one of each. But never less than two looks
 * at them, µs.
 */
const SIBLINGS_ALIVE_MIN = 500_000;

/** What {@link Missing} needs of its lane. */
export interface MissingEvents {
  notice(notice: IngestNotice): void;
  instrumentOf(symbol: number): string | null;
  /** See {@link Kin.of}. */
  kinOf(symbol: number): readonly number[];
  /** The connection that carries a channel. */
  connectionOf(channel: string): Connection | undefined;
  /** See {@link Silences}. */
  persists(connection: Connection): boolean;
}

/** All that is missing of one exchange on this worker, whatever the reason: noticed, mended where that is possible, told. */
export class Missing {
  readonly holes: Holes;
  readonly losses: Losses;
  readonly silences: Silences;
  readonly clock: ClockApart;
  readonly #channels: Channels;
  readonly #watches: Gates["watches"];
  readonly #promptStreams: readonly Stream[];
  readonly #unheardTrades: UnheardTrades;
  readonly #untold: Untold;

  constructor(options: {
    job: ExchangeJob;
    /** Streams that begin with a snapshot. */
    promptStreams: readonly Stream[];
    channels: Channels;
    gates: Gates;
    events: MissingEvents;
  }) {
    const { job, channels, gates, events } = options;
    const { exchange, bounds } = job;
    const { instrumentOf, kinOf } = events;
    this.#channels = channels;
    this.#watches = gates.watches;
    this.#promptStreams = options.promptStreams;
    this.holes = new Holes(exchange, channels.wanted, (job.share ?? 1) === 1);
    this.losses = new Losses({
      exchange,
      gates: gates.all,
      streamsOf: (connection) => channels.streamsOf(connection.channels),
      instrumentOf,
      nextSeq: (stream) => gates.nextSeq(stream),
    });
    this.silences = new Silences({
      exchange,
      watches: gates.watches,
      instrumentOf,
      kinOf,
      sourceOf: (stream, instrument) => this.#sourceOf(stream, instrument, events),
      notice: events.notice,
      renewed: (channel, from) => this.begin([channel], "silence", from),
      persists: events.persists,
      unjudged: UNJUDGED,
      siblingsAlive: Math.min(SIBLINGS_ALIVE, Math.max(SIBLINGS_ALIVE_MIN, bounds.symbols.floor * 500)),
    });
    this.#unheardTrades = new UnheardTrades({
      quotesMax: bounds.quotesWithoutTrade,
      patience: bounds.symbols.firstDataQuiet,
      rowsOf: (stream, symbol) => gates.all.get(stream)?.rowsOf(symbol) ?? 0,
      watch: () => gates.watches.get("trade"),
    });
    this.clock = new ClockApart(exchange, () => channels.streamsOf(channels.wanted.keys()));
    const keepers = [this.holes, this.silences, this.losses, this.clock];
    this.#untold = new Untold(exchange, keepers, (now) => this.#allUntold(now));
  }

  #sourceOf(stream: Stream, instrument: string, { connectionOf }: MissingEvents): Source | null {
    const subscription = this.#channels.sourceOf(stream, instrument);
    if (subscription === undefined || this.holes.isOpen(subscription.channel)) return null;
    const { channel, streams } = subscription;
    const connection = connectionOf(channel);
    return connection === undefined ? null : { channel, streams, connection };
  }

  /** What these channels bring is or may be incomplete from now on. @param from µs */
  begin(channels: Iterable<string>, reason: HoleReason, from: number): void {
    const { wanted } = this.#channels;
    for (const channel of channels) if (wanted.has(channel)) this.holes.begin(channel, reason, from);
  }

  /**
   * What a connection brought is or may be missing: its socket was lost.
   *
   * @param from µs
   * @param now µs
   * @param beside channels that another connection brings as well: `carried` as ever, `whole` from now on
   */
  lost(
    channels: Iterable<string>,
    reason: HoleReason,
    from: number,
    now: number,
    { carried, whole }: { readonly carried: ReadonlySet<string>; readonly whole: ReadonlySet<string> },
  ): void {
    for (const channel of channels) {
      const subscription = this.#channels.wanted.get(channel);
      if (subscription === undefined || carried.has(channel)) continue;
      this.holes.begin(channel, reason, from);
      // The new connection brings it already; but what it restated was left to the old one, which is gone.
      if (whole.has(channel)) {
        this.holes.end(channel, now);
        continue;
      }
      this.#unheardTrades.forget(channel);
      const symbol = this.#channels.symbolOf(subscription);
      if (symbol < 0) continue;
      for (const stream of subscription.streams) this.#watches.get(stream)?.pause(symbol);
    }
  }

  /** What these channels bring is whole from now on. @param now µs */
  accepted(channels: readonly string[], now: number): void {
    for (const channel of channels) {
      const subscription = this.#channels.wanted.get(channel);
      if (subscription === undefined) continue;
      this.holes.end(channel, now);
      const symbol = this.#channels.symbolOf(subscription);
      if (symbol < 0) continue;
      for (const stream of subscription.streams) {
        const watch = this.#watches.get(stream);
        if (stream === "trade") this.#unheardTrades.accepted(channel, symbol, now);
        // What a subscription begins with may come before its acknowledgement.
        if (watch?.isHeard(symbol) !== false) watch?.renewed(symbol, now);
        else if (this.#promptStreams.includes(stream)) watch.expect(symbol, now);
        else if (LIVELY.includes(stream)) watch.expectInTime(symbol, now);
        else watch.renewed(symbol, now);
      }
    }
  }

  /** A channel is not wanted any more; the silences that end with it. @param now µs */
  forget(channel: string, now: number): GapNotice[] {
    const subscription = this.#channels.wanted.get(channel);
    // What was missing so far stays missing.
    this.holes.end(channel, now);
    this.#channels.forget(channel, now);
    this.#unheardTrades.forget(channel);
    if (subscription === undefined) return [];
    const { streams, instrument } = subscription;
    const symbol = this.#channels.symbolOf(subscription);
    return streams.flatMap((stream) => {
      if (symbol >= 0) this.#watches.get(stream)?.forget(symbol);
      return instrument === null ? [] : this.silences.forget(stream, instrument, now);
    });
  }

  /** Judges every symbol; the silences that have ended. @param now µs */
  judge(now: number): GapNotice[] {
    this.#unheardTrades.tick(now);
    return this.silences.tick(now);
  }

  /** What is over and was not told before. Silences that are over are told by their own tick. @param now µs */
  take(now: number): GapNotice[] {
    return [...this.losses.take(now), ...this.holes.take(now)];
  }

  /** As {@link take}, and also what still goes on. @param now µs */
  takeAll(now: number): GapNotice[] {
    return [...this.silences.open(now), ...this.losses.take(now, true), ...this.holes.take(now, true)];
  }

  /** What is not told yet; null = it is as it was. See {@link Untold.take}. */
  untold(now: number, told: boolean): UntoldHoles | null {
    return this.#untold.take(now, told);
  }

  #allUntold(now: number): GapNotice[] {
    const silent = this.silences.open(null);
    const keyOf = ({ stream, instrument }: GapNotice) => `${stream} ${instrument}`;
    const known = new Set(silent.map(keyOf));
    // What is asked for again because it is silent is one hole, not two.
    const others = this.holes
      .untold(now)
      .filter((hole) => hole.reason !== "silence" || !known.has(keyOf(hole)));
    return [...silent, ...others, ...this.losses.untold(), ...this.clock.untold()];
  }
}
