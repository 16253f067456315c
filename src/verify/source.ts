/** Where a lake stands, as an audit reads it: a folder, or a bucket. */
import { createReadStream } from "node:fs";
import { open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Backoff } from "../lib/backoff.ts";
import { DestinationError, type ListedObject } from "../storage/destinations/destination.ts";
import type { BucketDestination } from "../storage/destinations/s3.ts";
import type { Scratch } from "./scratch.ts";

/** First and last bytes of a Parquet file. */
export const MAGIC = "PAR1";
/** Bytes behind the footer: its length, then the magic. */
export const TAIL_BYTES = 8;
/** Shortest file that can be one. */
export const LEAST_BYTES = MAGIC.length + TAIL_BYTES;
/** Bytes of a file's end that are fetched at once: more than most footers have. */
const TAIL_FETCH = 32 * 1024;
/** Attempts at a request that fails for a reason that may pass. */
const ATTEMPTS = 5;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 5000;

/** A file on this machine that has the footer of one of the lake, or all of it. */
export interface LocalCopy {
  readonly path: string;
  /** Noted at the object when it was uploaded; null = nothing is. */
  readonly sha256: string | null;
  /** Removes what was made for it. */
  done(): Promise<void>;
}

/** A file whose end is no footer: what is wrong with it. */
export class BrokenFile extends Error {
  override name = "BrokenFile";
}

/** See the head of the file. What cannot be reached is an error of its own kind and never a fault of the lake. */
export interface LakeSource {
  /** As the ledger calls it: `local`, `s3`, `gcs`. */
  readonly name: string;
  /** For people. */
  readonly where: string;
  /** Whether rows can be read without a download. */
  readonly near: boolean;
  /** Bytes fetched over the network so far. */
  readonly downloaded: number;
  /** Every object below a prefix of keys that ends with `/`; hidden ones (`.tmp`) aside. */
  list(prefix: string, wanted?: (folder: string) => boolean): AsyncIterable<ListedObject>;
  /** Names of the folders right below a prefix that is empty or ends with `/`, sorted. */
  folders(prefix: string): Promise<string[]>;
  /**
   * The bytes of a file from `from` up to `to`; null = it is not there any more.
   *
   * @throws BrokenFile when there are not as many
   */
  range(key: string, from: number, to: number): Promise<Uint8Array | null>;
  /** Size of what stands at a key now; null = nothing. */
  size(key: string): Promise<number | null>;
  /** A small object; null = it is not there. */
  read(key: string, maxBytes: number): Promise<Uint8Array | null>;
  /**
   * A file with the same footer at the same place; null = it is not there any more.
   *
   * @throws BrokenFile
   */
  footer(file: ListedObject): Promise<LocalCopy | null>;
  /** The whole file; null = it is not there any more. */
  content(file: ListedObject): Promise<LocalCopy | null>;
}

/** A lake in a folder. */
export class FolderSource implements LakeSource {
  readonly name = "local";
  readonly near = true;
  readonly downloaded = 0;

  /** @param where the folder that holds `v1/` */
  constructor(readonly where: string) {}

  async *list(prefix: string, wanted: (folder: string) => boolean = () => true): AsyncIterable<ListedObject> {
    const entries = await gone(() => readdir(join(this.where, prefix), { withFileTypes: true }));
    for (const entry of (entries ?? []).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".")) continue;
      const key = prefix + entry.name;
      if (entry.isDirectory()) {
        if (wanted(entry.name)) yield* this.list(`${key}/`, wanted);
      } else {
        const found = await this.size(key);
        if (found !== null) yield { key, bytes: found };
      }
    }
  }

  async folders(prefix: string): Promise<string[]> {
    const entries = await gone(() => readdir(join(this.where, prefix), { withFileTypes: true }));
    return (entries ?? [])
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name)
      .sort();
  }

  async range(key: string, from: number, to: number): Promise<Uint8Array | null> {
    const content = await gone(() => Bun.file(join(this.where, key)).slice(from, to).bytes());
    if (content !== null && content.length !== to - from) throw changed(content.length, to - from);
    return content;
  }

  async size(key: string): Promise<number | null> {
    return (await gone(() => stat(join(this.where, key))))?.size ?? null;
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array | null> {
    const file = Bun.file(join(this.where, key));
    return (await gone(() => file.slice(0, maxBytes).bytes())) ?? null;
  }

  async footer({ key }: ListedObject): Promise<LocalCopy | null> {
    const path = join(this.where, key);
    const handle = await gone(() => open(path));
    if (handle === null) return null;
    try {
      const { size } = await handle.stat();
      if (size < LEAST_BYTES) throw tooShort(size);
      const head = Buffer.alloc(MAGIC.length);
      const tail = Buffer.alloc(TAIL_BYTES);
      await handle.read(head, 0, head.length, 0);
      await handle.read(tail, 0, tail.length, size - TAIL_BYTES);
      if (head.toString("latin1") !== MAGIC) throw new BrokenFile("it does not begin as a Parquet file does");
      footerBytes(tail, size);
    } finally {
      await handle.close();
    }
    return this.content({ key, bytes: 0 });
  }

  async content({ key }: ListedObject): Promise<LocalCopy | null> {
    const path = join(this.where, key);
    if ((await this.size(key)) === null) return null;
    return { path, sha256: null, done: async () => undefined };
  }
}

