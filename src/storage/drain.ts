import { mkdir } from "node:fs/promises";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type { Dataset } from "../events/streams.ts";
import type { DatasetRow } from "./dataset-segment.ts";
import { type DatasetNumbers, Datasets } from "./datasets.ts";
import type { DrainOptions, SymbolSpec } from "./drain-options.ts";
import { Filer, type FilerEvents, type FinishedFile, type Sealed } from "./filer.ts";
import type { JournalHole } from "./journal/recovery.ts";
import { Stage } from "./journal/writer.ts";
import { JournalFaults } from "./journal-faults.ts";
import { SPILL_FOLDER } from "./outbox.ts";
import { RECOVERED_RING, RecoveredCounters } from "./recovered.ts";
import { type LostRows, RingSegments } from "./ring-segments.ts";
import { type TakenOver, takeOverJournals, tellMissing } from "./taken-over.ts";
import { Usage } from "./usage.ts";

export type { DrainOptions, Fsync, JournalOptions, RingSpec, SymbolSpec } from "./drain-options.ts";
export type { FinishedFile, SpoiledRows } from "./filer.ts";
export type { LostRows } from "./ring-segments.ts";

/** What is left of a drain that was given up, for the one that follows it in the same run. */
export interface DrainMemory {
  /** Number of the next segment, by ring. */
  readonly nextN: ReadonlyMap<number, number>;
  readonly datasets: DatasetNumbers;
  readonly symbols: ReadonlyMap<string, readonly SymbolSpec[]>;
  /** Files, by their ids, that are there although their journal may be as well. */
  readonly filed: ReadonlySet<string>;
  /** Files that are there and of which nobody was told. */
  readonly untold: readonly FinishedFile[];
  /** Segments of earlier runs, of which not all files were there. */
  readonly earlier: readonly TakenOver[];
  /** Whether no files were to be written. */
  readonly held: boolean;
  /** What is missing in the journals from which the next one begins. */
  readonly holes: readonly JournalHole[];
}

/** What the drain tells the world. */
export interface DrainEvents extends FilerEvents {
  /** Journals cannot be written, or their bound is reached: why; null = they can be again. */
  journalFault(why: string | null): void;
}

/** Share of `journal.maxBytes` below which its bound counts as not reached again. */
const FULL_UNTIL = 0.9;
/** Most that a COPY of a dataset may spill to disk; as a statement, for DuckDB ignores the option. */
const SPILL_MAX = "64GiB";

