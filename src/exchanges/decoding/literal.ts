import { BEYOND_MAX, WORDS } from "./frame-memory.ts";

const utf8 = new TextEncoder();

/**
 * Bytes that have to stand in a frame, as the words in which they are compared: first and last word, which may
 * overlap, and those between. Less than four bytes are one word under a mask.
 */
export class Literal {
  readonly length: number;
  readonly mask: number;
  readonly first: number;
  readonly last: number;
  /** Where the last word begins. */
  readonly lastAt: number;
  readonly between: Int32Array;

  /** @throws RangeError when it is empty or longer than what may be looked at */
  constructor(text: string) {
    const bytes = utf8.encode(text);
    const { length } = bytes;
    if (length === 0 || length > BEYOND_MAX - 4) throw new RangeError(`a literal of ${length} bytes`);
    const padded = new DataView(new ArrayBuffer(length + 4));
    bytes.forEach((byte, at) => {
      padded.setUint8(at, byte);
    });
    const wordAt = (at: number): number => padded.getInt32(at, true);
    this.length = length;
    this.mask = length < 4 ? (1 << (length * 8)) - 1 : -1;
    this.lastAt = Math.max(0, length - 4);
    this.first = wordAt(0);
    this.last = wordAt(this.lastAt);
    this.between = Int32Array.from({ length: Math.max(0, Math.ceil(length / 4) - 2) }, (_, i) =>
      wordAt(4 * (i + 1)),
    );
  }
}

/** An ASCII literal. */
export function literal(text: string): Literal {
  return new Literal(text);
}

/** Whether a literal stands in the frame at `at`. */
export function stands(wanted: Literal, at: number): boolean {
  const { mask, between } = wanted;
  if ((WORDS.getInt32(at, true) & mask) !== wanted.first) return false;
  if ((WORDS.getInt32(at + wanted.lastAt, true) & mask) !== wanted.last) return false;
  for (let i = 0, word = at + 4; i < between.length; i++, word += 4) {
    if (WORDS.getInt32(word, true) !== between[i]) return false;
  }
  return true;
}
