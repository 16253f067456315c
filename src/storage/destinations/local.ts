import {
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { formatSize } from "../../config/units.ts";
import { syncFile, syncFolder } from "../files.ts";
import {
  type Destination,
  DestinationError,
  type ExpectedContent,
  type ListedObject,
  type PutFile,
  type StoredObject,
} from "./destination.ts";

/** Bytes hashed at once. */
const CHUNK = 1024 * 1024;

/** A lake in a folder. */
export class LocalDestination implements Destination {
  readonly name = "local";
  readonly where: string;
  readonly manifests = false;
  readonly wantsMd5 = false;
  readonly #root: string;
  readonly #floor: number;

  /** @param floor free bytes on its disk below which it takes nothing; 0 = none */
  constructor(root: string, floor = 0) {
    this.#root = root;
    this.#floor = floor;
    this.where = root;
  }

  /** Moves the file: afterwards there is one copy, at its key. */
  async put({ path, key }: PutFile, signal: AbortSignal): Promise<void> {
    const target = join(this.#root, key);
    const folder = dirname(target);
    await this.#guard(signal, path, async () => {
      await this.#checkRoom();
      await this.#makeFolder(folder);
      try {
        await rename(path, target);
      } catch (error) {
        const code = codeOf(error);
        if (code === "EXDEV") await this.#moveAcross(path, target);
        // An earlier attempt may have moved it and failed after that.
        else if (code !== "ENOENT" || !(await isFile(target))) throw error;
      }
      await syncFolder(folder);
      await syncFolder(dirname(path));
    });
  }

  stat(key: string, signal: AbortSignal): Promise<StoredObject | null> {
    return this.#guard(signal, null, () =>
      orNull(async () => {
        const path = join(this.#root, key);
        const { size } = await stat(path);
        return { bytes: size, sha256: await sha256Of(path, signal) };
      }),
    );
  }

  async holds(
    key: string,
    { bytes, sha256 }: ExpectedContent,
    signal: AbortSignal,
  ): Promise<"same" | "other" | "nothing"> {
    const stored = await this.stat(key, signal);
    if (stored === null) return "nothing";
    return stored.bytes === bytes && stored.sha256 === sha256 ? "same" : "other";
  }

  async *list(prefix: string, signal: AbortSignal): AsyncIterable<ListedObject> {
    const entries = await this.#guard(signal, null, () =>
      // A prefix may end in the middle of a name.
      orNull(() =>
        readdir(join(this.#root, prefix.slice(0, prefix.lastIndexOf("/") + 1)), {
          recursive: true,
          withFileTypes: true,
        }),
      ),
    );
    for (const entry of entries ?? []) {
      if (!entry.isFile() || entry.name.startsWith(".")) continue;
      const path = join(entry.parentPath, entry.name);
      const key = relative(this.#root, path).split(sep).join("/");
      if (!key.startsWith(prefix)) continue;
      const found = await this.#guard(signal, null, () => orNull(() => stat(path)));
      if (found !== null) yield { key, bytes: found.size };
    }
  }

  read(key: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | null> {
    return this.#guard(signal, null, () =>
      orNull(async () => (await readFile(join(this.#root, key))).subarray(0, maxBytes)),
    );
  }

  write(key: string, content: Uint8Array, signal: AbortSignal): Promise<void> {
    return this.#guard(signal, null, async () => {
      const target = join(this.#root, key);
      await this.#makeFolder(dirname(target));
      const temporary = temporaryOf(target);
      await orRemove(temporary, async () => {
        await writeFile(temporary, content);
        await syncFile(temporary);
        await rename(temporary, target);
      });
      await syncFolder(dirname(target));
    });
  }

  remove(key: string, signal: AbortSignal): Promise<void> {
    return this.#guard(signal, null, async () => {
      const target = join(this.#root, key);
      await rm(target, { force: true });
      if (await exists(dirname(target))) await syncFolder(dirname(target));
    });
  }

  close(): void {
    // Nothing is held.
  }

  async #guard<T>(signal: AbortSignal, source: string | null, run: () => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted();
      return await run();
    } catch (error) {
      if (error instanceof DestinationError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      const code = codeOf(error);
      const isFull = code === "ENOSPC" || code === "EDQUOT";
      const isGone = code === "ENOENT" && source !== null && !(await exists(source));
      throw new DestinationError(
        why,
        isGone ? "file" : isFull ? "full" : code === "EACCES" || code === "EROFS" ? "refused" : "unreachable",
        false,
      );
    }
  }

  async #checkRoom(): Promise<void> {
    if (this.#floor === 0) return;
    const { bavail, bsize } = await statfs(this.#root);
    const free = bavail * bsize;
    if (free >= this.#floor) return;
    throw new DestinationError(
      `${formatSize(free)} are free on the disk of ${this.#root}, less than lake.disk_floor (${formatSize(this.#floor)})`,
      "full",
      false,
    );
  }

  /** Creates a folder and makes each new entry on the way durable. */
  async #makeFolder(folder: string): Promise<void> {
    try {
      if ((await stat(folder)).isDirectory()) return;
    } catch {
      // Not there yet.
    }
    await mkdir(folder, { recursive: true });
    let at = this.#root;
    await syncFolder(at);
    for (const part of relative(this.#root, folder).split(sep)) {
      at = join(at, part);
      await syncFolder(at);
    }
  }

  /** The lake is on another file system: copy beside the target, then rename. */
  async #moveAcross(path: string, target: string): Promise<void> {
    const temporary = temporaryOf(target);
    await orRemove(temporary, async () => {
      await copyFile(path, temporary);
      await syncFile(temporary);
      await rename(temporary, target);
    });
    await rm(path);
  }
}

/** Writes a temporary file; what could not be finished, on a full disk perhaps, does not stay there. */
async function orRemove(temporary: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Hidden beside the target: no reader takes it for a file of the lake. */
function temporaryOf(target: string): string {
  return `${dirname(target)}/.${target.slice(dirname(target).length + 1)}.tmp`;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : null;
}

async function orNull<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

async function sha256Of(path: string, signal: AbortSignal): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const handle = await open(path);
  try {
    const chunk = new Uint8Array(CHUNK);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(chunk, 0, CHUNK, null);
      if (bytesRead === 0) return hasher.digest("hex");
      hasher.update(chunk.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

/** Whether there is something; also yes where that cannot be known. */
async function exists(path: string): Promise<boolean> {
  try {
    return (await orNull(() => stat(path))) !== null;
  } catch {
    return true;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