/**
 * Moves rows from rings into segments, seals segments, and has sealed ones written to the outbox.
 *
 * A row goes to the segment's journal, and only then is its place in the ring given back: so whatever ends the process,
 * a row is in the ring, which nobody reads any more, or in a journal, which the next start reads. Only the segment whose
 * file is being written is in memory. Draining never waits for files.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #events: DrainEvents;
  readonly #instance: DuckDBInstance;
  readonly #append: DuckDBConnection;
  readonly #copy: DuckDBConnection;
  readonly #rings: RingSegments;
  readonly #datasets: Datasets;
  readonly #filer: Filer;
  readonly #usage = new Usage();
  readonly #faults: JournalFaults;
  #syncedAt = performance.now();
  #syncing: Promise<void> | null = null;
  /** Whether the rings are done with. */
  #finished = false;
  /** Rows of rings that were given up. */
  #lost = 0;
  #held = false;

  private constructor(
    options: DrainOptions,
    events: DrainEvents,
    instance: DuckDBInstance,
    { append, copy }: { readonly append: DuckDBConnection; readonly copy: DuckDBConnection },
    memory: DrainMemory | null,
  ) {
    this.#options = options;
    this.#events = events;
    this.#instance = instance;
    this.#append = append;
    this.#copy = copy;
    this.#filer = new Filer(copy, options, events, this.#usage);
    this.#faults = new JournalFaults((why) => events.journalFault(why));
    const common = {
      stage: new Stage(),
      usage: this.#usage,
      sealed: (segment: Sealed) => this.#filer.add(segment),
    };
    this.#rings = new RingSegments(options, { ...common, faults: this.#faults, events }, memory?.nextN);
    this.#datasets = new Datasets(
      {
        ...common,
        run: options.run,
        version: options.version,
        connection: append,
        firstRing: options.firstDatasetRing,
        bounds: options.datasetSeal,
        journalFolder: options.journal.folder,
        always: options.journal.fsync === "always",
        journalFailed: (error) => this.#faults.failed(error),
      },
      memory?.datasets,
    );
  }

  /**
   * Opens DuckDB, in memory, and takes over the journals that are to become files.
   *
   * @param memory what a drain that was given up left behind, whose journals are in `recovered`
   */
  static async open(
    options: DrainOptions,
    events: DrainEvents,
    memory: DrainMemory | null = null,
  ): Promise<Drain> {
    await mkdir(options.journal.folder, { recursive: true });
    const instance = await DuckDBInstance.create(":memory:", {
      memory_limit: `${Math.floor(options.memoryLimit / 2 ** 20)}MiB`,
      threads: String(options.threads),
      // Sorting more than the limit holds goes to disk instead of failing.
      temp_directory: `${options.outbox}/${SPILL_FOLDER}`,
    });
    const append = await instance.connect();
    await append.run(`SET max_temp_directory_size = '${SPILL_MAX}'`);
    const copy = await instance.connect();
    const drain = new Drain(options, events, instance, { append, copy }, memory);
    for (const [exchange, symbols] of memory?.symbols ?? []) drain.addSymbols(exchange, symbols);
    drain.hold(memory?.held ?? false);
    drain.#takeOver(memory);
    return drain;
  }

  /** @param memory of the drain before this one, of which rows may be missing in the journals; null = there was none */
  #takeOver(memory: DrainMemory | null): void {
    const counters = new RecoveredCounters(this.#options.recoveredCounters);
    const { lanes } = this.#rings;
    takeOverJournals(this.#options, lanes, { counters, filer: this.#filer, usage: this.#usage });
    if (memory !== null) tellMissing(this.#options, lanes, counters, memory, this.#events);
  }

  /** Bytes of all journals. */
  get journalBytes(): number {
    return this.#usage.journalBytes;
  }

  /** Segments that are open or sealed and not yet in the outbox. */
  get openSegments(): number {
    return this.#rings.open + this.#datasets.open + this.#filer.waiting.length;
  }

  /** While it is held no file is written, because the outbox is full; segments stay in their journals. */
  hold(held: boolean): void {
    this.#held = held;
    this.#filer.hold(held);
  }

  /** Makes symbols known; must be done before the first row that carries their numbers. */
  addSymbols(exchange: string, symbols: readonly SymbolSpec[]): void {
    this.#rings.addSymbols(exchange, symbols);
  }

  /**
   * Takes rows of a dataset. They were written now.
   *
   * @param nowUs receive clock of the main thread, µs
   * @param kept called as soon as they are not to be given again, whatever fails after
   */
  async addRows(
    exchange: string,
    dataset: Dataset,
    rows: readonly DatasetRow[],
    nowUs: number,
    kept: () => void = () => undefined,
  ): Promise<void> {
    await this.#datasets.add(exchange, dataset, rows, nowUs, kept);
  }

  /**
   * Moves what the rings hold, as far as the bounds allow, and seals what is due.
   *
   * @returns rows moved
   */
  async step(): Promise<number> {
    if (this.#rings.ended) throw new Error("the drain was given up");
    let moved = 0;
    const { journal } = this.#options;
    const full = this.#usage.journalBytes >= journal.maxBytes;
    if (full) this.#faults.tell(`journals have reached journal.max_bytes (${journal.maxBytes} bytes)`);
    if (!full && !this.#faults.waiting) {
      const { failures } = this.#faults;
      moved = await this.#rings.drain();
      // Not after one write that fitted in: on a full disk small ones go on succeeding beside others that fail.
      const room = this.#usage.journalBytes < journal.maxBytes * FULL_UNTIL;
      if (moved > 0 && room && failures === this.#faults.failures) this.#faults.tell(null);
    }
    const now = performance.now();
    const nowUs = Date.now() * 1000;
    this.#rings.sealDue(now, nowUs);
    this.#datasets.sealDue(now, nowUs);
    if (full && this.#filer.waiting.length === 0) this.#rings.sealLargest();
    this.#sync();
    return moved;
  }

  /** Brings journals to disk at their interval, without waiting for it. */
  #sync(): void {
    const { fsync, fsyncInterval } = this.#options.journal;
    const now = performance.now();
    if (fsync !== "interval" || this.#syncing !== null || now - this.#syncedAt < fsyncInterval) return;
    this.#syncedAt = now;
    this.#syncing = this.#syncAll()
      .catch((error) => this.#faults.failed(error))
      .finally(() => {
        this.#syncing = null;
      });
  }

  /** Brings what stands in open journals to disk. */
  async #syncAll(): Promise<void> {
    for (const journal of [...this.#rings.journals, ...this.#datasets.journals])
      if (journal.dirty) await journal.sync();
  }

  /**
   * Drains what is left in the rings, seals their segments and brings all of them into the outbox. The
   * producers must have stopped. Datasets stay open: what was lost here is still to be written down.
   *
   * @param deadline time (performance.now()) after which segments that cannot be written stay in their journals
   * @returns what could not be brought into a journal, by ring; empty when all is well
   */
  async finish(deadline: number): Promise<readonly LostRows[]> {
    this.#finished = true;
    for (;;) {
      const moved = await this.step();
      if (moved === 0 && this.#rings.ringsEmpty) break;
      if (moved === 0) await Bun.sleep(1);
      if (performance.now() > deadline) break;
    }
    this.#rings.sealAll("stop");
    const events = () => this.#filer.waiting.some(({ ring }) => ring !== null);
    await this.#filer.done(deadline, events);
    if (events()) await this.#filer.leave();
    const lost = this.#rings.left;
    this.#lost = lost.reduce((sum, { rows }) => sum + rows, 0);
    return lost;
  }

  /**
   * Ends it: {@link finish}, if that was not done before, then the datasets' segments; then DuckDB is closed. What is
   * not in the outbox then is on disk in its journal, for the next start.
   *
   * @param deadline time (performance.now()) after which segments that cannot be written stay in their journals
   * @returns rows that are in no journal either, those of datasets included; 0 when all is well
   */
  async stop(deadline: number): Promise<number> {
    if (!this.#finished) await this.finish(deadline);
    this.#datasets.sealAll("stop");
    await this.#filer.done(deadline);
    // A process whose thread ends while a COPY is in flight is aborted: interrupt it, wait, then close.
    await this.#filer.close();
    const lost = this.#filer.waiting.filter(({ journaled }) => !journaled);
    await this.#close();
    return lost.reduce((sum, { span }) => sum + span.rows, this.#lost);
  }

  /** Gives it up after an error: whatever is under way ends soon, with an error perhaps. Then {@link abort}. */
  async giveUp(): Promise<void> {
    this.#rings.ended = true;
    await this.#filer.close().catch(() => undefined);
  }

  /** Closes one that was given up. What it held stands in the journals, from which the next one begins. */
  async abort(): Promise<DrainMemory> {
    await this.#rings.discard();
    await this.#datasets.discard().catch(() => undefined);
    await this.#close();
    return {
      nextN: this.#rings.numbers,
      datasets: this.#datasets.numbers,
      symbols: this.#rings.symbols,
      filed: this.#filer.filed,
      untold: [...this.#filer.untold],
      earlier: this.#filer.unfiled.filter(({ ring }) => ring === RECOVERED_RING),
      held: this.#held,
      holes: [],
    };
  }

  async #close(): Promise<void> {
    this.#rings.ended = true;
    await this.#syncing;
    await this.#filer.closeJournals();
    this.#copy.closeSync();
    this.#append.closeSync();
    this.#instance.closeSync();
  }
}
