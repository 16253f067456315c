/**
 * Instruments by number, found by the bytes of a frame without making a string.
 *
 * Closed (recording): holds the wanted instruments; others are unknown. Open (`decode`): an instrument
 * met for the first time gets the next number.
 */

const utf8 = new TextEncoder();

/** Start value of the running hash (FNV-1a). */
export const HASH_START: number = 0x811c9dc5 | 0;
/** Multiplier of the running hash. */
export const HASH_PRIME = 0x01000193;

function hashOf(bytes: Uint8Array): number {
  let hash = HASH_START;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, HASH_PRIME);
  return hash;
}

/** The instruments a decoder knows. */
export class SymbolTable {
  readonly open: boolean;
  readonly #numbers = new Map<string, number>();
  #slots = new Int32Array(64).fill(-1);
  readonly #names: Uint8Array[] = [];
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
    this.#names.push(utf8.encode(instrument));
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
    let slot = hashOf(this.#names[entry]) & mask;
    while (this.#slots[slot] !== -1) slot = (slot + 1) & mask;
    this.#slots[slot] = entry;
  }

  /** Entry of the instrument whose bytes are `bytes[from..to)`, `hash` being their FNV-1a; -1 = unknown. */
  entryOf(bytes: Uint8Array, from: number, to: number, hash: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot];
      if (entry === -1) return -1;
      const name = this.#names[entry];
      if (name.length !== to - from) continue;
      let i = 0;
      while (i < name.length && name[i] === bytes[from + i]) i++;
      if (i === name.length) return entry;
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
