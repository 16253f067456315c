/**
 * A cursor over the bytes of the frame in hand that checks every byte it passes.
 *
 * A scanner accepts exactly the shape it was written for. Anything else (another key, another order, an
 * escape, an exponent, null, more digits than a double holds) sets {@link failed}, and the frame goes to
 * the JSON path, counted. So a scanner can be fast without being able to be wrong: what it accepts is a
 * subset of what JSON.parse accepts, with the same values.
 *
 * After a failure the cursor stands where nothing is accepted, so that whatever follows fails as well: callers check
 * once, at the end. Nor does it get past the end of the frame: zeros stand there.
 */
import type { Row } from "../../ring/row.ts";
import { TEXT_PIECE_BYTES } from "../../ring/text.ts";
import { isExact, MANTISSA_MAX, POWERS_OF_TEN } from "./decimal.ts";
import { BYTES, FRAME_BYTES_MAX, placeFrame, WORDS } from "./frame-memory.ts";
import { TIME_MAX_MS } from "./json.ts";
import type { KeyTable } from "./key-table.ts";
import { type Literal, stands } from "./literal.ts";
import type { SymbolLiterals } from "./symbol-literals.ts";
import { HASH_START, hashed, type SymbolTable } from "./symbols.ts";
import {
  allWordish,
  bytesBefore,
  digitsOf,
  fewDigits,
  firstBytes,
  fourDigits,
  markHigh,
  markOthers,
  markQuotes,
  markSpecial,
  markWordish,
} from "./words.ts";

const QUOTE = 0x22;
const ZERO = 0x30;
const DOT = 0x2e;
const MINUS = 0x2d;
const AT = 0x40;

/** Where the cursor stands after a failure: no frame reaches it, and zeros follow. */
const FAILED = FRAME_BYTES_MAX;

/** Digits of a whole number that 32 bits hold, whichever they are. */
const INT_DIGITS = 9;

/** The digits from `from` to `to`, with or without a dot among them, as a whole number. */
function mantissaOf(from: number, to: number): number {
  let mantissa = 0;
  for (let at = from; at < to; at++) {
    const byte = BYTES[at];
    if (byte !== DOT) mantissa = mantissa * 10 + (byte - ZERO);
  }
  return mantissa;
}

const UUID_BYTES = 36;
/** Where the cells of a UUID end among those of a text: one more follows, which stays empty. */
const UUID_CELLS_END = (4 * UUID_BYTES) / TEXT_PIECE_BYTES;

const ascii = new TextDecoder("latin1");

/** See the head of the file. */
export class Scanner {
  at = 0;
  failed = false;
  /** Decimals of this frame whose digits did not survive. */
  inexact = 0;
  /** Begin and end of the last text passed, in the frame's memory. */
  from = 0;
  to = 0;
  /** Where the frame in hand begins and ends. */
  begin = 0;
  #end = 0;
  /** Begin and end of a name passed by {@link name}, and whether it has bytes above 0x7f. */
  #nameFrom = 0;
  #nameTo = 0;
  #nameHigh = false;
  /** The first 8 digits of the last time, as two words, and the time that has zeros behind them, µs. */
  #timeFirst = 0;
  #timeSecond = 0;
  #timeFrom = 0;

  /** Starts over at the first byte of a frame, which is put in its place unless it stands in the frame memory already. */
  start(data: Uint8Array, from: number = 0, to: number = data.length): void {
    if (data === BYTES) {
      this.begin = from;
      this.#end = to;
      this.restart();
      return;
    }
    this.begin = 0;
    this.#end = to - from;
    this.restart();
    if (!placeFrame(to - from === data.length ? data : data.subarray(from, to))) this.fail();
  }

  /** Goes back to the first byte of the frame in hand. */
  restart(): void {
    this.at = this.begin;
    this.failed = false;
    this.inexact = 0;
    this.#nameHigh = false;
  }

  /** Whether everything was accepted and the frame ends here. */
  get complete(): boolean {
    return this.at === this.#end && !this.failed;
  }

  fail(): void {
    this.failed = true;
    this.at = FAILED;
  }

  /** Passes exactly these bytes. */
  literal(wanted: Literal): void {
    const { at } = this;
    if (stands(wanted, at)) this.at = at + wanted.length;
    else this.fail();
  }

  /** Passes exactly the bytes of an instrument's literal. */
  literalOf(literals: SymbolLiterals, entry: number): void {
    const { at } = this;
    const length = literals.lengthAt(entry, at);
    if (length !== 0) this.at = at + length;
    else this.fail();
  }

  /** Passes these bytes if they stand here; tells whether they did. */
  optional(wanted: Literal): boolean {
    const { at } = this;
    if (!stands(wanted, at)) return false;
    this.at = at + wanted.length;
    return true;
  }

  /** Passes this byte if it stands here; tells whether it did. */
  optionalByte(wanted: number): boolean {
    const { at } = this;
    if (BYTES[at] !== wanted) return false;
    this.at = at + 1;
    return true;
  }

  /** The byte at the cursor; 0 at the end. */
  peek(): number {
    return BYTES[this.at];
  }

