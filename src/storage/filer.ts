import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { DuckDBConnection } from "@duckdb/node-api";
import { moveFile, syncFolder } from "./files.ts";
import { keyOfContent, type LostSpan } from "./journal/inspect.ts";
import { type LoadedPart, type LoadedRows, loadDataset, loadStream } from "./journal/load.ts";
import { type Salvage, salvageJournal } from "./journal/salvage.ts";
import type { JournalWriter } from "./journal/writer.ts";
import { fileId, type SegmentKey } from "./names.ts";
import { acceptFile, temporaryPath } from "./outbox.ts";
import { ParquetWriter } from "./parquet/file.ts";
import { checkParquet, type SealedSegment, writeParquet } from "./parquet.ts";
import { idsOf, type Rest } from "./parts.ts";
import { sqlName } from "./projection.ts";
import type { SegmentSpan } from "./segment.ts";
import { RowMemory } from "./sorted-rows.ts";
import type { Usage } from "./usage.ts";

/**
 * A step on a segment's way to its file; after each the process may end without anything lost or twice. Where it becomes
 * several files, those from `sealed` to `filed` are done for each of them, one file after the other.
 */
export type Step = "journaled" | "sealed" | "copying" | "copied" | "accepted" | "filed" | "removed";

/** Counts where the rows of a ring, or those of earlier runs, are. */
export interface RowCounter {
  parked(rows: number): void;
  filed(rows: number): void;
}

/** A sealed segment: its rows stand in its journal, and in memory while its files are written. */
export interface Sealed extends Rest {
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  readonly dataset: boolean;
  readonly key: SegmentKey;
  /** Key of its file, where it becomes one. */
  readonly lakeKey: string;
  readonly span: SegmentSpan;
  readonly reason: string;
  /** Ring of this run; null = a dataset; RECOVERED_RING = rows of an earlier run. */
  readonly ring: number | null;
  /** Whether an earlier run wrote its journal. */
  readonly recovered: boolean;
  /** Whether all its rows stand in its journal. */
  readonly journaled: boolean;
  /** Whether its journal is damaged: it is kept, in quarantine. */
  readonly damaged: boolean;
  /** Counts its rows; null = they are not events. */
  readonly counter: RowCounter | null;
  readonly journalPath: string;
  readonly journalBytes: number;
  /** The open journal, to be synced before its file is written; null = it is on disk and closed. */
  journal: JournalWriter | null;
  /** Its rows where they can be written into a file; null = they are in the journal alone. Datasets have a table from the begin. */
  loaded: LoadedRows | null;
}

/** A file that stands finished in the outbox. */
export interface FinishedFile {
  readonly key: string;
  readonly path: string;
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  /** Ring of its events; RECOVERED_RING for those of an earlier run; null for a dataset, whose rows are no events. */
  readonly ring: number | null;
  /** Whether it comes from a journal of an earlier run. */
  readonly recovered: boolean;
  readonly rows: number;
  /** Receive time of its last row, µs. */
  readonly lastLocal: number;
  /** Up to which receive time its ring is in files with this one, µs; null = others of its segment are to come. */
  readonly until: number | null;
  /** Numbers of its first and last row; null for a dataset. */
  readonly firstSeq: number | null;
  readonly lastSeq: number | null;
  readonly reason: string;
}

/** Rows that were in a journal alone, and are there no more: it was damaged while they waited. */
export interface SpoiledRows {
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  /** As in {@link FinishedFile}. */
  readonly ring: number | null;
  /** The journal, and what is wrong with it. */
  readonly path: string;
  readonly why: string;
  readonly rows: number;
  /** Where they are missing, receive times in µs. */
  readonly lost: readonly LostSpan[];
}

/** What the filer tells. */
export interface FilerEvents {
  /** Rows are lost; they count as filed, and are never in a file. */
  rowsSpoiled(spoiled: SpoiledRows): void;
  /** A file is in the outbox. Its journal is removed when this has resolved: then it is in the ledger. */
  fileFinished(file: FinishedFile): void | Promise<void>;
  /** Writing its file, or a step before or after that, failed and will be tried again in `retryIn` ms. */
  copyFailed(segment: SealedName, error: string, retryIn: number): void;
  /** A segment that had failed before is in the outbox now. */
  copyRecovered(): void;
  /** Tests end the process here, or throw. */
  step?(step: Step): void | Promise<void>;
}

/** Which segment. */
export type SealedName = Pick<Sealed, "exchange" | "stream" | "key">;

