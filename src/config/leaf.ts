/**
 * The kinds of settings. Each reads the text of a flag or an environment variable as well as the native
 * value of tapedeck.toml, so that one schema checks all sources alike.
 */
import { z } from "zod";
import { parseProxyUrl } from "../lib/proxy-url.ts";
import { readCaFile } from "./ca-file.ts";
import { shownText } from "./mask.ts";
import { didYouMean } from "./suggest.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

/** How a resolved value is written and shown. */
export type Kind = "text" | "url" | "proxy" | "number" | "duration" | "size" | "choice" | "list" | "switch";

/** What is known of a leaf besides its zod type. */
export interface LeafMeta {
  readonly kind: Kind;
  /** What it does, one sentence; the same text in `--help`, the docs and here. */
  readonly meaning: string;
  /** What it may be, so that "must be …" is a sentence. */
  readonly allowed: string;
  /** What stands for the default in help and docs, where the value itself would say too little. */
  readonly defaultText?: string;
  /** Never shown, neither by `config` nor in a fault. */
  readonly secret?: boolean;
}

/** zod's registry of the leaves: an object of the schema that is not in here is a section. */
export const leafMeta = z.registry<LeafMeta>();

/** A kind of value with its bounds, not yet a setting. */
export interface ValueType<T> {
  readonly kind: Kind;
  readonly allowed: string;
  readonly schema: z.ZodType<T, unknown>;
}

/** What a setting says of itself. */
export interface About {
  readonly meaning: string;
  readonly defaultText?: string;
  readonly secret?: boolean;
}

/** A setting with a default, written as a user would write it (`"10s"`); a function where it is not constant. */
export function setting<T>(type: ValueType<T>, fallback: Written | (() => Written), about: About) {
  const schema = type.schema.prefault(fallback);
  leafMeta.add(schema, { kind: type.kind, allowed: type.allowed, ...about });
  return schema;
}

/** A setting that may be absent; `defaultText` says what then holds. */
export function optionalSetting<T>(type: ValueType<T>, about: About & { readonly defaultText: string }) {
  const schema = type.schema.optional();
  leafMeta.add(schema, { kind: type.kind, allowed: type.allowed, ...about });
  return schema;
}

/** A section of settings; unknown keys in it are faults, and it may be left out as a whole. */
export function section<S extends z.core.$ZodLooseShape>(shape: S) {
  return z.strictObject(shape).prefault({} as never);
}

/** A value as it stands in tapedeck.toml. */
export type Written = string | number | boolean | readonly string[];

/** A resolved value as a user would write it: durations and sizes with their unit. */
export function writtenValue(kind: Kind, value: unknown): Written | undefined {
  if (value === undefined) return undefined;
  if (kind === "duration") return formatDuration(Number(value));
  if (kind === "size") return formatSize(Number(value));
  if (Array.isArray(value)) return value.map(String);
  return typeof value === "number" || typeof value === "boolean" ? value : String(value);
}

/** Yes or no: true and false, also as texts. */
export function onOff(): ValueType<boolean> {
  const allowed = "true or false";
  const read = (raw: unknown): unknown => {
    const word = typeof raw === "string" ? raw.trim().toLowerCase() : raw;
    return word === "true" ? true : word === "false" ? false : word;
  };
  return { kind: "switch", allowed, schema: z.preprocess(read, z.boolean({ error: `must be ${allowed}` })) };
}

/** A whole number from min to max. */
export function wholeNumber(min: number, max: number): ValueType<number> {
  return bounded("number", `a whole number from ${min} to ${max}`, min, max, parseWhole);
}

/** A power of two from min to max. */
export function powerOfTwo(min: number, max: number): ValueType<number> {
  const number = bounded("number", `a power of two from ${min} to ${max}`, min, max, parseWhole);
  const schema = number.schema.refine((value) => Number.isInteger(Math.log2(value)), {
    error: ({ input }) => {
      const next = 2 ** Math.ceil(Math.log2(Number(input)));
      return `must be ${number.allowed}; the next one is ${Math.min(max, next)}`;
    },
  });
  return { ...number, schema };
}

/** A duration between two others, both as written; resolves to milliseconds. */
export function duration(min: string, max: string): ValueType<number> {
  const [from, to] = [parseDuration(min), parseDuration(max)];
  if (from === undefined || to === undefined) throw new Error(`no durations: ${min}, ${max}`);
  return bounded(
    "duration",
    `a duration from ${min} to ${max}, such as 500ms, 1.5s, 5m`,
    from,
    to,
    parseDuration,
  );
}

/** A size between two others, both as written; resolves to bytes. */
export function size(min: string, max: string): ValueType<number> {
  const [from, to] = [parseSize(min), parseSize(max)];
  if (from === undefined || to === undefined) throw new Error(`no sizes: ${min}, ${max}`);
  return bounded("size", `a size from ${min} to ${max}, such as 64MiB or 256MB`, from, to, parseSize);
}

/** A text that matches a pattern. */
export function text(pattern: RegExp, allowed: string): ValueType<string> {
  const error = `must be ${allowed}`;
  return {
    kind: "text",
    allowed,
    schema: z.preprocess(trimmed, z.string({ error }).regex(pattern, { error })),
  };
}

