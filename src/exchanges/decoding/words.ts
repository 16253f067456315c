/**
 * Four bytes at a time: questions about all bytes of a 32-bit word, answered without a branch.
 *
 * The first byte in memory is the lowest of the word. Marks are the highest bit of each byte in question; of several
 * marks only the lowest is to be believed, which is the first byte.
 */

const HIGHEST = 0x80808080 | 0;
const ONES = 0x01010101;
const SPACES = 0x20202020;
const QUOTES = 0x22222222;
const BACKSLASHES = 0x5c5c5c5c;
const ZEROS = 0x30303030;

/** The word with each digit as its value. */
export function digitsOf(word: number): number {
  return word ^ ZEROS;
}

/** Marks bytes of {@link digitsOf} that are no digits; each mark is to be believed. */
export function markOthers(digits: number): number {
  return (((digits & 0x7f7f7f7f) + 0x76767676) | digits) & HIGHEST;
}

/** Marks quotes, and bytes 0, with which a frame ends. */
export function markQuotes(word: number): number {
  const quotes = word ^ QUOTES;
  return (((quotes - ONES) & ~quotes) | ((word - ONES) & ~word)) & HIGHEST;
}

/** Marks what does not stand for itself in a JSON text: quotes, backslashes and control characters. */
export function markSpecial(word: number): number {
  const quotes = word ^ QUOTES;
  const backslashes = word ^ BACKSLASHES;
  return (
    (((quotes - ONES) & ~quotes) | ((backslashes - ONES) & ~backslashes) | ((word - SPACES) & ~word)) &
    HIGHEST
  );
}

/** Marks bytes beyond ASCII; each mark is to be believed. */
export function markHigh(word: number): number {
  return word & HIGHEST;
}

/**
 * For {@link allWordish}: tells bytes that certainly stand for themselves in a JSON text, if they are ASCII: digits, lower-case
 * letters, `-` and a few others have the bit 0x20 and one of 0x40, 0x10 and 0x08; controls, `"` and `\\` do not.
 */
export function markWordish(word: number): number {
  return word & ((word >>> 1) | (word << 1) | (word << 2));
}

/** Whether all words did, of whose {@link markWordish} this is the common part. */
export function allWordish(marks: number): boolean {
  return (marks & SPACES) === SPACES;
}

/** Bytes before the first mark, of which there is one. */
export function bytesBefore(marks: number): number {
  return (31 - Math.clz32(marks & -marks)) >>> 3;
}

/** The first `count` bytes, 0 to 3, the others 0. */
export function firstBytes(word: number, count: number): number {
  return word & ((1 << (count << 3)) - 1);
}

/** Four digits, each a byte, as a number. */
export function fourDigits(digits: number): number {
  const pairs = (Math.imul(digits, 10) + (digits >>> 8)) & 0x00ff00ff;
  return (Math.imul(pairs, 100) + (pairs >>> 16)) & 0xffff;
}

/** The first `count` digits, 0 to 3, as a number. */
export function fewDigits(digits: number, count: number): number {
  // As the last ones of four. In two steps, since a shift by 32 would be none.
  return fourDigits((digits << 1) << (31 - (count << 3)));
}
