/** What a run that was killed left behind: open captures. */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { ZstdFrames } from "../lib/zstd.ts";
import type { RecoveredFile } from "./messages.ts";
import { closedName } from "./names.ts";
import { rename, syncFolder } from "./packed-file.ts";

/** Read at once while the ends of zstd frames are looked for, bytes. */
const PIECE_BYTES = 1 << 20;

/** Files below a folder, open ones included, with their sizes; none if there is no such folder. */
export function filesBelow(root: string): { path: string; bytes: number }[] {
  let names: string[];
  try {
    names = readdirSync(root, { recursive: true, encoding: "utf8" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return names.flatMap((name) => {
    const path = join(root, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() ? [{ path, bytes: stat.size }] : [];
  });
}

/**
 * Finishes the open captures below a folder: each is cut behind its last whole zstd frame and gets its own
 * name; one without any goes. Only to be called while nobody else writes there.
 *
 * @param failed told of a file that could not be taken care of; it stays as it is
 */
export function recoverFiles(
  root: string,
  recovered: (file: RecoveredFile) => void,
  failed: (path: string, error: unknown) => void,
): void {
  for (const { path, bytes } of filesBelow(root)) {
    const name = closedName(basename(path));
    if (name === null) continue;
    try {
      recovered(recoverFile(path, join(dirname(path), name), bytes));
    } catch (error) {
      failed(path, error);
    }
  }
}

function recoverFile(from: string, to: string, size: number): RecoveredFile {
  const handle = openSync(from, "r+");
  let whole = { bytes: 0, blocks: 0 };
  try {
    whole = wholeFrames(handle);
    if (whole.bytes < size) ftruncateSync(handle, whole.bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  const outcome = { from, ...whole, cut: size - whole.bytes };
  if (whole.blocks === 0) {
    rmSync(from);
    syncFolder(dirname(from));
    return { path: null, ...outcome };
  }
  rename(from, to);
  return { path: to, ...outcome };
}

/** How much of a file is zstd frames that can be unpacked: after a power loss the right size proves nothing. */
function wholeFrames(handle: number): { bytes: number; blocks: number } {
  const ends: number[] = [];
  const frames = new ZstdFrames((end) => ends.push(end));
  const piece = new Uint8Array(PIECE_BYTES);
  for (let at = 0; !frames.foreign; ) {
    const length = readSync(handle, piece, 0, piece.length, at);
    if (length === 0) break;
    frames.push(piece.subarray(0, length));
    at += length;
  }
  let bytes = 0;
  let blocks = 0;
  for (const end of ends) {
    const frame = new Uint8Array(end - bytes);
    readSync(handle, frame, 0, frame.length, bytes);
    if (!canBeUnpacked(frame)) break;
    bytes = end;
    blocks++;
  }
  return { bytes, blocks };
}

function canBeUnpacked(frame: Uint8Array): boolean {
  try {
    zstdDecompressSync(frame);
    return true;
  } catch {
    return false;
  }
}
