/** Reads a lake with DuckDB, knowing nothing of how it was written. */
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance, DuckDBTimestampTZValue } from "@duckdb/node-api";

/** A value of a lake as the tests compare it: times in µs, integers as numbers. */
export type LakeValue = string | number | boolean | null;
/** A row by column. */
export type LakeRow = Record<string, LakeValue>;

/** A DuckDB of the tests' own. */
export class Sql {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  static async open(): Promise<Sql> {
    const instance = await DuckDBInstance.create(":memory:");
    return new Sql(instance, await instance.connect());
  }

  /** Rows of a query. Fails on a value that no test should have to compare. */
  async rows(query: string): Promise<LakeRow[]> {
    const reader = await this.#connection.runAndReadAll(query);
    return reader
      .getRowObjects()
      .map((row) =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(name, value)])),
      );
  }

  /** The only row of a query. */
  async row(query: string): Promise<LakeRow> {
    const rows = await this.rows(query);
    if (rows.length !== 1 || rows[0] === undefined) throw new Error(`${rows.length} rows: ${query}`);
    return rows[0];
  }

  /** The only value of a query, a number. */
  async number(query: string): Promise<number> {
    const [value] = Object.values(await this.row(query));
    if (typeof value !== "number") throw new Error(`not a number but ${value}: ${query}`);
    return value;
  }

  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

/** Runs something with a DuckDB that is closed afterwards. */
export async function withSql<T>(use: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = await Sql.open();
  try {
    return await use(sql);
  } finally {
    sql.close();
  }
}

function plain(name: string, value: unknown): LakeValue {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return value;
  if (typeof value === "bigint") {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new Error(`${name}: ${value} is not exact as a number`);
    return number;
  }
  if (value instanceof DuckDBTimestampTZValue) return plain(name, value.micros);
  throw new Error(`${name}: unexpected value ${String(value)}`);
}

/** A path as SQL text. */
export const quoted = (path: string): string => `'${path.replaceAll("'", "''")}'`;

/** FROM clause of all files of a stream or dataset in a data folder, whether symbols have folders or not. */
export function streamFrom(data: string, stream: string): string {
  const day = join("lake/v1/exchange=*", `stream=${stream}`, "date=*");
  const from = [join(day, "*.parquet"), join(day, "symbol=*/*.parquet")]
    .filter((files) => new Bun.Glob(files).scanSync(data).next().done !== true)
    .map((files) => `read_parquet(${quoted(join(data, files))}, hive_partitioning = true, filename = true)`);
  if (from.length > 1) return `(${from.map((one) => `SELECT * FROM ${one}`).join(" UNION ALL BY NAME ")})`;
  return from[0] ?? `read_parquet(${quoted(join(data, day, "*.parquet"))})`;
}
