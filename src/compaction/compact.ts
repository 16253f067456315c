/** The compaction of a day, stream by stream. */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type { Settings } from "../config/schema.ts";
import type { Stream } from "../events/streams.ts";
import { newCompaction } from "../storage/compacted.ts";
import { DestinationError } from "../storage/destinations/destination.ts";
import { Scratch } from "../verify/scratch.ts";
import { checkOver, DayState } from "./closed.ts";
import { type CompactionLock, lockBucket, lockHere } from "./lock.ts";
import {
  type DayName,
  groupsBySize,
  listPartitions,
  nameOf,
  type Partition,
  type PartitionName,
} from "./partition.ts";
import { openPlaces, type Place } from "./places.ts";
import { readSources } from "./sources.ts";
import { CompactionError, type CompactionStep } from "./steps.ts";
import { deleteReplaced, Fetched, resume, type SwapContext, type Swapped, swap } from "./swap.ts";
import { megabytes } from "./text.ts";

/** What is compacted. */
export interface CompactOptions {
  readonly settings: Settings;
  /** UTC. */
  readonly date: string;
  readonly exchanges: readonly string[];
  readonly streams: readonly Stream[];
  /** Only says what would be done. */
  readonly dryRun: boolean;
  readonly version: string;
  /** Epoch ms. */
  readonly now: number;
  readonly signal: AbortSignal;
  /** A line for the user. */
  readonly say: (line: string) => void;
  /** For tests. */
  readonly step?: (step: CompactionStep) => void | Promise<void>;
}

/** What was done; of a dry run what would be. */
export interface CompactionReport {
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly rows: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Swaps of an earlier compaction that were brought to their end. */
  readonly finished: number;
  /** Streams that were left alone, with the reason. */
  readonly faults: readonly string[];
}

/**
 * Compacts a day. What goes wrong in one stream is told and leaves the others alone.
 *
 * @throws CompactionError when nothing of the day may be compacted; DestinationError
 */
export async function compact(options: CompactOptions): Promise<CompactionReport> {
  const { settings, date, now } = options;
  checkOver(date, now, settings.compaction.grace);
  const data = resolve(settings.data);
  const work = workFolder(settings, data);
  const here = lockHere(data);
  try {
    // Of one that was killed.
    for (const name of readdirSync(work)) rmSync(join(work, name), { recursive: true, force: true });
    const scratch = new Scratch("compact", (code) => process.exit(code), work);
    const places = await openPlaces(settings, join(data, "lake"), scratch);
    try {
      return await withDuckDb(settings, scratch, (connection) =>
        new DayCompaction(options, { data, folder: here.folder }, scratch, places, connection).run(),
      );
    } finally {
      for (const { destination } of places) destination.close();
      scratch.close();
    }
  } finally {
    here.release();
  }
}

