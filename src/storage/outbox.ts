/** The outbox: finished files on their way to a destination; flat, so that nobody reads a file twice. */
import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { syncFile, syncFolder } from "./files.ts";
import { keyOfOutboxName, outboxName } from "./names.ts";

/** Path of the file that COPY writes, before it is checked. */
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
  /** Files that no run finished, and files that are not ours. */
  readonly foreign: readonly string[];
}

/** Looks through the outbox at start. */
export async function readOutbox(outbox: string): Promise<Leftovers> {
  const files: { key: string; path: string }[] = [];
  const foreign: string[] = [];
  for (const entry of await readdir(outbox, { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(outbox, entry.name);
    if (/^v\d+~exchange=[^~]+~stream=[^~]+~date=[^~]+~[^~]+\.parquet$/.test(entry.name)) {
      files.push({ key: keyOfOutboxName(entry.name), path });
    } else {
      foreign.push(path);
    }
  }
  return { files, foreign };
}
