/** Files of independent zstd frames, which are whole or not there after any kind of end. */
import {
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { constants as zlib, zstdCompressSync } from "node:zlib";
import { openName } from "./names.ts";

/** One zstd frame with a checksum, so that a reader sees any damage. */
export function pack(bytes: Uint8Array, level: number): Uint8Array {
  const params = { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_checksumFlag]: 1 };
  return zstdCompressSync(bytes, { params });
}

/** Forces a folder's entries to disk: what makes a rename durable. */
export function syncFolder(path: string): void {
  const handle = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** A file that is being written, under the name of an open one. Errors are those of the file system. */
export class PackedFile {
  /** Where it will be. */
  readonly path: string;
  bytes = 0;
  readonly #temporary: string;
  readonly #handle: number;
  #unsynced = false;

  /** Creates the file and the folders it lies in. */
  constructor(folder: string, name: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, name);
    this.#temporary = join(folder, openName(name));
    this.#handle = openSync(this.#temporary, "wx");
  }

  /** Appends whole zstd frames: all of the bytes, or none. */
  append(bytes: Uint8Array): void {
    let at = 0;
    try {
      while (at < bytes.length) {
        at += writeSync(this.#handle, bytes, at, bytes.length - at, this.bytes + at);
      }
    } catch (error) {
      ftruncateSync(this.#handle, this.bytes);
      throw error;
    }
    this.bytes += bytes.length;
    this.#unsynced = true;
  }

  /** Forces what was appended to disk. */
  sync(): void {
    if (!this.#unsynced) return;
    fdatasyncSync(this.#handle);
    this.#unsynced = false;
  }

  /** Finishes the file under its own name, durably. The handle is closed whatever happens. */
  close(): void {
    try {
      fsyncSync(this.#handle);
    } finally {
      closeSync(this.#handle);
    }
    rename(this.#temporary, this.path);
  }
}

/** Renames durably. @throws Error when there is a file of the new name. */
export function rename(from: string, to: string): void {
  if (existsSync(to)) throw new Error(`${to} is there already`);
  renameSync(from, to);
  syncFolder(dirname(to));
}
