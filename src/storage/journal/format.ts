/**
 * What a journal file looks like: version 1, or 2 where its header names a {@link FileLayout}: that is all the
 * difference, but a program that knows no layouts would make one file more of a segment of which some are written.
 *
 * A preamble of 16 bytes ("TAPEJRNL", the version as u32, a CRC-32 of these 12 bytes), then records. All numbers are
 * little-endian; a record begins at a multiple of 8 and is
 *
 * | at | type | holds                                                        |
 * |----|------|--------------------------------------------------------------|
 * | 0  | u32  | {@link MARKER}                                               |
 * | 4  | u32  | CRC-32 of bytes 8 to 55                                      |
 * | 8  | u32  | type, see {@link RECORD}                                     |
 * | 12 | u32  | bytes of the payload                                         |
 * | 16 | u32  | CRC-32 of the payload                                        |
 * | 20 | u32  | rows in it                                                   |
 * | 24 | f64  | seq of its first row                                         |
 * | 32 | f64  | seq of its last row                                          |
 * | 40 | f64  | local_timestamp of its first row, µs                         |
 * | 48 | f64  | local_timestamp of its last row, µs                          |
 * | 56 | ...  | the payload, then zeros up to a multiple of 8                |
 *
 * The head has a checksum of its own: where only a payload is damaged it is known what is lost, and where reading
 * goes on; where a head is damaged the next marker with a right checksum is looked for.
 *
 * The first record is the header: it tells which columns the rows have, so a journal explains itself. Rows stand
 * column by column as they lay in the ring: of each number 8 bytes a row, then of each piece of each text 16 bytes.
 */
import { crc32 } from "node:zlib";
import { z } from "zod";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../../ring/text.ts";
import type { FileLayout } from "../names.ts";

/** First bytes of a journal. */
export const MAGIC = "TAPEJRNL";
/** The highest version this program reads. */
export const JOURNAL_VERSION = 2;
/** Bytes before the first record. */
export const PREAMBLE_BYTES = 16;
/** First word of a record. */
export const MARKER = 0x4e524a54;
/** Bytes of a record's head. */
export const HEAD_BYTES = 56;
/** Records begin at multiples of this. */
export const ALIGNMENT = 8;
/** Longest payload that is written; a longer one cannot be a record. */
export const PAYLOAD_BYTES_MAX = 64 * 2 ** 20;

/** Types of records. */
export const RECORD = {
  /** JSON: {@link journalHeader}. The first record. */
  header: 1,
  /** JSON: {@link journalSymbols}; before the first row that carries these numbers. */
  symbols: 2,
  /** Rows of a stream, column by column. */
  rows: 3,
  /** JSON: {@link journalDatasetRows}. */
  datasetRows: 4,
  /** JSON: {@link journalSeal}. The last record. */
  seal: 5,
} as const;

/** A file that is no journal, or of which nothing can be used; the message says why. */
export class JournalError extends Error {
  override name = "JournalError";
}

const names = z.array(z.string()).readonly();
const count = z.int().nonnegative();

/** What a journal says of itself. */
export const journalHeader = z.object({
  /** Version of the schema, of the program that wrote it. */
  schema: z.string(),
  tapedeck: z.string(),
  exchange: z.string(),
  /** Stream or dataset. */
  stream: z.string(),
  /** Whether the rows are those of a dataset: JSON, without seq. */
  dataset: z.boolean(),
  run: z.string(),
  ring: count,
  n: count,
  /** Names of the numeric columns and of the texts, in the order of the rows' payloads. */
  numbers: names,
  texts: names,
  /** Cells of a text, and bytes of a cell. */
  textPieces: z.literal(TEXT_PIECES),
  textCellBytes: z.literal(TEXT_CELL_BYTES),
  /** To what files its rows are dealt out, whatever the setting is by then; absent = `flat`. */
  layout: z.literal("symbol").optional(),
});
/** See {@link journalHeader}. */
export type JournalHeader = Readonly<z.infer<typeof journalHeader>>;

/** To what files the rows of a journal are dealt out. */
export function layoutOf({ layout }: Pick<JournalHeader, "layout">): FileLayout {
  return layout ?? "flat";
}

/** Symbols: number, symbol, instrument. */
export const journalSymbols = z.array(z.tuple([z.int(), z.string(), z.string()]).readonly()).readonly();
/** See {@link journalSymbols}. */
export type JournalSymbols = z.infer<typeof journalSymbols>;

/** Rows of a dataset, and when they were written, µs. */
export const journalDatasetRows = z.object({
  nowUs: z.number(),
  rows: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))).readonly(),
});
/** See {@link journalDatasetRows}. */
export type JournalDatasetRows = Readonly<z.infer<typeof journalDatasetRows>>;

/** The end of a segment: what its file will hold, and how it will be called. */
export const journalSeal = z.object({
  rows: count,
  firstLocal: z.number(),
  lastLocal: z.number(),
  firstSeq: count,
  lastSeq: count,
  /** Key of its file below the prefix of a lake; where it becomes several, the one that a single one would have. */
  key: z.string(),
});
/** See {@link journalSeal}. */
export type JournalSeal = Readonly<z.infer<typeof journalSeal>>;

