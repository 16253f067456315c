/** Checks the footers of files: schema, metadata, and the statistics of row groups against both. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { z } from "zod";
import type { Column } from "../events/columns.ts";
import { DATASETS, type Dataset, SCHEMA_VERSION, STREAMS, type Stream } from "../events/streams.ts";
import { columnsOfFile, sqlText } from "../storage/projection.ts";
import type { Catalog, CatalogFile } from "./catalog.ts";
import type { FaultKind } from "./report.ts";
import { BrokenFile, type LakeSource, type LocalCopy } from "./source.ts";

const whole = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number);

/** Key-value metadata of a file, see storage/parquet.ts. */
const metadataSchema = z.object({
  schema_version: z.string(),
  tapedeck_version: z.string(),
  exchange: z.string(),
  stream: z.string(),
  symbol: z.string().optional(),
  run: z.string(),
  ring: whole,
  n: whole,
  rows: whole,
  first_local_timestamp: whole,
  last_local_timestamp: whole,
});
/** Rows of several rings: their ranges of seq stand in the record. */
const noSeq = { first_seq: null, last_seq: null };
const seqSchema = z.object({ first_seq: whole, last_seq: whole });

const readingSchema = z.object({
  file: z.string(),
  rows: z.coerce.number(),
  schema: z.array(z.string()).nullable(),
  compressions: z.array(z.string()).nullable(),
  metadata: z.array(z.object({ key: z.string(), value: z.string() })).nullable(),
  seq_min: z.coerce.number().nullable(),
  seq_max: z.coerce.number().nullable(),
  local_min: z.coerce.number().nullable(),
  local_max: z.coerce.number().nullable(),
  run_min: z.string().nullable(),
  run_max: z.string().nullable(),
});
type Reading = z.output<typeof readingSchema>;

