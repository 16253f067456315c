/**
 * The files of one stream on one day, wherever they stand, and what was done with them before; those of a symbol that has
 * a folder of its own are a partition of their own.
 */
import type { Stream } from "../events/streams.ts";
import {
  type CompactionRecord,
  isCompacted,
  parseRecord,
  RECORD_MAX,
  recordPrefix,
} from "../storage/compacted.ts";
import { type KeyParts, parseKey } from "../storage/names.ts";
import type { Place } from "./places.ts";
import { CompactionError } from "./steps.ts";

/** Which day of which stream. */
export interface DayName {
  readonly exchange: string;
  readonly stream: Stream;
  /** UTC. */
  readonly date: string;
}

/** Which partition. */
export interface PartitionName extends DayName {
  /** Whose folder it is; null = the files that hold several symbols. */
  readonly symbol: string | null;
}

/** A file of a partition. */
export interface PartitionFile {
  readonly key: string;
  readonly parts: KeyParts;
  readonly bytes: number;
  /** Where it stands: one place, or two until one copy is reconciled. */
  readonly places: readonly Place[];
}

/** What stands in a partition. */
export interface Partition {
  readonly name: PartitionName;
  /** Files of segments that no record replaces, by time. */
  readonly segments: readonly PartitionFile[];
  /** Compacted files, with their records; null = it is not in force yet. */
  readonly compacted: readonly { readonly file: PartitionFile; readonly record: CompactionRecord | null }[];
  /** Records whose compacted file is nowhere. */
  readonly orphans: readonly CompactionRecord[];
  /** Files that a record replaces and that are still there. */
  readonly replaced: readonly PartitionFile[];
}

/** Text of a partition's name. */
export function nameOf({ exchange, stream, date, symbol }: DayName & { symbol?: string | null }): string {
  return `${exchange} ${stream} ${date}${symbol === null || symbol === undefined ? "" : ` ${symbol}`}`;
}

/**
 * Lists the partitions of a day, the one of several symbols first.
 *
 * @throws CompactionError for a file that is none of tapedeck's, or stands there twice with different content;
 * DestinationError
 */
export async function listPartitions(places: readonly Place[], name: DayName): Promise<Partition[]> {
  const { exchange, stream, date } = name;
  const files = new Map<string, PartitionFile>();
  for (const place of places) {
    for await (const { key, bytes } of place.source.list(
      `v1/exchange=${exchange}/stream=${stream}/date=${date}/`,
    )) {
      const parts = parseKey(key);
      if (parts === null)
        throw new CompactionError(`${key} is no file of a lake: move it away, tapedeck verify tells more`);
      const known = files.get(key);
      if (known !== undefined && known.bytes !== bytes)
        throw new CompactionError(
          `${key} stands in two destinations and is not the same: see tapedeck verify`,
        );
      files.set(key, { key, parts, bytes, places: [...(known?.places ?? []), place] });
    }
  }
  const records = await readRecords(places, name);
  const bySymbol = Map.groupBy(files.values(), ({ parts }) => parts.symbol);
  const recordsOf = Map.groupBy(records, ({ file }) => symbolOf(file.key));
  return [...new Set([...bySymbol.keys(), ...recordsOf.keys()])]
    .sort((a, b) => (a === b ? 0 : (a ?? "") < (b ?? "") ? -1 : 1))
    .map((symbol) =>
      partitionOf({ ...name, symbol }, bySymbol.get(symbol) ?? [], recordsOf.get(symbol) ?? []),
    );
}

function symbolOf(key: string): string | null {
  return parseKey(key)?.symbol ?? null;
}

function partitionOf(
  name: PartitionName,
  files: readonly PartitionFile[],
  records: readonly CompactionRecord[],
): Partition {
  const replacedKeys = new Set(records.flatMap(({ replaces }) => replaces.map(({ key }) => key)));
  const byFile = new Map(records.map((record) => [record.file.key, record]));
  const keys = new Set(files.map(({ key }) => key));
  const all = [...files].sort((a, b) => a.parts.firstLocal - b.parts.firstLocal || (a.key < b.key ? -1 : 1));
  return {
    name,
    segments: all.filter(({ key }) => !isCompacted(key) && !replacedKeys.has(key)),
    compacted: all
      .filter(({ key }) => isCompacted(key))
      .map((file) => ({ file, record: byFile.get(file.key) ?? null })),
    orphans: records.filter(({ file }) => !keys.has(file.key)),
    replaced: all.filter(({ key }) => replacedKeys.has(key)),
  };
}

async function readRecords(places: readonly Place[], name: DayName): Promise<CompactionRecord[]> {
  const records = new Map<string, CompactionRecord>();
  for (const { source } of places) {
    for await (const { key } of source.list(recordPrefix(name))) {
      if (!key.endsWith(".json")) continue;
      const content = await source.read(key, RECORD_MAX);
      if (content === null) continue;
      try {
        records.set(key, parseRecord(content, key));
      } catch (error) {
        throw new CompactionError(
          `${error instanceof Error ? error.message : error}; bring it back from a copy`,
        );
      }
    }
  }
  return [...records.values()];
}

/** Consecutive files, at least two, together at most so many bytes. */
export function groupsBySize(files: readonly PartitionFile[], maxBytes: number): PartitionFile[][] {
  const groups: PartitionFile[][] = [];
  let group: PartitionFile[] = [];
  let bytes = 0;
  for (const file of files) {
    if (group.length > 0 && bytes + file.bytes > maxBytes) {
      groups.push(group);
      [group, bytes] = [[], 0];
    }
    group.push(file);
    bytes += file.bytes;
  }
  return [...groups, group].filter(({ length }) => length > 1);
}
