/** A ring of bbo that is filled from frames, for the stages behind it. */

import { LAYOUTS } from "../../src/events/layout.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import { RingConsumer } from "../../src/ring/consumer.ts";
import { createRing, type RingHandle, readRing, viewsOf } from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import type { SymbolSpec } from "../../src/storage/drain.ts";
import { MIX, spellTape, tapeInstruments } from "../source/tape.ts";

/** Events between two publications. */
const PUBLISH_BATCH = 64;
/** Time between two events, µs: 200,000 a second. */
const EVENT_TIME = 5;

/** Frames with the receive time of each. */
export interface TimedFrames {
  readonly frames: readonly Uint8Array[];
  /** µs, not falling; null = one every {@link EVENT_TIME} from now on. */
  readonly locals: Float64Array | null;
}

/** The bookTicker frames of the load source's tape. */
export function tapeQuotes(symbols: number): TimedFrames {
  const tape = spellTape({ ...MIX, symbols, quotes: 1 });
  return { frames: tape.map(({ text }) => Buffer.from(text)), locals: null };
}

/** See the head of the file. */
export class BboFeed {
  readonly handle: RingHandle;
  /** A reader of its own, for stages that have no drain. */
  readonly consumer: RingConsumer;
  readonly symbols: readonly SymbolSpec[];
  readonly #producer: RingProducer;
  readonly #decoder: ReturnType<typeof binance.createDecoder>;
  readonly #source: TimedFrames;
  readonly #views: ReturnType<typeof viewsOf>;
  #next = 0;
  #local = Date.now() * 1000;

  constructor(symbols: number, source: TimedFrames, capacity = 262_144) {
    const { numbers, texts, seq } = LAYOUTS.bbo;
    this.handle = createRing({ capacity, numbers: numbers.length, texts: texts.length });
    this.#views = viewsOf(this.handle);
    this.consumer = new RingConsumer(this.handle);
    this.#producer = new RingProducer(this.handle, seq);
    this.#source = source;
    this.symbols = tapeInstruments(symbols)
      .slice(0, symbols)
      .map(({ symbol }, number) => ({ number, symbol, instrument: symbol }));
    const table = new SymbolTable();
    for (const { instrument, number } of this.symbols) table.add(instrument, number);
    this.#decoder = binance.createDecoder({
      symbols: table,
      writers: { bbo: this.#producer },
      counters: { fallback: 0, inexact: 0, oversized: 0 },
    });
  }

  /** Puts so many events into the ring. @throws Error when it is full */
  fill(count: number): void {
    const { frames, locals } = this.#source;
    for (let i = 0; i < count; i++) {
      this.#local += EVENT_TIME;
      const local = locals?.[this.#next] ?? this.#local;
      this.#decoder.decode(frames[this.#next] as Uint8Array, local, 1);
      this.#next = (this.#next + 1) % frames.length;
      if (i % PUBLISH_BATCH === PUBLISH_BATCH - 1) this.#producer.publish();
    }
    this.#producer.publish();
    const { dropped } = readRing(this.handle, this.#views);
    if (dropped > 0) throw new Error(`the ring of the bench was full: ${dropped} events were dropped`);
  }
}
