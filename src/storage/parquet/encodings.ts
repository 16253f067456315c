/**
 * Encodings of Parquet
 * ({@link https://github.com/apache/parquet-format/blob/master/Encodings.md}), each written at a place in memory; what they
 * return is where it ends.
 *
 * Whole numbers are doubles all the way: 64-bit integers would be garbage, one for each value.
 */
import { putVarint } from "./page-memory.ts";

/** Values of a block of differences, and of a part of it that has one width. */
const BLOCK = 128;
const PART = 32;
const PARTS = BLOCK / PART;
const TWO_TO_32 = 2 ** 32;
/** Of so many blocks one is looked at to know how wide differences are. */
const SAMPLE = 16;
/**
 * Added to 1.5 × 2^52, a number below 2^51 stands in the lower bits of the sum as an integer, a negative one too: what
 * the sum adds to it in the upper half is taken off. Taken off as a whole, it leaves the nearest whole number.
 */
export const SUM = 1.5 * 2 ** 52;
const SUM_UPPER_HALF = 0x43380000;
/** Bound of the numbers for which {@link SUM} does that. */
export const SUM_MAX = 2 ** 51;

const deltas = new Float64Array(BLOCK);
/** The same by words. */
const halves = new Int32Array(deltas.buffer);
const TWO_TO_52 = 2 ** 52;
/** Bits of a double's upper word that belong to a number added to 2^52. */
const UPPER_BITS = 0xfffff;

/** Whether {@link putDeltas} can write values between these two, as numbers of so many bits. */
export function deltasFit(min: number, max: number, bits: 32 | 64): boolean {
  return min > -SUM_MAX && max - min < (bits === 32 ? 2 ** 31 : SUM_MAX);
}

/** DELTA_BINARY_PACKED: each value's difference to the one before, packed to as many bits as its part needs. */
export function putDeltas(values: Float64Array, count: number, bytes: Uint8Array, at: number): number {
  let to = putVarint(bytes, at, BLOCK);
  to = putVarint(bytes, to, PARTS);
  to = putVarint(bytes, to, count);
  to = putZigzag(bytes, to, count === 0 ? 0 : values[0]);
  for (let from = 1; from < count; from += BLOCK)
    to = putBlock(values, from, Math.min(BLOCK, count - from), bytes, to);
  return to;
}

function putBlock(values: Float64Array, from: number, count: number, bytes: Uint8Array, at: number): number {
  const least = takeDeltas(values, from, count);
  const widths = putZigzag(bytes, at, least);
  let to = widths + PARTS;
  for (let part = 0; part < PARTS; part++) {
    const width = subtract(part * PART, count, least);
    bytes[widths + part] = width;
    if (width > 32) to = packWide(part * PART, width, bytes, to);
    else if (width > 0) to = pack(part * PART, width, bytes, to);
  }
  return to;
}

/** Bits that a difference takes, estimated. */
export function deltaBits(values: Float64Array, count: number): number {
  let bits = 0;
  let blocks = 0;
  for (let from = 1; from < count; from += SAMPLE * BLOCK, blocks++) {
    const inBlock = Math.min(BLOCK, count - from);
    const least = takeDeltas(values, from, inBlock);
    for (let part = 0; part < PARTS; part++) bits += subtract(part * PART, inBlock, least);
  }
  return blocks === 0 ? 0 : bits / (blocks * PARTS);
}

/** Takes the differences of a block. @returns the least */
function takeDeltas(values: Float64Array, from: number, count: number): number {
  let before = values[from - 1];
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const value = values[from + i];
    const delta = value - before;
    before = value;
    deltas[i] = delta;
    if (delta < least) least = delta;
  }
  return least;
}

/** Makes the differences of a part differences to the least one. @returns bits that each of them needs */
function subtract(from: number, inBlock: number, least: number): number {
  let most = 0;
  const to = from + PART;
  const end = Math.min(to, inBlock);
  for (let i = from; i < end; i++) {
    const delta = deltas[i] - least;
    deltas[i] = delta;
    if (delta > most) most = delta;
  }
  for (let i = Math.max(from, end); i < to; i++) deltas[i] = 0;
  return most < TWO_TO_32 ? 32 - Math.clz32(most) : 64 - Math.clz32(most / TWO_TO_32);
}

