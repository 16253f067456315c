import type { Stream } from "../events/streams.ts";
import type { Expectation } from "../exchanges/connection.ts";
import type { SymbolTable } from "../exchanges/decoding/symbols.ts";
import type { Subscription } from "../exchanges/exchange.ts";
import type { ExchangeJob } from "./messages.ts";

/** Streams that may be silent for days in a calm market: their silence means nothing. */
export const UNJUDGED: readonly Stream[] = ["liquidation"];
/** Streams of which a connection that carries any of them should bring something within seconds. */
export const LIVELY: readonly Stream[] = ["bbo", "mark_price", "funding", "open_interest"];

/** The channels of one exchange that are wanted on this worker, and what each of them brings. */
export class Channels {
  readonly #symbols: SymbolTable;
  /** What is to be subscribed, by channel. */
  readonly #wanted = new Map<string, Subscription>();
  /** The same by stream and instrument. */
  readonly #sources = new Map<string, Subscription>();
  /** When channels were given up, µs. */
  readonly #leftAt = new Map<string, number>();
  #began = false;

  constructor(symbols: SymbolTable) {
    this.#symbols = symbols;
  }

  /** What is to be subscribed, by channel. */
  get wanted(): ReadonlyMap<string, Subscription> {
    return this.#wanted;
  }

  /**
   * Takes note of what is wanted now.
   *
   * @param now µs
   * @returns since when the channels that are new have been missing (µs), and those that no longer are wanted, which
   * are known until {@link forget}
   */
  want(job: ExchangeJob, now: number): { added: Map<string, number>; gone: Set<string> } {
    const listed = new Map(job.instruments.map((one) => [one.instrument, one.listed]));
    const added = new Map<string, number>();
    const gone = new Set(this.#wanted.keys());
    for (const subscription of job.subscriptions) {
      const { channel, streams, instrument } = subscription;
      this.#wanted.set(channel, subscription);
      for (const stream of streams) this.#sources.set(sourceKey(stream, instrument), subscription);
      if (gone.delete(channel)) continue;
      const listedAt = (instrument === null ? null : listed.get(instrument)) ?? 0;
      // What a new listing brought before it was known here is missing as well; of one that comes back, what it
      // brought since it was given up.
      const fresh = Math.min(now, Math.max(listedAt, job.readBefore ?? job.since));
      added.set(channel, this.#began ? (this.#leftAt.get(channel) ?? fresh) : job.since);
      this.#leftAt.delete(channel);
    }
    this.#began = true;
    return { added, gone };
  }

  /** A channel is given up. @param now µs */
  forget(channel: string, now: number): void {
    const subscription = this.#wanted.get(channel);
    this.#leftAt.set(channel, now);
    this.#wanted.delete(channel);
    if (subscription === undefined) return;
    const { streams, instrument } = subscription;
    for (const stream of streams) this.#sources.delete(sourceKey(stream, instrument));
  }

  /** Where a stream of an instrument comes from. */
  sourceOf(stream: Stream, instrument: string): Subscription | undefined {
    return this.#sources.get(sourceKey(stream, instrument));
  }

  /** Number of the instrument that a subscription is of; -1 = of all, or of an unknown one. */
  symbolOf({ instrument }: Subscription): number {
    return instrument === null ? -1 : this.#symbols.find(instrument);
  }

  /** What these channels bring. */
  streamsOf(channels: Iterable<string>): Set<Stream> {
    const streams = new Set<Stream>();
    for (const channel of channels)
      for (const stream of this.#wanted.get(channel)?.streams ?? []) streams.add(stream);
    return streams;
  }

  /** What may be expected of a connection that carries these channels. */
  expectation(channels: Iterable<string>): Expectation {
    const streams = [...this.streamsOf(channels)];
    return {
      judged: streams.some((stream) => !UNJUDGED.includes(stream)),
      prompt: streams.some((stream) => LIVELY.includes(stream)),
    };
  }
}

function sourceKey(stream: Stream, instrument: string | null): string {
  return `${stream} ${instrument}`;
}
