/** A query over a lake, from its text to rows. */
import { existsSync } from "node:fs";
import type { DuckDBDataChunk, DuckDBResult, DuckDBValue } from "@duckdb/node-api";
import type { Settings } from "../config/schema.ts";
import { derivedViews } from "../storage/views.ts";
import type { LakeSource } from "../verify/source.ts";
import { neededRanges, type Range, type Reading, readingOf } from "./chunks.ts";
import { BoundError, Copies, FileError } from "./copies.ts";
import { EmptyFiles, Engine, type FilePaths, pathsByKind, QueryError } from "./engine.ts";
import { KINDS, type NeededViews, neededViews } from "./kinds.ts";
import { listDays, listFiles, type Partition, partitionId, type QueryFile } from "./partitions.ts";
import type { Plan } from "./plan.ts";
import { Conditions, kindsOf, neededPartitions, prune } from "./pruning.ts";

/** Errors of DuckDB that a file with holes, or a broken one, leads to. */
const UNREADABLE =
  /TProtocol|parquet|magic bytes|corrupt|zstd|decompress|IO Error|Invalid Error|out of range/i;

/** Time between two interrupts of a query that is to end, ms. */
const INTERRUPT_MS = 20;

/** How DuckDB begins what it says. */
const isOfDuckDb = (text: string): boolean =>
  /^(Failed to [a-z ]+: )?[A-Z][A-Za-z ]*(Error|Exception): /.test(text);

/** The mend, where what DuckDB says is that there is no such table. */
const viewsFor = (text: string): string =>
  /^Catalog Error: Table with name /.test(text)
    ? `\nThere are: ${[...KINDS, ...derivedViews().map(({ name }) => name)].join(", ")}`
    : "";

/** What a query took. */
export interface QueryCost {
  /** Files that were opened. */
  readonly files: number;
  /** Bytes of these files. */
  readonly fileBytes: number;
  /** Bytes of files that were fetched from buckets; listings aside. */
  readonly downloaded: number;
}

/** Rows of an answer. */
export interface Answer {
  readonly columns: readonly string[];
  /** Each a few thousand rows at most. */
  readonly chunks: AsyncIterable<DuckDBValue[][]>;
}

/** See the head of the file. Nothing of it outlives `folder`. */
export class Query {
  readonly #sql: string;
  readonly #sources: readonly LakeSource[];
  readonly #folder: string;
  readonly #result: string | null;
  readonly #limits: Settings["sql"];
  readonly #views: NeededViews;
  readonly #empty: EmptyFiles;
  readonly #copies: Copies;
  #files: readonly QueryFile[] = [];
  /** One partition for each day, whatever symbols have folders in it. */
  #days: readonly Partition[] = [];
  #engine: Engine | null = null;
  #interrupts: NodeJS.Timeout | undefined;
  /** All that are open, those of the planning included. */
  readonly #engines = new Set<Engine>();

  /**
   * @param folder an empty temporary one
   * @param result a file in it that the answer may be written to; null = none
   */
  constructor(options: {
    sql: string;
    sources: readonly LakeSource[];
    folder: string;
    result: string | null;
    limits: Settings["sql"];
  }) {
    this.#sql = options.sql;
    this.#sources = options.sources;
    this.#folder = options.folder;
    this.#result = options.result;
    this.#limits = options.limits;
    this.#views = neededViews(options.sql);
    this.#empty = new EmptyFiles(options.folder);
    this.#copies = new Copies(options.folder, options.limits);
  }

  get cost(): QueryCost {
    return {
      files: this.#files.length,
      fileBytes: this.#files.reduce((sum, { bytes }) => sum + bytes, 0),
      downloaded: this.#copies.downloaded,
    };
  }

