/**
 * The files of a query in a folder of its own, each at its key: links to those on this machine, and of those in buckets
 * copies that have their footer and, later, the bytes that are read; between them they have holes.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "../config/schema.ts";
import { BrokenFile, FolderSource, footerBytes, LEAST_BYTES, MAGIC, TAIL_BYTES } from "../verify/source.ts";
import { merged, type Range, without } from "./chunks.ts";
import { inParallel } from "./parallel.ts";
import type { QueryFile } from "./partitions.ts";

/** Files up to this size are fetched at once, bytes. */
const SMALL = 64 * 1024;
/** Bytes of a larger file's end that are fetched first: more than most footers have. */
const TAIL_FETCH = 16 * 1024;
/** Bytes between two ranges that are fetched rather than asked for separately. */
const GAP = 8 * 1024;
/** Bytes of one request: what is held in memory of it. */
const PIECE = 8 * 1024 * 1024;

/** A file cannot be read; the message names it and the mend. */
export class FileError extends Error {
  override name = "FileError";
}

/** The query needs more than its bounds allow; the message says how much, and the mend. */
export class BoundError extends Error {
  override name = "BoundError";
}

interface Copy {
  readonly file: QueryFile;
  readonly path: string;
  /** Bytes that are there; null = the file itself. */
  have: readonly Range[] | null;
}

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** See the head of the file. */
export class Copies {
  readonly #copies = new Map<string, Copy>();
  readonly #folder: string;
  readonly #limits: Settings["sql"];
  /** Bytes fetched so far. */
  downloaded = 0;

  constructor(folder: string, limits: Settings["sql"]) {
    this.#folder = join(folder, "lake");
    this.#limits = limits;
  }

  /** Where a file is. */
  pathOf({ key }: QueryFile): string {
    return join(this.#folder, key);
  }

  /** Files that are not here as a whole. */
  get partial(): QueryFile[] {
    return [...this.#copies.values()].flatMap(({ file, have }) => {
      const isWhole = have === null || without([[0, file.bytes]], have).length === 0;
      return isWhole ? [] : [file];
    });
  }

  /** Brings footers here; small files as a whole. Files that are here already stay as they are. */
  async open(files: readonly QueryFile[]): Promise<void> {
    const fresh = files.filter(({ key }) => !this.#copies.has(key));
    const far = fresh.filter((file) => localPath(file) === null);
    this.#demand(
      far.reduce((sum, { bytes }) => sum + Math.min(bytes, bytes <= SMALL ? SMALL : TAIL_FETCH), 0),
      far.length,
    );
    await inParallel(fresh, this.#limits.downloads, async (file) => {
      const path = this.pathOf(file);
      await mkdir(dirname(path), { recursive: true });
      const local = localPath(file);
      if (local !== null) {
        await symlink(local, path);
        this.#copies.set(file.key, { file, path, have: null });
      } else {
        this.#copies.set(file.key, { file, path, have: await this.#footer(file, path) });
      }
    });
  }

  /** Brings ranges of files here, by path. */
  async fetch(ranges: ReadonlyMap<string, readonly Range[]>): Promise<void> {
    const wanted = [...this.#copies.values()].flatMap((copy) => {
      const asked = ranges.get(copy.path);
      if (asked === undefined || copy.have === null) return [];
      const bound = asked.map(([from, to]): Range => [Math.max(0, from), Math.min(copy.file.bytes, to)]);
      const missing = without(merged(bound, GAP), copy.have);
      return missing.length === 0 ? [] : [{ copy, missing }];
    });
    const bytes = wanted.flatMap(({ missing }) => missing).reduce((sum, [from, to]) => sum + to - from, 0);
    this.#demand(bytes, wanted.length);
    await inParallel(wanted, this.#limits.downloads, async ({ copy, missing }) => {
      const handle = await open(copy.path, constants.O_WRONLY);
      try {
        for (const [from, to] of missing)
          for (let at = from; at < to; at += PIECE)
            await this.#piece(copy.file, handle, at, Math.min(to, at + PIECE));
      } finally {
        await handle.close();
      }
      copy.have = merged([...(copy.have ?? []), ...missing], 0);
    });
  }

  /** Brings everything here that is not. */
  async complete(): Promise<void> {
    await this.fetch(
      new Map(this.partial.map((file) => [this.pathOf(file), [[0, file.bytes] as const]] as const)),
    );
  }

  async #footer(file: QueryFile, path: string): Promise<readonly Range[]> {
    const { bytes } = file;
    if (bytes < LEAST_BYTES)
      throw brokenFile(file, new BrokenFile(`it has ${bytes} bytes, too few for a Parquet file`));
    const handle = await open(path, "w");
    try {
      const from = bytes <= SMALL ? 0 : bytes - TAIL_FETCH;
      const tail = await this.#piece(file, handle, from, bytes);
      let length: number;
      try {
        length = footerBytes(tail.subarray(-TAIL_BYTES), bytes) + TAIL_BYTES;
      } catch (error) {
        throw brokenFile(file, error);
      }
      const begin = Math.min(from, bytes - length);
      if (begin < from) await this.#piece(file, handle, begin, from);
      // What DuckDB looks at first; the true ones come with the first column.
      if (begin > 0) await handle.write(MAGIC, 0);
      return [[begin, bytes]];
    } finally {
      await handle.close();
    }
  }

  async #piece(file: QueryFile, handle: FileHandle, from: number, to: number): Promise<Uint8Array> {
    for (const source of file.sources) {
      let content: Uint8Array | null;
      try {
        content = await source.range(file.key, from, to);
      } catch (error) {
        throw brokenFile(file, error);
      }
      if (content === null) continue;
      this.downloaded += content.length;
      await handle.write(content, 0, content.length, from);
      return content;
    }
    throw new FileError(`${file.key} was moved or removed while the query was prepared: ask again`);
  }

  #demand(bytes: number, files: number): void {
    const { download_bytes } = this.#limits;
    if (this.downloaded + bytes <= download_bytes) return;
    throw new BoundError(
      `the query would download ${mebibytes(this.downloaded + bytes)} (now of ${files} files), and ` +
        `sql.download_bytes allows ${mebibytes(download_bytes)}: narrow it by exchange, date, symbol or columns, ` +
        "or allow more with --set sql.download_bytes=SIZE",
    );
  }
}

/** The file on this machine, if it is on it. */
function localPath({ key, sources }: QueryFile): string | null {
  const near = sources.find((source) => source instanceof FolderSource);
  return near === undefined ? null : join(near.where, key);
}

function brokenFile(file: QueryFile, error: unknown): unknown {
  if (!(error instanceof BrokenFile)) return error;
  const where = file.sources.map((source) => source.where).join(" and ");
  return new FileError(
    `${file.key} in ${where} is broken: ${error.message}. \`tapedeck verify\` names what is wrong with the lake ` +
      "and the mend; move the file out of it to query the rest",
  );
}
