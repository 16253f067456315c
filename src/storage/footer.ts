/** What the footer of one of our own Parquet files says of it, without DuckDB. */
import { type FileHandle, open } from "node:fs/promises";

/** What is told of a segment's file by its metadata. */
export interface FooterFacts {
  readonly rows: number;
  /** Receive time of the last row, µs. */
  readonly lastLocal: number;
  /** null for a dataset. */
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
}

/** After the footer: its length and the magic. */
const TAIL_BYTES = 8;
/** Longest footer that is read. */
const FOOTER_MAX = 16 * 1024 * 1024;

/**
 * Reads the key-value metadata that {@link file://./parquet.ts} writes. In Thrift's compact protocol an entry is
 * `18 <length> key 18 <length> value`: field 1 and field 2 after it, both binary
 * (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md, parquet.thrift: KeyValue).
 *
 * @returns null when it is not there or not to be read
 */
export async function readFooter(path: string): Promise<FooterFacts | null> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path);
    const { size } = await handle.stat();
    const tail = Buffer.alloc(TAIL_BYTES);
    await handle.read(tail, 0, TAIL_BYTES, size - TAIL_BYTES);
    const length = tail.readUInt32LE(0);
    if (tail.toString("latin1", 4) !== "PAR1" || length > Math.min(FOOTER_MAX, size - TAIL_BYTES))
      return null;
    const footer = Buffer.alloc(length);
    await handle.read(footer, 0, length, size - TAIL_BYTES - length);
    const number = (key: string) => numberOf(footer, key);
    const [rows, lastLocal] = [number("rows"), number("last_local_timestamp")];
    if (rows === null || lastLocal === null) return null;
    return { rows, lastLocal, firstSeq: number("first_seq"), lastSeq: number("last_seq") };
  } catch {
    return null;
  } finally {
    await handle?.close();
  }
}

function numberOf(footer: Buffer, key: string): number | null {
  const entry = Buffer.concat([Buffer.from([0x18, key.length]), Buffer.from(key), Buffer.from([0x18])]);
  const at = footer.lastIndexOf(entry);
  if (at < 0) return null;
  const from = at + entry.length;
  // Shorter than 128, so that its length is one byte.
  const text = footer.toString("latin1", from + 1, from + 1 + (footer[from] ?? 0));
  return /^\d{1,16}$/.test(text) ? Number(text) : null;
}