  /**
   * Checks the query, finds what it needs and brings it here.
   *
   * @throws QueryError, FileError, BoundError, DestinationError, or what DuckDB says of the query
   */
  async prepare(): Promise<void> {
    const { kinds } = this.#views;
    await this.#empty.write(kinds);
    const first = await this.#open(new Map());
    try {
      await first.check(this.#sql);
    } finally {
      first.close();
    }
    if (kinds.length === 0) {
      this.#engine = await this.#open(new Map());
      return;
    }
    const days = await listDays(this.#sources, kinds, this.#limits.downloads);
    this.#days = days.map((day) => ({ ...day, symbol: null }));
    let needed = await this.#prune(this.#days, true);
    // What DuckDB plans over files without rows and over these may differ in what it leaves out altogether.
    for (;;) {
      await this.#take(needed);
      const { engine, more, plan } = await this.#replan(needed);
      if (more.size === needed.size) {
        this.#engine = engine;
        await this.#fetch(engine, plan);
        return;
      }
      engine.close();
      needed = more;
    }
  }

  /** The answer: its columns, and its rows chunk by chunk. */
  async rows(): Promise<Answer> {
    // The first chunk is part of the try: whatever cannot be read shows when reading begins.
    const { result, first } = await this.#tried(async () => {
      const begun = await this.#running().stream(this.#sql);
      return { result: begun, first: await begun.fetchChunk() };
    });
    return { columns: result.deduplicatedColumnNames(), chunks: chunksOf(result, first) };
  }

  /** Writes the answer as Parquet to the file that may be written; `limit` rows at most, null = all. Its path. */
  async writeParquet(limit: number | null): Promise<string> {
    const path = this.#result;
    if (path === null) throw new Error("no file for the result was named");
    await this.#tried(() => this.#running().writeParquet(this.#sql, path, limit));
    return path;
  }

  /** Whether DuckDB has it in hand. */
  get busy(): boolean {
    return this.#engines.size > 0;
  }

  /** Ends what DuckDB is doing and whatever it begins from now on, with an error. */
  interrupt(): void {
    const now = () => {
      for (const engine of this.#engines) engine.interrupt();
    };
    now();
    // Between two statements there is nothing to end.
    this.#interrupts ??= setInterval(now, INTERRUPT_MS);
  }

  /** What DuckDB says, with keys where it names temporary files, and the mend where a file is at fault. */
  explain(error: unknown): unknown {
    if (!(error instanceof Error) || !isOfDuckDb(error.message)) return error;
    const text = error.message.replace(/^Failed to [a-z ]+: /, "").replaceAll(`${this.#folder}/lake/`, "");
    // DuckDB opens files when it comes to them: by then a compaction or the retention may have taken some. It says "Permission
    // Error" of those.
    const gone = /^(Parser|Binder|Catalog|Conversion) Error/.test(text) ? undefined : this.#goneFile();
    if (gone !== undefined)
      return new FileError(`${gone.key} was compacted, moved or removed while the query ran: ask again`, {
        cause: error,
      });
    if (UNREADABLE.test(text) && this.#copies.partial.length > 0)
      return new FileError(
        `parts of files that were fetched cannot be read: ${text.trim()}. Ask again with --set sql.whole_files=true; if ` +
          "that fails too, `tapedeck verify --deep` names the files that are broken",
        { cause: error },
      );
    const isFile =
      UNREADABLE.test(text) && !/^(Parser|Binder|Catalog|Permission|Conversion) Error/.test(text);
    if (!isFile) return new QueryError(text.trim() + viewsFor(text), { cause: error });
    return new FileError(
      `a file of the lake cannot be read: ${text.trim()}. \`tapedeck verify --deep\` names the files that are ` +
        "broken, with the mend; move them out of the lake to query the rest",
      { cause: error },
    );
  }

  close(): void {
    clearInterval(this.#interrupts);
    for (const engine of this.#engines) engine.close();
    this.#engines.clear();
    this.#engine = null;
  }

  #goneFile(): QueryFile | undefined {
    return this.#files.find((file) => !existsSync(this.#copies.pathOf(file)));
  }

  /** Once more with whole files, where one with holes may be the reason. */
  async #tried<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      const isHole = error instanceof Error && UNREADABLE.test(error.message);
      if (!isHole || this.#copies.partial.length === 0) throw error;
      await this.#copies.complete();
      this.#engine?.close();
      this.#engine = await this.#open(this.#paths());
      return run();
    }
  }

  #running(): Engine {
    if (this.#engine === null) throw new Error("the query is not prepared");
    return this.#engine;
  }

  #prune(partitions: readonly Partition[], whole: boolean): Promise<Set<string>> {
    return prune({
      sql: this.#sql,
      partitions,
      kinds: this.#views.kinds,
      empty: this.#empty,
      open: (files) => this.#open(files),
      whole,
    });
  }

  async #open(files: FilePaths): Promise<Engine> {
    const engine = await Engine.open({
      views: this.#views,
      files,
      empty: this.#empty,
      folder: this.#folder,
      result: this.#result,
      limits: this.#limits,
      closed: () => this.#engines.delete(engine),
    });
    this.#engines.add(engine);
    return engine;
  }