function workFolder(settings: Settings, data: string): string {
  const { backend, fallback } = settings.storage;
  if ([backend, fallback].includes("local") && !existsSync(join(data, "lake")))
    throw new CompactionError(`there is no lake in ${data}: name its data folder with --data`);
  const work = join(data, "compaction");
  try {
    mkdirSync(work, { recursive: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CompactionError(
      `${work} cannot be made (${why}); name a data folder that this user may write to with --data`,
    );
  }
  return work;
}

async function withDuckDb<T>(
  { duckdb, compaction }: Settings,
  { folder }: Scratch,
  use: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const instance = await DuckDBInstance.create(":memory:", {
    memory_limit: `${duckdb.memory_limit}B`,
    threads: String(duckdb.threads),
    temp_directory: folder,
    max_temp_directory_size: `${compaction.spill}B`,
    enable_external_file_cache: "false",
  });
  const connection = await instance.connect();
  try {
    return await use(connection);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

class DayCompaction {
  readonly #options: CompactOptions;
  readonly #data: string;
  /** The data folder's id. */
  readonly #folder: string;
  readonly #scratch: Scratch;
  readonly #places: readonly Place[];
  readonly #connection: DuckDBConnection;
  readonly #run: string;
  readonly #swaps: Swapped[] = [];
  readonly #faults: string[] = [];
  #finished = 0;
  #n = 0;

  constructor(
    options: CompactOptions,
    { data, folder }: { readonly data: string; readonly folder: string },
    scratch: Scratch,
    places: readonly Place[],
    connection: DuckDBConnection,
  ) {
    this.#options = options;
    this.#data = data;
    this.#folder = folder;
    this.#scratch = scratch;
    this.#places = places;
    this.#connection = connection;
    this.#run = newCompaction(options.now * 1000);
  }

  async run(): Promise<CompactionReport> {
    const { date, exchanges, streams, say, dryRun, step } = this.#options;
    const lock = dryRun ? NO_LOCK : await this.#lock();
    const day = new DayState(this.#data, date);
    try {
      if (!day.hasLedger)
        say(
          `${this.#data} has no ledger: that nothing of ${date} is still on its way to the lake is taken from its age alone`,
        );
      await step?.("locked");
      for (const exchange of exchanges)
        for (const stream of streams) await this.#day({ exchange, stream, date }, day, lock);
    } finally {
      day.close();
      await lock.release();
    }
    const total = (of: (swapped: Swapped) => number) => this.#swaps.reduce((all, one) => all + of(one), 0);
    return {
      filesBefore: total(({ files }) => files),
      filesAfter: this.#swaps.length,
      rows: total(({ rows }) => rows),
      bytesBefore: total(({ bytesBefore }) => bytesBefore),
      bytesAfter: total(({ bytesAfter }) => bytesAfter),
      finished: this.#finished,
      faults: this.#faults,
    };
  }

  /** One lock in each bucket. */
  async #lock(): Promise<CompactionLock> {
    const { settings, signal } = this.#options;
    const held: CompactionLock[] = [];
    const release = async () => {
      for (const lock of held) await lock.release();
    };
    try {
      for (const { destination } of this.#places) {
        if (destination.name === "local") continue;
        const ttl = settings.compaction.lock_ttl;
        const lock = { run: this.#run, data: this.#data, folder: this.#folder, ttl, signal };
        held.push(await lockBucket(destination, lock));
      }
    } catch (error) {
      await release();
      throw error;
    }
    return { check: () => held.forEach((lock) => void lock.check()), release };
  }

  async #day(name: DayName, day: DayState, lock: CompactionLock): Promise<void> {
    await this.#told(name, async () => {
      const partitions = (await listPartitions(this.#places, name)).filter(
        ({ segments, compacted, orphans }) => segments.length + compacted.length + orphans.length > 0,
      );
      const open = day.open(name.exchange, name.stream);
      if (open !== null && partitions.length > 0)
        throw new CompactionError(
          `it is not closed: ${open}; let the recorder finish it, then compact again`,
        );
      for (const partition of partitions)
        await this.#told(partition.name, () => this.#compact(partition, day, lock));
    });
  }

  /** What goes wrong in one stream, or with one of its symbols, leaves the others alone. */
  async #told(name: Parameters<typeof nameOf>[0], work: () => Promise<void>): Promise<void> {
    const { say, signal } = this.#options;
    signal.throwIfAborted();
    try {
      await work();
    } catch (error) {
      if (signal.aborted) throw error;
      if (!isExpected(error)) throw error;
      const fault = `${nameOf(name)}: ${error.message}`;
      this.#faults.push(fault);
      say(fault);
    }
  }

  async #compact(partition: Partition, day: DayState, lock: CompactionLock): Promise<void> {
    const { settings, dryRun, version, signal, say, step } = this.#options;
    const { name, orphans } = partition;
    if (orphans[0] !== undefined)
      throw new CompactionError(
        `${orphans[0].file.key} is gone, and its record says that it holds the rows of ${orphans[0].replaces.length} files; bring it back from a copy, see tapedeck verify`,
      );
    if (dryRun) return this.#plan(partition);
    const context: SwapContext = {
      connection: this.#connection,
      scratch: this.#scratch,
      places: this.#places,
      lock,
      version,
      partSize: settings.upload.part_size,
      signal,
      known: (key) => day.sha256(key),
      step: async (at) => step?.(at),
    };
    const left = await this.#finish(context, partition);
    let fetched = new Fetched();
    const { bytes, rows } = settings.compaction;
    const flush = async () => {
      const full = fetched;
      fetched = new Fetched();
      await using group = full;
      if (group.parts.length < 2) return;
      const swapped = await swap(context, name, { run: this.#run, ring: 0, n: this.#n++ }, group);
      this.#swaps.push(swapped);
      say(line(name, swapped));
    };
    try {
      for (const file of left) {
        signal.throwIfAborted();
        if (fetched.parts.length > 0 && fetched.bytes + file.bytes > bytes) await flush();
        const before = fetched.rows;
        await fetched.add(context, file);
        if (before === 0 || fetched.rows <= rows) continue;
        const last = fetched.takeLast();
        await flush();
        fetched = last;
      }
      await flush();
    } finally {
      await fetched[Symbol.asyncDispose]();
    }
  }

  /** Brings what an earlier compaction began to its end; resolves to the segments that are left. */
  async #finish(context: SwapContext, { name, segments, compacted, replaced }: Partition) {
    const { say } = this.#options;
    const records = compacted.flatMap(({ record }) => record ?? []);
    for (const { file, sha256 } of replaced.length > 0 ? compacted.flatMap(recorded) : []) {
      const { bytes, key } = file;
      const held = await file.places[0]?.destination.holds(
        key,
        { bytes, sha256, digest: null },
        context.signal,
      );
      if (held !== "same")
        throw new CompactionError(
          `${key} is not what its record says; nothing is deleted, see tapedeck verify`,
        );
    }
    if (replaced.length > 0) {
      await deleteReplaced(context, replaced);
      this.#finished += records.filter(({ replaces }) =>
        replaces.some(({ key }) => replaced.some((file) => file.key === key)),
      ).length;
      say(`${nameOf(name)}: ${replaced.length} files that were replaced before are deleted`);
    }
    const taken = new Set<string>();
    for (const { file, record } of compacted) {
      if (record !== null) continue;
      const keys = await readSources(this.#connection, file);
      const parts = segments.filter(({ key }) => keys.has(key));
      if (parts.length < keys.size)
        throw new CompactionError(
          `${file.key} has no record, and ${keys.size - parts.length} of the ${keys.size} files that it is made of are gone: bring its record, or those files, back from a copy`,
        );
      await using fetched = new Fetched();
      for (const part of parts) await fetched.add(context, part);
      const swapped = await resume(context, name.stream, file, fetched);
      for (const key of keys) taken.add(key);
      this.#finished++;
      this.#swaps.push(swapped);
      say(`${line(name, swapped)}, begun before`);
    }
    return segments.filter(({ key }) => !taken.has(key));
  }

  #plan({ name, segments, compacted, replaced }: Partition): void {
    const { settings, say } = this.#options;
    const unfinished = compacted.filter(({ record }) => record === null).length;
    if (unfinished > 0 || replaced.length > 0)
      say(
        `${nameOf(name)}: to be finished: ${unfinished} compacted files, ${replaced.length} files to be deleted`,
      );
    for (const group of groupsBySize(segments, settings.compaction.bytes)) {
      const bytes = group.reduce((sum, file) => sum + file.bytes, 0);
      say(`${nameOf(name)}: ${group.length} files, ${megabytes(bytes)}: would become one`);
      this.#swaps.push({ key: "", rows: 0, files: group.length, bytesBefore: bytes, bytesAfter: bytes });
    }
  }
}

const NO_LOCK: CompactionLock = { check: () => undefined, release: async () => undefined };

function recorded({ file, record }: Partition["compacted"][number]) {
  return record === null ? [] : [{ file, sha256: record.file.sha256 }];
}

function line(name: PartitionName, { files, rows, bytesBefore, bytesAfter }: Swapped): string {
  return `${nameOf(name)}: ${files} files, ${rows} rows, ${megabytes(bytesBefore)}: one file, ${megabytes(bytesAfter)}`;
}

/** Ours; of the system, such as a full disk; of DuckDB, which say what they are in front. */
function isExpected(error: unknown): error is Error {
  return (
    error instanceof CompactionError ||
    error instanceof DestinationError ||
    (error instanceof Error &&
      (typeof Object.entries(error).find(([name]) => name === "code")?.[1] === "string" ||
        /^(\w+ )+(Error|Exception):/.test(error.message)))
  );
}
