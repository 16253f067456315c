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

/** What a loop found: least and greatest value, and the sum. */
const found = new Float64Array(3);
const [MIN, MAX, TOTAL] = [0, 1, 2];

/** Takes numbers as they are. */
export function gather(column: number, { rows, from, count }: Slice, into: Float64Array): Gathered {
  const values = rows.number(column);
  take(values, from, into, count);
  // NaN is NULL, and whatever it is added to becomes NaN.
  if (Number.isNaN(found[TOTAL])) return gatherSome(values, from, count, into, false);
  return { count, min: found[MIN], max: found[MAX], present: null };
}

/** Takes whole numbers. */
export function gatherWhole(column: number, { rows, from, count }: Slice, into: Float64Array): Gathered {
  const values = rows.number(column);
  takeWhole(values, from, into, count);
  const [min, max] = [found[MIN], found[MAX]];
  if (Number.isNaN(found[TOTAL]) || min <= -SUM_MAX || max >= SUM_MAX)
    return gatherSome(values, from, count, into, true);
  return { count, min, max, present: null };
}

// The loops are functions of their own, called for each page: one that is entered while it runs is compiled for that alone,
// and again and again.

function take(values: Float64Array, from: number, into: Float64Array, count: number): void {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const value = values[from + row];
    into[row] = value;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  found[MIN] = min;
  found[MAX] = max;
  found[TOTAL] = sum;
}

function takeWhole(values: Float64Array, from: number, into: Float64Array, count: number): void {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const value = values[from + row] + SUM - SUM;
    into[row] = value;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  found[MIN] = min;
  found[MAX] = max;
  found[TOTAL] = sum;
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
  const taken = isWhole ? takeSomeWhole(values, from, into, count) : takeSome(values, from, into, count);
  return { count: taken, min: found[MIN], max: found[MAX], present: taken === count ? null : present };
}

function takeSome(values: Float64Array, from: number, into: Float64Array, count: number): number {
  let taken = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < count; row++) {
    const value = values[from + row];
    if (Number.isNaN(value)) continue;
    present[row >>> 3] |= 1 << (row & 7);
    into[taken++] = value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  found[MIN] = min;
  found[MAX] = max;
  return taken;
}

function takeSomeWhole(values: Float64Array, from: number, into: Float64Array, count: number): number {
  let taken = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < count; row++) {
    const value = values[from + row];
    if (Number.isNaN(value)) continue;
    present[row >>> 3] |= 1 << (row & 7);
    const isSmall = value < SUM_MAX && value > -SUM_MAX;
    const whole = isSmall ? value + SUM - SUM : Math.floor(value);
    into[taken++] = whole;
    if (whole < min) min = whole;
    if (whole > max) max = whole;
  }
  found[MIN] = min;
  found[MAX] = max;
  return taken;
}
