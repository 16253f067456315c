import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { z } from "zod";
import type { RowSource } from "../../ring/row-source.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../../ring/text.ts";
import {
  ALIGNMENT,
  checkPreamble,
  HEAD_BYTES,
  isWhole,
  JournalError,
  type JournalHeader,
  journalHeader,
  PREAMBLE_BYTES,
  padded,
  RECORD,
  type RecordHead,
  readHead,
} from "./format.ts";

/** Bytes read at once; more where a record is longer. */
const WINDOW_BYTES = 2 ** 20;
/** Memory of a reader that is done, for the next one: fresh pages cost as much as reading into them. */
let spare: Uint8Array<ArrayBuffer> | null = null;

/** A record that is whole. */
export interface JournalRecord {
  readonly head: RecordHead;
  /** Valid until the next record is asked for. */
  readonly payload: Uint8Array;
}

/** A part of a journal, in the middle of it, that is not what was written. */
export interface JournalDamage {
  /** Where it begins in the file, and how long it is. */
  readonly position: number;
  readonly bytes: number;
  /** The head of the record it struck; null = it struck the head itself, so what was there is not known. */
  readonly head: RecordHead | null;
}

/** Reads a journal from its begin to its last whole record, passing over what is damaged. */
export class JournalReader implements Disposable {
  readonly path: string;
  readonly header: JournalHeader;
  /** Bytes of the file. */
  readonly size: number;
  /** Damaged parts found so far, in order. */
  readonly damage: JournalDamage[] = [];
  /** End of the last whole record so far: what lies behind is a torn tail when all was read. */
  end = PREAMBLE_BYTES;
  readonly #fd: number;
  readonly #owned: boolean;
  #memory: Uint8Array<ArrayBuffer>;
  /** What of it is filled, and with which part of the file. */
  #window = new Uint8Array(0);
  #windowAt = 0;
  #position = PREAMBLE_BYTES;

