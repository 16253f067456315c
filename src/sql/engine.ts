/**
 * A DuckDB that has the views of a lake and nothing else: it can open the files it was given and no others, load nothing,
 * and be set to nothing else.
 */
import { existsSync } from "node:fs";
import { link, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBResult,
  type DuckDBValue,
  StatementType,
} from "@duckdb/node-api";
import type { Settings } from "../config/schema.ts";
import { folderOfSymbol } from "../storage/names.ts";
import { sqlName, sqlText } from "../storage/projection.ts";
import { createView } from "../storage/views.ts";
import { columnsOfKind, type Kind, type NeededViews } from "./kinds.ts";
import { type Partition, prefixOf } from "./partitions.ts";
import { type Plan, readPlan } from "./plan.ts";

/** What was asked is not allowed or no query; the message says what is. */
export class QueryError extends Error {
  override name = "QueryError";
}

/** Folder, in its own temporary one, of files without rows. */
const EMPTY = "empty";
/** Longer than the name of any folder of a symbol may be. */
const NO_SYMBOL = "-".repeat(100);

/** Files of a view: those of all symbols, and those in folders of symbols, which have no column of that name. */
export interface KindPaths {
  readonly flat: readonly string[];
  readonly divided: readonly string[];
}

/** Files by view. */
export type FilePaths = ReadonlyMap<Kind, KindPaths>;

/** Paths of files, as views take them. */
export function pathsByKind(files: Iterable<readonly [Partition, string]>): FilePaths {
  const paths = new Map<Kind, { flat: string[]; divided: string[] }>();
  for (const [{ kind, symbol }, path] of files) {
    const known = paths.get(kind) ?? { flat: [], divided: [] };
    paths.set(kind, known);
    known[symbol === null ? "flat" : "divided"].push(path);
  }
  return paths;
}

/**
 * Files without rows. The first of each view's files is one of no partition: it has the columns, so that a view needs no
 * other file, and since each view says `stream = '…'`, which is not true of it, DuckDB's plans name the stream.
 */
export class EmptyFiles {
  readonly #folder: string;

  /** @param folder a temporary one of the query's own */
  constructor(folder: string) {
    this.#folder = join(folder, EMPTY);
  }

