/**
 * A closed set of JSON keys with texts as values, found by the bytes of a frame.
 *
 * Unlike symbols, keys are known when the program is written. So their table is made without collisions, of what can be
 * looked at without a loop (first byte, middle byte, length), and one comparison tells whether it is that key.
 */
import { BYTES, WORDS } from "./frame-memory.ts";
import { Literal, stands } from "./literal.ts";
import { bytesBefore, markQuotes } from "./words.ts";

/** Slots of the table are numbered by this many bits. */
const SLOT_BITS = 8;
/** Multipliers that are tried; of 33 keys one in eight will do. */
const TRIES_MAX = 10_000;

const utf8 = new TextEncoder();

/** See the head of the file. */
export class KeyTable {
  readonly #names: readonly Uint8Array[];
  /** Keys with what stands between them and their value. */
  readonly #literals: readonly Literal[];
  /** By the key before, that of none first: the one that followed the last time. */
  readonly #next: Int32Array;
  readonly #slots = new Int32Array(1 << SLOT_BITS);
  readonly #multiplier: number;

  /** @throws Error where two keys are alike in first byte, middle byte and length */
  constructor(keys: readonly string[]) {
    this.#names = keys.map((key) => utf8.encode(key));
    this.#literals = keys.map((key) => new Literal(`"${key}":"`));
    this.#next = new Int32Array(keys.length + 1);
    this.#multiplier = this.#fit();
  }

  /** Fills the slots; answers the multiplier with which no two keys share one. */
  #fit(): number {
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      // Odd, and spread over the upper bits, which are those that are used.
      const multiplier = Math.imul(2 * tried + 1, 0x9e3779b1);
      this.#slots.fill(-1);
      const fits = this.#names.every((name, entry) => {
        const slot = slotOf(name, 0, name.length, multiplier);
        if (this.#slots[slot] !== -1) return false;
        this.#slots[slot] = entry;
        return true;
      });
      if (fits) return multiplier;
    }
    throw new Error("two keys have the same first byte, middle byte and length: a KeyTable cannot tell them");
  }

  /**
   * Place in the list of the key that stands in the frame at `at` with its quotes, and `:"` behind it; -1 = not in it.
   *
   * Keys mostly follow each other as they did the last time, so the one that did is tried first.
   *
   * @param before the key before it, -1 = none
   */
  entryAt(at: number, before: number): number {
    const expected = this.#next[before + 1];
    if (stands(this.#literals[expected], at)) return expected;
    const found = this.#find(at);
    if (found !== -1) this.#next[before + 1] = found;
    return found;
  }

  /** Bytes of a key with its quotes and the `:"` behind it. */
  lengthOf(entry: number): number {
    return this.#literals[entry].length;
  }

  #find(at: number): number {
    const from = at + 1;
    let to = from;
    let quotes = markQuotes(WORDS.getInt32(to, true));
    while (quotes === 0) {
      to += 4;
      quotes = markQuotes(WORDS.getInt32(to, true));
    }
    to += bytesBefore(quotes);
    const entry = this.#slots[slotOf(BYTES, from, to, this.#multiplier)];
    return entry !== -1 && stands(this.#literals[entry], at) ? entry : -1;
  }
}

function slotOf(bytes: Uint8Array, from: number, to: number, multiplier: number): number {
  const facts = bytes[from] | (bytes[(from + to) >>> 1] << 8) | ((to - from) << 16);
  return Math.imul(facts, multiplier) >>> (32 - SLOT_BITS);
}
