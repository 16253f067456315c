/**
 * A cursor over the bytes of one frame that checks every byte it passes.
 *
 * A scanner accepts exactly the shape it was written for. Anything else (another key, another order, an
 * escape, an exponent, null, more digits than a double holds) sets {@link failed}, and the frame goes to
 * the JSON path, counted. So a scanner can be fast without being able to be wrong: what it accepts is a
 * subset of what JSON.parse accepts, with the same values.
 *
 * After a failure the cursor stands beyond the end, so that whatever follows fails as well: callers check
 * once, at the end.
 */
import { isExact, MANTISSA_MAX, POWERS_OF_TEN } from "./decimal.ts";
import { TIME_MAX_MS } from "./json.ts";
import { HASH_PRIME, HASH_START, type SymbolTable } from "./symbols.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const NINE = 0x39;
const DOT = 0x2e;
const MINUS = 0x2d;
const AT = 0x40;
const BEYOND = 0x7fffffff;

const ascii = new TextDecoder("latin1");

/** Bytes of an ASCII literal, for {@link Scanner.literal}. */
export function literal(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** See the head of the file. */
export class Scanner {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  failed = false;
  /** Decimals of this frame whose digits did not survive. */
  inexact = 0;
  /** Begin and end of the last text passed. */
  from = 0;
  to = 0;
  /** Begin and end of a name passed by {@link name}, and whether it has bytes above 0x7f. */
  #nameFrom = 0;
  #nameTo = 0;
  #nameHigh = false;

  /** Starts over at the first byte of a frame. */
  start(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
    this.failed = false;
    this.inexact = 0;
    this.#nameHigh = false;
  }

  /** Whether everything was accepted and the frame ends here. */
  get complete(): boolean {
    return !this.failed && this.at === this.bytes.length;
  }

  fail(): void {
    this.failed = true;
    this.at = BEYOND;
  }

  /** Passes exactly these bytes. */
  literal(wanted: Uint8Array): void {
    const { bytes, at } = this;
    const length = wanted.length;
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== wanted[i]) {
        this.fail();
        return;
      }
    }
    this.at = at + length;
  }

  /** Passes these bytes if they stand here; tells whether they did. */
  optional(wanted: Uint8Array): boolean {
    const { bytes, at } = this;
    const length = wanted.length;
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== wanted[i]) return false;
    }
    this.at = at + length;
    return true;
  }

  /** The byte at the cursor; undefined at the end. */
  peek(): number | undefined {
    return this.bytes[this.at];
  }

  /** A JSON number that is a whole number from 0 to 2^53; leaves its digits in `from`, `to`. */
  integer(): number {
    const bytes = this.bytes;
    const from = this.at;
    let at = from;
    let value = 0;
    for (;;) {
      const byte = bytes[at];
      if (!(byte >= ZERO && byte <= NINE)) break;
      value = value * 10 + (byte - ZERO);
      at++;
    }
    const digits = at - from;
    if (digits === 0 || value > Number.MAX_SAFE_INTEGER || (digits > 1 && bytes[from] === ZERO)) {
      this.fail();
      return Number.NaN;
    }
    this.from = from;
    this.to = at;
    this.at = at;
    return value;
  }

  /** A JSON number that is a time in ms, as whole µs. */
  time(): number {
    const ms = this.integer();
    if (ms === 0 || ms > TIME_MAX_MS) this.fail();
    return ms * 1000;
  }

  /**
   * Digits of a JSON number of any length, for an id that is kept as text: `from`, `to`. Returns its value,
   * which is exact up to 2^53 only.
   */
  digits(): number {
    const bytes = this.bytes;
    const from = this.at;
    let at = from;
    let value = 0;
    while (bytes[at] >= ZERO && bytes[at] <= NINE) value = value * 10 + (bytes[at++] - ZERO);
    if (at === from || (at - from > 1 && bytes[from] === ZERO)) {
      this.fail();
      return Number.NaN;
    }
    this.from = from;
    this.to = at;
    this.at = at;
    return value;
  }

  /**
   * A decimal up to its closing quote (the cursor stands behind the opening one), and passes the quote.
   *
   * Digits are gathered as a whole number and divided by a power of ten once: both are exact, so the
   * quotient is the correctly rounded value, equal to Number(text).
   */
  decimal(): number {
    const bytes = this.bytes;
    const from = this.at;
    let at = from;
    const negative = bytes[at] === MINUS;
    if (negative) at++;
    let mantissa = 0;
    let byte = bytes[at];
    const wholeFrom = at;
    while (byte >= ZERO && byte <= NINE) {
      mantissa = mantissa * 10 + (byte - ZERO);
      byte = bytes[++at];
    }
    if (at === wholeFrom) {
      this.fail();
      return Number.NaN;
    }
    let fraction = 0;
    if (byte === DOT) {
      const fractionFrom = ++at;
      byte = bytes[at];
      while (byte >= ZERO && byte <= NINE) {
        mantissa = mantissa * 10 + (byte - ZERO);
        byte = bytes[++at];
      }
      fraction = at - fractionFrom;
    }
    if (byte !== QUOTE) {
      this.fail();
      return Number.NaN;
    }
    this.at = at + 1;
    if (mantissa < MANTISSA_MAX && fraction <= 22) {
      const value = fraction === 0 ? mantissa : mantissa / POWERS_OF_TEN[fraction];
      return negative ? -value : value;
    }
    return this.#longDecimal(from, at);
  }

  #longDecimal(from: number, to: number): number {
    const text = ascii.decode(this.bytes.subarray(from, to));
    const value = Number(text);
    if (!Number.isFinite(value)) this.fail();
    else if (!isExact(text, value)) this.inexact++;
    return value;
  }

  /** Passes a name up to and with its closing quote; {@link nameBelongsTo} checks it once the symbol is known. */
  name(): void {
    const bytes = this.bytes;
    const from = this.at;
    let at = from;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (!(byte >= 0x20) || byte === BACKSLASH) {
        this.fail();
        return;
      }
      if (byte >= 0x80) this.#nameHigh = true;
      at++;
    }
    this.#nameFrom = from;
    this.#nameTo = at;
    this.at = at + 1;
  }

  /**
   * Checks the name passed by {@link name} against an entry of the symbol table. Only names beyond ASCII
   * need it: they are accepted only where they are the known instrument in lower case, before an `@`, so
   * that bytes that are not UTF-8 cannot slip through.
   */
  nameBelongsTo(symbols: SymbolTable, entry: number): void {
    if (!this.#nameHigh || this.failed) return;
    const wanted = symbols.lowerNameOf(entry);
    const { bytes } = this;
    const nameFrom = this.#nameFrom;
    let matching = 0;
    while (matching < wanted.length && bytes[nameFrom + matching] === wanted[matching]) matching++;
    let at = nameFrom + matching;
    let belongs = matching === wanted.length && bytes[at] === AT;
    for (; belongs && at < this.#nameTo; at++) belongs = bytes[at] < 0x80;
    if (!belongs) this.fail();
  }

  /** An instrument up to and with its closing quote; its entry in the table, -1 and failed if unknown. */
  symbol(symbols: SymbolTable): number {
    const bytes = this.bytes;
    const from = this.at;
    let at = from;
    let hash = HASH_START;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (!(byte >= 0x20) || byte === BACKSLASH) {
        this.fail();
        return -1;
      }
      hash = Math.imul(hash ^ byte, HASH_PRIME);
      at++;
    }
    const entry = symbols.entryOf(bytes, from, at, hash);
    if (entry === -1) {
      this.fail();
      return -1;
    }
    this.from = from;
    this.to = at;
    this.at = at + 1;
    return entry;
  }

  /** Passes a short text of ASCII letters, digits and signs up to and with its closing quote. */
  word(): void {
    const bytes = this.bytes;
    let at = this.at;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (!(byte >= 0x20 && byte < 0x80) || byte === BACKSLASH) {
        this.fail();
        return;
      }
      at++;
    }
    this.from = this.at;
    this.to = at;
    this.at = at + 1;
  }
}
