/**
 * Replaces the files of a group by one. In this order, and whatever ends the process between two steps the next
 * compaction goes on from there:
 *
 * 1. the file is written aside, and compared with what it was made of;
 * 2. it goes to its key, and is compared once more with what stands there: it does not count yet;
 * 3. its record is written: from this moment it counts, and what it replaces does not;
 * 4. what it replaces is deleted.
 */
import { rm } from "node:fs/promises";
import type { DuckDBConnection } from "@duckdb/node-api";
import type { Stream } from "../events/streams.ts";
import { type CompactionRecord, RECORD_MAX, recordKey } from "../storage/compacted.ts";
import type { FileDigest } from "../storage/destinations/destination.ts";
import { syncFile } from "../storage/files.ts";
import { lakeKey, type SegmentKey } from "../storage/names.ts";
import { digestFile } from "../storage/upload/digest.ts";
import type { Scratch } from "../verify/scratch.ts";
import { type LocalCopy, sha256Of } from "../verify/source.ts";
import type { CompactionLock } from "./lock.ts";
import {
  checkMerged,
  type Part,
  readFacts,
  refuseOverlaps,
  type Successor,
  sum,
  writeMerged,
} from "./merge.ts";
import type { PartitionFile, PartitionName } from "./partition.ts";
import type { Place } from "./places.ts";
import { persistently } from "./retry.ts";
import { CompactionError, type CompactionStep } from "./steps.ts";

/** Files deleted at once. */
const DELETIONS = 16;

/** What a swap works with. */
export interface SwapContext {
  readonly connection: DuckDBConnection;
  readonly scratch: Scratch;
  readonly places: readonly Place[];
  readonly lock: CompactionLock;
  readonly version: string;
  /** bytes */
  readonly partSize: number;
  readonly signal: AbortSignal;
  /** SHA-256 as noted by others than the file itself; null = nobody did. */
  readonly known: (key: string) => string | null;
  readonly step: (step: CompactionStep) => void | Promise<void>;
}

/** What was replaced by what. */
export interface Swapped {
  readonly key: string;
  readonly rows: number;
  readonly files: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** Files of segments at hand: read where they stand, or downloaded. */
export class Fetched {
  readonly parts: Part[] = [];
  readonly files: PartitionFile[] = [];
  readonly #copies: LocalCopy[] = [];

  get rows(): number {
    return sum(this.parts);
  }

  get bytes(): number {
    return this.files.reduce((bytes, file) => bytes + file.bytes, 0);
  }

  /** Brings one more. @throws CompactionError when it is not what it was when it was published; DestinationError */
  async add(context: SwapContext, file: PartitionFile): Promise<void> {
    const copy = await file.places[0]?.source.content(file);
    if (copy === null || copy === undefined)
      throw new CompactionError(`${file.key} is not there any more; nothing is replaced`);
    this.#copies.push(copy);
    const sha256 = await sha256Of(copy.path);
    for (const noted of [copy.sha256, context.known(file.key)])
      if (noted !== null && noted !== sha256)
        throw new CompactionError(
          `${file.key} is not what was published: its SHA-256 is ${sha256}, noted is ${noted}; nothing is replaced, see tapedeck verify`,
        );
    const facts = await readFacts(context.connection, file.key, copy.path);
    this.parts.push({ ...facts, key: file.key, path: copy.path, bytes: file.bytes, sha256 });
    this.files.push(file);
  }