  private constructor(path: string, fd: number, size: number, owned: boolean) {
    this.path = path;
    this.#fd = fd;
    this.#owned = owned;
    this.#memory = spare ?? new Uint8Array(WINDOW_BYTES);
    spare = null;
    this.size = size;
    checkPreamble(this.#read(0, PREAMBLE_BYTES));
    const first = this.#next();
    if (first?.head.type !== RECORD.header || this.damage.length > 0)
      throw new JournalError(this.end === PREAMBLE_BYTES ? "it holds nothing" : "its header is damaged");
    this.header = parsePayload(journalHeader, first, "header");
  }

  /**
   * Opens a journal and reads its header.
   *
   * @param opened the file where it is open already; it stays so
   * @throws JournalError where the file is none, or nothing of it can be used
   */
  static open(path: string, opened: number | null = null): JournalReader {
    const fd = opened ?? openSync(path, "r");
    try {
      return new JournalReader(path, fd, fstatSync(fd).size, opened === null);
    } catch (error) {
      if (opened === null) closeSync(fd);
      throw error;
    }
  }

  /** The records behind the header, in order. */
  *records(): Generator<JournalRecord> {
    for (let record = this.#next(); record !== null; record = this.#next()) yield record;
  }

  #next(): JournalRecord | null {
    let damagedAt = -1;
    let damagedHead: RecordHead | null = null;
    for (let at = this.#position; at + HEAD_BYTES <= this.size; ) {
      const head = readHead(this.#read(at, HEAD_BYTES));
      const next = head === null ? at + ALIGNMENT : at + HEAD_BYTES + padded(head.bytes);
      if (head !== null && at + HEAD_BYTES + head.bytes <= this.size) {
        const payload = this.#read(at + HEAD_BYTES, head.bytes);
        if (isWhole(head, payload)) {
          if (damagedAt >= 0)
            this.damage.push({ position: damagedAt, bytes: at - damagedAt, head: damagedHead });
          this.#position = Math.min(next, this.size);
          this.end = this.#position;
          return { head, payload };
        }
      }
      if (damagedAt >= 0 && (head !== null || damagedHead !== null)) {
        // Another damaged record behind the first one: each is told.
        this.damage.push({ position: damagedAt, bytes: at - damagedAt, head: damagedHead });
        damagedAt = -1;
      }
      if (damagedAt < 0) {
        damagedAt = at;
        damagedHead = head;
      }
      at = next;
    }
    // Nothing whole follows: damage is told only where something does.
    while ((this.damage.at(-1)?.position ?? -1) >= this.end) this.damage.pop();
    this.#position = this.size;
    return null;
  }

  #read(position: number, bytes: number): Uint8Array {
    const wanted = Math.min(bytes, this.size - position);
    if (position < this.#windowAt || position + wanted > this.#windowAt + this.#window.length) {
      if (wanted > this.#memory.length) this.#memory = new Uint8Array(wanted);
      const window = this.#memory.subarray(0, Math.min(this.#memory.length, this.size - position));
      let done = 0;
      while (done < window.length) {
        const read = readSync(this.#fd, window, done, window.length - done, position + done);
        if (read === 0) break;
        done += read;
      }
      this.#window = window.subarray(0, done);
      this.#windowAt = position;
    }
    const from = position - this.#windowAt;
    return this.#window.subarray(from, from + wanted);
  }

  [Symbol.dispose](): void {
    if (this.#owned) closeSync(this.#fd);
    if (this.#memory.length === WINDOW_BYTES) spare = this.#memory;
  }
}

/**
 * What a record's JSON says.
 *
 * @throws JournalError where it is not what it should be: that is no damage of the disk, its checksum is right
 */
export function parsePayload<T>(schema: z.ZodType<T>, { payload }: JournalRecord, what: string): T {
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    throw new JournalError(`its ${what} cannot be read`);
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success) throw new JournalError(`its ${what} is not what this program expects`);
  return parsed.data;
}

/** The rows of a record, to be copied into a table whose columns may stand in another order. */
export class JournalRows implements RowSource {
  readonly buffer: ArrayBufferLike;
  readonly count: number;
  /** First row that is not yet taken. */
  first = 0;
  readonly #at: number;
  readonly #view: DataView;
  readonly #numbers: readonly number[];
  readonly #texts: readonly number[];
  readonly #texts0: number;

  /**
   * @param order for each column of the table its place in the journal
   * @throws JournalError where the payload is not as long as its rows
   */
  constructor(record: JournalRecord, header: JournalHeader, order: ColumnOrder) {
    const { head, payload } = record;
    this.count = head.rows;
    this.buffer = payload.buffer;
    this.#at = payload.byteOffset;
    this.#view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    this.#numbers = order.numbers;
    this.#texts = order.texts;
    this.#texts0 = header.numbers.length * 8 * head.rows;
    const bytes = this.#texts0 + header.texts.length * TEXT_PIECES * TEXT_CELL_BYTES * head.rows;
    if (bytes !== payload.length || head.rows === 0)
      throw new JournalError(`a record of ${head.rows} rows has ${payload.length} bytes, not ${bytes}`);
  }

  numberOffset(column: number): number {
    return this.#at + (this.#numbers[column] * this.count + this.first) * 8;
  }

  textOffset(text: number, piece: number): number {
    const cells = (this.#texts[text] * TEXT_PIECES + piece) * this.count + this.first;
    return this.#at + this.#texts0 + cells * TEXT_CELL_BYTES;
  }

  number(column: number, offset: number): number {
    return this.#view.getFloat64((this.#numbers[column] * this.count + this.first + offset) * 8, true);
  }
}

/** For each column of a table its place in a journal. */
export interface ColumnOrder {
  readonly numbers: readonly number[];
  readonly texts: readonly number[];
}

/**
 * Where the columns of a table stand in a journal.
 *
 * @throws JournalError where the journal has other columns
 */
export function columnOrder(
  header: JournalHeader,
  table: { readonly numbers: readonly string[]; readonly texts: readonly string[] },
): ColumnOrder {
  const places = (wanted: readonly string[], there: readonly string[]) => {
    const missing = wanted.filter((name) => !there.includes(name));
    const foreign = there.filter((name) => !wanted.includes(name));
    if (missing.length > 0 || foreign.length > 0)
      throw new JournalError(
        `its columns are not those of ${header.stream} (missing: ${missing.join(", ") || "none"}, ` +
          `unknown: ${foreign.join(", ") || "none"}): finish it with the version that wrote it, ${header.tapedeck}`,
      );
    return wanted.map((name) => there.indexOf(name));
  };
  return {
    numbers: places(table.numbers, header.numbers),
    texts: places(table.texts, header.texts),
  };
}
