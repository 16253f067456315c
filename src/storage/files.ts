/** File steps that must survive a power loss, and errors of the file system. */
import { closeSync, constants, fsyncSync, openSync } from "node:fs";
import { copyFile, type FileHandle, open, rename, rm } from "node:fs/promises";

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

/** As {@link syncFolder}, before it returns. */
export function syncFolderNow(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Moves a file, also to another disk: parts of a data folder may be mounted or linked from elsewhere.
 *
 * @throws Error of the file system; then it is still where it was
 */
export async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
    await copyFile(from, to);
    await syncFile(to);
    await rm(from);
  }
}

/** Whether the file system refused: then it can be tried again. Anything else is an error of this program. */
export function isFileError(error: unknown): boolean {
  return error instanceof Error && "code" in error && "syscall" in error;
}
