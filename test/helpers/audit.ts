/** Checks of a lake that must hold for every file of every recording, whatever was recorded. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { quoted, type Sql } from "./lake.ts";
import { DATASET_COLUMNS, STREAM_COLUMNS } from "./schema-v1.ts";

const KEY = new RegExp(
  "^v1/exchange=([a-z-]+)/stream=([a-z_]+)/date=(\\d{4}-\\d{2}-\\d{2})/(?:symbol=([^/]+)/)?" +
    "(\\d{16})_([a-z0-9-]+-\\d{16}-[a-z0-9]{4})_(\\d+)_(\\d+)\\.parquet$",
);
const ROW_GROUP = 122_880;

/** A file of a lake, by what its key says. */
export interface LakeFile {
  readonly path: string;
  readonly exchange: string;
  readonly stream: string;
  readonly date: string;
  /** What its folder says; null = it is in none of a symbol. */
  readonly symbol: string | null;
  readonly first: number;
  readonly run: string;
  readonly ring: number;
  readonly n: number;
}

/** Every file below `lake/`; fails on one that is not called as it should be. */
export function lakeFiles(data: string): LakeFile[] {
  const root = join(data, "lake");
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => lakeFile(path, path.slice(root.length + 1)));
}

/** What a key says. */
export function lakeFile(path: string, key: string): LakeFile {
  const found = KEY.exec(key);
  if (found === null) throw new Error(`not the key of a segment: ${key}`);
  const [, exchange = "", stream = "", date = "", folder, first, run = "", ring, n] = found;
  const symbol = folder === undefined ? null : decodeURIComponent(folder);
  const numbers = { first: Number(first), ring: Number(ring), n: Number(n) };
  return { path, exchange, stream, date, symbol, run, ...numbers };
}

/** Checks one file: schema, codecs, row groups, metadata, order, day. Resolves to its number of rows. */
export async function auditFile(sql: Sql, file: LakeFile): Promise<number> {
  const { path, exchange, stream, date, symbol, first, run, ring, n } = file;
  const from = `read_parquet(${quoted(path)}, hive_partitioning = false, file_row_number = true)`;
  const dataset = stream in DATASET_COLUMNS;
  const columns = (dataset ? DATASET_COLUMNS : STREAM_COLUMNS)[stream]?.filter(
    ([name]) => symbol === null || name !== "symbol",
  );
  const described = await sql.rows(`DESCRIBE SELECT * FROM ${quoted(path)}`);
  const found = described
    .filter(
      ({ column_name }) =>
        !["exchange", "stream", "date", ...(symbol === null ? [] : ["symbol"])].includes(String(column_name)),
    )
    .map(({ column_name, column_type }) => [column_name, column_type]);
  expect(found, path).toEqual((columns ?? []).map(([name, type]) => [name, type]));

  // Path keys never stand inside the files, and times are adjusted to UTC.
  const stored = await sql.rows(
    `SELECT name, type, logical_type FROM parquet_schema(${quoted(path)}) WHERE type IS NOT NULL`,
  );
  expect(
    stored.map(({ name }) => name),
    path,
  ).toEqual((columns ?? []).map(([name]) => name));
  for (const [name, type] of columns ?? []) {
    if (type !== "TIMESTAMP WITH TIME ZONE") continue;
    const column = stored.find((one) => one.name === name);
    expect(column?.type, `${path} ${name}`).toBe("INT64");
    expect(String(column?.logical_type), `${path} ${name}`).toMatch(
      /isAdjustedToUTC=(1|true).*MICROS=MicroSeconds/,
    );
  }

  const codecs = await sql.rows(`SELECT DISTINCT compression FROM parquet_metadata(${quoted(path)})`);
  expect(codecs, path).toEqual([{ compression: "ZSTD" }]);
  const groups = (
    await sql.rows(
      `SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(${quoted(path)}) ORDER BY ALL`,
    )
  ).map(({ row_group_num_rows }) => Number(row_group_num_rows));
  expect(
    groups.slice(0, -1).every((rows) => rows === ROW_GROUP),
    `${path}: row groups ${groups}`,
  ).toBe(true);

  const content = await sql.row(
    `SELECT count(*) AS rows, epoch_us(min(local_timestamp)) AS first, epoch_us(max(local_timestamp)) AS last,
       count(*) FILTER (run <> '${run}') AS foreign_runs,
       count(DISTINCT strftime(local_timestamp AT TIME ZONE 'UTC', '%Y-%m-%d')) AS days,
       min(strftime(local_timestamp AT TIME ZONE 'UTC', '%Y-%m-%d')) AS day
     FROM ${from}`,
  );
  expect(content, path).toMatchObject({ first, foreign_runs: 0, days: 1, day: date });
  expect(groups.reduce((a, b) => a + b, 0)).toBe(Number(content.rows));
  expect(groups.at(-1), path).toBeGreaterThan(0);

  const metadata = Object.fromEntries(
    (
      await sql.rows(
        `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata(${quoted(path)})`,
      )
    ).map(({ key, value }) => [String(key), value]),
  );
  const expected: Record<string, string> = {
    schema_version: "v1",
    tapedeck_version: manifest.version,
    exchange,
    stream,
    run,
    ring: String(ring),
    n: String(n),
    rows: String(content.rows),
    first_local_timestamp: String(content.first),
    last_local_timestamp: String(content.last),
    ...(symbol === null ? {} : { symbol }),
  };
  if (!dataset) {
    const seq = await sql.row(
      `SELECT min(seq) AS first, max(seq) AS last, count(DISTINCT seq) AS seqs, min(ring) AS ring, max(ring) AS to_ring
       FROM ${from}`,
    );
    expect(seq, path).toMatchObject({ ring, to_ring: ring, seqs: content.rows });
    expected.first_seq = String(seq.first);
    expected.last_seq = String(seq.last);
    const order = symbol === null ? "symbol, local_timestamp, seq" : "local_timestamp, seq";
    const unsorted = await sql.number(
      `SELECT count(*) FROM (
         SELECT (${order}) <= lag((${order})) OVER (ORDER BY file_row_number)
           AS back FROM ${from}
       ) WHERE back`,
    );
    expect(unsorted, `${path}: rows out of order`).toBe(0);
    const back = await sql.number(
      `SELECT count(*) FROM (
         SELECT local_timestamp < lag(local_timestamp) OVER (ORDER BY seq) AS back FROM ${from}
       ) WHERE back`,
    );
    expect(back, `${path}: local_timestamp goes back`).toBe(0);
  }
  expect(metadata, path).toMatchObject(expected);
  return Number(content.rows);
}