  /** A JSON number that is a whole number from 0 to 2^53; leaves its digits in `from`, `to`. */
  integer(): number {
    const { at } = this;
    // Most ids have 8 to 12 digits: three words.
    const first = digitsOf(WORDS.getInt32(at, true));
    const second = digitsOf(WORDS.getInt32(at + 4, true));
    const third = digitsOf(WORDS.getInt32(at + 8, true));
    if ((markOthers(first) | markOthers(second)) !== 0 || (first & 0xff) === 0) return this.#anyInteger();
    const upper = Math.imul(fourDigits(first), 10_000) + fourDigits(second);
    const others = markOthers(third);
    this.from = at;
    if (others !== 0) {
      const count = bytesBefore(others);
      const to = at + 8 + count;
      this.to = to;
      this.at = to;
      return upper * POWERS_OF_TEN[count] + fewDigits(third, count);
    }
    if ((BYTES[at + 12] - ZERO) >>> 0 <= 9) return this.#anyInteger();
    this.to = at + 12;
    this.at = at + 12;
    return upper * 1e4 + fourDigits(third);
  }

  #anyInteger(): number {
    const value = this.digits();
    if (value > Number.MAX_SAFE_INTEGER) {
      this.fail();
      return Number.NaN;
    }
    return value;
  }

  /** A JSON number that is a time in ms, as whole µs. */
  time(): number {
    const { at } = this;
    // Times of our days have 13 digits, of which the first 8 stay the same for 100 seconds.
    const first = WORDS.getInt32(at, true);
    const second = WORDS.getInt32(at + 4, true);
    if (first !== this.#timeFirst || second !== this.#timeSecond) return this.#otherTime();
    const third = digitsOf(WORDS.getInt32(at + 8, true));
    const last = BYTES[at + 12] - ZERO;
    const next = BYTES[at + 13] - ZERO;
    if (markOthers(third) !== 0 || last >>> 0 > 9 || next >>> 0 <= 9) return this.#anyTime();
    this.at = at + 13;
    return this.#timeFrom + (Math.imul(fourDigits(third), 10) + last) * 1000;
  }

  /** A time whose first 8 digits are not those of the one before: they are noted for the next one. */
  #otherTime(): number {
    const { at } = this;
    const first = WORDS.getInt32(at, true);
    const second = WORDS.getInt32(at + 4, true);
    const time = this.#anyTime();
    if (this.at === at + 13 && time < TIME_MAX_MS * 1000 - 1e8) {
      this.#timeFirst = first;
      this.#timeSecond = second;
      this.#timeFrom = (fourDigits(digitsOf(first)) * 1e4 + fourDigits(digitsOf(second))) * 1e8;
    }
    return time;
  }

  #anyTime(): number {
    const ms = this.#anyInteger();
    if (ms === 0 || ms > TIME_MAX_MS) this.fail();
    return ms * 1000;
  }

  /**
   * Digits of a JSON number of any length, for an id that is kept as text: `from`, `to`. Returns its value,
   * which is exact up to 2^53 only.
   */
  digits(): number {
    const from = this.at;
    let at = from;
    // Up to 9 digits in 32-bit arithmetic, which is a fraction of that of doubles; then 9 more.
    let digits = 0;
    let end = from + INT_DIGITS;
    for (; at < end; at++) {
      const digit = BYTES[at] - ZERO;
      if (digit >>> 0 > 9) break;
      digits = (Math.imul(digits, 10) + digit) | 0;
    }
    let value = digits;
    while (at === end) {
      digits = 0;
      end += INT_DIGITS;
      for (; at < end; at++) {
        const digit = BYTES[at] - ZERO;
        if (digit >>> 0 > 9) break;
        digits = (Math.imul(digits, 10) + digit) | 0;
      }
      value = value * POWERS_OF_TEN[INT_DIGITS - (end - at)] + digits;
    }
    if (at === from || (BYTES[from] === ZERO && at - from > 1)) {
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
    const from = this.at;
    const negative = BYTES[from] === MINUS;
    const wholeFrom = negative ? from + 1 : from;
    let at = wholeFrom;
    // In 32-bit arithmetic, and wrong where the digits are more than that holds: those are few.
    let digits = 0;
    let digit = BYTES[at] - ZERO;
    while (digit >>> 0 <= 9) {
      digits = (Math.imul(digits, 10) + digit) | 0;
      digit = BYTES[++at] - ZERO;
    }
    const dot = at;
    let fraction = 0;
    if (digit === DOT - ZERO) {
      digit = BYTES[++at] - ZERO;
      while (digit >>> 0 <= 9) {
        digits = (Math.imul(digits, 10) + digit) | 0;
        digit = BYTES[++at] - ZERO;
      }
      fraction = at - dot - 1;
    }
    if (digit !== QUOTE - ZERO || dot === wholeFrom) {
      this.fail();
      return Number.NaN;
    }
    this.at = at + 1;
    const count = dot - wholeFrom + fraction;
    const mantissa = count <= INT_DIGITS ? digits : mantissaOf(wholeFrom, at);
    if (mantissa < MANTISSA_MAX && fraction <= 22) {
      const value = fraction === 0 ? mantissa : mantissa / POWERS_OF_TEN[fraction];
      return negative ? -value : value;
    }
    return this.#longDecimal(from, at);
  }

  #longDecimal(from: number, to: number): number {
    const text = ascii.decode(BYTES.subarray(from, to));
    const value = Number(text);
    if (!Number.isFinite(value)) this.fail();
    else if (!isExact(text, value)) this.inexact++;
    return value;
  }

  /** Passes a name up to and with its closing quote; {@link nameBelongsTo} checks it once the symbol is known. */
  name(): void {
    let { at } = this;
    this.#nameFrom = at;
    let word = WORDS.getInt32(at, true);
    let special = markSpecial(word);
    let high = markHigh(word);
    while (special === 0) {
      at += 4;
      word = WORDS.getInt32(at, true);
      special = markSpecial(word);
      high |= markHigh(word);
    }
    at += bytesBefore(special);
    if (BYTES[at] !== QUOTE) {
      this.fail();
      return;
    }
    if (high !== 0) this.#nameHigh = true;
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
    const nameFrom = this.#nameFrom;
    let matching = 0;
    while (matching < wanted.length && BYTES[nameFrom + matching] === wanted[matching]) matching++;
    let at = nameFrom + matching;
    let belongs = matching === wanted.length && BYTES[at] === AT;
    for (; belongs && at < this.#nameTo; at++) belongs = BYTES[at] < 0x80;
    if (!belongs) this.fail();
  }

  /** An instrument up to and with its closing quote; its entry in the table, -1 and failed if unknown. */
  symbol(symbols: SymbolTable): number {
    const from = this.at;
    let at = from;
    let hash = HASH_START;
    let word = WORDS.getInt32(at, true);
    let quotes = markQuotes(word);
    while (quotes === 0) {
      hash = hashed(hash, word);
      at += 4;
      word = WORDS.getInt32(at, true);
      quotes = markQuotes(word);
    }
    const rest = bytesBefore(quotes);
    const entry = symbols.entryAt(from, hashed(hash, firstBytes(word, rest)));
    if (entry === -1) this.fail();
    else this.at = at + rest + 1;
    return entry;
  }

  /**
   * A key with its quotes, up to and with the opening quote of its value; its place in the table, -1 and failed if it is not there.
   *
   * @param before the key before it, -1 = none
   */
  key(keys: KeyTable, before: number): number {
    const { at } = this;
    const entry = keys.entryAt(at, before);
    if (entry === -1) this.fail();
    else this.at = at + keys.lengthOf(entry);
    return entry;
  }

  /** Passes the instrument of an entry and its closing quote. */
  sameSymbol(symbols: SymbolTable, entry: number): void {
    if (!this.failed) this.literal(symbols.quotedNameOf(entry));
  }

  /** Passes a short text of ASCII letters, digits and signs up to and with its closing quote. */
  word(): void {
    const from = this.at;
    let at = from;
    let word = WORDS.getInt32(at, true);
    let marks = markSpecial(word) | markHigh(word);
    while (marks === 0) {
      at += 4;
      word = WORDS.getInt32(at, true);
      marks = markSpecial(word) | markHigh(word);
    }
    at += bytesBefore(marks);
    if (BYTES[at] !== QUOTE) {
      this.fail();
      return;
    }
    this.from = from;
    this.to = at;
    this.at = at + 1;
  }

  /**
   * {@link word} for an id, which is put into a text of a row at once; failed if it is empty, or too long for a row.
   *
   * It is nearly always a UUID: its 36 bytes are judged together, while they are copied.
   */
  idInto(row: Row, slot: number): void {
    const from = this.at;
    const to = from + UUID_BYTES;
    const words = row.wordsOf(slot);
    let usual = -1;
    let high = 0;
    for (let at = from, cell = 0; cell < UUID_CELLS_END; cell += 4, at += TEXT_PIECE_BYTES) {
      const first = WORDS.getInt32(at, true);
      const second = WORDS.getInt32(at + 4, true);
      const third = WORDS.getInt32(at + 8, true);
      usual &= markWordish(first) & markWordish(second) & markWordish(third);
      high |= first | second | third;
      words[cell] = TEXT_PIECE_BYTES;
      words[cell + 1] = first;
      words[cell + 2] = second;
      words[cell + 3] = third;
    }
    if (!allWordish(usual) || markHigh(high) !== 0 || BYTES[to] !== QUOTE) {
      this.#otherIdInto(row, slot);
      return;
    }
    words[UUID_CELLS_END] = 0;
    words[UUID_CELLS_END + 1] = 0;
    words[UUID_CELLS_END + 2] = 0;
    words[UUID_CELLS_END + 3] = 0;
    this.from = from;
    this.to = to;
    this.at = to + 1;
  }

  #otherIdInto(row: Row, slot: number): void {
    this.word();
    const { from, to } = this;
    if (this.failed || from === to || !row.setTextFrom(slot, WORDS, from, to)) this.fail();
  }
}
