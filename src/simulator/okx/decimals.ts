/** Decimals as OKX spells them: without zeros at the end. */
import { fixed } from "../decimals.ts";

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

/** {@link plain} for a value that often stays the same: spells it again only when it has changed. */
export class PlainMemo {
  #units = Number.NaN;
  #text = "";

  constructor(readonly digits: number) {}

  spell(units: number): string {
    if (units !== this.#units) {
      this.#units = units;
      this.#text = plain(units, this.digits);
    }
    return this.#text;
  }
}