/** Settings of the filer; times in ms. */
export interface FilerOptions {
  readonly outbox: string;
  readonly quarantine: string;
  readonly version: string;
  /** Longest wait between two attempts at a segment that cannot be written. */
  readonly retryMax: number;
}

/** Waiting segments whose journals are kept open: so they can be read even where somebody takes their folder away. */
const OPEN_JOURNALS_MAX = 64;
/** First wait before a segment that could not be written is tried again, ms. */
const RETRY_MIN = 500;

/**
 * Brings sealed segments into the outbox, one at a time, oldest first, and removes their journals when they are
 * there. It has a DuckDB connection of its own, so that draining goes on meanwhile.
 */
export class Filer {
  readonly #connection: DuckDBConnection;
  readonly #writer = new ParquetWriter();
  readonly #memory = new RowMemory();
  readonly #options: FilerOptions;
  readonly #events: FilerEvents;
  readonly #usage: Usage;
  readonly #queue: Sealed[] = [];
  /** Segments that the next start is to write. */
  readonly #left: Sealed[] = [];
  #working: Promise<void> | null = null;
  /** Ends the waiting between attempts when the drain is to stop. */
  #wakeRetry: (() => void) | null = null;
  /** Whether the segment that is being written is given up if it does not succeed now. */
  #abandoned = false;
  #abandon = Promise.withResolvers<void>();
  #held = false;
  /** Whether nothing is begun any more. */
  #closed = false;
  /** Files, by {@link fileId}, that are there and whose journal may still be. */
  readonly filed = new Set<string>();
  /** Files that are there and of which nobody was told yet. */
  readonly untold = new Set<FinishedFile>();

  constructor(connection: DuckDBConnection, options: FilerOptions, events: FilerEvents, usage: Usage) {
    this.#connection = connection;
    this.#options = options;
    this.#events = events;
    this.#usage = usage;
  }

  /** Segments that are not in the outbox yet. */
  get waiting(): readonly Sealed[] {
    return this.#queue;
  }

