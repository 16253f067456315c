/** Values of an answer as text and as JSON. */
import {
  DuckDBArrayValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBValue,
} from "@duckdb/node-api";

/** How times are written: ISO 8601 in UTC with microseconds, or microseconds since 1970. */
export type TimeForm = "iso" | "epoch";

/** A value as JSON has it. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { [name: string]: JsonValue };

/** Microseconds of the times that a Date can hold. */
const DATE_MAX_US = 8_640_000_000_000_000_000n;

/** A time, µs, as `2026-11-20T00:00:00.000001Z`. */
export function isoTime(micros: bigint): string {
  if (micros > DATE_MAX_US || micros < -DATE_MAX_US) return micros > 0n ? "infinity" : "-infinity";
  const rest = ((micros % 1000n) + 1000n) % 1000n;
  const millis = new Date(Number((micros - rest) / 1000n)).toISOString();
  return `${millis.slice(0, -1)}${String(rest).padStart(3, "0")}Z`;
}

/** Integers beyond 2^53, NaN and infinities become text: as numbers most readers would change them. */
export function jsonOf(value: DuckDBValue, times: TimeForm): JsonValue {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return safeOf(value);
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue)
    return times === "iso" ? isoTime(value.micros) : safeOf(value.micros);
  if (value instanceof DuckDBDateValue) return value.toString();
  if (value instanceof DuckDBDecimalValue) {
    const text = value.toString();
    return String(Number(text)) === text ? Number(text) : text;
  }
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue)
    return value.items.map((item) => jsonOf(item, times));
  if (value instanceof DuckDBStructValue)
    return Object.fromEntries(
      Object.entries(value.entries).map(([name, item]) => [name, jsonOf(item, times)]),
    );
  if (value instanceof DuckDBMapValue)
    return value.entries.map(({ key, value: item }) => ({
      key: jsonOf(key, times),
      value: jsonOf(item, times),
    }));
  return value.toString();
}

function safeOf(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** A value as text; null = NULL. */
export function textOf(value: DuckDBValue, times: TimeForm): string | null {
  const json = jsonOf(value, times);
  if (json === null || typeof json === "string") return json;
  return typeof json === "object" ? JSON.stringify(json) : String(json);
}

/** Whether a column of such values is set flush right. */
export function isNumeric(value: DuckDBValue): boolean {
  return typeof value === "number" || typeof value === "bigint" || value instanceof DuckDBDecimalValue;
}
