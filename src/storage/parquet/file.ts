/**
 * Writes rows of a stream as a Parquet file, without DuckDB.
 *
 * Its thread encodes a page while a thread of the runtime's pool compresses the one before; between two pages other
 * work gets its turn.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Stream } from "../../events/streams.ts";
import type { SegmentKey } from "../names.ts";
import type { SortedRows } from "../sorted-rows.ts";
import { type EncodedPage, type FileColumn, fileColumns } from "./columns.ts";
import { footerOf } from "./footer.ts";
import {
  type ChunkFacts,
  CODEC_LEVEL,
  ENCODING,
  type Encoding,
  MAGIC,
  PAGE,
  ROW_GROUP_ROWS,
  type RowGroupFacts,
  type Statistics,
} from "./format.ts";
import type { Slice } from "./gather.ts";
import { PageMemory } from "./page-memory.ts";
import { together } from "./statistics.ts";
import { ThriftWriter } from "./thrift.ts";

/** Rows that are to become a file. */
export interface FileRows {
  readonly stream: Stream;
  readonly key: SegmentKey;
  readonly rows: SortedRows;
  /** The first of them in the order of the file, and one behind the last. */
  readonly from: number;
  readonly to: number;
}

/** Body of a page up to which it is compressed at once: to have another thread do it costs more. */
const SMALL_BODY = 8192;

/** A page that is being compressed, to be written. */
interface WaitingPage {
  readonly chunk: ChunkBuilder;
  readonly page: EncodedPage;
  readonly rows: number;
  readonly uncompressed: number;
  readonly compressed: Uint8Array | Promise<Uint8Array>;
}

/** A chunk of which not all pages are written. */
interface ChunkBuilder {
  readonly column: FileColumn;
  rows: number;
  statistics: Statistics | null;
  dictionaryAt: number | null;
  dataAt: number | null;
  uncompressed: number;
  compressed: number;
  readonly encodings: Set<Encoding>;
}

/** Writes one file after the other, in the same memory. */
export class ParquetWriter {
  readonly #pages = [new PageMemory(), new PageMemory()] as const;
  /** Of the two that which takes the next page: the other one may be being compressed. */
  #turn: 0 | 1 = 0;
  #waiting: WaitingPage | null = null;
  #fd = -1;
  /** Bytes written. */
  #at = 0;

