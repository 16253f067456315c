/** Where a single executable may put its native parts, and whether such a folder can be trusted. */
import { chmodSync, existsSync, lstatSync, mkdirSync, type Stats } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";

/** What a user has a say in. */
export interface CacheWishes {
  /** The setting `cache`; undefined = not set. */
  readonly cache?: string | undefined;
  /** The data folder of the command: used where no cache folder can be, if it is there. */
  readonly data?: string | undefined;
}

/** No group, no others: what lies there is executed. */
const PRIVATE = 0o700;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Folders to try, best first: the one that was asked for, the user's cache (XDG Base Directory Specification: relative
 * paths do not count), the data folder, the system's place for temporary files.
 */
export function cacheFolders(
  { cache, data }: CacheWishes,
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const folders: string[] = [];
  if (cache !== undefined) folders.push(resolve(cache));
  const xdg = env.XDG_CACHE_HOME ?? "";
  if (isAbsolute(xdg)) folders.push(join(xdg, "tapedeck"));
  const home = env.HOME ?? "";
  if (isAbsolute(home) && !isAbsolute(xdg)) folders.push(join(home, ".cache", "tapedeck"));
  // Never made for this: a question about a data folder that is not there must not make one.
  if (data !== undefined && existsSync(data)) folders.push(resolve(data, ".cache"));
  folders.push(join(tmpdir(), `tapedeck-${process.getuid?.() ?? "user"}`));
  return [...new Set(folders)];
}

/**
 * Makes `<base>/<name>` if it is missing; refuses it where others could have put something there, since it is code that is
 * loaded from it.
 *
 * @returns its path
 * @throws Error that says why it cannot be used
 */
export function trustedFolder(base: string, name: string): string {
  const folder = join(base, name);
  mkdirSync(dirname(base), { recursive: true });
  for (const path of [base, folder]) {
    mkdirUnlessThere(path);
    const stats = lstatSync(path);
    if (!stats.isDirectory()) throw new Error(`${path} is not a folder`);
    refuseOthers(path, stats);
    if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) chmodSync(path, PRIVATE);
  }
  return folder;
}

/** @throws Error when a file or folder belongs to another user, root excepted. */
export function refuseOthers(path: string, { uid }: Stats): void {
  const own = process.getuid?.();
  if (own !== undefined && uid !== own && uid !== 0) {
    throw new Error(`${path} belongs to user ${uid}, not to user ${own}`);
  }
}

function mkdirUnlessThere(path: string): void {
  try {
    mkdirSync(path, { mode: PRIVATE });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    // On a read-only disk EROFS comes first, even if it is there.
    if (!existsSync(path)) throw error;
  }
}