  /** Where the file of no partition is. */
  first(kind: Kind): string {
    return join(this.#folder, kind, "v1/exchange=_/stream=_/date=1970-01-01/0.parquet");
  }

  /** The same two in the folder of no symbol: such a view says that it is not of that one. */
  divided(kind: Kind): readonly [string, string] {
    const [first, last] = [this.first(kind), this.last(kind)].map((path) =>
      join(dirname(path), `symbol=${NO_SYMBOL}`, "0.parquet"),
    );
    return [first ?? "", last ?? ""];
  }

  /**
   * Where a second file of no partition is, beyond all days and exchanges: a condition such as `date < '2026-11-20'` that
   * held for every file would be left out of DuckDB's plan, and be needed there to know which partitions it asks for. (The
   * first one does that for `date > …`.)
   */
  last(kind: Kind): string {
    return join(this.#folder, kind, "v1/exchange=~/stream=_/date=9999-12-31/0.parquet");
  }

  /** Writes those of no partition; `divided` those in the folder of no symbol. */
  async write(kinds: readonly Kind[], divided = false): Promise<void> {
    const instance = await DuckDBInstance.create(":memory:", { autoinstall_known_extensions: "false" });
    const connection = await instance.connect();
    try {
      for (const kind of kinds) {
        const [path, last] = divided ? this.divided(kind) : [this.first(kind), this.last(kind)];
        if (existsSync(path)) continue;
        await mkdir(dirname(path), { recursive: true });
        const columns = columnsOfKind(kind)
          .filter(({ name }) => !divided || name !== "symbol")
          .map(({ name, type }) => `NULL::${type} AS ${sqlName(name)}`);
        await connection.run(
          `COPY (SELECT ${columns.join(", ")} WHERE false) TO ${sqlText(path)} (FORMAT parquet)`,
        );
        await mkdir(dirname(last), { recursive: true });
        await link(path, last);
      }
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  /** One for a partition; its path. */
  async of(partition: Partition): Promise<string> {
    const { kind, symbol } = partition;
    const folder = symbol === null ? "" : `symbol=${folderOfSymbol(symbol)}`;
    const path = join(this.#folder, kind, prefixOf(partition), folder, "0.parquet");
    await mkdir(dirname(path), { recursive: true });
    const first = symbol === null ? this.first(kind) : this.divided(kind)[0];
    await link(first, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    return path;
  }
}

/** The rows of a view: all columns of its files and those of their paths, wherever `symbol` stands. */
function queryOf(kind: Kind, { flat, divided }: KindPaths): string {
  const types = "'exchange': VARCHAR, 'stream': VARCHAR, 'date': DATE";
  const from = (paths: readonly string[], more: string) =>
    `SELECT * FROM read_parquet([${paths.map(sqlText).join(", ")}], hive_partitioning = true,
       hive_types = {${types}${more}}) WHERE stream = ${sqlText(kind)}`;
  if (divided.length === 0) return from(flat, "");
  return `${from(flat, "")} UNION ALL BY NAME ${from(divided, ", 'symbol': VARCHAR")} AND symbol <> '${NO_SYMBOL}'`;
}

/** See the head of the file. */
export class Engine {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  readonly #closed: () => void;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, closed: () => void) {
    this.#instance = instance;
    this.#connection = connection;
    this.#closed = closed;
  }

  /**
   * @param files paths by kind; those of {@link EmptyFiles} come on top
   * @param folder a temporary one of the query's own
   * @param result a file that may be written; null = none
   * @param closed called once it is closed
   */
  static async open(options: {
    views: NeededViews;
    files: FilePaths;
    empty: EmptyFiles;
    folder: string;
    result: string | null;
    limits: Settings["sql"];
    closed: () => void;
  }): Promise<Engine> {
    const { views, files, empty, folder, result, limits, closed } = options;
    const instance = await DuckDBInstance.create(":memory:", {
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
      memory_limit: `${limits.memory_limit}B`,
      threads: String(limits.threads),
      temp_directory: join(folder, "spill"),
      max_temp_directory_size: `${limits.temp_bytes}B`,
    });
    const connection = await instance.connect();
    const engine = new Engine(instance, connection, closed);
    try {
      await connection.run("SET TimeZone = 'UTC'");
      const paths = new Map(
        views.kinds.map((kind) => {
          const { flat, divided } = files.get(kind) ?? { flat: [], divided: [] };
          const folders = divided.length === 0 ? [] : [...empty.divided(kind), ...divided];
          return [kind, { flat: [empty.first(kind), empty.last(kind), ...flat], divided: folders }] as const;
        }),
      );
      const lists = [...paths.values()].flatMap(({ flat, divided }) => [...flat, ...divided]);
      const allowed = [...lists, ...(result === null ? [] : [result])];
      await connection.run(`SET allowed_paths = [${allowed.map(sqlText).join(", ")}]`);
      await connection.run("SET enable_external_access = false");
      for (const [kind, list] of paths)
        await connection.run(createView({ name: kind, meaning: "", query: queryOf(kind, list) }));
      for (const view of views.derived) await connection.run(createView(view));
      await connection.run("SET lock_configuration = true");
    } catch (error) {
      engine.close();
      throw error;
    }
    return engine;
  }

  /**
   * Takes one SELECT and nothing else; nothing is run.
   *
   * @throws QueryError
   */
  async check(sql: string): Promise<void> {
    const statements = await this.#connection.extractStatements(sql).catch((error: unknown) => {
      // Where there is nothing to extract, the binding has no words for it.
      const text = error instanceof Error ? error.message : String(error);
      throw text.includes("Error:") ? error : new QueryError("there is no query in it");
    });
    if (statements.count !== 1)
      throw new QueryError(`one query is wanted, and this is ${statements.count}: leave out all but one`);
    const statement = await statements.prepare(0);
    try {
      if (statement.statementType !== StatementType.SELECT)
        throw new QueryError(
          "only SELECT (WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW) is answered: a lake is never changed, " +
            "and results go to a file by --format and --output",
        );
      if (statement.parameterCount > 0)
        throw new QueryError("it has parameters ($1 or ?), and there are no values for them");
    } finally {
      statement.destroySync();
    }
    const { operators } = await this.plan(sql);
    // The one function of DuckDB that writes: a log, to a folder of temporary files.
    const other = [...operators].find((name) => name.endsWith("_LOGGING"));
    if (other !== undefined) throw new QueryError("DuckDB's logging cannot be turned on or off here");
  }

  /** The plan of a query that was checked. */
  async plan(sql: string): Promise<Plan> {
    const reader = await this.#connection.runAndReadAll(`EXPLAIN (FORMAT json) ${sql}`);
    return readPlan(String(reader.getRowsJS()[0]?.[1] ?? "[]"));
  }

  /** Rows of a query of our own. */
  async rows(sql: string): Promise<DuckDBValue[][]> {
    return (await this.#connection.runAndReadAll(sql)).getRows();
  }

  /** The answer, chunk by chunk. */
  stream(sql: string): Promise<DuckDBResult> {
    return this.#connection.stream(sql);
  }

  /** Writes the answer to the file that may be written; `limit` rows at most, null = all. */
  async writeParquet(sql: string, path: string, limit: number | null): Promise<void> {
    // A view, so that the query stands alone behind a prefix and can end as it likes.
    await this.#connection.run(`CREATE TEMP VIEW tapedeck_result AS ${sql}`);
    const rows = `FROM tapedeck_result${limit === null ? "" : ` LIMIT ${limit}`}`;
    await this.#connection.run(`COPY (${rows}) TO ${sqlText(path)} (FORMAT parquet, COMPRESSION zstd)`);
  }

  /** Ends what is running, with an error. */
  interrupt(): void {
    this.#connection.interrupt();
  }

  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
    this.#closed();
  }
}
