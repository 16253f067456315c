/** How runs, lake keys and files are called. */
import { SCHEMA_VERSION } from "../events/streams.ts";
import { dateOf } from "../lib/days.ts";

export { dateOf, dayOf, dayStart } from "../lib/days.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

/** Identity of one life of the recorder: `<instance>-<start µs>-<4 random>`. */
export function newRun(instance: string, startUs: number): string {
  const random = crypto.getRandomValues(new Uint8Array(4));
  const suffix = Array.from(random, (byte) => LETTERS[byte % LETTERS.length]).join("");
  return `${instance}-${startUs}-${suffix}`;
}

/** When a run began, µs: it stands in its name; null = it is not the name of one. */
export function beginOf(run: string): number | null {
  const found = /-(\d{16})-[a-z0-9]{4}$/.exec(run)?.[1];
  return found === undefined ? null : Number(found);
}

/** The instance that a run is of. */
export function instanceOf(run: string): string {
  return run.replace(/-\d+-[a-z0-9]{4}$/, "");
}

/** What identifies a segment and its file. */
export interface SegmentKey {
  readonly run: string;
  readonly ring: number;
  /** Number of the segment within its ring, from 0. */
  readonly n: number;
}

/** How the rows of a segment are dealt out to files: all in one, or one for each symbol, in a folder of its own. */
export type FileLayout = "flat" | "symbol";

/** Key of a segment's file below a lake's prefix; `symbol` where it holds the rows of that one alone. */
export function lakeKey(options: {
  exchange: string;
  stream: string;
  firstLocal: number;
  key: SegmentKey;
  symbol?: string | null;
}): string {
  const { exchange, stream, firstLocal, key, symbol = null } = options;
  const file = `${firstLocal}_${key.run}_${key.ring}_${key.n}.parquet`;
  const folder = symbol === null ? "" : `symbol=${folderOfSymbol(symbol)}/`;
  return `${SCHEMA_VERSION}/exchange=${exchange}/stream=${stream}/date=${dateOf(firstLocal)}/${folder}${file}`;
}

/**
 * What identifies a file of a segment, whatever its first row is: of a journal that was damaged in between, files are
 * not written again that were written before.
 */
export function fileId({ run, ring, n }: SegmentKey, symbol: string | null): string {
  return `${run} ${ring} ${n} ${symbol ?? ""}`;
}

/** Longest name of a symbol's folder, bytes: with it the name of a file in the flat outbox stays below 255. */
const FOLDER_BYTES_MAX = 64;
/** What stands in a folder's name as it is; the rest as the percent-encoded bytes of its UTF-8. */
const PLAIN = /^[\p{L}\p{M}\p{N}_.-]$/u;
/** Readers take these for NULL, unless a character of them is encoded. */
const NULLS = /^(null|__hive_default_partition__)$/i;

/** Whether a symbol can have a folder of its own. Rows of one that cannot stand in a file beside those folders. */
export function hasFolder(symbol: string): boolean {
  return (
    symbol !== "" && symbol.isWellFormed() && Buffer.byteLength(folderOfSymbol(symbol)) <= FOLDER_BYTES_MAX
  );
}

/**
 * A symbol as the value of `symbol=` in a path: encoded as Hive does, which every reader of such folders decodes. Letters
 * and digits of all scripts stay readable; `/`, `%`, `=`, `~`, blanks and control characters do not stand there.
 */
export function folderOfSymbol(symbol: string): string {
  const folder = Array.from(symbol, (character) =>
    PLAIN.test(character) ? character : encoded(character),
  ).join("");
  return NULLS.test(symbol) ? encoded(folder.charAt(0)) + folder.slice(1) : folder;
}

function encoded(character: string): string {
  return Array.from(
    Buffer.from(character),
    (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}

/** null = it is not what a symbol becomes. */
function symbolOfFolder(folder: string): string | null {
  try {
    return decodeURIComponent(folder);
  } catch {
    return null;
  }
}

/** Name of a lake key in the flat outbox, so that the place of a file outlives the process. */
export function outboxName(key: string): string {
  return key.replaceAll("/", "~");
}

/** The lake key of an outbox file. */
export function keyOfOutboxName(name: string): string {
  return name.replaceAll("~", "/");
}

/** What a lake key says. */
export interface KeyParts extends SegmentKey {
  readonly exchange: string;
  /** Stream or dataset. */
  readonly stream: string;
  /** UTC. */
  readonly date: string;
  /** The symbol that all its rows are of, by its folder; null = the rows say. */
  readonly symbol: string | null;
  /** Receive time of the first row, µs. */
  readonly firstLocal: number;
}

const KEY =
  /^v\d+\/exchange=([^/]+)\/stream=([^/]+)\/date=([^/]+)\/(?:symbol=([^/]+)\/)?(\d{1,16})_([^/]+)_(\d+)_(\d+)\.parquet$/;

/** Reads a lake key; null = it is none. */
export function parseKey(key: string): KeyParts | null {
  const found = KEY.exec(key);
  if (found === null) return null;
  const [, exchange = "", stream = "", date = "", folder, first, run = "", ring, n] = found;
  const symbol = folder === undefined ? null : symbolOfFolder(folder);
  if (folder !== undefined && symbol === null) return null;
  return { exchange, stream, date, symbol, firstLocal: Number(first), run, ring: Number(ring), n: Number(n) };
}