/** What a lake holds of its streams, datasets aside. */
export interface LakeContent {
  readonly files: readonly LakeFile[];
  /** Rows of streams. */
  readonly rows: number;
  /** Rows by stream or dataset. */
  readonly byStream: Readonly<Record<string, number>>;
  /** Numbers missing before the last row of each ring: counted drops and nothing else. */
  readonly holes: number;
}

/** Checks all files of a lake, and that (run, ring, seq) is a key and segments follow each other. */
export async function auditLake(sql: Sql, data: string): Promise<LakeContent> {
  const files = lakeFiles(data);
  const byStream: Record<string, number> = {};
  for (const file of files) {
    byStream[file.stream] = (byStream[file.stream] ?? 0) + (await auditFile(sql, file));
  }
  const segments = Map.groupBy(files, ({ run, ring }) => `${run}/${ring}`);
  for (const [ring, ofRing] of segments) {
    // Of a segment with a file for each symbol there are several.
    const flat = ofRing.filter(({ symbol }) => symbol === null).map(({ n }) => n);
    const divided = new Set(ofRing.filter(({ symbol }) => symbol !== null).map(({ n }) => n));
    const numbers = [...flat, ...divided].sort((a, b) => a - b);
    expect(numbers, ring).toEqual(numbers.map((_, index) => index));
    expect(new Set(ofRing.map(({ stream }) => stream)).size, ring).toBe(1);
  }
  let rows = 0;
  let holes = 0;
  for (const stream of Object.keys(byStream).filter((name) => name in STREAM_COLUMNS)) {
    const paths = files.filter((file) => file.stream === stream).map(({ path }) => quoted(path));
    const from = `read_parquet([${paths.join(", ")}], hive_partitioning = false, filename = true)`;
    for (const ring of await sql.rows(
      `SELECT run, ring, count(*) AS rows, count(DISTINCT seq) AS seqs, max(seq) + 1 AS numbers, min(seq) AS least
       FROM ${from} GROUP BY ALL`,
    )) {
      expect(ring.seqs, `doubles in ${stream}`).toBe(ring.rows);
      expect(Number(ring.least)).toBeGreaterThanOrEqual(0);
      rows += Number(ring.rows);
      holes += Number(ring.numbers) - Number(ring.rows);
    }
    // Segments of a ring do not overlap: each seq of a later one is above those of the one before.
    const overlaps = await sql.number(
      `SELECT count(*) FROM (
         SELECT low <= lag(high) OVER (PARTITION BY run, ring ORDER BY low) AS over FROM (
           SELECT run, ring, segment, min(seq) AS low, max(seq) AS high FROM (
             SELECT *, regexp_extract(filename, '_(\\d+)\\.parquet$', 1) AS segment FROM ${from}
           ) GROUP BY ALL
         )
       ) WHERE over`,
    );
    expect(overlaps, `overlapping segments of ${stream}`).toBe(0);
  }
  return { files, rows, byStream, holes };
}
