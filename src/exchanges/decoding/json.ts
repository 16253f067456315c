/**
 * The reference path of every decoder: JSON.parse, made lossless, with checked access to fields.
 *
 * Not hot: a frame comes here when a scanner met something it does not know. Errors are thrown as
 * {@link FrameError} and end in quarantine.
 */
import { isExact, parseDecimal } from "./decimal.ts";

/** A frame that cannot be decoded, and why. */
export class FrameError extends Error {
  override name = "FrameError";
}

/** An object of a parsed frame. */
export type Fields = Readonly<Record<string, unknown>>;

// A string, or a number token of 16 characters or more (which a double may not hold).
const STRING_OR_LONG_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}/g;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes UTF-8. @throws FrameError when it is not valid. */
export function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new FrameError("not valid UTF-8");
  }
}

/**
 * Parses a frame; numbers with 16 characters or more come as strings, so that no digit is lost.
 *
 * @throws FrameError when it is not JSON.
 */
export function parseFrame(bytes: Uint8Array): unknown {
  const text = textOf(bytes);
  try {
    const value: unknown = JSON.parse(text);
    if (!/\d[\d.eE+-]{15}/.test(text)) return value;
    return JSON.parse(
      text.replace(STRING_OR_LONG_NUMBER, (part) => (part.startsWith('"') ? part : `"${part}"`)),
    );
  } catch {
    throw new FrameError("not JSON");
  }
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads typed fields and counts what a double cannot hold. */
export class FieldReader {
  /** Decimals whose digits did not survive, since the last {@link reset}. */
  inexact = 0;
  /** Integers above 2^53, read as NULL, since the last {@link reset}. */
  oversized = 0;

  reset(): void {
    this.inexact = 0;
    this.oversized = 0;
  }

  /** A decimal, as text or number. NaN = absent: missing, null or "". */
  decimal(fields: Fields, key: string): number {
    const value = fields[key];
    if (value === undefined || value === null || value === "") return Number.NaN;
    const number = typeof value === "string" ? parseDecimal(value) : value;
    // JSON.parse reads a number token like 1e999 as Infinity.
    if (typeof number !== "number" || !Number.isFinite(number)) {
      throw new FrameError(`${key} is not a decimal`);
    }
    if (typeof value === "string" && value.length > 15 && !isExact(value, number)) this.inexact++;
    return number;
  }

  /** A whole number, as number or text. NaN = absent, or above 2^53 (counted). */
  integer(fields: Fields, key: string): number {
    const value = fields[key];
    if (value === undefined || value === null || value === "") return Number.NaN;
    const number = typeof value === "string" ? parseDecimal(value) : value;
    if (typeof number !== "number" || !Number.isInteger(number)) {
      throw new FrameError(`${key} is not a whole number`);
    }
    if (Number.isSafeInteger(number)) return number;
    this.oversized++;
    return Number.NaN;
  }

  /** A time in ms, as whole µs. NaN = absent: missing, null, "" or 0; or beyond what a double holds. */
  time(fields: Fields, key: string): number {
    const ms = this.integer(fields, key);
    if (Number.isNaN(ms) || ms === 0) return Number.NaN;
    if (ms < 0) throw new FrameError(`${key} is not a time`);
    if (ms > TIME_MAX_MS) {
      this.oversized++;
      return Number.NaN;
    }
    return ms * 1000;
  }

  /** An id, as text: digits of a number stay as they were sent. null = absent. */
  id(fields: Fields, key: string): string | null {
    const value = fields[key];
    if (value === undefined || value === null || value === "") return null;
    if (typeof value === "string") return value;
    if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
    throw new FrameError(`${key} is not an id`);
  }

  /** A non-empty text. @throws FrameError when it is missing. */
  text(fields: Fields, key: string): string {
    const value = fields[key];
    if (typeof value === "string" && value !== "") return value;
    throw new FrameError(`${key} is missing or not text`);
  }

  /** A boolean as 1 and 0. NaN = absent. */
  flag(fields: Fields, key: string): number {
    const value = fields[key];
    if (value === undefined || value === null) return Number.NaN;
    if (typeof value !== "boolean") throw new FrameError(`${key} is not true or false`);
    return value ? 1 : 0;
  }
}

/** Last time in ms whose µs are a safe integer: the year 2255. */
export const TIME_MAX_MS: number = Math.floor(Number.MAX_SAFE_INTEGER / 1000);