/** DuckDB's long names of the types of schema v1. */
const TYPE_NAMES: Readonly<Record<string, string>> = { TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE" };
/** Parquet keeps a JSON as a text with a note that DuckDB's schema may or may not show. */
const JSON_TYPES: readonly string[] = ["JSON", "VARCHAR"];

const MEND =
  "take the file from the other destination or from a copy; if there is none, move it out of the lake: what it held is then missing, and verify says which seq";

/** Checks the footers of some files. Those that are what they must be are noted as sound. */
export async function checkFooters(
  connection: DuckDBConnection,
  catalog: Catalog,
  sources: readonly LakeSource[],
  files: readonly CatalogFile[],
): Promise<void> {
  const copies = await Promise.all(files.map((file) => footerOf(catalog, sources[file.source], file)));
  const byPath = new Map<string, { file: CatalogFile; copy: LocalCopy }>();
  for (const [index, copy] of copies.entries()) {
    const file = files[index];
    if (copy !== null && file !== undefined) byPath.set(copy.path, { file, copy });
  }
  try {
    for (const { path, reading, error } of await readAll(connection, [...byPath.keys()])) {
      const known = byPath.get(path);
      if (known === undefined) continue;
      const { file, copy } = known;
      const where = sources[file.source]?.where ?? "";
      if (reading === null) {
        // It may have been moved, or deleted by the retention, since it was listed.
        if ((await sources[file.source]?.size(file.key)) === null) continue;
        fault(catalog, where, file, "unreadable", `DuckDB cannot read its footer: ${error}`, MEND);
      } else {
        judge(catalog, where, file, reading, copy.sha256);
      }
    }
  } finally {
    await Promise.all([...byPath.values()].map(({ copy }) => copy.done()));
  }
}

async function footerOf(
  catalog: Catalog,
  source: LakeSource | undefined,
  file: CatalogFile,
): Promise<LocalCopy | null> {
  if (source === undefined) return null;
  try {
    return await source.footer(file);
  } catch (error) {
    if (!(error instanceof BrokenFile)) throw error;
    fault(catalog, source.where, file, "unreadable", error.message, MEND);
    return null;
  }
}

interface Read {
  readonly path: string;
  readonly reading: Reading | null;
  readonly error: string;
}

/** Reads footers together; where one of them is broken, each alone. */
async function readAll(connection: DuckDBConnection, paths: readonly string[]): Promise<Read[]> {
  if (paths.length === 0) return [];
  try {
    const readings = await read(connection, paths);
    return paths.map((path) => ({
      path,
      reading: readings.find(({ file }) => file === path) ?? null,
      error: "it says nothing",
    }));
  } catch (error) {
    if (paths.length === 1)
      return [
        {
          path: paths[0] ?? "",
          reading: null,
          error: firstLine(error),
        },
      ];
    const all: Read[] = [];
    for (const path of paths) all.push(...(await readAll(connection, [path])));
    return all;
  }
}

/** DuckDB shows the query below its message. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

async function read(connection: DuckDBConnection, paths: readonly string[]): Promise<Reading[]> {
  const list = `[${paths.map(sqlText).join(", ")}]`;
  // Statistics are texts, and a filter does not keep the other columns' from being converted.
  const stat = (column: string, end: "min" | "max", convert: (text: string) => string) =>
    `${end}(${convert(`stats_${end}_value`)}) FILTER (path_in_schema = '${column}')`;
  const asNumber = (text: string) => `TRY_CAST(${text} AS BIGINT)`;
  const asTime = (text: string) => `epoch_us(TRY_CAST(${text} AS TIMESTAMPTZ))`;
  const asText = (text: string) => text;
  const reader = await connection.runAndReadAll(`
    WITH totals AS (SELECT file_name, num_rows FROM parquet_file_metadata(${list})),
    columns AS (
      SELECT file_name, list(name || ' ' || duckdb_type ORDER BY column_id) AS schema
      FROM parquet_schema(${list}) WHERE duckdb_type IS NOT NULL GROUP BY file_name
    ), groups AS (
      SELECT file_name, list(DISTINCT compression) AS compressions,
        ${stat("seq", "min", asNumber)} AS seq_min, ${stat("seq", "max", asNumber)} AS seq_max,
        ${stat("local_timestamp", "min", asTime)} AS local_min,
        ${stat("local_timestamp", "max", asTime)} AS local_max,
        ${stat("run", "min", asText)} AS run_min, ${stat("run", "max", asText)} AS run_max
      FROM parquet_metadata(${list}) GROUP BY file_name
    ), pairs AS (
      SELECT file_name, list({key: decode(key), value: decode(value)}) AS metadata
      FROM parquet_kv_metadata(${list}) GROUP BY file_name
    )
    SELECT file_name AS file, num_rows AS rows, schema, compressions, metadata, seq_min, seq_max, local_min, local_max, run_min, run_max
    FROM totals LEFT JOIN columns USING (file_name) LEFT JOIN groups USING (file_name) LEFT JOIN pairs USING (file_name)`);
  return z.array(readingSchema).parse(reader.getRowObjectsJson());
}

/** What a file of this stream or dataset has to hold: `name TYPE`. */
function schemaOf({ stream, symbol }: CatalogFile): readonly Column[] {
  return stream in STREAMS ? columnsOfFile(stream as Stream, symbol) : DATASETS[stream as Dataset];
}

function schemaFault(file: CatalogFile, found: readonly string[]): string | null {
  const wanted = schemaOf(file);
  const names = found.map((column) => column.slice(0, column.indexOf(" ")));
  const missing = wanted.filter(({ name }) => !names.includes(name)).map(({ name }) => name);
  if (missing.length > 0) return `it lacks ${missing.join(", ")}`;
  const more = names.filter((name) => !wanted.some((column) => column.name === name));
  if (file.symbol !== null && more.includes("symbol")) return "it has the column symbol, as its path does";
  if (more.length > 0) return `it has ${more.join(", ")}, which schema ${SCHEMA_VERSION} does not have`;
  for (const [index, { name, type }] of wanted.entries()) {
    const [foundName, foundType] = [names[index], found[index]?.slice((names[index]?.length ?? 0) + 1) ?? ""];
    if (foundName !== name) return `its column ${index + 1} is ${foundName} instead of ${name}`;
    const right = type === "JSON" ? JSON_TYPES.includes(foundType) : foundType === (TYPE_NAMES[type] ?? type);
    if (!right) return `${name} is ${foundType} instead of ${type}`;
  }
  return null;
}

function judge(
  catalog: Catalog,
  where: string,
  file: CatalogFile,
  reading: Reading,
  sha256: string | null,
): void {
  const verdict = verdictOf(file, reading);
  if ("wrong" in verdict) fault(catalog, where, file, ...verdict.wrong);
  else catalog.sound(file.key, { ...verdict, sha256 });
}

/** What a footer says, or what is wrong with it: kind, message, mend. */
type Verdict =
  | { readonly wrong: readonly [FaultKind, string, string] }
  | {
      readonly rows: number;
      readonly last: number;
      readonly firstSeq: number | null;
      readonly lastSeq: number | null;
    };

function verdictOf(file: CatalogFile, reading: Reading): Verdict {
  const wrong = (kind: FaultKind, message: string, mend = MEND): Verdict => ({
    wrong: [kind, message, mend],
  });
  const { rows } = reading;
  if (rows === 0)
    return wrong("empty", `it is a Parquet file of ${file.bytes} bytes without rows: tapedeck writes none`);
  const schema = schemaFault(file, reading.schema ?? []);
  if (schema !== null) return wrong("schema", schema);
  const pairs = Object.fromEntries((reading.metadata ?? []).map(({ key, value }) => [key, value]));
  const parsed = metadataSchema.safeParse(pairs);
  const compacted = file.role === "compacted";
  const seq = file.stream in STREAMS && !compacted ? seqSchema.safeParse(pairs) : null;
  if (!parsed.success || seq?.success === false) {
    const issues = [...(parsed.error?.issues ?? []), ...(seq?.error?.issues ?? [])];
    const names = issues.map(({ path }) => path.join("."));
    return wrong("metadata", `its metadata lacks, or holds no number in: ${names.join(", ")}`);
  }
  const { data } = parsed;
  const other = otherThanNamed(file, data);
  if (other !== null) return wrong("metadata", `its metadata says ${other}`, renamed(data));
  if (data.rows !== rows) return wrong("rows", `it has ${rows} rows; its metadata says ${data.rows}`);
  const range = rangeFault(reading, data, seq?.data ?? null);
  if (range !== null) return wrong("range", range);
  const { run_min, run_max } = reading;
  if (!compacted && run_min !== null && (run_min !== data.run || run_max !== data.run))
    return wrong("content", `its rows are of run ${run_min} to ${run_max}; its metadata says ${data.run}`);
  const codecs = reading.compressions ?? [];
  if (codecs.some((codec) => codec !== "ZSTD"))
    return wrong(
      "schema",
      `it is packed by ${codecs.join(", ")} instead of ZSTD: tapedeck has not written it`,
    );
  const { first_seq: firstSeq, last_seq: lastSeq } = seq?.data ?? noSeq;
  return { rows, last: data.last_local_timestamp, firstSeq, lastSeq };
}

function otherThanNamed(file: CatalogFile, data: z.output<typeof metadataSchema>): string | null {
  const named: readonly (readonly [string, string | number, string | number])[] = [
    ["schema_version", data.schema_version, SCHEMA_VERSION],
    ["exchange", data.exchange, file.exchange],
    ["stream", data.stream, file.stream],
    ["symbol", data.symbol ?? "(none)", file.symbol ?? "(none)"],
    ["run", data.run, file.run],
    ["ring", data.ring, file.ring],
    ["n", data.n, file.n],
    ["first_local_timestamp", data.first_local_timestamp, file.first_us],
  ];
  const other = named.filter(([, inside, outside]) => inside !== outside);
  return other.length === 0
    ? null
    : other.map(([name, inside, outside]) => `${name} ${inside} instead of ${outside}`).join(", ");
}

function renamed(data: z.output<typeof metadataSchema>): string {
  const { exchange, stream, run, ring, n } = data;
  return (
    `it was renamed or copied: it is segment ${n} of ring ${ring} of ${run} (${exchange} ${stream}); ` +
    "give it back its name, or delete it if that file is there as well"
  );
}

/** The statistics of the row groups against the metadata. */
function rangeFault(
  reading: Reading,
  data: z.output<typeof metadataSchema>,
  seq: z.output<typeof seqSchema> | null,
): string | null {
  const { local_min, local_max, seq_min, seq_max } = reading;
  const { first_local_timestamp: first, last_local_timestamp: last } = data;
  if (local_min !== first || local_max !== last)
    return `its rows were received from ${local_min} to ${local_max} µs; its metadata says ${first} to ${last}`;
  if (seq === null) return null;
  if (seq_min !== seq.first_seq || seq_max !== seq.last_seq)
    return `its rows have seq ${seq_min} to ${seq_max}; its metadata says ${seq.first_seq} to ${seq.last_seq}`;
  const numbers = seq.last_seq - seq.first_seq + 1;
  return data.rows > numbers ? `it has ${data.rows} rows for ${numbers} numbers: some are there twice` : null;
}

function fault(
  catalog: Catalog,
  where: string,
  file: CatalogFile,
  kind: FaultKind,
  message: string,
  mend: string,
): void {
  if (file.role !== "gaps") catalog.fault({ kind, file: file.key, where, message, mend });
}