/**
 * A base URL of one of the schemes, to which paths are added: trailing slashes are cut, query and fragment
 * refused.
 */
export function baseUrl(schemes: readonly string[]): ValueType<string> {
  const allowed = `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}, without ? and #`;
  const error = `must be ${allowed}`;
  const fits = (url: string): boolean =>
    URL.canParse(url) && !/[\s?#]/.test(url) && schemes.some((s) => url.toLowerCase().startsWith(`${s}://`));
  const schema = z.preprocess(trimmed, z.string({ error }).max(2048, { error }).refine(fits, { error }));
  return { kind: "url", allowed, schema: schema.transform((url) => url.replace(/\/+$/, "")) };
}

/** The whole URL of something on the web, with its query. */
export function webUrl(): ValueType<string> {
  const allowed = "a URL that begins with https:// or http://, without #";
  const error = `must be ${allowed}`;
  const fits = (url: string): boolean => URL.canParse(url) && /^https?:\/\/[^\s#]+$/i.test(url);
  const schema = z.preprocess(trimmed, z.string({ error }).max(2048, { error }).refine(fits, { error }));
  return { kind: "url", allowed, schema };
}

/** The URL of a proxy, with user and password if it wants them. Shown without them. */
export function proxyUrl(): ValueType<string> {
  const allowed =
    "the URL of a proxy, such as http://user:password@host:port; or https://, socks5:// (names are looked up here) or socks5h:// (by the proxy)";
  return { kind: "proxy", allowed, schema: checked(parseProxyUrl, allowed) };
}

/** The path of a PEM file with certificates of authorities; it is read to see that it can be. */
export function caFile(): ValueType<string> {
  const allowed = "the path of a PEM file with one certificate or more";
  return { kind: "text", allowed, schema: checked(readCaFile, allowed) };
}

/** A text that a reader takes; what it throws becomes part of the fault. */
function checked(read: (text: string) => unknown, allowed: string): z.ZodType<string, unknown> {
  const error = `must be ${allowed}`;
  const schema = z
    .string({ error })
    .max(4096, { error })
    .superRefine((text, context) => {
      try {
        read(text);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        context.addIssue({ code: "custom", message: `${error}: ${shownText(why)}` });
      }
    });
  return z.preprocess(trimmed, schema);
}

/** One of a few words. `later` names values that are known but not in this version. */
export function choice<const T extends string>(
  words: readonly T[],
  later: readonly string[] = [],
): ValueType<T> {
  const allowed = words.join(" or ");
  const error = ({ input }: { readonly input?: unknown }): string => {
    const word = String(input);
    const postponed = later.length > 0 ? ` (${later.join(" and ")} arrive with a later release)` : "";
    return `must be ${allowed}${postponed}${didYouMean(word, words)}`;
  };
  return { kind: "choice", allowed, schema: z.preprocess(trimmed, z.enum(words, { error })) };
}

/** A list of known names, comma separated in flags and environment; doubles are removed. */
export function namesOf<const T extends string>(one: string, names: readonly T[]): ValueType<T[]> {
  const allowed = `a list of ${names.join(", ")}`;
  const item = z.enum(names, {
    error: ({ input }) =>
      typeof input === "string"
        ? `"${shownText(input)}" is no ${one} (known: ${names.join(", ")})${didYouMean(input, names)}`
        : `must be ${allowed}`,
  });
  return listOf(item, allowed, 1, names.length * 4);
}

/** A list of free texts. */
export function textsOf(pattern: RegExp, allowed: string, min: number, max: number): ValueType<string[]> {
  const error = `must be ${allowed}`;
  const item = z
    .string({ error })
    .trim()
    .regex(pattern, {
      error: ({ input }) => `${shownText(JSON.stringify(input))} does not fit: ${error}`,
    });
  return listOf(item, allowed, min, max);
}

function listOf<T>(item: z.ZodType<T, unknown>, allowed: string, min: number, max: number): ValueType<T[]> {
  const error = `must be ${allowed}, ${min} to ${max} of them`;
  const schema = z.preprocess(splitted, z.array(item, { error }).min(min, { error }).max(max, { error }));
  return { kind: "list", allowed, schema: schema.transform((list) => [...new Set(list)]) };
}

function bounded(
  kind: Kind,
  allowed: string,
  min: number,
  max: number,
  parse: (text: string) => number | undefined,
): ValueType<number> {
  const error = `must be ${allowed}`;
  const read = (raw: unknown): unknown =>
    typeof raw === "string" || typeof raw === "number" ? (parse(String(raw).trim()) ?? Number.NaN) : raw;
  return {
    kind,
    allowed,
    schema: z.preprocess(read, z.int({ error }).min(min, { error }).max(max, { error })),
  };
}

function parseWhole(text: string): number | undefined {
  return /^[+-]?\d{1,16}$/.test(text) ? Number(text) : undefined;
}

function trimmed(raw: unknown): unknown {
  return typeof raw === "string" ? raw.trim() : raw;
}

function splitted(raw: unknown): unknown {
  if (typeof raw !== "string") return raw;
  // A comma at the end or two in a row come from scripts that join lists; they name nothing.
  return raw
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