function pack(from: number, width: number, bytes: Uint8Array, at: number): number {
  let to = at;
  let word = 0;
  let used = 0;
  for (let i = from; i < from + PART; i++) {
    const value = deltas[i] | 0;
    word |= value << used;
    used += width;
    if (used < 32) continue;
    to = putWord(bytes, to, word);
    used -= 32;
    word = used === 0 ? 0 : value >>> (width - used);
  }
  return to;
}

/** As {@link pack}, for more than 32 bits; where rows of many symbols meet, ids of one and the next are that far apart. */
function packWide(from: number, width: number, bytes: Uint8Array, at: number): number {
  let to = at;
  let word = 0;
  let used = 0;
  const upperBits = width - 32;
  for (let i = from; i < from + PART; i++) {
    // Added to 2^52 a number below it stands in the lower bits of the sum.
    deltas[i] += TWO_TO_52;
    const lower = halves[2 * i];
    const upper = halves[2 * i + 1] & UPPER_BITS;
    to = putWord(bytes, to, word | (lower << used));
    word = used === 0 ? upper : (lower >>> (32 - used)) | (upper << used);
    used += upperBits;
    if (used < 32) continue;
    to = putWord(bytes, to, word);
    used -= 32;
    word = used === 0 ? 0 : upper >>> (upperBits - used);
  }
  return to;
}

function putWord(bytes: Uint8Array, at: number, word: number): number {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
  return at + 4;
}

/** A signed number of at most 52 bits. */
function putZigzag(bytes: Uint8Array, at: number, value: number): number {
  return putVarint(bytes, at, value < 0 ? -2 * value - 1 : 2 * value);
}

/** Plain 64-bit integers, into the words at the place of the values. */
export function setLongs(
  values: Float64Array,
  count: number,
  words: Int32Array,
  doubles: Float64Array,
): void {
  for (let i = 0; i < count; i++) {
    const value = values[i];
    if (value < SUM_MAX && value > -SUM_MAX) {
      doubles[i] = value + SUM;
      words[2 * i + 1] -= SUM_UPPER_HALF;
    } else {
      // Times after 2041, ids that fill 53 bits: several times as dear.
      const high = Math.floor(value / TWO_TO_32);
      words[2 * i] = (value - high * TWO_TO_32) | 0;
      words[2 * i + 1] = high;
    }
  }
}

/** Bits that numbers from 0 to `most` need; one at least, for not every reader takes none. */
export function widthOf(most: number): number {
  return Math.max(1, 32 - Math.clz32(most));
}

/** A run of one number, in the hybrid of runs and packed bits in which numbers of dictionaries are written. */
export function putRun(value: number, count: number, width: number, bytes: Uint8Array, at: number): number {
  let to = putVarint(bytes, at, 2 * count);
  for (let shift = 0; shift < width; shift += 8) bytes[to++] = value >>> shift;
  return to;
}

/** Numbers of at most 8 bits, packed, in the same hybrid. */
export function putPacked(
  values: Uint8Array,
  count: number,
  width: number,
  bytes: Uint8Array,
  at: number,
): number {
  const to = putVarint(bytes, at, 2 * Math.ceil(count / 8) + 1);
  return putBits(values, count, width, bytes, to);
}

/** Numbers of at most 8 bits, packed, up to a whole number of groups of eight. */
export function putBits(
  values: Uint8Array,
  count: number,
  width: number,
  bytes: Uint8Array,
  at: number,
): number {
  const end = at + Math.ceil(count / 8) * width;
  let to = at;
  let word = 0;
  let used = 0;
  for (let i = 0; i < count; i++) {
    word |= values[i] << used;
    used += width;
    while (used >= 8) {
      bytes[to++] = word;
      word >>>= 8;
      used -= 8;
    }
  }
  if (to < end) bytes[to++] = word;
  bytes.fill(0, to, end);
  return end;
}
