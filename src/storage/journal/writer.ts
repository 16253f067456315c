import { closeSync, fdatasync, fdatasyncSync, ftruncateSync, openSync, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { LAYOUTS, LOCAL } from "../../events/layout.ts";
import type { Stream } from "../../events/streams.ts";
import type { RowSource } from "../../ring/row-source.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../../ring/text.ts";
import { syncFolder, syncFolderNow } from "../files.ts";
import {
  HEAD_BYTES,
  type JournalDatasetRows,
  type JournalHeader,
  type JournalSeal,
  type JournalSymbols,
  journalName,
  PREAMBLE_BYTES,
  padded,
  RECORD,
  type RecordSpan,
  rowBytesOf,
  writeHead,
  writePreamble,
} from "./format.ts";

const datasync = promisify(fdatasync);
const utf8 = new TextEncoder();
const NO_ROWS: RecordSpan = { rows: 0, firstSeq: 0, lastSeq: 0, firstLocal: 0, lastLocal: 0 };
const STAGE_BYTES = 512 * 1024;

/** Where records are put together before they are written; one for all journals of a thread. */
export class Stage {
  #bytes = new Uint8Array(STAGE_BYTES);

  /** At least `size` bytes, holding whatever was there. */
  reserve(size: number): Uint8Array {
    if (this.#bytes.length < size) this.#bytes = new Uint8Array(2 * size);
    return this.#bytes;
  }
}

/**
 * The journal of one open segment: an append of rows is one write, of one record.
 *
 * A write that fails leaves the journal as it was: the next one begins at the same place. When a call returns, the
 * record outlives the process; when {@link sync} resolves, it outlives the machine.
 */
export class JournalWriter {
  /** Bytes of whole records. */
  bytes = 0;
  /** Whether something was written since the last sync. */
  dirty = false;
  readonly rowBytes: number;
  /** The open file: it can be read even where somebody has taken its name away. */
  readonly fd: number;
  readonly #seq: number;
  #closed = false;
  /** Whether its name is on disk too: without it what was synced could not be found after a power loss. */
  inFolder = false;
  #syncing: Promise<void> | null = null;

  private constructor(
    readonly path: string,
    readonly header: JournalHeader,
    readonly folder: string,
    readonly stage: Stage,
    /** Whether each append is synced before it returns. */
    readonly always: boolean,
    fd: number,
  ) {
    this.fd = fd;
    this.rowBytes = rowBytesOf(header);
    this.#seq = header.dataset ? -1 : LAYOUTS[header.stream as Stream].seq;
  }

  /**
   * Creates the journal of a segment, with its header and the symbols known so far.
   *
   * @throws Error of the file system; there is no such file then
   */
  static create(
    folder: string,
    header: JournalHeader,
    symbols: JournalSymbols,
    { stage, always }: { stage: Stage; always: boolean },
  ): JournalWriter {
    const path = join(folder, journalName(header));
    const writer = new JournalWriter(path, header, folder, stage, always, openSync(path, "wx+"));
    try {
      const preamble = new Uint8Array(PREAMBLE_BYTES);
      writePreamble(preamble, header);
      writer.#write(preamble);
      writer.#json(RECORD.header, header, NO_ROWS);
      if (symbols.length > 0) writer.#json(RECORD.symbols, symbols, NO_ROWS);
      if (always) {
        syncFolderNow(folder);
        writer.inFolder = true;
      }
      return writer;
    } catch (error) {
      // What was begun is no journal: the next attempt begins anew.
      writer.discard();
      throw error;
    }
  }

  /**
   * Goes on with a journal that a run left open: cuts its torn tail.
   *
   * @param end bytes up to its last whole record
   * @throws Error of the file system
   */
  static goOn(
    path: string,
    header: JournalHeader,
    end: number,
    { stage, always }: { stage: Stage; always: boolean },
  ): JournalWriter {
    const fd = openSync(path, "r+");
    try {
      ftruncateSync(fd, end);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    const writer = new JournalWriter(path, header, dirname(path), stage, always, fd);
    writer.bytes = end;
    writer.dirty = true;
    return writer;
  }

  /** Appends symbols: before the first row that carries their numbers. */
  symbols(symbols: JournalSymbols): void {
    this.#json(RECORD.symbols, symbols, NO_ROWS);
  }

  /** Appends the first `count` rows of `source`. */
  rows(source: RowSource, count: number): void {
    const bytes = count * this.rowBytes;
    const size = HEAD_BYTES + padded(bytes);
    const target = this.stage.reserve(size);
    const { buffer } = source;
    const texts = this.header.texts.length;
    let at = HEAD_BYTES;
    for (let column = 0; column < this.header.numbers.length; column++, at += count * 8)
      target.set(new Uint8Array(buffer, source.numberOffset(column), count * 8), at);
    for (let text = 0; text < texts; text++) {
      for (let piece = 0; piece < TEXT_PIECES; piece++, at += count * TEXT_CELL_BYTES)
        target.set(new Uint8Array(buffer, source.textOffset(text, piece), count * TEXT_CELL_BYTES), at);
    }
    writeHead(target, RECORD.rows, bytes, {
      rows: count,
      firstSeq: source.number(this.#seq, 0),
      lastSeq: source.number(this.#seq, count - 1),
      firstLocal: source.number(LOCAL, 0),
      lastLocal: source.number(LOCAL, count - 1),
    });
    this.#write(target.subarray(0, size));
  }

  /** Appends rows of a dataset; `before` = rows that it holds already. */
  datasetRows(content: JournalDatasetRows, before: number): void {
    const { rows, nowUs } = content;
    this.#json(RECORD.datasetRows, content, {
      rows: rows.length,
      firstSeq: before,
      lastSeq: before + rows.length - 1,
      firstLocal: nowUs,
      lastLocal: nowUs,
    });
  }

  /** Appends the end. To be followed by {@link sync} before anything is done that relies on it. */
  seal(seal: JournalSeal): void {
    this.#json(RECORD.seal, seal, seal);
  }

  #json(type: number, content: unknown, span: RecordSpan): void {
    const text = utf8.encode(JSON.stringify(content));
    const size = HEAD_BYTES + padded(text.length);
    const target = this.stage.reserve(size);
    target.set(text, HEAD_BYTES);
    target.fill(0, HEAD_BYTES + text.length, size);
    writeHead(target, type, text.length, span);
    this.#write(target.subarray(0, size));
  }

  #write(record: Uint8Array): void {
    let done = 0;
    try {
      while (done < record.length)
        done += writeSync(this.fd, record, done, record.length - done, this.bytes + done);
      this.dirty = true;
      if (this.always) {
        fdatasyncSync(this.fd);
        this.dirty = false;
      }
    } catch (error) {
      try {
        ftruncateSync(this.fd, this.bytes);
      } catch {
        // The next record is written over it.
      }
      throw error;
    }
    this.bytes += record.length;
  }

  /** Brings what was appended so far to disk, the folder's entry too; one after the other. */
  sync(): Promise<void> {
    const after = (this.#syncing ?? Promise.resolve()).catch(() => undefined).then(() => this.#sync());
    this.#syncing = after;
    return after;
  }

  async #sync(): Promise<void> {
    // One after the other: what is not dirty has been synced.
    if (this.#closed || (!this.dirty && this.inFolder)) return;
    this.dirty = false;
    try {
      await datasync(this.fd);
      if (!this.inFolder) await syncFolder(this.folder);
      this.inFolder = true;
    } catch (error) {
      this.dirty = true;
      throw error;
    }
  }

  /** Closes the file, which stays, when a sync that is going on has ended. */
  async close(): Promise<void> {
    // Another one may have been asked for meanwhile, and no sync may meet a file that is closed.
    for (let last: unknown = null; !this.#closed && last !== this.#syncing; ) {
      last = this.#syncing;
      await this.#syncing?.catch(() => undefined);
    }
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }

  /** Closes and removes what could not be begun. */
  discard(): void {
    this.#closed = true;
    try {
      closeSync(this.fd);
    } finally {
      unlinkQuietly(this.path);
    }
  }
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // A journal without a row is found, and removed, at the next start.
  }
}
