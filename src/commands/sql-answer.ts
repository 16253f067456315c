/** What `tapedeck sql` does with a query. */
import { resolve } from "node:path";
import type { Settings } from "../config/schema.ts";
import { BoundError, FileError } from "../sql/copies.ts";
import { QueryError } from "../sql/engine.ts";
import { formatted } from "../sql/format.ts";
import { type Format, TABLE_ROWS } from "../sql/formats.ts";
import { fileSink, OutputError, pour, stdoutSink } from "../sql/output.ts";
import { Query } from "../sql/query.ts";
import type { TimeForm } from "../sql/values.ts";
import { DestinationError } from "../storage/destinations/destination.ts";
import { LakeError, openLake } from "../verify/lake.ts";
import { Failure, UsageError } from "./command.ts";
import { temporaryFolder } from "./temporary.ts";

/** Longest time between a signal and the end, ms. */
const STOP_MS = 2000;

/** The options that an answer depends on. */
interface Wanted {
  readonly lake?: string | undefined;
  readonly format?: Format | undefined;
  readonly output?: string | undefined;
  readonly limit?: number | undefined;
  readonly epoch?: true | undefined;
  readonly cost?: true | undefined;
}

/**
 * Answers a query; resolves to the exit code.
 *
 * @throws Failure or UsageError that names the mend
 */
export async function answer(sql: string, chosen: Wanted, settings: Settings): Promise<number> {
  let query: Query | null = null;
  let ended: number | null = null;
  let late = false;
  // A process must not end while DuckDB is at work: it is told to stop, and the rest follows.
  const scratch = temporaryFolder("sql", (code) => {
    ended = code;
    if (query?.busy !== true) process.exit(code);
    query.interrupt();
    // It may be fetching files.
    setTimeout(() => process.exit(code), STOP_MS);
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    const lake = await openLake(chosen.lake, settings, scratch);
    try {
      const format = chosen.format ?? "table";
      query = new Query({
        sql,
        sources: lake.sources,
        folder: scratch.folder,
        result: format === "parquet" ? scratch.path(".parquet") : null,
        limits: settings.sql,
      });
      await query.prepare();
      timer = setTimeout(() => {
        late = true;
        query?.interrupt();
      }, settings.sql.timeout);
      await write(query, format, chosen);
      if (chosen.cost === true) {
        const { files, fileBytes, downloaded } = query.cost;
        process.stderr.write(
          `${files} files of ${fileBytes} bytes; ${downloaded} bytes of them downloaded\n`,
        );
      }
      return 0;
    } catch (error) {
      throw query === null ? error : query.explain(error);
    } finally {
      query?.close();
      lake.close();
    }
  } catch (error) {
    if (ended !== null) return ended;
    if (late)
      throw new Failure(
        `the query took longer than sql.timeout (${settings.sql.timeout / 1000} s): narrow it, or allow more with ` +
          "--set sql.timeout=30m",
      );
    throw failureOf(error);
  } finally {
    clearTimeout(timer);
    scratch.close();
  }
}

async function write(query: Query, format: Format, chosen: Wanted): Promise<void> {
  const limit = chosen.limit ?? (format === "table" ? TABLE_ROWS : 0);
  const times: TimeForm = chosen.epoch === true ? "epoch" : "iso";
  const rows = limit === 0 ? null : limit;
  const sink = chosen.output === undefined ? stdoutSink : await fileSink(resolve(chosen.output));
  try {
    if (format === "parquet") await pour(await query.writeParquet(rows), sink);
    else
      for await (const piece of formatted(format, await query.rows(), { times, limit: rows }))
        await sink.write(piece);
    await sink.done();
  } catch (error) {
    await sink.drop();
    throw error;
  }
}

function failureOf(error: unknown): unknown {
  if (error instanceof LakeError) return new UsageError([error.message]);
  if (error instanceof DestinationError) return new Failure(`the lake cannot be read: ${error.message}`);
  const isTold = [QueryError, FileError, BoundError, OutputError].some((kind) => error instanceof kind);
  return isTold && error instanceof Error ? new Failure(error.message) : error;
}
