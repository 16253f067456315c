import { BEYOND_MAX, WORDS } from "./frame-memory.ts";
import type { SymbolTable } from "./symbols.ts";

const utf8 = new TextEncoder();

/** Words that are taken in the beginning; it grows with the literals that are made. */
const WORDS_FIRST = 1024;

/**
 * Literals that hold an instrument, by its entry in the table: one comparison in place of finding the instrument
 * between others.
 *
 * All of them stand in one array, each behind its length, as the words in which they are compared, of which the last two may
 * overlap. As objects of their own they would be scattered over memory: with thousands of instruments each comparison
 * waited for it several times.
 */
export class SymbolLiterals {
  readonly #symbols: SymbolTable;
  readonly #textOf: (instrument: string) => string;
  /** Where the literal of an entry stands; 0 = it is not made yet. */
  #starts = new Int32Array(64);
  #words = new Int32Array(WORDS_FIRST);
  #used = 1;

  /** @param textOf what stands in frames of an instrument, at least four bytes */
  constructor(symbols: SymbolTable, textOf: (instrument: string) => string) {
    this.#symbols = symbols;
    this.#textOf = textOf;
  }

  /** Whether the literal of an entry, which was found in a frame, stands in the frame at `at`: its length, or 0. */
  lengthAt(entry: number, at: number): number {
    let word = entry < this.#starts.length ? this.#starts[entry] : 0;
    if (word === 0) word = this.#make(entry);
    const words = this.#words;
    const length = words[word++];
    const last = at + length - 4;
    for (let from = at; from < last; from += 4) if (WORDS.getInt32(from, true) !== words[word++]) return 0;
    return WORDS.getInt32(last, true) === words[word] ? length : 0;
  }

  /** @throws RangeError when it is shorter or longer than what is compared */
  #make(entry: number): number {
    const bytes = utf8.encode(this.#textOf(this.#symbols.instruments[entry] as string));
    const { length } = bytes;
    if (length < 4 || length > BEYOND_MAX - 4) throw new RangeError(`a literal of ${length} bytes`);
    const start = this.#used;
    const end = start + 1 + Math.ceil(length / 4);
    if (end > this.#words.length) this.#words = longer(this.#words, end);
    if (entry >= this.#starts.length) this.#starts = longer(this.#starts, entry + 1);
    const words = this.#words;
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    let word = start;
    words[word++] = length;
    for (let at = 0; at < length - 4; at += 4) words[word++] = view.getInt32(at, true);
    words[word++] = view.getInt32(length - 4, true);
    this.#used = end;
    this.#starts[entry] = start;
    return start;
  }
}

function longer(array: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(Math.max(length, 2 * array.length));
  copy.set(array);
  return copy;
}
