import { mkdir, rm } from "node:fs/promises";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { LOCAL } from "../events/layout.ts";
import type { Dataset, Stream } from "../events/streams.ts";
import { RingConsumer } from "../ring/consumer.ts";
import type { RingHandle } from "../ring/memory.ts";
import { type DatasetRow, DatasetSegment, datasetQuery } from "./dataset-segment.ts";
import { dayOf, dayStart, lakeKey } from "./names.ts";
import { acceptFile, temporaryPath } from "./outbox.ts";
import { checkParquet, type SealedSegment, writeParquet } from "./parquet.ts";
import { SYMBOLS_DDL, segmentQuery, sqlName, sqlText } from "./projection.ts";
import { type SealBounds, sealReason } from "./seal-policy.ts";
import { Segment } from "./segment.ts";

/** A ring to drain. */
export interface RingSpec {
  /** Number of the ring within the run. */
  readonly ring: number;
  readonly exchange: string;
  readonly stream: Stream;
  readonly handle: RingHandle;
}

/** An instrument as the drain knows it: by the number that stands in the rows. */
export interface SymbolSpec {
  readonly number: number;
  readonly symbol: string;
  readonly instrument: string;
}

/** Settings of the drain; times in ms, sizes in bytes. */
export interface DrainOptions {
  readonly run: string;
  readonly version: string;
  readonly rings: readonly RingSpec[];
  readonly outbox: string;
  readonly seal: Readonly<Record<Stream, SealBounds>>;
  /** Bounds of the segments of datasets. */
  readonly datasetSeal: SealBounds;
  /** First number that no ring has: the datasets' segments count from here. */
  readonly firstDatasetRing: number;
  /** Least time between two seals that are due by their interval. */
  readonly minGap: number;
  /** Rows in tables, over all rings, at which draining stops and rings begin to fill. */
  readonly maxOpenRows: number;
  /** Sealed segments waiting for their file at which draining stops as well. */
  readonly maxSealed: number;
  readonly memoryLimit: number;
  readonly threads: number;
  /** Longest wait between two attempts at a segment that cannot be written, ms. */
  readonly retryMax: number;
}

/** A file that stands finished in the outbox. */
export interface FinishedFile {
  readonly key: string;
  readonly path: string;
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  /** Ring of its rows; null for a dataset, whose rows are not events. */
  readonly ring: number | null;
  readonly rows: number;
  readonly reason: string;
}

/** What the drain tells the world. */
export interface DrainEvents {
  fileFinished(file: FinishedFile): void;
  /** COPY or a step after it failed and will be tried again in `retryIn` ms. */
  copyFailed(segment: SealedSegment, error: string, retryIn: number): void;
  /** A segment that had failed before is in the outbox now. */
  copyRecovered(): void;
}

/** First wait before a segment that could not be written is tried again, ms. */
const RETRY_MIN = 500;
/**
 * Shares of DuckDB's memory limit: what open rows may take, so that appending never has to spill to disk and a
 * sorted COPY has room beside them; and what one segment may take of it.
 */
const OPEN_SHARE = 0.5;
const SEGMENT_SHARE = 0.2;
/** Most that a sorted COPY may spill to disk; as a statement, for DuckDB ignores the option. */
const SPILL_MAX = "64GiB";

/** Rows moved from one ring before the next one gets its turn. */
const TURN_ROWS = 32_768;

/** A dataset of an exchange. */
interface DatasetLane {
  readonly exchange: string;
  readonly dataset: Dataset;
  readonly ring: number;
  segment: DatasetSegment | null;
  nextN: number;
  openedAt: number;
}

interface Lane {
  readonly spec: RingSpec;
  readonly consumer: RingConsumer;
  readonly bounds: SealBounds;
  segment: Segment | null;
  nextN: number;
  /** When the open segment took its first row, performance.now(). */
  openedAt: number;
  /**
   * By how much the first segment is shorter, ms: a different part of the interval for each ring, so that
   * rings do not come due together later on.
   */
  readonly stagger: number;
}