  /** Gives the last one back, as the first of the next group. */
  takeLast(): Fetched {
    const next = new Fetched();
    const [part, file, copy] = [this.parts.pop(), this.files.pop(), this.#copies.pop()];
    if (part !== undefined) next.parts.push(part);
    if (file !== undefined) next.files.push(file);
    if (copy !== undefined) next.#copies.push(copy);
    return next;
  }

  /** Removes what was made for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const copy of this.#copies) await copy.done();
  }
}

/** Steps 1 to 4 for files at hand. */
export async function swap(
  context: SwapContext,
  { exchange, stream, symbol }: PartitionName,
  key: SegmentKey,
  fetched: Fetched,
): Promise<Swapped> {
  const { connection, scratch, places, signal, step } = context;
  const { parts } = fetched;
  refuseOverlaps(parts);
  const firstLocal = Math.min(...parts.map((part) => part.first_local_timestamp));
  const successor = { key: lakeKey({ exchange, stream, firstLocal, key, symbol }), stream, parts };
  const path = scratch.path(".parquet");
  await step("fetched");
  await writeMerged(connection, successor, path, context.version);
  await syncFile(path);
  await step("merged");
  const home = places[0];
  if (home === undefined) throw new Error("there is no destination");
  const digest = await digestFile(path, partSizeFor(context, home));
  await checkMerged(connection, successor, path);
  await step("checked");
  await persistently((again) => home.destination.put({ path, key: successor.key, digest, again }, signal));
  await rm(path, { force: true });
  return finish(context, successor, fetched.files, digest, home);
}

/**
 * Goes on with a compacted file that stands at its key and has no record: it was ended there. It is compared again.
 *
 * @throws CompactionError when it does not hold the rows
 */
export async function resume(
  context: SwapContext,
  stream: Stream,
  file: PartitionFile,
  fetched: Fetched,
): Promise<Swapped> {
  const [home] = file.places;
  const copy = await home?.source.content(file);
  if (home === undefined || copy === null || copy === undefined)
    throw new CompactionError(`${file.key} is not there any more`);
  try {
    const successor = { key: file.key, stream, parts: fetched.parts };
    await checkMerged(context.connection, successor, copy.path);
    const digest = await digestFile(copy.path, partSizeFor(context, home));
    return await finish(context, successor, fetched.files, digest, home);
  } finally {
    await copy.done();
  }
}

function partSizeFor({ partSize }: SwapContext, { destination }: Place): number | null {
  return destination.wantsMd5 ? partSize : null;
}

async function finish(
  context: SwapContext,
  { key, parts }: Successor,
  files: readonly PartitionFile[],
  digest: FileDigest,
  home: Place,
): Promise<Swapped> {
  const { lock, signal, step } = context;
  const { bytes, sha256 } = digest;
  const held = await persistently(() => home.destination.holds(key, { bytes, sha256, digest }, signal));
  if (held !== "same")
    throw new CompactionError(
      `${key} in ${home.destination.where} is not what was sent; nothing is replaced`,
    );
  await step("published");
  const rows = sum(parts);
  const record: CompactionRecord = {
    format: 1,
    file: { key, rows, bytes, sha256 },
    replaces: parts.map((part) => ({
      key: part.key,
      rows: part.rows,
      bytes: part.bytes,
      sha256: part.sha256,
      last_local_timestamp: part.last_local_timestamp,
      first_seq: part.first_seq,
      last_seq: part.last_seq,
    })),
  };
  lock.check();
  await writeRecord(home, record, signal);
  await step("committed");
  await deleteReplaced(context, files);
  return {
    key,
    rows,
    files: files.length,
    bytesBefore: files.reduce((all, file) => all + file.bytes, 0),
    bytesAfter: bytes,
  };
}

async function writeRecord(home: Place, record: CompactionRecord, signal: AbortSignal): Promise<void> {
  const key = recordKey(record.file.key);
  const text = Buffer.from(`${JSON.stringify(record)}\n`);
  if (text.length > RECORD_MAX)
    throw new CompactionError(
      `a record of ${record.replaces.length} files is too long (${text.length} bytes): lower compaction.bytes`,
    );
  // Written again after an error whose outcome nobody saw: the content is the same.
  await persistently(() => home.destination.write(key, text, signal));
  const found = await persistently(() => home.destination.read(key, RECORD_MAX, signal));
  if (found === null || !text.equals(found))
    throw new CompactionError(
      `${key} in ${home.destination.where} is not what was written; nothing is deleted`,
    );
}

/** Deletes files that a record replaces. */
export async function deleteReplaced(
  { lock, signal, step }: Pick<SwapContext, "lock" | "signal" | "step">,
  files: readonly PartitionFile[],
): Promise<void> {
  for (let i = 0; i < files.length; i += DELETIONS) {
    lock.check();
    await Promise.all(
      files.slice(i, i + DELETIONS).map(async ({ key, places }) => {
        for (const { destination } of places) await persistently(() => destination.remove(key, signal));
        await step("deleting");
      }),
    );
  }
  await step("deleted");
}
