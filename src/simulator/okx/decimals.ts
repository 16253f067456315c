/** Decimals as OKX spells them: without zeros at the end. */
import { DecimalMemo, fixed } from "../decimals.ts";

const ZERO = 0x30;
const DOT = 0x2e;

/** Spells `units` × 10^-`digits`: `plain(834344, 1)` is "83434.4", `plain(834340, 1)` is "83434". */
export function plain(units: number, digits: number): string {
  if (digits <= 0) return String(units * 10 ** -digits);
  const text = fixed(units, digits);
  let end = text.length;
  while (text.charCodeAt(end - 1) === ZERO) end--;
  if (text.charCodeAt(end - 1) === DOT) end--;
  return end === text.length ? text : text.slice(0, end);
}

/** {@link plain} for a value that often stays the same. */
export class PlainMemo extends DecimalMemo {
  constructor(digits: number) {
    super(digits, plain);
  }
}
