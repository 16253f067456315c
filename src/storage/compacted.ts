/**
 * What `tapedeck compact` has put in the place of what, and THE rule by which readers of a lake know which files count.
 *
 * A compacted file replaces the files of some segments. No store can add one object and delete others in one step, so the
 * step is a third, small object, the record: until it is there the old files count, from then on the new one does. It
 * stands in a tree of its own (readers pass over names that begin with `_`) and stays for good.
 */
import { z } from "zod";
import { SCHEMA_VERSION } from "../events/streams.ts";
import { newRun, parseKey } from "./names.ts";

/** Below it stand the records, in folders as those of the files. */
export const COMPACTED = `${SCHEMA_VERSION}/_compacted/`;

/** Largest record that is read, bytes: some ten thousand files. */
export const RECORD_MAX = 8 * 1024 * 1024;

/** In front of the run of a compacted file. No run of a recorder looks like this: an instance has no dot. */
const PREFIX = "compact.";

const whole = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const key = z.string().refine((text) => parseKey(text) !== null, "no key of a lake");

const replacedSchema = z.object({
  key,
  rows: whole,
  bytes: whole,
  /** Hexadecimal, of what was read. */
  sha256,
  /** Receive time of its last row, µs. */
  last_local_timestamp: whole,
  first_seq: whole,
  last_seq: whole,
});

/** A record, as it stands in the lake: JSON. Fields may be added. */
export const recordSchema = z.object({
  format: z.literal(1),
  /** The compacted file. */
  file: z.object({ key, rows: whole, bytes: whole, sha256 }),
  /** The files in whose place it is: of segments, never compacted ones. */
  replaces: z.array(replacedSchema).min(1),
});
/** See {@link recordSchema}. */
export type CompactionRecord = z.output<typeof recordSchema>;
/** A file that was replaced. */
export type ReplacedFile = CompactionRecord["replaces"][number];

/** A run as the name of a compacted file has it; `nowUs`: µs. */
export function newCompaction(nowUs: number): string {
  return PREFIX + newRun("", nowUs).slice(1);
}

/** Whether a key is that of a compacted file. */
export function isCompacted(key: string): boolean {
  return parseKey(key)?.run.startsWith(PREFIX) === true;
}

/** Prefix of the records of a partition, of an exchange, or of all. */
export function recordPrefix(part: { exchange?: string; stream?: string; date?: string } = {}): string {
  const { exchange, stream, date } = part;
  const folders = [
    exchange === undefined ? null : `exchange=${exchange}`,
    exchange === undefined || stream === undefined ? null : `stream=${stream}`,
    exchange === undefined || stream === undefined || date === undefined ? null : `date=${date}`,
  ];
  return COMPACTED + folders.map((folder) => (folder === null ? "" : `${folder}/`)).join("");
}

/** Key of the record of a compacted file. */
export function recordKey(fileKey: string): string {
  return COMPACTED + fileKey.slice(`${SCHEMA_VERSION}/`.length).replace(/\.parquet$/, ".json");
}

/**
 * Reads a record.
 *
 * @param at its key, for the message
 * @throws Error that names it, when it is none
 */
export function parseRecord(content: Uint8Array, at: string): CompactionRecord {
  let data: unknown;
  try {
    data = JSON.parse(new TextDecoder().decode(content));
  } catch (error) {
    throw new Error(`${at} is no record of a compaction: ${error instanceof Error ? error.message : error}`);
  }
  const parsed = recordSchema.safeParse(data);
  if (!parsed.success)
    throw new Error(`${at} is no record of a compaction: ${z.prettifyError(parsed.error)}`);
  if (recordKey(parsed.data.file.key) !== at)
    throw new Error(
      `${at} is not where the record of ${parsed.data.file.key} stands: it was renamed or copied`,
    );
  return parsed.data;
}

/**
 * THE rule. Of what was listed, and what the records name, what counts:
 * a compacted file from the moment its record is there, also one that the listing does not show yet; what a record says
 * it replaces no more; a compacted file without record not yet.
 *
 * Records have to be read AFTER the files were listed: a file is deleted only when a record that replaces it is there, so
 * whatever a listing does not show any more is then known. With that every row counts once at every instant. A file that
 * counted may be gone when it is opened: then the reader lists again.
 */
export function currentFiles<T extends { readonly key: string; readonly bytes: number }>(
  listed: Iterable<T>,
  records: readonly CompactionRecord[],
): (T | { readonly key: string; readonly bytes: number })[] {
  const replaced = new Set(records.flatMap(({ replaces }) => replaces.map((file) => file.key)));
  const files = new Map(records.map(({ file }) => [file.key, file]));
  const current: (T | { readonly key: string; readonly bytes: number })[] = [];
  for (const one of listed) {
    const isNew = files.delete(one.key);
    if (isNew || (!isCompacted(one.key) && !replaced.has(one.key))) current.push(one);
  }
  return [...current, ...[...files.values()].map(({ key: at, bytes }) => ({ key: at, bytes }))];
}
