/** File steps that must survive a power loss. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

async function sync(path: string, flags: number): Promise<void> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, flags);
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

/** Forces a file's content to disk. */
export function syncFile(path: string): Promise<void> {
  return sync(path, constants.O_RDONLY);
}

/** Forces a folder's entries to disk: what makes a rename durable. */
export function syncFolder(path: string): Promise<void> {
  return sync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}
