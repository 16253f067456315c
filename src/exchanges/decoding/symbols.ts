/**
 * Instruments by number, found by the bytes of a frame without making a string.
 *
 * Closed (recording): holds the wanted instruments; others are unknown. Open (`decode`): an instrument
 * met for the first time gets the next number.
 */

import { BEYOND_MAX } from "./frame-memory.ts";
import { Literal, stands } from "./literal.ts";

const utf8 = new TextEncoder();

/** Start value of the running hash of an instrument's words. */
export const HASH_START: number = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;

/** The hash with one more word; the last one has less than four bytes, perhaps none, and zeros. */
export function hashed(hash: number, word: number): number {
  return Math.imul(hash ^ word, HASH_PRIME);
}

function hashOf(name: Uint8Array): number {
  const padded = new DataView(new ArrayBuffer(name.length + 4));
  name.forEach((byte, at) => {
    padded.setUint8(at, byte);
  });
  let hash = HASH_START;
  for (let at = 0; at <= name.length; at += 4) hash = hashed(hash, padded.getInt32(at, true));
  return hash;
}

/** What a name must not have to be found in a frame: there it would be written with an escape. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are meant
const ESCAPED = /["\\\u0000-\u001f]/;
/** Longest name that is found in a frame, bytes: literals may hold it twice. */
const NAME_BYTES_MAX = BEYOND_MAX / 4;

/** The instruments a decoder knows. */
export class SymbolTable {
  readonly open: boolean;
  readonly #numbers = new Map<string, number>();
  #slots = new Int32Array(64).fill(-1);
  readonly #names: Uint8Array[] = [];
  /** Names with the closing quote of a frame; null = not to be found in one. */
  readonly #quotedNames: (Literal | null)[] = [];
  readonly #lowerNames: Uint8Array[] = [];
  readonly #texts: string[] = [];
  readonly #idOfNumber: number[] = [];

  /** @param open whether unknown instruments get a number when first met */
  constructor({ open = false }: { open?: boolean } = {}) {
    this.open = open;
  }

  /** Entries, in the order they came. */
  get instruments(): readonly string[] {
    return this.#texts;
  }

  /** Makes `instrument` known under `number`. */
  add(instrument: string, number: number): void {
    if (this.#numbers.has(instrument)) return;
    const entry = this.#names.length;
    this.#numbers.set(instrument, number);
    const name = utf8.encode(instrument);
    const plain = name.length <= NAME_BYTES_MAX && !ESCAPED.test(instrument);
    this.#names.push(name);
    this.#quotedNames.push(plain ? new Literal(`${instrument}"`) : null);
    this.#lowerNames.push(utf8.encode(instrument.toLowerCase()));
    this.#texts.push(instrument);
    this.#idOfNumber.push(number);
    if (this.#names.length * 2 > this.#slots.length) this.#grow();
    else this.#insert(entry);
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
    for (let entry = 0; entry < this.#names.length; entry++) this.#insert(entry);
  }

  #insert(entry: number): void {
    const mask = this.#slots.length - 1;
    let slot = slotOf(hashOf(this.#names[entry]), mask);
    while (this.#slots[slot] !== -1) slot = (slot + 1) & mask;
    this.#slots[slot] = entry;
  }

  /** Entry of the instrument that stands in the frame at `at`, `hash` being that of its words; -1 = unknown. */
  entryAt(at: number, hash: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = slotOf(hash, mask); ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot];
      if (entry === -1) return -1;
      const name = this.#quotedNames[entry];
      if (name !== null && stands(name, at)) return entry;
    }
  }

  /** Number of an entry. */
  numberOf(entry: number): number {
    return this.#idOfNumber[entry];
  }

  /** The instrument of a number; null = none has it. */
  instrumentOf(number: number): string | null {
    return this.#texts[this.#idOfNumber.indexOf(number)] ?? null;
  }

  /** An entry's instrument and the quote behind it. @throws Error where that stands in no frame */
  quotedNameOf(entry: number): Literal {
    const name = this.#quotedNames[entry];
    if (name === null) throw new Error("an instrument that is not found in frames");
    return name;
  }

  /** Bytes of an entry's instrument in lower case, as stream names carry it. */
  lowerNameOf(entry: number): Uint8Array {
    return this.#lowerNames[entry];
  }

  /** Number of an instrument; an open table takes it up, a closed one answers -1. */
  find(instrument: string): number {
    const number = this.#numbers.get(instrument);
    if (number !== undefined) return number;
    if (!this.open) return -1;
    const next = this.#names.length;
    this.add(instrument, next);
    return next;
  }
}

function slotOf(hash: number, mask: number): number {
  // What the lower bits of the words were has gone upwards.
  return (hash ^ (hash >>> 16)) & mask;
}