/** A lake in a bucket. */
export class BucketSource implements LakeSource {
  readonly name: string;
  readonly where: string;
  readonly near = false;
  downloaded = 0;
  readonly #bucket: BucketDestination;
  readonly #scratch: Scratch;
  readonly #signal = new AbortController().signal;

  constructor(bucket: BucketDestination, scratch: Scratch) {
    this.name = bucket.name;
    this.where = bucket.where;
    this.#bucket = bucket;
    this.#scratch = scratch;
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    for await (const object of this.#bucket.list(prefix, this.#signal, (ask) => this.#try(ask))) {
      // What consoles make to show a folder.
      if (!object.key.endsWith("/")) yield object;
    }
  }

  async folders(prefix: string): Promise<string[]> {
    const names: string[] = [];
    const found = this.#bucket.listFolders(prefix, this.#signal, (ask) => this.#try(ask));
    for await (const name of found) names.push(name);
    return names.sort();
  }

  async range(key: string, from: number, to: number): Promise<Uint8Array | null> {
    return (await this.#range(key, from, to))?.content ?? null;
  }

  async size(key: string): Promise<number | null> {
    return (await this.#try(() => this.#bucket.stat(key, this.#signal)))?.bytes ?? null;
  }

  async read(key: string, maxBytes: number): Promise<Uint8Array | null> {
    const content = await this.#try(() => this.#bucket.read(key, maxBytes, this.#signal));
    this.downloaded += content?.length ?? 0;
    return content;
  }

  async footer({ key, bytes }: ListedObject): Promise<LocalCopy | null> {
    if (bytes < LEAST_BYTES) throw tooShort(bytes);
    let tail = await this.#range(key, Math.max(0, bytes - TAIL_FETCH), bytes);
    if (tail === null) return null;
    const length = footerBytes(tail.content.subarray(-TAIL_BYTES), bytes) + TAIL_BYTES;
    if (length > tail.content.length) tail = await this.#range(key, bytes - length, bytes);
    if (tail === null) return null;
    const path = this.#scratch.path(".parquet");
    const handle = await open(path, "w");
    try {
      // A file with holes: DuckDB reads its end and believes the rest.
      await handle.write(MAGIC, 0);
      await handle.write(tail.content, 0, tail.content.length, bytes - tail.content.length);
    } finally {
      await handle.close();
    }
    return { path, sha256: tail.sha256, done: () => rm(path, { force: true }) };
  }

  async content({ key }: ListedObject): Promise<LocalCopy | null> {
    const path = this.#scratch.path(".parquet");
    const found = await this.#try(() =>
      this.#bucket.download(key, path, this.#signal, (bytes) => {
        this.downloaded += bytes;
      }),
    );
    return found === null ? null : { path, sha256: found.sha256, done: () => rm(path, { force: true }) };
  }

  async #range(key: string, from: number, to: number) {
    const got = await this.#try(() => this.#bucket.readRange(key, from, to - from, this.#signal));
    this.downloaded += got?.content.length ?? 0;
    if (got !== null && got.content.length !== to - from) throw changed(got.content.length, to - from);
    return got;
  }

  async #try<T>(ask: () => Promise<T>): Promise<T> {
    const backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS);
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        const passes =
          error instanceof DestinationError &&
          (error.trouble === "unreachable" || error.trouble === "throttled");
        if (!passes || attempt === ATTEMPTS) throw error;
        await Bun.sleep(backoff.next());
      }
    }
  }
}

/**
 * Length of the footer, by the last eight bytes of a file.
 *
 * @throws BrokenFile
 */
export function footerBytes(tail: Uint8Array, size: number): number {
  const end = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
  if (end.toString("latin1", 4) !== MAGIC)
    throw new BrokenFile("it does not end as a Parquet file does: it was cut off, or is none");
  const length = end.readUInt32LE(0);
  if (length === 0 || length > size - LEAST_BYTES)
    throw new BrokenFile(`its end names a footer of ${length} bytes, and the file has ${size}`);
  return length;
}

function changed(found: number, wanted: number): BrokenFile {
  return new BrokenFile(`it has changed while it was read (${found} of ${wanted} bytes)`);
}

function tooShort(size: number): BrokenFile {
  return new BrokenFile(`it has ${size} bytes, too few for a Parquet file`);
}

/** Resolves to null for what is not there (any more). */
async function gone<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}

/** SHA-256 of a file, hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of createReadStream(path)) hasher.update(chunk);
  return hasher.digest("hex");
}
