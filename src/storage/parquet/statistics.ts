/** Puts together what is known of pages to what is known of a chunk. */
import { PHYSICAL, type Physical, type Statistics } from "./format.ts";

/**
 * The statistics of a page behind others of its chunk. A page without a range has no values, but for texts, where none of
 * them has one.
 *
 * @param before of the pages before; null = it is the first
 */
export function together(physical: Physical, before: Statistics | null, page: Statistics): Statistics {
  if (before === null) return page;
  const lesser = (a: Uint8Array, b: Uint8Array) => (compared(physical, a, b) <= 0 ? a : b);
  const greater = (a: Uint8Array, b: Uint8Array) => (compared(physical, a, b) >= 0 ? a : b);
  return {
    nulls: before.nulls + page.nulls,
    min: before.min === null || page.min === null ? (before.min ?? page.min) : lesser(before.min, page.min),
    max: before.max === null || page.max === null ? (before.max ?? page.max) : greater(before.max, page.max),
  };
}

/** Which of two plain values is the greater one: above 0 = the first. */
function compared(physical: Physical, a: Uint8Array, b: Uint8Array): number {
  if (physical === PHYSICAL.bytes) return Buffer.compare(a, b);
  const [one, other] = [numberOf(physical, a), numberOf(physical, b)];
  return one < other ? -1 : one > other ? 1 : 0;
}

function numberOf(physical: Physical, bytes: Uint8Array): number | bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (physical) {
    case PHYSICAL.double:
      return view.getFloat64(0, true);
    case PHYSICAL.int64:
      return view.getBigInt64(0, true);
    case PHYSICAL.int32:
      return view.getInt32(0, true);
    default:
      return view.getUint8(0);
  }
}
