/**
 * Memory in which the body of one page is put together: room for the definition levels, which are known last and stand
 * first, then the values. The values' place is aligned, so that doubles are stored as they are gathered: plain ones need no copy.
 */
import { ROW_GROUP_ROWS } from "./format.ts";

/** Room for definition levels: a length, the head of a run, a bit for each row. */
const LEVELS = 4 + 5 + ROW_GROUP_ROWS / 8;
/** Where values begin. */
export const VALUES = Math.ceil(LEVELS / 64) * 64;
/** Room beyond eight bytes a value, for what encodings add. */
const SLACK = 64 * 1024;
const SIZE = VALUES + 8 * ROW_GROUP_ROWS + SLACK;

/** See the head of the file. */
export class PageMemory {
  readonly bytes = new Uint8Array(SIZE);
  /** The place of the values, as doubles and as words. */
  readonly doubles = new Float64Array(this.bytes.buffer, VALUES, ROW_GROUP_ROWS);
  readonly words = new Int32Array(this.bytes.buffer, VALUES, 2 * ROW_GROUP_ROWS);
  /** First byte of the body. */
  from = VALUES;
  /** Behind the last byte of the body. */
  to = VALUES;

  /** Bytes that values may take. */
  get room(): number {
    return SIZE - VALUES;
  }

  /** The body. */
  get body(): Uint8Array {
    return this.bytes.subarray(this.from, this.to);
  }

  /**
   * Writes the levels of `rows` rows before the values.
   *
   * @param present a bit for each row that has a value; null = all have one
   */
  levels(rows: number, present: Uint8Array | null, values: number): void {
    const { bytes } = this;
    const runOf = present === null || values === 0;
    const head = runOf ? 2 * rows : 2 * Math.ceil(rows / 8) + 1;
    const content = runOf ? 1 : Math.ceil(rows / 8);
    const length = varintBytes(head) + content;
    this.from = VALUES - 4 - length;
    let at = this.from;
    for (let shift = 0; shift < 32; shift += 8) bytes[at++] = length >>> shift;
    at = putVarint(bytes, at, head);
    if (present === null) bytes[at] = 1;
    else if (values === 0) bytes[at] = 0;
    else bytes.set(present.subarray(0, content), at);
  }
}

/** Writes a whole number of at most 53 bits, seven bits a byte. @returns where it ends */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let to = at;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[to++] = (rest % 0x80) | 0x80;
  bytes[to++] = rest;
  return to;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}
