/** Writing a segment's Parquet file, and checking what was written before anyone trusts it. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { SCHEMA_VERSION } from "../events/streams.ts";
import type { SegmentKey } from "./names.ts";
import type { FileRows, ParquetWriter } from "./parquet/file.ts";
import { ROW_GROUP_ROWS } from "./parquet/format.ts";
import { columnsInPath, sqlText } from "./projection.ts";
import type { SegmentSpan } from "./segment.ts";

/** What is to stand in a file: rows of a stream, or a query that gives those of a dataset. */
export type FileContent = FileRows | { readonly query: string };

/** A file of a sealed segment, ready to be written. */
export interface SealedSegment {
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  readonly key: SegmentKey;
  /** What all its rows are of, where its path tells it; null = the rows do. */
  readonly symbol: string | null;
  readonly content: FileContent;
  readonly span: SegmentSpan;
  /** Whether the rows carry seq: those of a stream do, those of a dataset do not. */
  readonly hasSeq: boolean;
}

/** Key-value metadata of a segment's file. */
export function fileMetadata(segment: SealedSegment, version: string): Record<string, string> {
  const { exchange, stream, key, symbol, span, hasSeq } = segment;
  return {
    schema_version: SCHEMA_VERSION,
    tapedeck_version: version,
    exchange,
    stream,
    ...(symbol === null ? {} : { symbol }),
    run: key.run,
    ring: String(key.ring),
    n: String(key.n),
    rows: String(span.rows),
    first_local_timestamp: String(span.firstLocal),
    last_local_timestamp: String(span.lastLocal),
    ...(hasSeq ? { first_seq: String(span.firstSeq), last_seq: String(span.lastSeq) } : {}),
  };
}

/** Who writes. */
export interface Writers {
  /** Rows of streams: many, whose encodings matter. */
  readonly streams: ParquetWriter;
  /** Rows of datasets: few, of more types. */
  readonly datasets: DuckDBConnection;
}

/** Writes a sealed segment to `path`. @param ended whether to give up */
export async function writeParquet(
  { streams, datasets }: Writers,
  segment: SealedSegment,
  path: string,
  version: string,
  ended: () => boolean,
): Promise<void> {
  const { content } = segment;
  const metadata = fileMetadata(segment, version);
  if ("rows" in content) {
    await streams.write(path, content, metadata, columnsInPath(segment.symbol), ended);
    return;
  }
  const pairs = Object.entries(metadata).map(([name, text]) => `${name}: ${sqlText(text)}`);
  await datasets.run(
    `COPY (${content.query}) TO ${sqlText(path)} ` +
      `(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${ROW_GROUP_ROWS}, KV_METADATA {${pairs.join(", ")}})`,
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
