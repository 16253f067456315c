/** Decimals as exchanges spell them: a fixed number of digits after the point. */

const POWERS = Array.from({ length: 16 }, (_, digits) => 10 ** digits);
/** "000" … "999": three digits at a time is faster than padStart. */
const TRIPLES = Array.from({ length: 1000 }, (_, value) => String(value).padStart(3, "0"));

/**
 * Spells `units` × 10^-`digits`: `fixed(8343440, 2)` is "83434.40", `fixed(5, 3)` is "0.005".
 *
 * `units` is an integer 0 ≤ units < 2^53 and `digits` at most 15, so the text is exact.
 */
export function fixed(units: number, digits: number): string {
  if (digits === 0) return String(units);
  const scale = POWERS[digits] ?? 10 ** digits;
  const whole = Math.floor(units / scale);
  return `${whole}.${padded(units - whole * scale, digits)}`;
}

function padded(value: number, digits: number): string {
  if (digits === 3) return TRIPLES[value] ?? "";
  if (digits < 3) return (TRIPLES[value] ?? "").slice(3 - digits);
  const scale = POWERS[digits - 3] ?? 1;
  const head = Math.floor(value / scale);
  return (TRIPLES[head] ?? "") + padded(value - head * scale, digits - 3);
}

/** 10^-`digits` as text: `unitText(3)` is "0.001"; times `units`: `unitText(2, 10)` is "0.10". */
export function unitText(digits: number, units = 1): string {
  return fixed(units, digits);
}

const MILLION = 1_000_000;

/**
 * Spells an integer 0 ≤ value < 2^31 × 10^6, such as an id or epoch milliseconds. The same text as
 * String(value) and several times faster above 2^31, where the engine takes its path for fractions.
 */
export function integer(value: number): string {
  if (value < MILLION) return String(value);
  const millions = Math.floor(value / MILLION);
  return `${millions}${padded(value - millions * MILLION, 6)}`;
}

/** A spelling of a value that often stays the same: spells it again only when it has changed. */
export class DecimalMemo {
  readonly digits: number;
  readonly #spelled: (units: number, digits: number) => string;
  #units = Number.NaN;
  #text = "";

  constructor(digits: number, spelled: (units: number, digits: number) => string) {
    this.digits = digits;
    this.#spelled = spelled;
  }

  spell(units: number): string {
    if (units !== this.#units) {
      this.#units = units;
      this.#text = this.#spelled(units, this.digits);
    }
    return this.#text;
  }
}

/** {@link fixed} for a value that often stays the same. */
export class FixedMemo extends DecimalMemo {
  constructor(digits: number) {
    super(digits, fixed);
  }
}
