import { LAYOUTS } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import type { RowWriter } from "../exchanges/decoding/decoder.ts";
import type { Exchange, Subscription } from "../exchanges/exchange.ts";
import { SymbolWatch } from "../exchanges/watchdog/symbol-watch.ts";
import { RingProducer } from "../ring/producer.ts";
import type { Channels } from "./channels.ts";
import { LagRecorder } from "./lag-histogram.ts";
import type { ExchangeJob, KnownInstrument, StreamFreshness, SymbolFreshness } from "./messages.ts";
import { type FrameFacts, RowGate } from "./row-gate.ts";

/** The gates of all streams of one exchange, each with the ring behind it and the watch over its symbols. */
export class Gates {
  readonly producers: readonly RingProducer[];
  readonly #exchange: Exchange;
  readonly #facts: FrameFacts;
  readonly #bounds: ExchangeJob["bounds"]["symbols"];
  readonly #gates = new Map<Stream, RowGate>();
  readonly #watches = new Map<Stream, SymbolWatch>();
  readonly #producers = new Map<Stream, RingProducer>();

  constructor(options: {
    exchange: Exchange;
    job: ExchangeJob;
    facts: FrameFacts;
    /** Take the rows instead of the rings; null = the rings do. */
    writers: Partial<Record<Stream, RowWriter>> | null;
  }) {
    const { exchange, job, facts, writers } = options;
    this.#exchange = exchange;
    this.#facts = facts;
    this.#bounds = job.bounds.symbols;
    this.producers = job.rings.map(({ stream, handle, lag }) => {
      const producer = new RingProducer(handle, LAYOUTS[stream].seq);
      if (writers === null) this.#add(stream, producer, lag);
      this.#producers.set(stream, producer);
      return producer;
    });
    for (const stream of exchange.streams) {
      const writer = writers?.[stream];
      if (writer !== undefined) this.#add(stream, writer);
    }
  }

  #add(stream: Stream, to: RowWriter, lagMemory?: SharedArrayBuffer): void {
    const watch = new SymbolWatch(this.#bounds);
    this.#watches.set(stream, watch);
    const lag = lagMemory === undefined ? {} : { lag: new LagRecorder(lagMemory) };
    this.#gates.set(stream, new RowGate({ stream, to, watch, facts: this.#facts, ...lag }));
  }

  /** By stream. */
  get all(): ReadonlyMap<Stream, RowGate> {
    return this.#gates;
  }

  /** The watches over symbols, by stream. */
  get watches(): ReadonlyMap<Stream, SymbolWatch> {
    return this.#watches;
  }

  /** The number that the next row of a stream takes; undefined = it goes into no ring. */
  nextSeq(stream: Stream): number | undefined {
    return this.#producers.get(stream)?.nextSeq;
  }

  /** Time of the last row of each stream, by symbol. */
  lastTimes(): Map<Stream, Float64Array> {
    return new Map([...this.#gates].map(([stream, gate]) => [stream, gate.lastTimes]));
  }

  /** Rows that a subscription has brought so far. @param symbol number of its instrument */
  rowsOf({ streams }: Subscription, symbol: number): number {
    return streams.reduce((sum, one) => sum + (this.#gates.get(one)?.rowsOf(symbol) ?? 0), 0);
  }

  /** A connection has ended. */
  forgetConnection(connection: number): void {
    for (const gate of this.#gates.values()) gate.forgetConnection(connection);
  }

  /** We ourselves were away until now. @param now µs */
  interrupted(now: number): void {
    for (const watch of this.#watches.values()) watch.interrupted(now);
  }

  /** The receive clock was set ahead. @param by µs */
  stepped(by: number): void {
    for (const watch of this.#watches.values()) watch.stepped(by);
  }

  /** When each of these instruments was last heard, by stream. Asked for by people: it may allocate. */
  freshness(instruments: readonly KnownInstrument[], channels: Channels): StreamFreshness[] {
    return [...this.#gates].map(([stream, gate]) => ({
      exchange: this.#exchange.name,
      stream,
      symbols: instruments.flatMap((one) => this.#symbolFreshness(stream, gate, one, channels)),
    }));
  }

  #symbolFreshness(
    stream: Stream,
    gate: RowGate,
    { instrument, number }: KnownInstrument,
    channels: Channels,
  ): SymbolFreshness[] {
    const events = gate.rowsOf(number);
    // A channel for all symbols (liquidations) names none of them: those are listed that have come.
    if (events === 0 && channels.sourceOf(stream, instrument) === undefined) return [];
    const watch = this.#watches.get(stream);
    const last = watch?.lastEvent(number) ?? Number.NaN;
    const symbol = this.#exchange.normalizeSymbol(instrument);
    const silent = watch?.isFlagged(number) ?? false;
    return [{ symbol, last: Number.isNaN(last) ? null : last, events, silent }];
  }
}