/**
 * Moves rows from rings into segments, seals segments, and writes sealed ones to the outbox.
 *
 * Draining never waits for COPY: a sealed segment goes to a queue that a second DuckDB connection works
 * off in DuckDB's own threads, one at a time, while rows go on into the next segment.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #events: DrainEvents;
  readonly #instance: DuckDBInstance;
  readonly #append: DuckDBConnection;
  readonly #copy: DuckDBConnection;
  readonly #lanes: Lane[];
  readonly #datasets = new Map<string, DatasetLane>();
  /** Sealed segments not yet in the outbox, oldest first. */
  readonly #sealed: { segment: SealedSegment; lane: Lane | null; reason: string }[] = [];
  #copying: Promise<void> | null = null;
  /** Rows in open and sealed segments, and the bytes they take. */
  #openRows = 0;
  #openBytes = 0;
  /** Lane that has the first turn of the next step: where room is scarce, each lane gets it in turn. */
  #firstLane = 0;
  #lastIntervalSeal = Number.NEGATIVE_INFINITY;
  /** Ends the waiting between attempts when the drain is to stop. */
  #wakeRetry: (() => void) | null = null;
  #closed = false;

  private constructor(
    options: DrainOptions,
    events: DrainEvents,
    instance: DuckDBInstance,
    append: DuckDBConnection,
    copy: DuckDBConnection,
  ) {
    this.#options = options;
    this.#events = events;
    this.#instance = instance;
    this.#append = append;
    this.#copy = copy;
    this.#lanes = options.rings.map((spec, index) => ({
      spec,
      consumer: new RingConsumer(spec.handle),
      bounds: {
        ...options.seal[spec.stream],
        bytes: Math.min(options.seal[spec.stream].bytes, options.memoryLimit * SEGMENT_SHARE),
      },
      segment: null,
      nextN: 0,
      openedAt: 0,
      stagger: (options.seal[spec.stream].interval * index) / options.rings.length,
    }));
  }

  /** Opens DuckDB, in memory. */
  static async open(options: DrainOptions, events: DrainEvents): Promise<Drain> {
    const instance = await DuckDBInstance.create(":memory:", {
      memory_limit: `${Math.floor(options.memoryLimit / 2 ** 20)}MiB`,
      threads: String(options.threads),
      // Sorting more than the limit holds goes to disk instead of failing.
      temp_directory: `${options.outbox}/.spill`,
    });
    const append = await instance.connect();
    await append.run(`SET max_temp_directory_size = '${SPILL_MAX}'`);
    const copy = await instance.connect();
    for (const exchange of new Set(options.rings.map((spec) => spec.exchange))) {
      await append.run(`CREATE TABLE ${sqlName(`symbols_${exchange}`)} ${SYMBOLS_DDL}`);
    }
    return new Drain(options, events, instance, append, copy);
  }

  /** Rows in open and sealed segments. */
  get openRows(): number {
    return this.#openRows;
  }

  /** Segments that are open or sealed and not yet in the outbox. */
  get openSegments(): number {
    const open = [...this.#lanes, ...this.#datasets.values()].filter((lane) => lane.segment !== null);
    return open.length + this.#sealed.length;
  }

  /** Makes symbols known; must be done before the first row that carries their numbers. */
  async addSymbols(exchange: string, symbols: readonly SymbolSpec[]): Promise<void> {
    if (symbols.length === 0) return;
    const table = sqlName(`symbols_${exchange}`);
    const values = symbols.map((s) => `(${s.number}, ${sqlText(s.symbol)}, ${sqlText(s.instrument)}, 0)`);
    await this.#append.run(`INSERT INTO ${table} VALUES ${values.join(", ")}`);
    // Text compares by bytes, so the rank sorts rows as `ORDER BY symbol` would.
    await this.#append.run(
      `UPDATE ${table} SET rank = r.rank FROM (
         SELECT number, dense_rank() OVER (ORDER BY symbol) AS rank FROM ${table}
       ) r WHERE ${table}.number = r.number`,
    );
  }

  /**
   * Takes rows of a dataset. They were written now.
   *
   * @param nowUs receive clock of the main thread, µs
   */
  async addRows(
    exchange: string,
    dataset: Dataset,
    rows: readonly DatasetRow[],
    nowUs: number,
  ): Promise<void> {
    const name = `${exchange}/${dataset}`;
    let lane = this.#datasets.get(name);
    if (lane === undefined) {
      const ring = this.#options.firstDatasetRing + this.#datasets.size;
      lane = { exchange, dataset, ring, segment: null, nextN: 0, openedAt: 0 };
      this.#datasets.set(name, lane);
    }
    if (lane.segment !== null && dayOf(lane.segment.firstLocal) !== dayOf(nowUs))
      this.#sealDataset(lane, "day");
    if (lane.segment === null) {
      const key = { run: this.#options.run, ring: lane.ring, n: lane.nextN++ };
      lane.segment = await DatasetSegment.open(this.#append, dataset, key);
      lane.openedAt = performance.now();
    }
    for (const row of rows) lane.segment.add(row, nowUs);
    if (lane.segment.rows >= this.#options.datasetSeal.rows) this.#sealDataset(lane, "rows");
  }

  #sealDataset(lane: DatasetLane, reason: string): void {
    const { segment, exchange, dataset } = lane;
    if (segment === null) return;
    lane.segment = null;
    const { key, table, bytes } = segment;
    const query = datasetQuery(dataset, table);
    const span = segment.seal();
    this.#enqueue({ exchange, stream: dataset, key, table, query, span, bytes, hasSeq: false }, null, reason);
  }

  #enqueue(segment: SealedSegment, lane: Lane | null, reason: string): void {
    this.#sealed.push({ segment, lane, reason });
    this.#copying ??= this.#copyAll();
  }

  /**
   * Moves what the rings hold, as far as the bound on open rows allows, and seals what is due.
   *
   * @returns rows moved
   */
  async step(): Promise<number> {
    let moved = 0;
    const lanes = this.#lanes.length;
    for (let i = 0; i < lanes; i++)
      moved += await this.#drainLane(this.#lanes[(this.#firstLane + i) % lanes]);
    this.#firstLane = (this.#firstLane + 1) % lanes;
    this.#sealDue();
    if (this.#room() <= 0 && this.#sealed.length === 0) this.#sealLargest();
    return moved;
  }

  async #drainLane(lane: Lane): Promise<number> {
    let moved = 0;
    while (moved < TURN_ROWS) {
      const { segment: open, bounds } = lane;
      const room = Math.min(this.#room(), bounds.rows - (open?.rows ?? 0));
      const count = lane.consumer.available(Math.min(open?.room ?? 1, room));
      if (count <= 0) break;
      const segment = open ?? (await this.#openSegment(lane));
      const taken = this.#countWithinDay(lane.consumer, count, segment);
      if (taken === 0) {
        this.#seal(lane, "day");
        continue;
      }
      segment.take(lane.consumer, taken);
      lane.consumer.release(taken);
      this.#openRows += taken;
      this.#openBytes += taken * segment.rowBytes;
      moved += taken;
      if (segment.rows >= bounds.rows) this.#seal(lane, "rows");
      else if (segment.bytes >= bounds.bytes) this.#seal(lane, "bytes");
    }
    return moved;
  }

  /** Rows that may still be opened; 0 or less where a bound is reached. */
  #room(): number {
    const { maxOpenRows, maxSealed, memoryLimit } = this.#options;
    const full = this.#openBytes >= memoryLimit * OPEN_SHARE || this.#sealed.length >= maxSealed;
    return full ? 0 : maxOpenRows - this.#openRows;
  }

  async #openSegment(lane: Lane): Promise<Segment> {
    const { spec } = lane;
    const key = { run: this.#options.run, ring: spec.ring, n: lane.nextN };
    const segment = await Segment.open(this.#append, spec.stream, key);
    lane.openedAt = performance.now() - (lane.nextN === 0 ? lane.stagger : 0);
    lane.nextN++;
    lane.segment = segment;
    return segment;
  }

  /** How many of the next `count` rows fall on the segment's UTC day: times do not go back within a ring. */
  #countWithinDay(ring: RingConsumer, count: number, segment: Segment): number {
    const first = segment.rows > 0 ? segment.firstLocal : ring.number(LOCAL, 0);
    const end = dayStart(dayOf(first) + 1);
    if (ring.number(LOCAL, count - 1) < end) return count;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ring.number(LOCAL, middle) < end) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #sealDue(): void {
    const now = performance.now();
    const nowUs = Date.now() * 1000;
    let longestDue: Lane | null = null;
    for (const lane of this.#lanes) {
      const { segment, bounds } = lane;
      if (segment === null || segment.rows === 0) continue;
      const state = {
        rows: segment.rows,
        bytes: segment.bytes,
        age: now - lane.openedAt,
        nowUs,
        day: dayOf(segment.firstLocal),
      };
      const reason = sealReason(state, bounds);
      if (reason === "interval") {
        if (longestDue === null || lane.openedAt < longestDue.openedAt) longestDue = lane;
      } else if (reason !== null) {
        this.#seal(lane, reason);
      }
    }
    for (const lane of this.#datasets.values()) {
      const { segment } = lane;
      if (segment === null) continue;
      const state = {
        rows: segment.rows,
        bytes: segment.bytes,
        age: now - lane.openedAt,
        nowUs,
        day: dayOf(segment.firstLocal),
      };
      const reason = sealReason(state, this.#options.datasetSeal);
      if (reason !== null) this.#sealDataset(lane, reason);
    }
    if (longestDue !== null && now - this.#lastIntervalSeal >= this.#options.minGap) {
      this.#lastIntervalSeal = now;
      this.#seal(longestDue, "interval");
    }
  }

  /** Makes room where the bound on open rows is reached before any segment is due. */
  #sealLargest(): void {
    let largest: Lane | null = null;
    for (const lane of this.#lanes) {
      if ((lane.segment?.rows ?? 0) > (largest?.segment?.rows ?? 0)) largest = lane;
    }
    if (largest !== null) this.#seal(largest, "bound");
  }

  #seal(lane: Lane, reason: string): void {
    const segment = lane.segment;
    if (segment === null) return;
    lane.segment = null;
    const span = segment.seal();
    const { exchange, stream } = lane.spec;
    const { key, table } = segment;
    const query = segmentQuery(stream, table, `symbols_${exchange}`, key);
    const { bytes } = segment;
    this.#enqueue({ exchange, stream, key, table, query, span, bytes, hasSeq: true }, lane, reason);
  }

  async #copyAll(): Promise<void> {
    for (let next = this.#sealed[0]; next !== undefined; next = this.#sealed[0]) {
      await this.#copySegment(next.segment, next.lane, next.reason);
      if (this.#closed) break;
      this.#sealed.shift();
    }
    // In the same turn in which the queue was found empty: what is sealed from now on starts anew.
    this.#copying = null;
  }

  /** Brings one segment into the outbox, however often it takes; its rows stay in the table until then. */
  async #copySegment(segment: SealedSegment, lane: Lane | null, reason: string): Promise<void> {
    const { outbox, version } = this.#options;
    const { exchange, stream, span } = segment;
    const key = lakeKey({ exchange, stream, firstLocal: span.firstLocal, key: segment.key });
    for (let attempt = 0; ; attempt++) {
      const temporary = temporaryPath(outbox, key, attempt);
      try {
        await writeParquet(this.#copy, segment, temporary, version);
        await checkParquet(this.#copy, segment, temporary);
        const path = await acceptFile(outbox, temporary, key);
        if (lane !== null) {
          this.#openRows -= span.rows;
          this.#openBytes -= segment.bytes;
          lane.consumer.filed(span.rows);
        }
        if (attempt > 0) this.#events.copyRecovered();
        const ring = lane === null ? null : segment.key.ring;
        this.#events.fileFinished({ key, path, exchange, stream, ring, rows: span.rows, reason });
        break;
      } catch (error) {
        if (this.#closed) return;
        await rm(temporary, { force: true }).catch(() => undefined);
        // Somebody may have taken the folder away.
        await mkdir(outbox, { recursive: true }).catch(() => undefined);
        const retryIn = Math.min(this.#options.retryMax, RETRY_MIN * 2 ** Math.min(attempt, 20));
        this.#events.copyFailed(segment, error instanceof Error ? error.message : String(error), retryIn);
        await this.#waitForRetry(retryIn);
        if (this.#closed) return;
      }
    }
    try {
      await this.#copy.run(`DROP TABLE ${sqlName(segment.table)}`);
    } catch (error) {
      // The rows are safe in their file; only memory is not given back.
      if (!this.#closed) this.#events.copyFailed(segment, `its table stays: ${String(error)}`, 0);
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

  /**
   * Drains what is left, seals every segment and brings all of them into the outbox. The producers must
   * have stopped.
   *
   * @param deadline time (performance.now()) after which segments that cannot be written are given up
   * @returns rows that could not be brought into the outbox; 0 when all is well
   */
  async stop(deadline: number): Promise<number> {
    for (;;) {
      const moved = await this.step();
      if (moved === 0 && this.#ringsEmpty()) break;
      if (moved === 0) await Bun.sleep(1);
      if (performance.now() > deadline) break;
    }
    for (const lane of this.#lanes) this.#seal(lane, "stop");
    for (const lane of this.#datasets.values()) this.#sealDataset(lane, "stop");
    while (this.#copying !== null && performance.now() < deadline) {
      this.#wakeRetry?.();
      await Promise.race([
        this.#copying,
        Bun.sleep(Math.min(500, Math.max(1, deadline - performance.now()))),
      ]);
    }
    const datasets = this.#sealed.filter(({ lane }) => lane === null);
    const datasetRows = datasets.reduce((sum, { segment }) => sum + segment.span.rows, 0);
    const lost = this.#openRows + this.#rowsInRings() + datasetRows;
    await this.#close();
    return lost;
  }

  #ringsEmpty(): boolean {
    return this.#lanes.every((lane) => lane.consumer.available(1) === 0);
  }

  #rowsInRings(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.consumer.backlog(), 0);
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#wakeRetry?.();
    // A process whose thread ends while a COPY is in flight is aborted: interrupt it, wait, then close.
    this.#copy.interrupt();
    await this.#copying;
    this.#copy.closeSync();
    this.#append.closeSync();
    this.#instance.closeSync();
  }
}
