/** Reads the rows of files: keys, order, holes; with `deep` every column, and the SHA-256 of the whole file. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { z } from "zod";
import { STREAMS } from "../events/streams.ts";
import { dateOf } from "../storage/names.ts";
import { sqlText } from "../storage/projection.ts";
import { type Catalog, type CatalogFile, IS_DIVIDED } from "./catalog.ts";
import type { FaultKind } from "./report.ts";
import { type LakeSource, sha256Of } from "./source.ts";

/** Holes of a file that are named one by one; more are taken together. */
const HOLES_MAX = 1000;

const number = z.coerce.number();
const streamSchema = z.object({
  rows: number,
  numbers: number,
  unsorted: number,
  unsorted_at: number.nullable(),
  strange: number,
  keyless: number,
});
const datasetSchema = streamSchema.omit({ numbers: true });
const holeSchema = z.object({ first: number, missing: number, from_us: number, to_us: number });

const MEND =
  "take the file from the other destination or from a copy; if there is none, move it out of the lake: what it held is then missing";

/** Checks the rows of a file whose footer is sound; `deep` also every byte of it. */
export async function checkContent(
  connection: DuckDBConnection,
  catalog: Catalog,
  source: LakeSource,
  file: CatalogFile,
  deep: boolean,
): Promise<void> {
  const copy = await source.content(file);
  // It was moved or deleted meanwhile; what that means the claims tell.
  if (copy === null) return;
  const fault = (kind: FaultKind, message: string, mend = MEND) =>
    catalog.fault({ kind, file: file.key, where: source.where, message, mend });
  try {
    if (deep) {
      const sha256 = await sha256Of(copy.path);
      if (copy.sha256 !== null && copy.sha256 !== sha256)
        fault("hash", `its SHA-256 is ${sha256}; noted at the object is ${copy.sha256}`);
      catalog.db.query("UPDATE files SET sha256 = ? WHERE key = ?").run(sha256, file.key);
    }
    const from = `read_parquet(${sqlText(copy.path)}, hive_partitioning = false)`;
    if (deep) await connection.run(`SELECT bit_xor(hash(COLUMNS(*))) FROM ${from}`);
    if (file.role === "compacted") await checkCompacted(connection, catalog, file, from, fault);
    else if (file.stream in STREAMS) await checkStream(connection, catalog, file, from, fault);
    else await checkDataset(connection, file, from, fault);
  } catch (error) {
    if ((await source.size(file.key)) === null) return;
    if (!isDuckDb(error)) throw error;
    fault("unreadable", `its rows cannot be read: ${error.message.split("\n")[0]}`);
  } finally {
    await copy.done();
  }
}

type Report = (kind: FaultKind, message: string, mend?: string) => void;

/** Rows of the wrong run, ring or day. */
function strange({ run, ring, date }: CatalogFile, hasRing: boolean): string {
  return (
    `count(*) FILTER (run IS DISTINCT FROM ${sqlText(run)}${hasRing ? ` OR ring IS DISTINCT FROM ${ring}` : ""}` +
    ` OR ${isOfOtherDay(date)}) AS strange`
  );
}

function outsideDay({ date }: CatalogFile): string {
  return `count(*) FILTER (${isOfOtherDay(date)})`;
}

function isOfOtherDay(date: string): string {
  return (
    `local_timestamp < ${sqlText(date)}::TIMESTAMP AT TIME ZONE 'UTC'` +
    ` OR local_timestamp >= (${sqlText(date)}::TIMESTAMP + INTERVAL 1 DAY) AT TIME ZONE 'UTC'`
  );
}

