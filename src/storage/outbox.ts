/** The outbox: finished files on their way to a destination; flat, so that nobody reads a file twice. */
import { readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { syncFile, syncFolder } from "./files.ts";
import { dateOf, keyOfOutboxName, outboxName, parseKey } from "./names.ts";

/** Where DuckDB keeps what does not fit into memory. */
export const SPILL_FOLDER = ".spill";

/** Path of the file that is being written, before it is checked. */
export function temporaryPath(outbox: string, key: string, attempt: number): string {
  return join(outbox, `.${outboxName(key)}.${attempt}.tmp`);
}

/** Turns a checked temporary file into one that may be published, surviving a power loss. */
export async function acceptFile(outbox: string, temporary: string, key: string): Promise<string> {
  const path = join(outbox, outboxName(key));
  await syncFile(temporary);
  await rename(temporary, path);
  await syncFolder(outbox);
  return path;
}

/** What an earlier run left in the outbox. */
export interface Leftovers {
  /** Finished files by lake key: they go on to the destination. */
  readonly files: readonly { readonly key: string; readonly path: string }[];
  /** Files that no run finished, files that are damaged, and files that are not ours. */
  readonly foreign: readonly ForeignFile[];
  /** What is no file at all, and not ours. */
  readonly others: readonly string[];
}

/** A file that cannot be published. */
export interface ForeignFile {
  readonly path: string;
  /** Of a file of ours that is damaged: its key. */
  readonly key: string | null;
  /** When it was last written, µs. */
  readonly writtenUs: number;
}

/** First and last bytes of a Parquet file; before the last ones stands the length of the footer. */
const MAGIC = "PAR1";
const TAIL_BYTES = 8;

/** Whether a file begins and ends as a Parquet file does: one that was cut off does not. */
async function hasFooter(path: string): Promise<boolean> {
  const file = Bun.file(path);
  const { size } = file;
  if (size < MAGIC.length + TAIL_BYTES) return false;
  const head = await file.slice(0, MAGIC.length).text();
  const tail = Buffer.from(await file.slice(size - TAIL_BYTES, size).arrayBuffer());
  const footer = tail.readUInt32LE(0);
  return (
    head === MAGIC &&
    tail.toString("latin1", 4) === MAGIC &&
    footer > 0 &&
    footer <= size - TAIL_BYTES - MAGIC.length
  );
}

/** Whether a name is one that we give: of one that says two days nobody knows what was in it. */
function isName(name: string): boolean {
  const parts = parseKey(keyOfOutboxName(name));
  return parts !== null && parts.date === dateOf(parts.firstLocal);
}

/** Looks through the outbox at start. */
export async function readOutbox(outbox: string): Promise<Leftovers> {
  const files: { key: string; path: string }[] = [];
  const foreign: ForeignFile[] = [];
  const others: string[] = [];
  for (const entry of await readdir(outbox, { withFileTypes: true })) {
    const path = join(outbox, entry.name);
    if (!entry.isFile()) {
      if (entry.name !== SPILL_FOLDER) others.push(path);
      continue;
    }
    const isOurs = isName(entry.name);
    if (isOurs && (await hasFooter(path))) {
      files.push({ key: keyOfOutboxName(entry.name), path });
    } else {
      const writtenUs = Math.ceil((await stat(path)).mtimeMs * 1000);
      foreign.push({ path, key: isOurs ? keyOfOutboxName(entry.name) : null, writtenUs });
    }
  }
  return { files, foreign, others };
}