  /**
   * Writes a file anew.
   *
   * @param metadata key-value pairs of the file
   * @param without names of columns that its path tells
   * @param ended whether to give up, asked between two row groups: what takes no longer is finished
   * @throws Error where the disk refuses, or it was given up; what is there then is no file
   */
  async write(
    path: string,
    content: FileRows,
    metadata: Readonly<Record<string, string>>,
    without: readonly string[] = [],
    ended: () => boolean = () => false,
  ): Promise<void> {
    const { stream, key, from, to } = content;
    const columns = fileColumns(stream, key, without);
    const groups: RowGroupFacts[] = [];
    this.#fd = openSync(path, "w");
    this.#at = 0;
    try {
      this.#put(Buffer.from(MAGIC));
      for (let first = from; first < to; first += ROW_GROUP_ROWS) {
        if (first > from && ended()) throw new Error("given up");
        const slice = { rows: content.rows, from: first, count: Math.min(ROW_GROUP_ROWS, to - first) };
        groups.push(await this.#group(columns, slice));
      }
      const footer = footerOf(columns, groups, metadata);
      const tail = Buffer.alloc(8);
      tail.writeUInt32LE(footer.length);
      tail.write(MAGIC, 4);
      this.#put(footer);
      this.#put(tail);
    } finally {
      // Its memory is read until then.
      await Promise.resolve(this.#waiting?.compressed).catch(() => undefined);
      this.#waiting = null;
      closeSync(this.#fd);
    }
  }

  async #group(columns: readonly FileColumn[], { rows, from, count }: Slice): Promise<RowGroupFacts> {
    const chunks = columns.map(builderOf);
    for (const chunk of chunks) {
      const { pageRows } = chunk.column;
      for (let at = 0; at < count; at += pageRows)
        await this.#encode(chunk, { rows, from: from + at, count: Math.min(pageRows, count - at) });
    }
    await this.#flush();
    return { rows: count, chunks: chunks.map(factsOf) };
  }

  async #encode(chunk: ChunkBuilder, slice: Slice): Promise<void> {
    const memory = this.#pages[this.#turn];
    this.#turn = this.#turn === 0 ? 1 : 0;
    const page = chunk.column.encode(slice, memory);
    const { body } = memory;
    await this.#flush();
    const options = { level: CODEC_LEVEL };
    const compressed =
      body.length <= SMALL_BODY ? Bun.zstdCompressSync(body, options) : Bun.zstdCompress(body, options);
    this.#waiting = { chunk, page, rows: slice.count, uncompressed: body.length, compressed };
  }

  /** Writes the page that is being compressed. */
  async #flush(): Promise<void> {
    const waiting = this.#waiting;
    if (waiting === null) return;
    const { chunk, page, rows, uncompressed } = waiting;
    const compressed = await waiting.compressed;
    this.#waiting = null;
    if (page.dictionary !== null && chunk.dictionaryAt === null) {
      const { bytes, values } = page.dictionary;
      chunk.dictionaryAt = this.#at;
      this.#page(chunk, PAGE.dictionary, values, ENCODING.plain, bytes.length, Bun.zstdCompressSync(bytes));
    }
    chunk.dataAt ??= this.#at;
    this.#page(chunk, PAGE.data, rows, page.encoding, uncompressed, compressed);
    chunk.rows += rows;
    chunk.statistics = together(chunk.column.physical, chunk.statistics, page.statistics);
    chunk.encodings.add(page.encoding);
  }

  #page(
    chunk: ChunkBuilder,
    type: number,
    values: number,
    encoding: Encoding,
    uncompressed: number,
    body: Uint8Array,
  ): void {
    const head = headOf(type, values, encoding, uncompressed, body);
    chunk.uncompressed += head.length + uncompressed;
    chunk.compressed += head.length + body.length;
    this.#put(head);
    this.#put(body);
  }

  #put(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#at + done);
    this.#at += bytes.length;
  }
}

function builderOf(column: FileColumn): ChunkBuilder {
  return {
    column,
    rows: 0,
    statistics: null,
    dictionaryAt: null,
    dataAt: null,
    uncompressed: 0,
    compressed: 0,
    encodings: new Set(),
  };
}

function factsOf({ column, statistics, dataAt, ...chunk }: ChunkBuilder): ChunkFacts {
  if (statistics === null || dataAt === null) throw new Error(`nothing of ${column.column.name} was written`);
  const plain = chunk.dictionaryAt === null ? [] : [ENCODING.plain];
  return {
    ...chunk,
    dataAt,
    name: column.column.name,
    physical: column.physical,
    encodings: [...new Set([...plain, ENCODING.rle, ...chunk.encodings])],
    statistics,
  };
}

/** The head of a page. Its checksum is over what follows it, as readers that look at it have it. */
function headOf(
  type: number,
  values: number,
  encoding: Encoding,
  uncompressed: number,
  body: Uint8Array,
): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.i32(1, type);
  thrift.i32(2, uncompressed);
  thrift.i32(3, body.length);
  thrift.i32(4, crc32(body) | 0);
  if (type === PAGE.dictionary) {
    thrift.struct(7, () => {
      thrift.i32(1, values);
      thrift.i32(2, encoding);
    });
  } else {
    thrift.struct(5, () => {
      thrift.i32(1, values);
      thrift.i32(2, encoding);
      thrift.i32(3, ENCODING.rle);
      thrift.i32(4, ENCODING.rle);
    });
  }
  return thrift.end();
}
