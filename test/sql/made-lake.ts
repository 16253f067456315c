/** A lake that is made up, with files large enough to have row groups, and queries over it. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import type { Settings } from "../../src/config/schema.ts";
import { Query, type QueryCost } from "../../src/sql/query.ts";
import { type JsonValue, jsonOf } from "../../src/sql/values.ts";
import { allViews, createView, fileViews } from "../../src/storage/views.ts";
import { openLake } from "../../src/verify/lake.ts";
import { Scratch } from "../../src/verify/scratch.ts";
import { quoted } from "../helpers/lake.ts";
import type { StandIn } from "../helpers/s3/stand-in.ts";
import { settingsOf } from "../verify/lakes.ts";

export const EXCHANGES = ["binance", "okx"] as const;
export const DAYS = ["2026-11-18", "2026-11-19", "2026-11-20"] as const;
export const SYMBOLS = ["1000PEPEUSDT", "1000SHIBUSDT", "BTCUSDT", "ETHUSDT", "币安人生USDT"] as const;
const ROWS = 12_500;
/** Rows of a day of one stream of one exchange. */
export const DAY_ROWS = 2 * ROWS;

/** A DuckDB that reads a lake in a folder with the views as docs/views.md has them, whatever `sql` does. */
export class Reference {
  private constructor(readonly connection: DuckDBConnection) {}

  static async open(): Promise<Reference> {
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    await connection.run("SET TimeZone = 'UTC'");
    return new Reference(connection);
  }

  async over(lake: string, kinds: readonly string[]): Promise<void> {
    for (const view of allViews(lake, new Set(kinds))) await this.connection.run(createView(view));
  }

  async rows(sql: string): Promise<JsonValue[][]> {
    const reader = await this.connection.runAndReadAll(sql);
    return reader.getRows().map((row) => row.map((value) => jsonOf(value, "iso")));
  }
}

/** Writes a file of a lake from the values of its columns, the others NULL. */
export async function writeFile(
  connection: DuckDBConnection,
  path: string,
  kind: string,
  values: string,
  groupRows: number,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const empty = fileViews("", new Set()).find(({ name }) => name === kind)?.query ?? "";
  await connection.run(
    `CREATE OR REPLACE TEMP TABLE shape AS SELECT * EXCLUDE (exchange, stream, date) FROM (${empty})`,
  );
  await connection.run(`INSERT INTO shape BY NAME (${values})`);
  await connection.run(
    `COPY (FROM shape ORDER BY symbol, local_timestamp) TO ${quoted(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${groupRows})`,
  );
}

/** Two exchanges, three days, two files a day of trades and quotes, and one of instruments; rows in groups of 2048. `rows` are those of a file. */
export async function makeLake(
  root: string,
  connection: DuckDBConnection,
  rows: number = ROWS,
): Promise<void> {
  await connection.run("SELECT setseed(0.42)");
  const symbols = `[${SYMBOLS.map(quoted).join(", ")}]`;
  for (const [e, exchange] of EXCHANGES.entries()) {
    for (const [d, day] of DAYS.entries()) {
      const first = Date.parse(`${day}T00:00:00Z`) * 1000;
      for (const n of [0, 1]) {
        const start = first + n * 43_200_000_000;
        const name = `${start}_made-1-aaaa_${e}_${d * 2 + n}.parquet`;
        const base = `${symbols}[1 + i % ${SYMBOLS.length}] AS symbol, symbol AS instrument, make_timestamptz(${start} + i * 1000000) AS local_timestamp,
          local_timestamp AS timestamp, 'made-1-aaaa' AS run, ${e} AS ring, ${(d * 2 + n) * rows} + i AS seq`;
        const folder = (stream: string) => join(root, `v1/exchange=${exchange}/stream=${stream}/date=${day}`);
        await writeFile(
          connection,
          join(folder("trade"), name),
          "trade",
          `SELECT ${base}, random() AS price, random() AS amount, (i % 1000)::VARCHAR AS id, if(i % 2 = 0, 'buy', 'sell') AS side FROM range(${rows}) r(i)`,
          2048,
        );
        await writeFile(
          connection,
          join(folder("bbo"), name),
          "bbo",
          `SELECT ${base}, 1 + random() AS bid_price, 3 + random() AS ask_price FROM range(${rows}) r(i)`,
          2048,
        );
      }
      if (d === 0)
        await writeFile(
          connection,
          join(
            root,
            `v1/exchange=${exchange}/stream=instruments/date=${day}/${first}_made-1-aaaa_${90 + e}_0.parquet`,
          ),
          "instruments",
          `SELECT s AS symbol, s AS instrument, make_timestamptz(${first}) AS local_timestamp, 'linear' AS contract_type,
             2.0 AS contract_size, 1.0 AS contract_multiplier, 1.0 AS price_multiplier FROM unnest(${symbols}) t(s)`,
          2048,
        );
    }
  }
}

/** Keys of a lake's files with their size. */
export function keysOf(root: string): Map<string, number> {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".parquet"),
  );
  return new Map(names.sort().map((name) => [name, readFileSync(join(root, name)).length]));
}

/** Puts files of a lake into a bucket. */
export function fill(bucket: StandIn, root: string, keys: Iterable<string>): void {
  for (const key of keys)
    bucket.objects.set(key, { bytes: readFileSync(join(root, key)), etag: "0".repeat(32), metadata: {} });
}

/** Settings of a bucket. */
export const bucketSettings = (
  name: "s3" | "gcs",
  { url, bucket, keys }: StandIn,
): Record<string, string> => ({
  [`${name}.endpoint`]: url,
  [`${name}.bucket`]: bucket,
  [`${name}.access_key`]: keys.accessKey,
  [`${name}.secret_key`]: keys.secretKey,
});

/** Answers in this process. */
export async function answerOf(
  sql: string,
  options: { lake?: string; set?: Readonly<Record<string, string>>; prepared?: () => void } = {},
): Promise<{ rows: JsonValue[][]; columns: readonly string[]; cost: QueryCost; left: string[] }> {
  const settings: Settings = settingsOf(options.set ?? {});
  const folder = mkdtempSync(join(tmpdir(), "tapedeck-query-"));
  const scratch = new Scratch("sql-test");
  const lake = await openLake(options.lake, settings, scratch);
  const query = new Query({ sql, sources: lake.sources, folder, result: null, limits: settings.sql });
  try {
    await query.prepare();
    options.prepared?.();
    const { columns, chunks } = await query.rows();
    const rows: JsonValue[][] = [];
    for await (const chunk of chunks)
      for (const row of chunk) rows.push(row.map((value) => jsonOf(value, "iso")));
    return { rows, columns, cost: query.cost, left: readdirSync(folder) };
  } catch (error) {
    throw query.explain(error);
  } finally {
    query.close();
    lake.close();
    scratch.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
