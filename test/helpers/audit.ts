/** Checks of a lake that must hold for every file of every recording, whatever was recorded. */
import { expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { type LakeRow, quoted, type Sql } from "./lake.ts";
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
  const [rows = 0] = await auditFiles(sql, [file]);
  return rows;
}

/** The same for many files; resolves to the rows of each. Files of one shape are read together: a query costs more than a file. */
async function auditFiles(sql: Sql, files: readonly LakeFile[]): Promise<number[]> {
  const rows = new Map<string, number>();
  const shapes = Map.groupBy(files, ({ stream, symbol }) => `${stream} ${symbol === null}`);
  for (const alike of shapes.values()) {
    await auditSchemas(sql, alike);
    for (const [path, count] of await auditContents(sql, alike)) rows.set(path, count);
  }
  return files.map(({ path }) => rows.get(path) ?? 0);
}

const listOf = (files: readonly LakeFile[]): string =>
  `[${files.map(({ path }) => quoted(path)).join(", ")}]`;

/** Rows of a query by the file of which they tell; fails where it tells nothing of one. */
async function byFile(
  sql: Sql,
  files: readonly LakeFile[],
  query: string,
): Promise<(file: LakeFile) => LakeRow[]> {
  const found = Map.groupBy(await sql.rows(query), ({ file }) => String(file));
  return ({ path }) => {
    const rows = found.get(path);
    if (rows === undefined) throw new Error(`nothing of ${path} among ${files.length} files: ${query}`);
    return rows.map(({ file: _, ...row }) => row);
  };
}

/** Checks names and types of the columns of files of one shape. */
async function auditSchemas(sql: Sql, files: readonly LakeFile[]): Promise<void> {
  const [first] = files;
  if (first === undefined) return;
  const { stream, symbol } = first;
  const columns = (stream in DATASET_COLUMNS ? DATASET_COLUMNS : STREAM_COLUMNS)[stream]?.filter(
    ([name]) => symbol === null || name !== "symbol",
  );
  const described = await sql.rows(`DESCRIBE SELECT * FROM ${quoted(first.path)}`);
  const found = described
    .filter(
      ({ column_name }) =>
        !["exchange", "stream", "date", ...(symbol === null ? [] : ["symbol"])].includes(String(column_name)),
    )
    .map(({ column_name, column_type }) => [column_name, column_type]);
  expect(found, first.path).toEqual((columns ?? []).map(([name, type]) => [name, type]));

  const storedOf = await byFile(
    sql,
    files,
    `SELECT file_name AS file, name, type, logical_type, converted_type, duckdb_type
     FROM parquet_schema(${listOf(files)}) WHERE type IS NOT NULL ORDER BY file_name, column_id`,
  );
  const stored = storedOf(first);
  // Path keys never stand inside the files, and times are adjusted to UTC.
  expect(
    stored.map(({ name }) => name),
    first.path,
  ).toEqual((columns ?? []).map(([name]) => name));
  for (const [name, type] of columns ?? []) {
    if (type !== "TIMESTAMP WITH TIME ZONE") continue;
    const column = stored.find((one) => one.name === name);
    expect(column?.type, `${first.path} ${name}`).toBe("INT64");
    expect(String(column?.logical_type), `${first.path} ${name}`).toMatch(
      /isAdjustedToUTC=(1|true).*MICROS=MicroSeconds/,
    );
  }
  for (const file of files) expect(storedOf(file), `schema of ${file.path}`).toEqual(stored);
}

