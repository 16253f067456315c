import type { DuckDBConnection } from "@duckdb/node-api";
import { z } from "zod";
import { lakeKey } from "../storage/names.ts";
import { sqlText } from "../storage/projection.ts";
import type { PartitionFile } from "./partition.ts";
import { CompactionError } from "./steps.ts";

const sourcesSchema = z.record(z.string(), z.array(z.tuple([z.int(), z.int(), z.int()], z.int())));

/** Keys of the files that a compacted file was made of, by its own metadata. @throws CompactionError */
export async function readSources(
  connection: DuckDBConnection,
  file: PartitionFile,
): Promise<ReadonlySet<string>> {
  const { exchange, stream, symbol } = file.parts;
  const fault = new CompactionError(
    `${file.key} has no record, and its metadata does not say what it is made of; if the files of its day are there, delete it`,
  );
  const copy = await file.places[0]?.source.footer(file);
  if (copy === null || copy === undefined) throw fault;
  try {
    const reader = await connection.runAndReadAll(
      `SELECT decode(value) FROM parquet_kv_metadata(${sqlText(copy.path)}) WHERE decode(key) = 'sources'`,
    );
    const text = reader.getRows()[0]?.[0];
    const sources = sourcesSchema.safeParse(typeof text === "string" ? JSON.parse(text) : null);
    if (!sources.success) throw fault;
    return new Set(
      Object.entries(sources.data).flatMap(([run, list]) =>
        list.map(([ring, n, firstLocal]) =>
          lakeKey({ exchange, stream, firstLocal, key: { run, ring, n }, symbol }),
        ),
      ),
    );
  } finally {
    await copy.done();
  }
}
