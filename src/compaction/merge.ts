/** Many files into one, by DuckDB, and the proof that it holds their rows: each once, none besides. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { z } from "zod";
import { SCHEMA_VERSION, type Stream } from "../events/streams.ts";
import { parseKey } from "../storage/names.ts";
import { columnsOfFile, sqlName, sqlText } from "../storage/projection.ts";
import { CompactionError } from "./steps.ts";

/** Rows of a row group, as in the files of segments. */
const ROW_GROUP_ROWS = 122_880;

const whole = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number);
const factsSchema = z.object({
  schema_version: z.literal(SCHEMA_VERSION),
  exchange: z.string(),
  stream: z.string(),
  symbol: z.string().optional(),
  run: z.string(),
  ring: whole,
  n: whole,
  rows: whole,
  first_local_timestamp: whole,
  last_local_timestamp: whole,
  first_seq: whole,
  last_seq: whole,
});

/** What the metadata of a segment's file says. */
export type SegmentFacts = z.output<typeof factsSchema>;

/** A segment's file at hand. */
export interface Part extends SegmentFacts {
  readonly key: string;
  /** Where it can be read. */
  readonly path: string;
  readonly bytes: number;
  /** Hexadecimal, of its content as it was read. */
  readonly sha256: string;
}

/** A file that is to take the place of others. */
export interface Successor {
  readonly key: string;
  readonly stream: Stream;
  readonly parts: readonly Part[];
}

const MEND = "nothing is replaced; tapedeck verify says what is wrong";

/**
 * Reads the metadata of a segment's file and compares it with its key.
 *
 * @throws CompactionError that names it
 */
export async function readFacts(
  connection: DuckDBConnection,
  key: string,
  path: string,
): Promise<SegmentFacts> {
  const reader = await connection.runAndReadAll(
    `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata(${sqlText(path)})`,
  );
  const pairs = reader.getRowObjects().map(({ key: name, value }) => [String(name), String(value)]);
  const facts = factsSchema.safeParse(Object.fromEntries(pairs));
  const parts = parseKey(key);
  if (!facts.success || parts === null)
    throw new CompactionError(`${key} has not the metadata of a segment's file; ${MEND}`);
  const { exchange, stream, symbol = null, run, ring, n, first_local_timestamp } = facts.data;
  const same =
    exchange === parts.exchange &&
    stream === parts.stream &&
    symbol === parts.symbol &&
    run === parts.run &&
    ring === parts.ring &&
    n === parts.n &&
    first_local_timestamp === parts.firstLocal;
  if (!same) throw new CompactionError(`${key} is another segment by its metadata; ${MEND}`);
  return facts.data;
}

/** Of two files of one ring none may have numbers of the other: their rows would be there twice. @throws CompactionError */
export function refuseOverlaps(parts: readonly Part[]): void {
  const rings = Map.groupBy(parts, ({ run, ring }) => `${run} ${ring}`);
  for (const ring of rings.values()) {
    let before: Part | null = null;
    for (const part of ring.toSorted((a, b) => a.first_seq - b.first_seq)) {
      if (before !== null && part.first_seq <= before.last_seq)
        throw new CompactionError(`${part.key} has numbers of ${before.key}; ${MEND}`);
      before = part;
    }
  }
}

function fileList(paths: readonly string[]): string {
  return `read_parquet([${paths.map(sqlText).join(", ")}], hive_partitioning = false)`;
}

/** Which segments are in a compacted file, for its metadata: `{run: [[ring, n, first µs, rows, first seq, last seq], …]}`. */
function sourcesText(parts: readonly Part[]): string {
  const runs = Map.groupBy(parts, ({ run }) => run);
  const lists = [...runs].map(([run, list]) => [
    run,
    list.map(({ ring, n, first_local_timestamp, rows, first_seq, last_seq }) => [
      ring,
      n,
      first_local_timestamp,
      rows,
      first_seq,
      last_seq,
    ]),
  ]);
  return JSON.stringify(Object.fromEntries(lists));
}

/** Columns of a successor as SQL, and those by which its rows are sorted; where its path has the symbol its rows have not. */
function columnsIn({ key, stream }: Successor): { readonly all: string; readonly order: string } {
  const symbol = parseKey(key)?.symbol ?? null;
  const all = columnsOfFile(stream, symbol).map((column) => sqlName(column.name));
  return {
    all: all.join(", "),
    order: `${symbol === null ? "symbol, " : ""}local_timestamp, run, ring, seq`,
  };
}