  async #take(needed: ReadonlySet<string>): Promise<void> {
    const wanted = this.#days.filter((day) => needed.has(partitionId(day)));
    this.#files = await this.#ofSymbols(await listFiles(this.#sources, wanted, this.#limits.downloads));
    const { max_files } = this.#limits;
    if (this.#files.length > max_files)
      throw new BoundError(
        `the query would read ${this.#files.length} files, and sql.max_files allows ${max_files}: narrow it by exchange ` +
          "or date, or allow more with --set sql.max_files=N",
      );
    await this.#copies.open(this.#files);
  }

  /** Where symbols have folders: those files that the query asks for. */
  async #ofSymbols(files: readonly QueryFile[]): Promise<readonly QueryFile[]> {
    const folders = partitionsOf(files);
    const divided = new Set(folders.flatMap(({ kind, symbol }) => (symbol === null ? [] : [kind])));
    if (divided.size === 0) return files;
    await this.#empty.write([...divided], true);
    const needed = await this.#prune(folders, false);
    return files.filter(({ partition }) => needed.has(partitionId(partition)));
  }

  async #replan(needed: ReadonlySet<string>) {
    const engine = await this.#open(this.#paths());
    try {
      const plan = await engine.plan(this.#sql);
      const conditions = new Conditions(engine, this.#days, true);
      const more = new Set([...needed, ...(await neededPartitions(plan, this.#views.kinds, conditions))]);
      return { engine, plan, more };
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  /** Brings here what the plan reads of files that are not here as a whole. */
  async #fetch(engine: Engine, { scans }: Plan): Promise<void> {
    const { kinds } = this.#views;
    if (this.#limits.whole_files) return this.#copies.complete();
    const conditions = new Conditions(engine, partitionsOf(this.#copies.partial), false);
    const wanted = new Map<string, readonly Range[]>();
    for (const kind of kinds) {
      const files = this.#copies.partial.filter(({ partition }) => partition.kind === kind);
      const readings = new Map<string, Reading[]>();
      for (const scan of scans) {
        if (files.length === 0 || !kindsOf(scan, kinds).includes(kind)) continue;
        const read = await conditions.partitionsOf(kind, scan);
        const reading = readingOf(scan, kind);
        for (const file of files) {
          if (!read.has(partitionId(file.partition))) continue;
          const path = this.#copies.pathOf(file);
          readings.set(path, [...(readings.get(path) ?? []), reading]);
        }
      }
      for (const [path, ranges] of await neededRanges(engine, kind, readings)) wanted.set(path, ranges);
    }
    await this.#copies.fetch(wanted);
  }

  #paths(): FilePaths {
    return pathsByKind(this.#files.map((file) => [file.partition, this.#copies.pathOf(file)] as const));
  }
}

/** The folders in which files stand. */
function partitionsOf(files: readonly QueryFile[]): Partition[] {
  return [...new Map(files.map(({ partition }) => [partitionId(partition), partition])).values()];
}

async function* chunksOf(
  result: DuckDBResult,
  first: DuckDBDataChunk | null,
): AsyncIterable<DuckDBValue[][]> {
  for (let chunk = first; chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk())
    yield chunk.getRows();
}
