/** Seeded randomness: the same seed gives the same numbers on every machine. */

const TWO_32 = 2 ** 32;

/**
 * A small fast generator (sfc32, 128 bits of state, integer arithmetic only).
 *
 * ```ts
 * const random = new Random("7/BTCUSDT");
 * random.unit(); // 0 ≤ x < 1
 * ```
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Any text or number is a seed; different texts give unrelated sequences. */
  constructor(seed: string | number) {
    const text = String(seed);
    this.#a = hash(text, 0x9e3779b9);
    this.#b = hash(text, 0x243f6a88);
    this.#c = hash(text, 0xb7e15162);
    for (let round = 0; round < 12; round++) this.uint32();
  }

  /** An integer 0 ≤ x < 2^32. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A number 0 ≤ x < 1 with 32 random bits. */
  unit(): number {
    return this.uint32() / TWO_32;
  }

  /** An integer 0 ≤ x < `bound`. */
  below(bound: number): number {
    return Math.floor((this.uint32() / TWO_32) * bound);
  }
}

/** FNV-1a over the UTF-16 units, finished by a mixing step, so that near texts end far apart. */
function hash(text: string, start: number): number {
  let value = start | 0;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}
