/**
 * Takes values of a column in the order of the file: those that are there, closely, and a bit for each row that has one.
 *
 * The loops call nothing and compare little, so that they are quick before the compilers have got to them as well.
 */
import type { SortedRows } from "../sorted-rows.ts";
import { SUM, SUM_MAX } from "./encodings.ts";
import { ROW_GROUP_ROWS } from "./format.ts";

/** What was taken. */
export interface Gathered {
  /** How many values. */
  readonly count: number;
  readonly min: number;
  readonly max: number;
  /** A bit for each row that has one; null = all have. It holds until something is gathered again. */
  readonly present: Uint8Array | null;
}

/** Rows of the file. */
export interface Slice {
  readonly rows: SortedRows;
  readonly from: number;
  readonly count: number;
}

const present = new Uint8Array(ROW_GROUP_ROWS / 8);

/** Begins anew: no row has a value. */
export function nonePresent(): Uint8Array {
  present.fill(0);
  return present;
}

/** Takes numbers as they are. */
export function gather(column: number, { rows, from, count }: Slice, into: Float64Array): Gathered {
  const values = rows.number(column);
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = values[from];
  // NaN is NULL, and whatever it is added to becomes NaN.
  for (let row = 0; row < count; row++) {
    const value = values[from + row];
    into[row] = value;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (Number.isNaN(sum)) return gatherSome(values, from, count, into, false);
  return { count, min, max, present: null };
}

/** Takes whole numbers. */
export function gatherWhole(column: number, { rows, from, count }: Slice, into: Float64Array): Gathered {
  const values = rows.number(column);
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = values[from];
  for (let row = 0; row < count; row++) {
    const value = values[from + row] + SUM - SUM;
    into[row] = value;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (Number.isNaN(sum) || min <= -SUM_MAX || max >= SUM_MAX)
    return gatherSome(values, from, count, into, true);
  return { count, min, max, present: null };
}

/** As those above, where there are NULLs, or numbers that need more than 51 bits. */
function gatherSome(
  values: Float64Array,
  from: number,
  count: number,
  into: Float64Array,
  isWhole: boolean,
): Gathered {
  nonePresent();
  let taken = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < count; row++) {
    const value = values[from + row];
    if (Number.isNaN(value)) continue;
    present[row >>> 3] |= 1 << (row & 7);
    const isSmall = value < SUM_MAX && value > -SUM_MAX;
    const kept = !isWhole ? value : isSmall ? value + SUM - SUM : Math.floor(value);
    into[taken++] = kept;
    if (kept < min) min = kept;
    if (kept > max) max = kept;
  }
  return { count: taken, min, max, present: taken === count ? null : present };
}