  /** Segments that are not in the outbox yet, those among them that are left for the next start. */
  get unfiled(): readonly Sealed[] {
    return [...this.#queue, ...this.#left];
  }

  /** Takes a segment over; its journal counts in {@link Usage}. */
  add(segment: Sealed): void {
    for (const id of idsOf(segment.key, segment.done)) this.filed.add(id);
    this.#queue.push(segment);
    this.#start();
    const open = this.#queue.filter(({ journal }) => journal !== null);
    // Where this fails it is tried again before its file is written.
    if (open.length > OPEN_JOURNALS_MAX) void closeJournal(segment).catch(() => undefined);
  }

  /** While it is held no file is written: the outbox is full. Segments stay in their journals. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) this.#start();
  }

  #start(): void {
    if (this.#working !== null || this.#queue.length === 0 || this.#held || this.#closed) return;
    this.#working = this.#work();
  }

  async #work(): Promise<void> {
    try {
      for (let next = this.#queue[0]; next !== undefined && !this.#held; next = this.#queue[0]) {
        if (!(await this.#file(next))) break;
        this.#queue.shift();
        if (this.#abandoned) break;
      }
    } finally {
      // In the same turn in which the queue was found empty: what is sealed from now on starts anew.
      this.#working = null;
    }
  }

  /**
   * Brings one segment into the outbox, file by file, however often it takes; its rows stay in the journal until then.
   *
   * @returns whether it is done with; false = it was given up, or is held, and what is left of it waits
   */
  async #file(sealed: Sealed): Promise<boolean> {
    const { outbox, version } = this.#options;
    let segment = sealed;
    let failed = false;
    for (let attempt = 0; ; attempt++) {
      let temporary: string | null = null;
      let part: LoadedPart;
      let path: string;
      try {
        // Should the disk refuse: the file itself is synced, and a journal cut short leads to the same key.
        await segment.journal?.sync().catch(() => undefined);
        await this.#events.step?.("sealed");
        const loaded = await this.#load(segment);
        await segment.journal?.close();
        segment.journal = null;
        part = nextOf(loaded, segment);
        const { symbol, span, lakeKey } = part;
        temporary = temporaryPath(outbox, lakeKey, attempt);
        const content = loaded.content(part);
        const written: SealedSegment = { ...segment, symbol, span, content, hasSeq: !segment.dataset };
        const writers = { streams: this.#writer, datasets: this.#connection };
        const copy = writeParquet(writers, written, temporary, version, () => this.#abandoned);
        // Both to their end: while a file is being written its writer takes no other.
        for (const one of await Promise.allSettled([copy, this.#events.step?.("copying")]))
          if (one.status === "rejected") throw one.reason;
        await checkParquet(this.#connection, written, temporary);
        await this.#events.step?.("copied");
        path = await acceptFile(outbox, temporary, lakeKey);
      } catch (error) {
        if (temporary !== null) await rm(temporary, { force: true }).catch(() => undefined);
        if (this.#abandoned) return false;
        // Rows that were loaded are in memory, whatever has become of their journal.
        const salvage = segment.loaded === null ? salvageJournal(segment.journalPath, segment.span) : null;
        if (salvage !== null) {
          const rest = await this.#salvaged(segment, salvage);
          if (rest === null) return true;
          segment = rest;
          continue;
        }
        // Somebody may have taken the folder away.
        await mkdir(outbox, { recursive: true }).catch(() => undefined);
        const retryIn = Math.min(this.#options.retryMax, RETRY_MIN * 2 ** Math.min(attempt, 20));
        failed = true;
        this.#events.copyFailed(segment, error instanceof Error ? error.message : String(error), retryIn);
        await this.#waitForRetry(retryIn);
        if (this.#abandoned) return false;
        continue;
      }
      const file = fileOf(segment, part, path);
      segment.counter?.filed(file.rows);
      segment.done.add(part.symbol);
      segment.rest -= file.rows;
      this.filed.add(fileId(segment.key, part.symbol));
      this.untold.add(file);
      if (failed) this.#events.copyRecovered();
      failed = false;
      const acknowledged = await this.#told(file);
      if (segment.rest === 0) {
        await this.#filed(segment, acknowledged);
        return true;
      }
      if (this.#abandoned || this.#held) return false;
      attempt = -1;
    }
  }

  /** A file is there: tells it. Resolves to whether that was heard. */
  async #told(file: FinishedFile): Promise<boolean> {
    await this.#events.step?.("accepted");
    this.untold.delete(file);
    const told = this.#events.fileFinished(file);
    // Where nobody answers any more the journal stays: the next start finds its file, and removes it.
    const acknowledged = await Promise.race([
      Promise.resolve(told).then(() => true),
      this.#abandon.promise.then(() => false),
    ]);
    await this.#events.step?.("filed");
    return acknowledged;
  }

  /** All files of a segment are there: removes the journal, where they are known to be, and what is in memory. */
  async #filed(segment: Sealed, acknowledged: boolean): Promise<void> {
    const { journalPath, key, done } = segment;
    if (acknowledged) {
      try {
        if (segment.damaged) await this.#keep(journalPath);
        else if (journalPath !== "") await rm(journalPath, { force: true });
        for (const id of idsOf(key, done)) this.filed.delete(id);
      } catch (error) {
        // The next start finds that its segment is published, and removes it.
        this.#events.copyFailed(segment, `its journal stays: ${String(error)}`, 0);
      }
      await this.#events.step?.("removed");
    }
    this.#usage.journalBytes -= segment.journalBytes;
    await this.#unload(segment);
  }

  /**
   * A journal was damaged while its segment waited: what is whole of it goes on, what is not is told and counted. To
   * try again would hold up all that waits behind it, for ever.
   *
   * @returns what goes on; null = nothing
   */
  async #salvaged(
    segment: Sealed,
    { content, why, lost: spans, ...salvage }: Salvage,
  ): Promise<Sealed | null> {
    const { exchange, stream, ring, journalPath: path, counter, done } = segment;
    const left = content?.parts.filter(({ symbol }) => !done.has(symbol)) ?? [];
    const rest = left.reduce((sum, { span }) => sum + span.rows, 0);
    // Of rows in files that were written before nothing is lost.
    const rows = done.size === 0 ? salvage.rows : segment.rest - rest;
    const lost = done.size === 0 ? spans : spans.map((one) => ({ ...one, rows: null }));
    await segment.journal?.close();
    segment.journal = null;
    counter?.parked(-rows);
    counter?.filed(rows);
    this.#events.rowsSpoiled({ exchange, stream, ring, path, why, rows, lost });
    if (content !== null && rest > 0) {
      const lakeKey = keyOfContent(content);
      const whole = { ...segment, span: content.span, lakeKey, rest, damaged: true };
      this.#queue[this.#queue.indexOf(segment)] = whole;
      return whole;
    }
    try {
      await this.#keep(path);
    } catch (error) {
      this.#events.copyFailed(segment, `its journal stays: ${String(error)}`, 0);
    }
    this.#usage.journalBytes -= segment.journalBytes;
    return null;
  }

  /** A damaged journal stays for whoever wants to look at it. */
  async #keep(path: string): Promise<void> {
    const { quarantine } = this.#options;
    await mkdir(quarantine, { recursive: true });
    try {
      await moveFile(path, join(quarantine, basename(path)));
    } catch (error) {
      // Somebody took it away: there is nothing left to be kept.
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      throw error;
    }
    await syncFolder(quarantine);
  }

  /** Brings the rows of a segment to where they can be written into a file. */
  async #load(segment: Sealed): Promise<LoadedRows> {
    if (segment.loaded !== null) return segment.loaded;
    const ended = () => this.#abandoned;
    const loaded = segment.dataset
      ? await loadDataset(this.#connection, segment)
      : await loadStream(this.#memory, segment, ended);
    segment.counter?.parked(-segment.rest);
    segment.loaded = loaded;
    return loaded;
  }

  /** Leaves what is waiting, datasets aside, in its journal: nothing more of it is written in this life. */
  async leave(): Promise<void> {
    await this.abandon();
    const events = this.#queue.filter(({ ring }) => ring !== null);
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter(({ ring }) => ring === null));
    for (const segment of events) {
      if (segment.loaded === null) continue;
      segment.counter?.parked(segment.rest);
      await this.#unload(segment);
    }
    this.#left.push(...events);
    this.#start();
  }

  /** Brings the journals of waiting segments to disk, as far as that is possible, and closes them. */
  async closeJournals(): Promise<void> {
    for (const segment of [...this.#queue, ...this.#left]) await closeJournal(segment);
  }

  async #unload(segment: Sealed): Promise<void> {
    const table = segment.loaded?.table ?? null;
    segment.loaded = null;
    if (table === null) return;
    try {
      await this.#connection.run(`DROP TABLE ${sqlName(table)}`);
    } catch (error) {
      // The rows are safe; only memory is not given back.
      if (!this.#abandoned) this.#events.copyFailed(segment, `its table stays: ${String(error)}`, 0);
    }
  }

  #waitForRetry(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wakeRetry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Waits for segments to be written as long as there are such and there is time; failed ones are tried at once. */
  async done(deadline: number, waiting: () => boolean = () => this.#queue.length > 0): Promise<void> {
    this.#start();
    while (this.#working !== null && waiting() && performance.now() < deadline) {
      this.#wakeRetry?.();
      const pause = Math.min(500, Math.max(1, deadline - performance.now()));
      await Promise.race([this.#working, Bun.sleep(pause)]);
    }
  }

  /** Ends it: nothing more is written, and what is being written is given up. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.abandon();
  }

  /** Ends the writing of segments; the one that is being written is there afterwards, or still in the queue. */
  async abandon(): Promise<void> {
    if (this.#working === null) return;
    this.#abandoned = true;
    this.#abandon.resolve();
    this.#wakeRetry?.();
    this.#connection.interrupt();
    await this.#working;
    this.#abandoned = false;
    this.#abandon = Promise.withResolvers();
  }
}

/** The file that is to be written next. */
function nextOf({ parts }: LoadedRows, { done, key }: Sealed): LoadedPart {
  const part = parts.find(({ symbol }) => !done.has(symbol));
  if (part === undefined)
    throw new Error(`segment ${key.n} of ring ${key.ring} has no file that is not written`);
  return part;
}

function fileOf(segment: Sealed, part: LoadedPart, path: string): FinishedFile {
  const { exchange, stream, dataset, ring, recovered, reason } = segment;
  const { rows, lastLocal, firstSeq, lastSeq } = part.span;
  const seqs = dataset ? { firstSeq: null, lastSeq: null } : { firstSeq, lastSeq };
  const until = rows === segment.rest ? segment.span.lastLocal : null;
  return {
    key: part.lakeKey,
    path,
    exchange,
    stream,
    ring,
    recovered,
    rows,
    lastLocal,
    until,
    ...seqs,
    reason,
  };
}

async function closeJournal(segment: Sealed): Promise<void> {
  const { journal } = segment;
  // First: nobody may read a file that is about to be closed.
  segment.journal = null;
  await journal?.sync().catch(() => undefined);
  await journal?.close();
}
