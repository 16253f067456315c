/** Lakes to compact: recorded for real, and read as a stranger and by the rule. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type CompactionReport, type CompactOptions, compact } from "../../src/compaction/compact.ts";
import { STREAM_NAMES } from "../../src/events/streams.ts";
import { dateOf } from "../../src/lib/days.ts";
import { COMPACTED, currentFiles, parseRecord } from "../../src/storage/compacted.ts";
import { quoted, type Sql } from "../helpers/lake.ts";
import { settingsOf } from "../verify/lakes.ts";

/** A moment at which today is closed, epoch ms. */
export const later = (): number => Date.now() + 3 * 86_400_000;

/** Compacts a day of a data folder in this process, days later. */
export async function compactNow(
  set: Readonly<Record<string, string>>,
  options: Partial<CompactOptions> & Pick<CompactOptions, "date">,
): Promise<CompactionReport & { readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const report = await compact({
    settings: settingsOf(set),
    exchanges: ["binance"],
    streams: STREAM_NAMES,
    dryRun: false,
    version: "test",
    now: later(),
    signal: new AbortController().signal,
    say: (line) => void lines.push(line),
    ...options,
  });
  return { ...report, lines };
}

/** Keys below a lake's root, hidden ones aside. */
export function keysOf(lake: string): string[] {
  return readdirSync(lake, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name).slice(lake.length + 1))
    .sort();
}

/** Paths of the files that count by the rule. */
export function currentPaths(lake: string, stream: string): string[] {
  const keys = keysOf(lake);
  const listed = keys
    .filter((key) => key.includes(`/stream=${stream}/`) && key.endsWith(".parquet"))
    .map((key) => ({ key, bytes: statSync(join(lake, key)).size }));
  const records = keys
    .filter((key) => key.startsWith(COMPACTED))
    .map((key) => parseRecord(readFileSync(join(lake, key)), key))
    .filter(({ file }) => file.key.includes(`/stream=${stream}/`));
  return currentFiles(listed, records).map(({ key }) => join(lake, key));
}

/** What some files hold: every row in every column, in the order of their keys; and how many keys there are. */
export async function contentOf(sql: Sql, paths: readonly string[]) {
  const from = `read_parquet([${paths.map(quoted).join(", ")}], hive_partitioning = false)`;
  return sql.row(
    `SELECT count(*) AS rows, count(DISTINCT (run, ring, seq)) AS keys,
       md5(string_agg(t::VARCHAR, chr(10) ORDER BY run, ring, seq)) AS content FROM ${from} t`,
  );
}

/** Today, UTC. */
export const today = (): string => dateOf(Date.now() * 1000);
