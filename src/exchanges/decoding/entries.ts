/** Reading a list of a REST answer entry by entry: one odd listing must not hide all others. */
import { z } from "zod";
import { elementSources, surrogatesPaired } from "../../lib/json-source.ts";
import type { RestAnswer } from "../rest.ts";

/**
 * Told of what could not be read, how many, and what is wrong with the first: `entries`, which are left out, or
 * `fields` of entries that are in the list without them.
 */
export type Skipped = (what: "entries" | "fields", count: number, example: string) => void;

/** An entry of a list, parsed and as it came. */
export interface RawEntry {
  readonly value: unknown;
  readonly source: string;
}

/** An entry as it was read. */
export interface ReadEntry<T> {
  readonly entry: T;
  /** As it came; null = it has half a character somewhere, which DuckDB does not take. */
  readonly raw: string | null;
}

/** How the entries of a list are read. */
export interface EntryShape<T> {
  /** Has to take null for every field that is no key, elements of lists included. */
  readonly schema: z.ZodType<T>;
  /**
   * Fields without which an entry is worth nothing: what it is, and what decides whether it is recorded. The first is
   * its id.
   */
  readonly keys: readonly [string, ...string[]];
}

/** Longest description of what is wrong, characters. */
const EXAMPLE_MAX = 300;

/**
 * The entries of a list in an answer, each beside its source.
 *
 * @param keys where the list stands in the answer
 * @param list the same list, parsed
 */
export function rawEntries(
  answer: RestAnswer,
  keys: readonly string[],
  list: readonly unknown[],
): RawEntry[] {
  const sources = elementSources(answer.text, keys);
  return list.map((value, i) => ({ value, source: sourceOf(value, sources?.[i]) }));
}

/** What was cut out, if it is that value; otherwise the value written anew: a raw text that is another's is worse. */
function sourceOf(value: unknown, cut: string | undefined): string {
  const written = JSON.stringify(value);
  try {
    if (cut !== undefined && JSON.stringify(JSON.parse(cut)) === written) return cut;
  } catch {
    // Not JSON: cut at the wrong place.
  }
  return written;
}

/** What is wrong with a source that cannot be kept. */
const UNPAIRED = "an unpaired surrogate (half a character): its raw text cannot be kept";

/**
 * Reads each entry. A field that is not what it should be is null, and told; so is a source that other readers of JSON
 * would refuse. An entry whose key is not what it should be is left out, and told.
 *
 * @throws Error when the list has entries and none of them can be read
 */
export function readEntries<T>(
  path: string,
  shape: EntryShape<T>,
  list: readonly RawEntry[],
  skipped: Skipped,
): ReadEntry<T>[] {
  const read: ReadEntry<T>[] = [];
  const entries = { count: 0, example: "" };
  const fields = { count: 0, example: "" };
  const tell = (told: { count: number; example: string }, count: number, value: unknown, words: string) => {
    if (told.count === 0) told.example = exampleOf(shape.keys[0], value, words);
    told.count += count;
  };
  for (const { value, source } of list) {
    const result = shape.schema.safeParse(value);
    const entry = result.success ? result.data : withoutOddFields(shape, value, result.error);
    if (!result.success) {
      const words = z.prettifyError(result.error);
      if (entry === null) tell(entries, 1, value, words);
      else tell(fields, fieldsOf(result.error), value, words);
    }
    if (entry === null) continue;
    const whole = surrogatesPaired(source);
    if (!whole) tell(fields, 1, value, UNPAIRED);
    read.push({ entry, raw: whole ? source : null });
  }
  if (entries.count > 0 && read.length === 0) {
    throw new Error(`${path} has an unexpected shape: ${entries.example}`);
  }
  if (entries.count > 0) skipped("entries", entries.count, entries.example);
  if (fields.count > 0) skipped("fields", fields.count, fields.example);
  return read;
}

/** How many fields an error is about: of one there may be several complaints. */
function fieldsOf({ issues }: z.ZodError): number {
  return new Set(issues.map(({ path }) => path.join("."))).size;
}

/** The entry with null wherever its schema objects; null where that is a key, or the entry itself. */
function withoutOddFields<T>({ schema, keys }: EntryShape<T>, value: unknown, error: z.ZodError): T | null {
  const copy: unknown = structuredClone(value);
  for (const { path } of error.issues) {
    const [field] = path;
    if (field === undefined || keys.includes(String(field))) return null;
    setNull(copy, path);
  }
  const result = schema.safeParse(copy);
  return result.success ? result.data : null;
}

function setNull(value: unknown, path: readonly PropertyKey[]): void {
  let holder = value;
  for (const key of path.slice(0, -1)) {
    if (!isHolder(holder)) return;
    holder = Reflect.get(holder, key);
  }
  const last = path.at(-1);
  if (isHolder(holder) && last !== undefined) Reflect.set(holder, last, null);
}

function isHolder(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** `BTCUSDT: ✖ Invalid input … → at priceFilter.tickSize` */
function exampleOf(idField: string, value: unknown, wrong: string): string {
  const id: unknown = isHolder(value) ? Reflect.get(value, idField) : undefined;
  const words = wrong.replace(/\s+/g, " ");
  return (typeof id === "string" ? `${id}: ${words}` : words).slice(0, EXAMPLE_MAX);
}
