import { LAYOUTS, LOCAL, PUBLISHED, SYMBOL, TIMESTAMP } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import type { RowWriter } from "../exchanges/decoding/decoder.ts";
import type { Row } from "../ring/row.ts";
import type { Handover } from "./handover.ts";
import { FRAME_ROWS_MAX, type LagRecorder } from "./lag-histogram.ts";

/** What the rows of the frame that is being decoded have in common, for all gates of an exchange. */
export interface FrameFacts {
  /** published_timestamp, else timestamp (OKX has no other), of the last row of a stream that comes at once, µs; NaN = none. */
  published: number;
  /** Tells which rows are the second copy of an event during a planned replacement; null = there is none. */
  handover: Handover | null;
  /** Whether the frame is a snapshot of a channel that goes on with changes. */
  isSnapshot(): boolean;
}

/** Is told of every row that goes by. */
interface Watch {
  observe(symbol: number, local: number): void;
}

/** Streams whose rows are made when something happens: how late they are says how late the connection is. */
export const TIMELY: readonly Stream[] = ["bbo", "trade", "mark_price"];

/** Events of one symbol that found no room. */
export interface Overflow {
  readonly symbol: number;
  readonly missed: number;
}

/**
 * Stands between a decoder and a ring: sees every row of a stream go by, so that silence, lag and loss are
 * known per symbol, and keeps out second copies during a planned replacement.
 */
export class RowGate implements RowWriter {
  readonly row: Row;
  readonly stream: Stream;
  readonly #to: RowWriter;
  readonly #watch: Watch;
  readonly #facts: FrameFacts;
  readonly #timely: boolean;
  readonly #connection: number;
  readonly #lag: LagRecorder | null;
  /** Slot of `is_history`; -1 where the stream has none. */
  readonly #history: number;
  /** Symbols of the rows since {@link mark}. */
  readonly #markedSymbols = new Int32Array(FRAME_ROWS_MAX);
  #marked = 0;
  /** Rows and the time of the last one (timestamp, else published_timestamp, µs), by symbol. */
  #rows = new Float64Array(64);
  #times = new Float64Array(64).fill(Number.NaN);
  /** Connections that have brought rows; the last one of them. */
  readonly #heardOn = new Set<number>();
  #lastNumber = Number.NaN;
  /** Rows that found no room, by symbol; null = none since the last {@link takeOverflow}. */
  #overflow: Map<number, number> | null = null;
  /** Symbols of those of the last frame that had any: {@link rewind} takes them back. */
  readonly #frameOverflow: number[] = [];
  /** Receive times of the first and the last row that found no room, µs. */
  overflowFrom: number = Number.NaN;
  overflowTo: number = Number.NaN;

  constructor(options: {
    stream: Stream;
    to: RowWriter;
    watch: Watch;
    facts: FrameFacts;
    lag?: LagRecorder;
  }) {
    this.stream = options.stream;
    this.#to = options.to;
    this.#watch = options.watch;
    this.#facts = options.facts;
    this.#timely = TIMELY.includes(options.stream);
    this.#connection = LAYOUTS[options.stream].connection;
    this.#history = LAYOUTS[options.stream].numbers.indexOf("is_history");
    this.row = options.to.row;
    this.#lag = options.lag ?? null;
  }

  /** Whether a connection has brought anything of this stream. */
  isHeardOn(connection: number): boolean {
    return this.#heardOn.has(connection);
  }

  /** A connection has ended. */
  forgetConnection(connection: number): void {
    this.#heardOn.delete(connection);
    this.#lastNumber = Number.NaN;
  }

  /** Time of the last row by symbol, µs; NaN = none yet. */
  get lastTimes(): Float64Array {
    return this.#times;
  }

  /** Rows of a symbol so far. */
  rowsOf(symbol: number): number {
    return this.#rows[symbol] ?? 0;
  }

  commit(): boolean {
    const { numbers } = this.row;
    const symbol = numbers[SYMBOL];
    const local = numbers[LOCAL];
    const published = numbers[PUBLISHED];
    // A second copy shows as well that the symbol is alive, and that the connection brings the stream.
    this.#watch.observe(symbol, local);
    const number = numbers[this.#connection];
    if (number !== this.#lastNumber) {
      this.#lastNumber = number;
      this.#heardOn.add(number);
    }
    const timestamp = numbers[TIMESTAMP];
    const told = Number.isNaN(published) ? timestamp : published;
    if (this.#timely) this.#facts.published = told;
    const { handover } = this.#facts;
    if (
      handover !== null &&
      !handover.admits(this.stream, this.row, number, local, this.#facts.isSnapshot())
    ) {
      return true;
    }
    // What is sent as history tells nothing of how late the connection is.
    const isHistory = this.#history >= 0 && numbers[this.#history] === 1;
    this.#lag?.observe(local, isHistory ? Number.NaN : local - told);
    if (symbol >= this.#rows.length) this.#grow(symbol);
    this.#rows[symbol]++;
    if (this.#marked < FRAME_ROWS_MAX) this.#markedSymbols[this.#marked++] = symbol;
    this.#times[symbol] = Number.isNaN(timestamp) ? published : timestamp;
    if (this.#to.commit()) return true;
    this.#overflowed(symbol, local);
    return false;
  }

  mark(): void {
    this.#to.mark();
    this.#frameOverflow.length = 0;
    this.#marked = 0;
    this.#lag?.mark();
    this.#facts.handover?.mark();
  }

  rewind(): void {
    this.#to.rewind();
    for (let row = 0; row < this.#marked; row++) this.#rows[this.#markedSymbols[row]]--;
    this.#marked = 0;
    this.#lag?.rewind();
    for (const symbol of this.#frameOverflow) {
      const missed = this.#overflow?.get(symbol) ?? 0;
      if (missed > 1) this.#overflow?.set(symbol, missed - 1);
      else this.#overflow?.delete(symbol);
    }
    this.#frameOverflow.length = 0;
    if (this.#overflow?.size === 0) this.#overflow = null;
    this.#facts.handover?.rewind();
  }

  #overflowed(symbol: number, local: number): void {
    if (this.#overflow === null) {
      this.#overflow = new Map();
      this.overflowFrom = local;
    }
    // Not every frame is marked; rows of one frame have one receive time.
    if (local !== this.overflowTo) this.#frameOverflow.length = 0;
    this.#frameOverflow.push(symbol);
    this.overflowTo = local;
    this.#overflow.set(symbol, (this.#overflow.get(symbol) ?? 0) + 1);
  }

  /** The rows that found no room since the last call, by symbol; null = all found some. */
  takeOverflow(): Overflow[] | null {
    const overflow = this.#overflow;
    if (overflow === null) return null;
    this.#overflow = null;
    return [...overflow].map(([symbol, missed]) => ({ symbol, missed }));
  }

  #grow(symbol: number): void {
    const size = 2 ** Math.ceil(Math.log2(symbol + 1));
    const rows = new Float64Array(size);
    rows.set(this.#rows);
    const times = new Float64Array(size).fill(Number.NaN);
    times.set(this.#times);
    this.#rows = rows;
    this.#times = times;
  }
}
