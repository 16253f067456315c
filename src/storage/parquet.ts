/** Writing a segment's Parquet file, and checking what was written before anyone trusts it. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { SCHEMA_VERSION } from "../events/streams.ts";
import type { SegmentKey } from "./names.ts";
import { sqlText } from "./projection.ts";
import type { SegmentSpan } from "./segment.ts";

/** Rows of a row group: DuckDB's own, which its readers scan in parallel. */
const ROW_GROUP_ROWS = 122_880;

/** A sealed segment, ready to become a file. */
export interface SealedSegment {
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  readonly key: SegmentKey;
  readonly table: string;
  /** The rows as they are to stand in the file. */
  readonly query: string;
  readonly span: SegmentSpan;
  /** What its rows take in memory. */
  readonly bytes: number;
  /** Whether the rows carry seq: those of a stream do, those of a dataset do not. */
  readonly hasSeq: boolean;
}

/** Key-value metadata of a segment's file. */
export function fileMetadata(segment: SealedSegment, version: string): Record<string, string> {
  const { exchange, stream, key, span, hasSeq } = segment;
  return {
    schema_version: SCHEMA_VERSION,
    tapedeck_version: version,
    exchange,
    stream,
    run: key.run,
    ring: String(key.ring),
    n: String(key.n),
    rows: String(span.rows),
    first_local_timestamp: String(span.firstLocal),
    last_local_timestamp: String(span.lastLocal),
    ...(hasSeq ? { first_seq: String(span.firstSeq), last_seq: String(span.lastSeq) } : {}),
  };
}

/** Writes a sealed segment to `path`. */
export async function writeParquet(
  connection: DuckDBConnection,
  segment: SealedSegment,
  path: string,
  version: string,
): Promise<void> {
  const metadata = Object.entries(fileMetadata(segment, version)).map(
    ([name, text]) => `${name}: ${sqlText(text)}`,
  );
  await connection.run(
    `COPY (${segment.query}) TO ${sqlText(path)} ` +
      `(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${ROW_GROUP_ROWS}, KV_METADATA {${metadata.join(", ")}})`,
  );
}

/**
 * Checks a written file against what the segment says: its footer, the number of rows, the range of seq.
 *
 * @throws Error that names the file and what differs.
 */
export async function checkParquet(
  connection: DuckDBConnection,
  segment: SealedSegment,
  path: string,
): Promise<void> {
  const file = sqlText(path);
  const { span, hasSeq } = segment;
  const reader = await connection.runAndReadAll(
    `SELECT (SELECT num_rows FROM parquet_file_metadata(${file})), min(stats_min_value::BIGINT), max(stats_max_value::BIGINT)
     FROM parquet_metadata(${file}) WHERE path_in_schema = 'seq'`,
  );
  const [rows, firstSeq, lastSeq] = (reader.getRows()[0] ?? []).map(Number);
  if (rows !== span.rows) throw new Error(`${path} holds ${rows} rows; the segment has ${span.rows}`);
  if (hasSeq && (firstSeq !== span.firstSeq || lastSeq !== span.lastSeq)) {
    throw new Error(
      `${path} holds seq ${firstSeq} to ${lastSeq}; the segment has ${span.firstSeq} to ${span.lastSeq}`,
    );
  }
}
