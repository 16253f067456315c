import { type Layout, LOCAL, PUBLISHED, SYMBOL, TIMESTAMP } from "../../events/layout.ts";
import {
  type DecodeCounters,
  type Decoder,
  FRAME,
  type FrameClass,
  type RowWriter,
  type SnapshotCounters,
  type Writers,
} from "./decoder.ts";
import { FieldReader, FrameError, parseFrame } from "./json.ts";
import { Scanner } from "./scanner.ts";
import type { SequenceFollower } from "./sequence.ts";
import type { SymbolTable } from "./symbols.ts";

/** Result of a scanner: not its shape, so the JSON path has to look. */
export const BAIL = -1;
/** Result of a scanner: of a kind that has none, so that the JSON path is no fallback. */
export const UNSCANNED = -2;
/** What a scanner answers. */
export type Scanned = FrameClass | typeof BAIL | typeof UNSCANNED;

/** NULL in a numeric slot. */
export const ABSENT: number = Number.NaN;

/** First slot of a stream's own numeric columns. */
const FIRST_OWN: number = LOCAL + 1;

/** What every decoder is made with. */
export interface DecoderOptions {
  readonly symbols: SymbolTable;
  readonly writers: Writers;
  readonly counters: DecodeCounters;
  /** Follows trade ids where the exchange numbers them one by one. */
  readonly tradeSequence?: SequenceFollower;
  /** false = decode by JSON alone: the reference that the scanners are tested against. */
  readonly scanners?: boolean;
}

/**
 * What the decoders of all exchanges share: a scanner first, the JSON path for whatever it does not take,
 * and no row of a frame that turns out not to be decodable.
 */
export abstract class FrameDecoder implements Decoder {
  readonly counters: DecodeCounters;
  readonly snapshots: SnapshotCounters = { frames: 0, realigned: 0 };
  reason = "";
  /** Whether the frame in hand is a snapshot of a channel that goes on with changes. */
  snapshot = false;
  protected readonly symbols: SymbolTable;
  protected readonly writers: Writers;
  protected readonly read = new FieldReader();
  readonly #tradeSequence: SequenceFollower | undefined;
  readonly #all: readonly RowWriter[];
  readonly #scanners: boolean;
  readonly #scan = new Scanner();
  /** Connection of each symbol's last snapshot. */
  readonly #snapshotOn = new Map<number, number>();
  #local = 0;
  #connection = 0;

  constructor({ symbols, writers, counters, tradeSequence, scanners = true }: DecoderOptions) {
    this.#tradeSequence = tradeSequence;
    this.symbols = symbols;
    this.writers = writers;
    this.counters = counters;
    this.#all = Object.values(writers);
    this.#scanners = scanners;
  }

  decode(
    data: Uint8Array,
    local: number,
    connection: number,
    from: number = 0,
    to: number = data.length,
  ): FrameClass {
    this.#local = local;
    this.#connection = connection;
    this.snapshot = false;
    if (!this.#scanners) return this.#parse(data.subarray(from, to), false);
    this.#scan.start(data, from, to);
    const scanned = this.scan(this.#scan);
    if (scanned === BAIL) return this.#parse(data.subarray(from, to), true);
    if (scanned === UNSCANNED) return this.#parse(data.subarray(from, to), false);
    // Only of what is recorded, as in the JSON path.
    if (scanned === FRAME.EVENTS) this.counters.inexact += this.#scan.inexact;
    return scanned;
  }

  #parse(frame: Uint8Array, fallback: boolean): FrameClass {
    const { read } = this;
    read.reset();
    this.mark();
    try {
      const kind = this.parse(parseFrame(frame));
      if (kind === FRAME.EVENTS) {
        this.counters.inexact += read.inexact;
        this.counters.oversized += read.oversized;
      }
      if (fallback && (kind === FRAME.EVENTS || kind === FRAME.UNWANTED)) this.counters.fallback++;
      return kind;
    } catch (error) {
      this.rewind();
      this.reason = error instanceof FrameError ? error.message : String(error);
      return FRAME.UNDECODABLE;
    }
  }

  /** Remembers where the rows of this frame begin; a scanner of frames with many rows calls it first. */
  protected mark(): void {
    for (const writer of this.#all) writer.mark();
  }

  /** Takes back the rows of this frame; what a scanner does before it answers {@link BAIL}. */
  protected rewind(): void {
    for (const writer of this.#all) writer.rewind();
  }

  /** Begins a row: the common slots set, every column of the stream itself NULL. */
  protected begin(
    writer: RowWriter,
    layout: Layout,
    symbol: number,
    timestamp: number,
    published: number,
  ): Float64Array {
    const row = writer.row.numbers;
    row[SYMBOL] = symbol;
    row[TIMESTAMP] = timestamp;
    row[PUBLISHED] = published;
    row[LOCAL] = this.#local;
    for (let slot = FIRST_OWN; slot < layout.seq; slot++) row[slot] = ABSENT;
    row[layout.connection] = this.#connection;
    return row;
  }

  /** Takes note of a snapshot of a symbol, from which the changes after it go on. */
  protected snapshotOf(symbol: number): void {
    this.snapshot = true;
    this.snapshots.frames++;
    const before = this.#snapshotOn.get(symbol);
    if (before !== undefined && before !== this.#connection) this.snapshots.realigned++;
    this.#snapshotOn.set(symbol, this.#connection);
  }

  /** Takes note of a committed trade that stands for the consecutive ids `first` to `last`. */
  protected follow(symbol: number, first: number, last: number): void {
    this.#tradeSequence?.observe(symbol, first, last, this.#local);
  }

  /** Sets a text from the JSON path. @throws FrameError when it is longer than a row can hold. */
  protected setText(writer: RowWriter, slot: number, text: string | null, name: string): void {
    if (text === null) {
      writer.row.clearText(slot);
      return;
    }
    const bytes = utf8.encode(text);
    if (!writer.row.setText(slot, bytes, 0, bytes.length)) throw new FrameError(`${name} is too long`);
  }

  /**
   * Reads a frame of a known hot shape and commits its rows, or answers {@link BAIL} or {@link UNSCANNED}
   * having committed nothing.
   */
  protected abstract scan(scan: Scanner): Scanned;

  /** Reads any frame. Rows committed before a FrameError is thrown are taken back. */
  protected abstract parse(frame: unknown): FrameClass;
}

const utf8 = new TextEncoder();
