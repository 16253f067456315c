import { BLOB, DOUBLE, type DuckDBAppender, type DuckDBConnection, DuckDBDataChunk } from "@duckdb/node-api";
import bindings from "@duckdb/node-bindings";
import { LAYOUTS, LOCAL } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import { recordBytes } from "../ring/memory.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../ring/text.ts";
import type { SegmentKey } from "./names.ts";
import { sqlName, tableColumns } from "./projection.ts";

type Vector = ReturnType<typeof bindings.data_chunk_get_vector>;

/** Rows of a DuckDB vector. */
const CHUNK_ROWS = 2048;

/** What is known of a segment's rows. */
export interface SegmentSpan {
  readonly rows: number;
  readonly firstLocal: number;
  readonly lastLocal: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/**
 * An open segment: the rows of one ring between two seals, in a DuckDB table of their own.
 *
 * Rows move from shared memory straight into the vectors of a data chunk; a full chunk is appended to
 * the table. Rows of an unfinished chunk are in the segment and count as such.
 */
export class Segment {
  readonly table: string;
  rows = 0;
  bytes = 0;
  firstLocal = Number.NaN;
  lastLocal = Number.NaN;
  firstSeq = Number.NaN;
  lastSeq = Number.NaN;
  /** Bytes of one row in memory. */
  readonly rowBytes: number;
  readonly #seq: number;
  readonly #numbers: number;
  readonly #texts: number;
  readonly #appender: DuckDBAppender;
  readonly #chunk: DuckDBDataChunk;
  readonly #vectors: Vector[] = [];
  #filled = 0;
  #sealed = false;

  private constructor(
    readonly stream: Stream,
    readonly key: SegmentKey,
    table: string,
    appender: DuckDBAppender,
  ) {
    const layout = LAYOUTS[stream];
    this.table = table;
    this.#appender = appender;
    this.#numbers = layout.numbers.length;
    this.#texts = layout.texts.length;
    this.#seq = layout.seq;
    this.rowBytes = recordBytes({ numbers: this.#numbers, texts: this.#texts });
    const types = [
      ...Array.from({ length: this.#numbers }, () => DOUBLE),
      ...Array.from({ length: this.#texts * TEXT_PIECES }, () => BLOB),
    ];
    this.#chunk = DuckDBDataChunk.create(types);
    this.#loadVectors();
  }

  /** Creates the table of a new segment. */
  static async open(connection: DuckDBConnection, stream: Stream, key: SegmentKey): Promise<Segment> {
    const table = `segment_${key.ring}_${key.n}`;
    await connection.run(`CREATE TABLE ${sqlName(table)} (${tableColumns(stream)})`);
    return new Segment(stream, key, table, await connection.createAppender(table));
  }

  #loadVectors(): void {
    for (let column = 0; column < this.#numbers + this.#texts * TEXT_PIECES; column++) {
      this.#vectors[column] = bindings.data_chunk_get_vector(this.#chunk.chunk, column);
    }
  }

  /** Rows that can be taken in one copy. */
  get room(): number {
    return CHUNK_ROWS - this.#filled;
  }

  /** Takes `count` rows (at most {@link room}, in one piece) from the ring. Does not release them there. */
  take(ring: RingConsumer, count: number): void {
    if (this.#sealed) throw new Error(`segment ${this.table} is sealed`);
    // The binding takes a SharedArrayBuffer as well as an ArrayBuffer; only its types do not say so.
    const source = ring.handle.buffer as unknown as ArrayBuffer;
    let column = 0;
    for (let k = 0; k < this.#numbers; k++, column++) {
      const vector = this.#vectors[column];
      bindings.copy_data_to_vector(vector, this.#filled * 8, source, ring.numberOffset(k), count * 8);
    }
    for (let text = 0; text < this.#texts; text++) {
      for (let piece = 0; piece < TEXT_PIECES; piece++, column++) {
        const vector = this.#vectors[column];
        const at = this.#filled * TEXT_CELL_BYTES;
        const from = ring.textOffset(text, piece);
        bindings.copy_data_to_vector(vector, at, source, from, count * TEXT_CELL_BYTES);
      }
    }
    if (this.rows === 0) {
      this.firstLocal = ring.number(LOCAL, 0);
      this.firstSeq = ring.number(this.#seq, 0);
    }
    this.lastLocal = ring.number(LOCAL, count - 1);
    this.lastSeq = ring.number(this.#seq, count - 1);
    this.rows += count;
    this.bytes += count * this.rowBytes;
    this.#filled += count;
    if (this.#filled === CHUNK_ROWS) this.#append();
  }

  #append(): void {
    if (this.#filled === 0) return;
    this.#chunk.rowCount = this.#filled;
    this.#appender.appendDataChunk(this.#chunk);
    this.#filled = 0;
  }

  /** Ends the segment: its rows are all in the table from now on and there will be no more. */
  seal(): SegmentSpan {
    this.#append();
    this.#appender.closeSync();
    this.#sealed = true;
    const { rows, firstLocal, lastLocal, firstSeq, lastSeq } = this;
    return { rows, firstLocal, lastLocal, firstSeq, lastSeq };
  }
}