/** Checks rows, row groups and metadata of files of one shape; resolves to the rows of each. */
async function auditContents(sql: Sql, files: readonly LakeFile[]): Promise<Map<string, number>> {
  const [{ stream, symbol: divided } = { stream: "", symbol: null }] = files;
  const dataset = stream in DATASET_COLUMNS;
  const list = listOf(files);
  const from = `read_parquet(${list}, hive_partitioning = false, file_row_number = true, filename = true)`;
  const codecsOf = await byFile(
    sql,
    files,
    `SELECT DISTINCT file_name AS file, compression FROM parquet_metadata(${list})`,
  );
  const groupsOf = await byFile(
    sql,
    files,
    `SELECT DISTINCT file_name AS file, row_group_id, row_group_num_rows AS rows FROM parquet_metadata(${list})
     ORDER BY file, row_group_id`,
  );
  const metadataOf = await byFile(
    sql,
    files,
    `SELECT file_name AS file, decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata(${list})`,
  );
  const contentOf = await byFile(
    sql,
    files,
    `SELECT filename AS file, count(*) AS rows, epoch_us(min(local_timestamp)) AS first,
       epoch_us(max(local_timestamp)) AS last, list_sort(list(DISTINCT run)).array_to_string(' ') AS runs,
       count(DISTINCT strftime(local_timestamp AT TIME ZONE 'UTC', '%Y-%m-%d')) AS days,
       min(strftime(local_timestamp AT TIME ZONE 'UTC', '%Y-%m-%d')) AS day
     FROM ${from} GROUP BY filename`,
  );
  const order = divided === null ? "symbol, local_timestamp, seq" : "local_timestamp, seq";
  const seqsOf = dataset
    ? null
    : await byFile(
        sql,
        files,
        `SELECT filename AS file, min(seq) AS first, max(seq) AS last, count(DISTINCT seq) AS seqs,
           min(ring) AS ring, max(ring) AS to_ring,
           count(*) FILTER (unsorted) AS unsorted, count(*) FILTER (back) AS back
         FROM (
           SELECT filename, seq, ring,
             (${order}) <= lag((${order})) OVER (PARTITION BY filename ORDER BY file_row_number) AS unsorted,
             local_timestamp < lag(local_timestamp) OVER (PARTITION BY filename ORDER BY seq) AS back
           FROM ${from}
         ) GROUP BY filename`,
      );
  const counts = new Map<string, number>();
  for (const file of files) {
    const { path, exchange, date, symbol, first, run, ring, n } = file;
    expect(codecsOf(file), path).toEqual([{ compression: "ZSTD" }]);
    const groups = groupsOf(file).map(({ rows }) => Number(rows));
    expect(
      groups.slice(0, -1).every((rows) => rows === ROW_GROUP),
      `${path}: row groups ${groups}`,
    ).toBe(true);
    const [content] = contentOf(file);
    expect(content, path).toMatchObject({ first, runs: run, days: 1, day: date });
    expect(groups.reduce((a, b) => a + b, 0)).toBe(Number(content?.rows));
    expect(groups.at(-1), path).toBeGreaterThan(0);
    const metadata = Object.fromEntries(metadataOf(file).map(({ key, value }) => [String(key), value]));
    const expected: Record<string, string> = {
      schema_version: "v1",
      tapedeck_version: manifest.version,
      exchange,
      stream,
      run,
      ring: String(ring),
      n: String(n),
      rows: String(content?.rows),
      first_local_timestamp: String(content?.first),
      last_local_timestamp: String(content?.last),
      ...(symbol === null ? {} : { symbol }),
    };
    if (seqsOf !== null) {
      const [seq] = seqsOf(file);
      // Rows in order; by their numbers their times do not go back.
      const sound = { ring, to_ring: ring, seqs: content?.rows ?? -1, unsorted: 0, back: 0 };
      expect(seq, path).toMatchObject(sound);
      expected.first_seq = String(seq?.first);
      expected.last_seq = String(seq?.last);
    }
    expect(metadata, path).toMatchObject(expected);
    counts.set(path, Number(content?.rows));
  }
  return counts;
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
  const counts = await auditFiles(sql, files);
  for (const [index, { stream }] of files.entries())
    byStream[stream] = (byStream[stream] ?? 0) + (counts[index] ?? 0);
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
