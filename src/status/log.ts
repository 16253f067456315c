/** Structured logs: one JSON object a line, or the same for people. */
import type { Redactor } from "../config/secrets.ts";
import type { EventName, FieldsOf } from "./events.ts";
import { colourless, type Palette } from "./palette.ts";

/** Levels, least severe first. */
export const LEVELS = ["debug", "info", "warn", "error"] as const;
/** One of them. */
export type Level = (typeof LEVELS)[number];

/** What a log line carries besides time, level and event. */
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | undefined | readonly string[] | object>
>;

/** Lines of one event and key within {@link REPEAT_SPAN} before further ones are only counted. */
export const REPEAT_MAX = 20;
/** ms */
const REPEAT_SPAN = 10_000;
/** Keys of repeats remembered at once. */
const REPEAT_KEYS_MAX = 1000;

/** Lines that are remembered. */
const RECENT_MAX = 50;

/** A line that was written, without secrets. */
export interface LogLine {
  /** Epoch ms. */
  readonly at: number;
  readonly level: Level;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Writes log lines. Events and their fields are those of events.ts. */
export interface Logger {
  /** The last lines that were written, at most 50, the last one last. */
  readonly recent: readonly LogLine[];
  debug<E extends EventName>(event: E, fields?: FieldsOf<E>): void;
  info<E extends EventName>(event: E, fields?: FieldsOf<E>): void;
  warn<E extends EventName>(event: E, fields?: FieldsOf<E>): void;
  error<E extends EventName>(event: E, fields?: FieldsOf<E>): void;
}

/** What a logger is made of. */
export interface LoggerOptions {
  readonly format: "json" | "pretty";
  readonly level: Level;
  readonly write?: (line: string) => void;
  /** Epoch ms. */
  readonly now?: () => number;
  /** Takes secrets out of every value of every field. */
  readonly redact?: Redactor;
  /** Colours of the pretty format; none unless given. */
  readonly palette?: Palette;
}

/** How often one event came of late. */
interface Repeats {
  readonly since: number;
  count: number;
  readonly event: string;
  readonly exchange: unknown;
}

/**
 * A logger.
 *
 * An event that repeats is written {@link REPEAT_MAX} times in {@link REPEAT_SPAN}, for each exchange; the next
 * line of it says how many were held back, or, if it does not come again, a line `lines_held_back`.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { format, level, write = (line) => process.stdout.write(line), now = Date.now } = options;
  const { redact = (text: string) => text, palette = colourless } = options;
  const least = LEVELS.indexOf(level);
  const recent: LogLine[] = [];
  const seen = new Map<string, Repeats>();
  /** Keys of which lines were held back and nobody has been told yet. */
  const holding = new Set<string>();
  const redacted = (_name: string, value: unknown) => (typeof value === "string" ? redact(value) : value);

  /** How many lines were held back before this one; null if this one is held back as well. */
  function heldBack(key: string, at: number, event: string, exchange: unknown): number | null {
    const entry = seen.get(key);
    if (entry === undefined || at - entry.since >= REPEAT_SPAN) {
      if (seen.size >= REPEAT_KEYS_MAX) forget(at);
      holding.delete(key);
      // Deleted first, so that the map is in order of time.
      seen.delete(key);
      seen.set(key, { since: at, count: 1, event, exchange });
      return Math.max(0, (entry?.count ?? 0) - REPEAT_MAX);
    }
    entry.count++;
    if (entry.count <= REPEAT_MAX) return 0;
    holding.add(key);
    return null;
  }

  /** Makes room: the one that came first is the one to go. */
  function forget(at: number): void {
    const [first] = seen.keys();
    if (first === undefined) return;
    if (holding.has(first)) tellHeld(first, at);
    seen.delete(first);
  }

  /** Tells of what was held back and does not come any more. */
  function tellEnded(except: string, at: number): void {
    for (const key of holding) {
      if (key !== except && at - (seen.get(key)?.since ?? 0) >= REPEAT_SPAN) tellHeld(key, at);
    }
  }

  function tellHeld(key: string, at: number): void {
    const entry = seen.get(key);
    holding.delete(key);
    seen.delete(key);
    if (entry === undefined) return;
    const { event, exchange, count } = entry;
    const of = exchange === undefined ? { of: event } : { of: event, exchange };
    print(at, "warn", "lines_held_back", { ...of, suppressed: count - REPEAT_MAX });
  }

  function print(at: number, severity: Level, event: string, fields: object): void {
    const time = new Date(at).toISOString();
    const safe: Record<string, unknown> = {};
    // The values are made safe, not the line: a secret such as "event" would make a ruin of it.
    for (const [name, value] of Object.entries(fields)) safe[name] = plain(value);
    if (recent.length >= RECENT_MAX) recent.shift();
    recent.push({ at, level: severity, event, fields: safe });
    write(
      format === "json"
        ? `${JSON.stringify({ time, level: severity, event, ...safe })}\n`
        : `${prettyLine(palette, time, severity, event, safe)}\n`,
    );
  }

  function plain(value: unknown): unknown {
    if (typeof value === "string") return redact(value);
    if (typeof value !== "object" || value === null) return value;
    return JSON.parse(JSON.stringify(value, redacted));
  }

  function log(severity: Level, event: string, fields: LogFields = {}): void {
    if (LEVELS.indexOf(severity) < least) return;
    const at = now();
    const { exchange } = fields;
    const key = `${severity} ${event} ${String(exchange ?? "")}`;
    if (holding.size > 0) tellEnded(key, at);
    const held = heldBack(key, at, event, exchange);
    if (held !== null) print(at, severity, event, held > 0 ? { ...fields, suppressed: held } : fields);
  }

  return {
    recent,
    debug: (event, fields) => log("debug", event, fields),
    info: (event, fields) => log("info", event, fields),
    warn: (event, fields) => log("warn", event, fields),
    error: (event, fields) => log("error", event, fields),
  };
}

/** Control characters: what a server sends must not start a line of its own nor steer the terminal. */
const CONTROL = /\p{Cc}/gu;

function clean(text: string): string {
  return text.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function prettyLine(palette: Palette, time: string, level: Level, event: string, fields: object): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        `${palette.dim(`${name}=`)}${clean(typeof value === "string" ? value : JSON.stringify(value))}`,
    );
  const head = `${palette.dim(time.slice(11, 23))} ${palette[level](level.toUpperCase().padEnd(5))}`;
  return `${head} ${palette.strong(event.padEnd(16))} ${parts.join(" ")}`.trimEnd();
}