async function checkStream(
  connection: DuckDBConnection,
  catalog: Catalog,
  file: CatalogFile,
  from: string,
  fault: Report,
): Promise<void> {
  // A window without an order goes through the rows as they stand, in pieces: memory does not grow with the file.
  const [found] = await ask(
    connection,
    streamSchema,
    `SELECT count(*) AS rows, count(DISTINCT seq) AS numbers,
       count(*) FILTER (back) AS unsorted, min(seq) FILTER (back) AS unsorted_at,
       ${strange(file, true)},
       count(*) FILTER (symbol IS NULL OR local_timestamp IS NULL OR seq IS NULL) AS keyless
     FROM (SELECT *, (symbol, local_timestamp, seq) <= lag((symbol, local_timestamp, seq)) OVER () AS back
           FROM (SELECT ${symbolIn(file)}, local_timestamp, seq, run, ring FROM ${from}))`,
  );
  if (found === undefined) return;
  const { rows, numbers } = found;
  if (rows !== file.rows) fault("rows", `${rows} rows can be read; its footer says ${file.rows}`);
  if (numbers !== rows)
    fault("duplicate", `${rows - numbers} of its ${rows} rows have a seq that another one has too`);
  common(found, file, fault);
  await holesInside(connection, catalog, file, from);
}

const ringSchema = z.object({ run: z.string(), ring: number, rows: number, first: number, last: number });

/** The rows of several segments: each ring as its record says, then what each segment lacks. */
async function checkCompacted(
  connection: DuckDBConnection,
  catalog: Catalog,
  file: CatalogFile,
  from: string,
  fault: Report,
): Promise<void> {
  const [found] = await ask(
    connection,
    datasetSchema.extend({ rows: number }),
    `SELECT count(*) AS rows, count(*) FILTER (back) AS unsorted, min(seq) FILTER (back) AS unsorted_at,
       ${outsideDay(file)} AS strange,
       count(*) FILTER (symbol IS NULL OR local_timestamp IS NULL OR run IS NULL OR ring IS NULL OR seq IS NULL) AS keyless
     FROM (SELECT *, (symbol, local_timestamp, run, ring, seq) <= lag((symbol, local_timestamp, run, ring, seq)) OVER () AS back
           FROM (SELECT ${symbolIn(file)}, local_timestamp, seq, run, ring FROM ${from}))`,
  );
  if (found === undefined) return;
  if (found.rows !== file.rows) fault("rows", `${found.rows} rows can be read; its footer says ${file.rows}`);
  common(found, file, fault);
  const rings = await ask(
    connection,
    ringSchema,
    `SELECT run, ring, count(*) AS rows, min(seq) AS first, max(seq) AS last FROM ${from}
     WHERE run IS NOT NULL AND ring IS NOT NULL GROUP BY ALL`,
  );
  const segments = catalog.within(file.key);
  const told = Map.groupBy(segments, ({ run, ring }) => `${run} ${ring}`);
  for (const { run, ring, rows, first, last } of rings) {
    const list = told.get(`${run} ${ring}`) ?? [];
    const wanted = list.reduce((sum, segment) => sum + (segment.rows ?? 0), 0);
    if (rows !== wanted || first !== list[0]?.first_seq || last !== list.at(-1)?.last_seq)
      fault(
        "content",
        `it has ${rows} rows of ring ${ring} of ${run}, seq ${first} to ${last}; its record names ${wanted}, seq ${list[0]?.first_seq} to ${list.at(-1)?.last_seq}`,
      );
  }
  if (rings.length < told.size)
    fault("content", `it has rows of ${rings.length} rings; its record names ${told.size}`);
  for (const segment of segments) await holesInside(connection, catalog, segment, from);
}

async function checkDataset(
  connection: DuckDBConnection,
  file: CatalogFile,
  from: string,
  fault: Report,
): Promise<void> {
  const [found] = await ask(
    connection,
    datasetSchema,
    `SELECT count(*) AS rows, count(*) FILTER (back) AS unsorted, NULL AS unsorted_at,
       ${strange(file, false)}, count(*) FILTER (local_timestamp IS NULL) AS keyless
     FROM (SELECT *, local_timestamp < lag(local_timestamp) OVER () AS back
           FROM (SELECT local_timestamp, run FROM ${from}))`,
  );
  if (found === undefined) return;
  if (found.rows !== file.rows) fault("rows", `${found.rows} rows can be read; its footer says ${file.rows}`);
  common(found, file, fault);
}