/** Writes the rows of all parts as one file, sorted by symbol, local_timestamp, run, ring, seq. */
export async function writeMerged(
  connection: DuckDBConnection,
  successor: Successor,
  path: string,
  version: string,
): Promise<void> {
  const { key, stream, parts } = successor;
  const name = parseKey(key);
  if (name === null) throw new Error(`not a key of a lake: ${key}`);
  const metadata: Record<string, string> = {
    schema_version: SCHEMA_VERSION,
    tapedeck_version: version,
    exchange: name.exchange,
    stream,
    ...(name.symbol === null ? {} : { symbol: name.symbol }),
    run: name.run,
    ring: String(name.ring),
    n: String(name.n),
    rows: String(sum(parts)),
    first_local_timestamp: String(Math.min(...parts.map((part) => part.first_local_timestamp))),
    last_local_timestamp: String(Math.max(...parts.map((part) => part.last_local_timestamp))),
    sources: sourcesText(parts),
  };
  const pairs = Object.entries(metadata).map(([entry, text]) => `${entry}: ${sqlText(text)}`);
  const columns = columnsIn(successor);
  await connection.run(
    `COPY (SELECT ${columns.all} FROM ${fileList(parts.map((part) => part.path))} ORDER BY ${columns.order})
     TO ${sqlText(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${ROW_GROUP_ROWS}, KV_METADATA {${pairs.join(", ")}})`,
  );
}

/** Rows of some parts. */
export function sum(parts: readonly { readonly rows: number }[]): number {
  return parts.reduce((rows, part) => rows + part.rows, 0);
}

/**
 * Compares a written file with the files it was made of: number of rows, checksums over the keys and over all columns
 * (sum
 * and exclusive-or of 64-bit hashes of the rows: what is missing, doubled or altered shows), rows and range of `seq` of each
 * ring, the order of rows.
 *
 * @throws CompactionError that says what differs
 */
export async function checkMerged(
  connection: DuckDBConnection,
  successor: Successor,
  path: string,
): Promise<void> {
  const { key, parts } = successor;
  const columns = columnsIn(successor);
  const sums = async (paths: readonly string[]) => {
    const reader = await connection.runAndReadAll(
      `SELECT count(*), sum(hash(run, ring, seq)), bit_xor(hash(run, ring, seq)),
         sum(hash(${columns.all})), bit_xor(hash(${columns.all})) FROM ${fileList(paths)}`,
    );
    return (reader.getRows()[0] ?? []).map(String);
  };
  const differs = (what: string) =>
    new CompactionError(`${key} does not hold what it was made of (${what}); ${MEND}`);
  const wanted = await sums(parts.map((part) => part.path));
  const found = await sums([path]);
  if (wanted[0] !== String(sum(parts)))
    throw new CompactionError(
      `the files that ${key} is made of have ${wanted[0]} rows; their metadata says ${sum(parts)}; ${MEND}`,
    );
  if (wanted.join() !== found.join()) throw differs(`${found.join()} instead of ${wanted.join()}`);
  const order = await connection.runAndReadAll(
    `SELECT count(*) FROM (
       SELECT (${columns.order}) <= lag((${columns.order})) OVER () AS back
       FROM ${fileList([path])}) WHERE back`,
  );
  const unsorted = Number(order.getRows()[0]?.[0]);
  if (unsorted !== 0) throw differs(`${unsorted} rows are out of order or twice there`);
  const reader = await connection.runAndReadAll(
    `SELECT run || ' ' || ring, count(*), min(seq), max(seq) FROM ${fileList([path])} GROUP BY ALL ORDER BY 1`,
  );
  const rings = reader.getRows().map((row) => row.map(String).join());
  const named = [...Map.groupBy(parts, ({ run, ring }) => `${run} ${ring}`)]
    .map(([ring, list]) =>
      [
        ring,
        sum(list),
        Math.min(...list.map((part) => part.first_seq)),
        Math.max(...list.map((part) => part.last_seq)),
      ].join(),
    )
    .sort();
  if (rings.toSorted().join(";") !== named.join(";"))
    throw differs(`rings ${rings.join(";")} instead of ${named.join(";")}`);
}
