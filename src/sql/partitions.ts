/** Partitions and files of a lake, listed only where a query needs them. */
import { SCHEMA_VERSION } from "../events/streams.ts";
import {
  type CompactionRecord,
  currentFiles,
  parseRecord,
  RECORD_MAX,
  recordPrefix,
} from "../storage/compacted.ts";
import { parseKey } from "../storage/names.ts";
import type { LakeSource } from "../verify/source.ts";
import { FileError } from "./copies.ts";
import { isKind, type Kind } from "./kinds.ts";
import { inParallel } from "./parallel.ts";

/** A day of one stream of one exchange. */
export interface Day {
  readonly exchange: string;
  readonly kind: Kind;
  /** UTC. */
  readonly date: string;
}

/** A folder of files. */
export interface Partition extends Day {
  /** The symbol whose folder it is; null = the folder of the day itself, whose files say it row by row. */
  readonly symbol: string | null;
}

/** A file of the lake. */
export interface QueryFile {
  readonly key: string;
  readonly bytes: number;
  readonly partition: Partition;
  /** Who has it, in the order of the destinations; the others are asked where one has it no more. */
  readonly sources: readonly LakeSource[];
}

/** Prefix of a day's keys. */
export function prefixOf({ exchange, kind, date }: Day): string {
  return `${SCHEMA_VERSION}/exchange=${exchange}/stream=${kind}/date=${date}/`;
}

/** One name for each day, and for each partition of it. */
export const partitionId = ({ exchange, kind, date, symbol }: Day & { symbol?: string | null }): string =>
  `${exchange} ${kind} ${date}${symbol === undefined || symbol === null ? "" : ` ${symbol}`}`;

/** All days of some kinds, over all sources; folders alone are listed, no files. */
export async function listDays(
  sources: readonly LakeSource[],
  kinds: readonly Kind[],
  parallel: number,
): Promise<Day[]> {
  const found = new Map<string, Day>();
  const root = `${SCHEMA_VERSION}/`;
  for (const source of sources) {
    const exchanges = valuesOf("exchange", await source.folders(root));
    const folders = exchanges.flatMap((exchange) => kinds.map((kind) => ({ exchange, kind })));
    await inParallel(folders, parallel, async ({ exchange, kind }) => {
      const names = await source.folders(`${root}exchange=${exchange}/stream=${kind}/`);
      for (const date of valuesOf("date", names)) {
        if (!isDay(date)) continue;
        const day = { exchange, kind, date };
        found.set(partitionId(day), day);
      }
    });
  }
  return [...found.values()].sort((a, b) => (prefixOf(a) < prefixOf(b) ? -1 : 1));
}

/** Files of some days; of a key that stands in several sources there is one. */
export async function listFiles(
  sources: readonly LakeSource[],
  days: readonly Day[],
  parallel: number,
): Promise<QueryFile[]> {
  const found = new Map<string, QueryFile>();
  for (const source of sources) {
    await inParallel(days, parallel, async (day) => {
      for await (const { key, bytes } of source.list(prefixOf(day))) {
        const parts = parseKey(key);
        // What is none of ours is for `verify` to tell.
        if (parts === null || !isKind(parts.stream) || prefixOf(day).length > key.length) continue;
        const partition = { ...day, symbol: parts.symbol };
        const known = found.get(key);
        if (known === undefined) found.set(key, { key, bytes, partition, sources: [source] });
        else found.set(key, { ...known, sources: [...known.sources, source] });
      }
    });
  }
  // After the files: storage/compacted.ts says why.
  const records = await readRecords(sources, days, parallel);
  return currentFiles(found.values(), records)
    .flatMap((file) => ("partition" in file ? [file] : notYetListed(file, sources, days)))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** A compacted file that came after its partition was listed. */
function notYetListed(
  { key, bytes }: { readonly key: string; readonly bytes: number },
  sources: readonly LakeSource[],
  days: readonly Day[],
): QueryFile[] {
  const day = days.find((one) => key.startsWith(prefixOf(one)));
  const symbol = parseKey(key)?.symbol ?? null;
  return day === undefined ? [] : [{ key, bytes, partition: { ...day, symbol }, sources }];
}

async function readRecords(
  sources: readonly LakeSource[],
  days: readonly Day[],
  parallel: number,
): Promise<CompactionRecord[]> {
  const records: CompactionRecord[] = [];
  for (const source of sources) {
    await inParallel(days, parallel, async ({ exchange, kind, date }) => {
      for await (const { key } of source.list(recordPrefix({ exchange, stream: kind, date }))) {
        const content = key.endsWith(".json") ? await source.read(key, RECORD_MAX) : null;
        if (content !== null) records.push(recordOf(content, key));
      }
    });
  }
  return records;
}

function recordOf(content: Uint8Array, key: string): CompactionRecord {
  try {
    return parseRecord(content, key);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    // Without it nobody knows which of two files counts.
    throw new FileError(`${why}; bring it back from a copy (docs/compaction.md), or leave its day out`, {
      cause: error,
    });
  }
}

function valuesOf(name: string, folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    const [, value] = new RegExp(`^${name}=([A-Za-z0-9_.-]+)$`).exec(folder) ?? [];
    return value === undefined ? [] : [value];
  });
}

const isDay = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true;
