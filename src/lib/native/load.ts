/**
 * DuckDB's native parts of a single executable: the system loads libraries from files only, so they are written to a folder
 * once and loaded from there. What lies there is checked by its SHA-256 at every start.
 */
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";
import { EMBEDDED, type Embedded } from "./embedded.ts";
import { type CacheWishes, cacheFolders, trustedFolder } from "./folders.ts";
import { placePart } from "./part.ts";

/** No folder would do; the message names each, with the reason, and the mend. */
export class NativeError extends Error {
  override name = "NativeError";
}

/** Under this key the wishes of the main thread reach its workers. */
const WISHES = "tapedeck.native";
/** And under this the files it has checked: 70 MB are read once a start, not once a thread. */
const CHECKED = "tapedeck.native.checked";

/** Tells this thread, and workers started after this, where native parts may lie. */
export function wishNativeFolders({ cache, data }: CacheWishes): void {
  setEnvironmentData(WISHES, [cache ?? "", data ?? ""]);
}

/**
 * Loads the native parts of a single executable now, so that a place that will not do is told before anything has begun, and
 * workers find them in place. From sources there is nothing to do.
 *
 * @throws NativeError when no folder does
 */
export function prepareNative(wished: CacheWishes): void {
  wishNativeFolders(wished);
  if (EMBEDDED !== null) loadNative(EMBEDDED);
}

function wishes(): CacheWishes {
  // From another module of this program, as a list of two texts; or nothing was wished.
  const [cache, data] = (getEnvironmentData(WISHES) ?? []) as readonly string[];
  // A command without settings knows the variable all the same.
  return { cache: cache || process.env.TAPEDECK_CACHE || undefined, data: data || undefined };
}

/**
 * Loads the addon from the first folder that works.
 *
 * @returns its exports
 * @throws NativeError when none does
 */
export function loadNative(embedded: Embedded): unknown {
  const { parts, nativeVersion } = embedded;
  const [addon] = parts;
  if (addon === undefined) throw new Error("this executable was built without DuckDB's native parts");
  // The content is part of the name: another build with the same version is another folder.
  const digest = new Bun.CryptoHasher("sha256")
    .update(parts.map(({ sha256 }) => sha256).join())
    .digest("hex");
  const name = `duckdb-${nativeVersion}-${process.platform}-${process.arch}-${digest.slice(0, 12)}`;
  const checked = new Set((getEnvironmentData(CHECKED) ?? []) as readonly string[]);
  const reasons: string[] = [];
  for (const base of cacheFolders(wishes(), process.env)) {
    try {
      const folder = trustedFolder(base, name);
      // The addon last: where it is, the others are.
      const [path = ""] = parts
        .toReversed()
        .map((part) => placePart(folder, part, checked))
        .toReversed();
      const module = { exports: {} as unknown };
      // Fails on a file system that is mounted noexec.
      process.dlopen(module, path);
      setEnvironmentData(CHECKED, [...checked]);
      return module.exports;
    } catch (error) {
      reasons.push(`${base}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const megabytes = Math.ceil(parts.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6);
  throw new NativeError(
    `no folder for DuckDB's native parts (${reasons.join("; ")}); name one with TAPEDECK_CACHE=DIR or ` +
      `--set cache=DIR that has ${megabytes} MB free and lets programs be executed`,
  );
}
