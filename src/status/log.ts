/** Structured logs: one JSON object a line, or the same for people. */

/** Levels, least severe first. */
const LEVELS = ["debug", "info", "warn", "error"] as const;
/** One of them. */
export type Level = (typeof LEVELS)[number];

/** What a log line carries besides time, level and event. */
export type LogFields = Readonly<
  Record<string, string | number | boolean | null | readonly string[] | object>
>;

/** Lines of one event and key within {@link REPEAT_SPAN} before further ones are only counted. */
const REPEAT_MAX = 20;
/** ms */
const REPEAT_SPAN = 10_000;
/** Keys of repeats remembered at once. */
const REPEAT_KEYS_MAX = 1000;

/** Writes log lines. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/**
 * A logger.
 *
 * An event that repeats is written {@link REPEAT_MAX} times in {@link REPEAT_SPAN}; the next line of it says
 * how many were held back.
 */
export function createLogger(options: {
  format: "json" | "pretty";
  level: Level;
  write?: (line: string) => void;
  now?: () => number;
}): Logger {
  const { format, level, write = (line) => process.stdout.write(line), now = Date.now } = options;
  const least = LEVELS.indexOf(level);
  const seen = new Map<string, { since: number; count: number }>();

  /** How many lines were held back before this one; null if this one is held back as well. */
  function heldBack(key: string, at: number): number | null {
    const entry = seen.get(key);
    if (entry === undefined || at - entry.since >= REPEAT_SPAN) {
      if (seen.size >= REPEAT_KEYS_MAX) seen.clear();
      seen.set(key, { since: at, count: 1 });
      return Math.max(0, (entry?.count ?? 0) - REPEAT_MAX);
    }
    entry.count++;
    return entry.count > REPEAT_MAX ? null : 0;
  }

  function log(severity: Level, event: string, fields: LogFields): void {
    if (LEVELS.indexOf(severity) < least) return;
    const at = now();
    const held = heldBack(`${severity} ${event} ${String(fields.exchange ?? "")}`, at);
    if (held === null) return;
    const suppressed = held > 0 ? { suppressed: held } : {};
    const time = new Date(at).toISOString();
    write(
      format === "json"
        ? `${JSON.stringify({ time, level: severity, event, ...fields, ...suppressed })}\n`
        : `${prettyLine(time, severity, event, { ...fields, ...suppressed })}\n`,
    );
  }

  return {
    debug: (event, fields = {}) => log("debug", event, fields),
    info: (event, fields = {}) => log("info", event, fields),
    warn: (event, fields = {}) => log("warn", event, fields),
    error: (event, fields = {}) => log("error", event, fields),
  };
}

/** Control characters: what a server sends must not start a line of its own nor steer the terminal. */
const CONTROL = /\p{Cc}/gu;

function prettyLine(time: string, level: Level, event: string, fields: LogFields): string {
  const parts = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const line = `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${event.padEnd(16)} ${parts.join(" ")}`;
  return line
    .trimEnd()
    .replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