function common(
  found: z.output<typeof datasetSchema>,
  { run, ring, date, role }: CatalogFile,
  fault: Report,
): void {
  const { unsorted, unsorted_at, strange: strangers, keyless } = found;
  if (unsorted > 0) {
    const at = unsorted_at === null ? "" : ` (the first at seq ${unsorted_at})`;
    const mend =
      "it was written by something else: take the file from a copy, or sort it by symbol, local_timestamp, seq and keep its metadata";
    fault("order", `${unsorted} rows are out of order${at}`, mend);
  }
  if (strangers > 0)
    fault(
      "content",
      role === "compacted"
        ? `${strangers} rows are not of ${date}`
        : `${strangers} rows are not of run ${run}, ring ${ring} or not of ${date}`,
    );
  if (keyless > 0) fault("content", `${keyless} rows lack symbol, local_timestamp or seq`);
}

/** Its column, or what the path says instead. */
function symbolIn({ symbol }: CatalogFile): string {
  return symbol === null ? "symbol" : `${sqlText(symbol)} AS symbol`;
}

async function holesInside(
  connection: DuckDBConnection,
  catalog: Catalog,
  file: CatalogFile,
  from: string,
): Promise<void> {
  // Numbers that a file of one symbol lacks are in those of the others: see divided.ts.
  if (missingIn(file) > 0 && !catalog.isDivided(file)) await findHoles(connection, catalog, file, from);
}

/** How many numbers of its range no row has. */
export function missingIn({ first_seq, last_seq, rows }: CatalogFile): number {
  return (last_seq ?? 0) - (first_seq ?? 0) + 1 - (rows ?? 0);
}

/** Brings the holes of a segment into the catalog; `from` has its rows. */
export async function findHoles(
  connection: DuckDBConnection,
  catalog: Catalog,
  segment: CatalogFile,
  from: string,
): Promise<void> {
  const { run, ring, first_seq, last_seq } = segment;
  const holes = await ask(
    connection,
    holeSchema,
    `WITH steps AS (
       SELECT lag(seq) OVER w AS before, seq, lag(local_timestamp) OVER w AS since, local_timestamp
       FROM ${from} WHERE run = ${sqlText(run)} AND ring = ${ring} AND seq BETWEEN ${first_seq} AND ${last_seq}
       WINDOW w AS (ORDER BY seq)
     ), holes AS (
       SELECT before + 1 AS first, seq - before - 1 AS missing, epoch_us(since) AS from_us, epoch_us(local_timestamp) AS to_us,
         row_number() OVER (ORDER BY seq) AS number
       FROM steps WHERE seq > before + 1
     )
     SELECT min(first) AS first, sum(missing) AS missing, min(from_us) AS from_us, max(to_us) AS to_us
     FROM holes GROUP BY least(number, ${HOLES_MAX}) ORDER BY 1`,
  );
  for (const { first, missing, from_us, to_us } of holes)
    catalog.hole({ key: segment.key, segments: "", firstSeq: first, missing, from: from_us, to: to_us });
}

/** What is known of holes where rows are not read: how many, and in which file. */
export function holesByFooter(catalog: Catalog): void {
  catalog.db.run(
    `INSERT INTO holes SELECT key, '', first_seq, last_seq - first_seq + 1 - rows, first_us, last_us FROM files f
     WHERE sound AND role = 'audit' AND last_seq - first_seq + 1 > rows AND NOT ${IS_DIVIDED}`,
  );
}

async function ask<T>(connection: DuckDBConnection, schema: z.ZodType<T>, query: string): Promise<T[]> {
  const reader = await connection.runAndReadAll(query);
  return z.array(schema).parse(reader.getRowObjectsJson());
}

/** Errors of DuckDB say what they are in front. */
function isDuckDb(error: unknown): error is Error {
  return error instanceof Error && /^(\w+ )+(Error|Exception):/.test(error.message);
}

/** Whether the date of a file's name is that of its folder: else every row is of another day, which its key tells already. */
export function isInItsDay({ first_us, date }: CatalogFile): boolean {
  return dateOf(first_us) === date;
}