/** The head of a record. */
export interface RecordHead {
  readonly type: number;
  readonly bytes: number;
  readonly checksum: number;
  readonly rows: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly firstLocal: number;
  readonly lastLocal: number;
}

/** What the head of a record says of its rows; all 0 where it has none. */
export type RecordSpan = Pick<RecordHead, "rows" | "firstSeq" | "lastSeq" | "firstLocal" | "lastLocal">;

/** Bytes up to the next record. */
export function padded(bytes: number): number {
  return (bytes + ALIGNMENT - 1) & -ALIGNMENT;
}

/** Writes the preamble of a journal with this header to the begin of `target`. */
export function writePreamble(target: Uint8Array, header: Pick<JournalHeader, "layout">): void {
  const view = new DataView(target.buffer, target.byteOffset, PREAMBLE_BYTES);
  for (let i = 0; i < MAGIC.length; i++) target[i] = MAGIC.charCodeAt(i);
  view.setUint32(8, header.layout === undefined ? 1 : 2, true);
  view.setUint32(12, crc32(target.subarray(0, 12)), true);
}

/**
 * Checks a preamble.
 *
 * @throws JournalError that says what the file is instead
 */
export function checkPreamble(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new JournalError("it is empty");
  const magic = new TextDecoder("latin1").decode(bytes.subarray(0, MAGIC.length));
  if (magic !== MAGIC.slice(0, magic.length) || bytes.length < MAGIC.length)
    throw new JournalError("it does not begin as a journal does");
  if (bytes.length < PREAMBLE_BYTES) throw new JournalError(`it is cut off after ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, PREAMBLE_BYTES);
  if (view.getUint32(12, true) !== crc32(bytes.subarray(0, 12)))
    throw new JournalError("its first bytes are damaged");
  const version = view.getUint32(8, true);
  if (version < 1 || version > JOURNAL_VERSION)
    throw new JournalError(
      `its version is ${version}, this program reads up to ${JOURNAL_VERSION}: ` +
        "put it back and start the version that wrote it, or a later one",
    );
}

/** Writes the head of a record to the begin of `target`; the payload (`bytes`) stands behind it already. */
export function writeHead(target: Uint8Array, type: number, bytes: number, span: RecordSpan): void {
  const view = new DataView(target.buffer, target.byteOffset, HEAD_BYTES);
  view.setUint32(0, MARKER, true);
  view.setUint32(8, type, true);
  view.setUint32(12, bytes, true);
  view.setUint32(16, crc32(target.subarray(HEAD_BYTES, HEAD_BYTES + bytes)), true);
  view.setUint32(20, span.rows, true);
  view.setFloat64(24, span.firstSeq, true);
  view.setFloat64(32, span.lastSeq, true);
  view.setFloat64(40, span.firstLocal, true);
  view.setFloat64(48, span.lastLocal, true);
  view.setUint32(4, crc32(target.subarray(8, HEAD_BYTES)), true);
}

/** Reads the head at the begin of `source`; null = there is none that is right. */
export function readHead(source: Uint8Array): RecordHead | null {
  if (source.length < HEAD_BYTES) return null;
  const view = new DataView(source.buffer, source.byteOffset, HEAD_BYTES);
  if (view.getUint32(0, true) !== MARKER) return null;
  if (view.getUint32(4, true) !== crc32(source.subarray(8, HEAD_BYTES))) return null;
  const bytes = view.getUint32(12, true);
  if (bytes > PAYLOAD_BYTES_MAX) return null;
  return {
    type: view.getUint32(8, true),
    bytes,
    checksum: view.getUint32(16, true),
    rows: view.getUint32(20, true),
    firstSeq: view.getFloat64(24, true),
    lastSeq: view.getFloat64(32, true),
    firstLocal: view.getFloat64(40, true),
    lastLocal: view.getFloat64(48, true),
  };
}

/** Whether a payload is as its head says. */
export function isWhole(head: RecordHead, payload: Uint8Array): boolean {
  return payload.length === head.bytes && crc32(payload) === head.checksum;
}

/** Bytes that a row of these columns takes. */
export function rowBytesOf({ numbers, texts }: Pick<JournalHeader, "numbers" | "texts">): number {
  return numbers.length * 8 + texts.length * TEXT_PIECES * TEXT_CELL_BYTES;
}

const NAME = /^([a-z-]+)~([a-z_]+)~([a-z0-9-]+)~(\d+)~(\d+)\.journal$/;

/** What the name of a journal says. */
export type JournalName = Pick<JournalHeader, "exchange" | "stream" | "run" | "ring" | "n">;

/** Name of a segment's journal. */
export function journalName({ exchange, stream, run, ring, n }: JournalName): string {
  return `${exchange}~${stream}~${run}~${ring}~${n}.journal`;
}

/** What a file's name says; null = it is not that of a journal. */
export function parseJournalName(name: string): JournalName | null {
  const found = NAME.exec(name);
  if (found === null) return null;
  const [, exchange = "", stream = "", run = "", ring, n] = found;
  return { exchange, stream, run, ring: Number(ring), n: Number(n) };
}
