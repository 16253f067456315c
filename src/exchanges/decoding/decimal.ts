/**
 * Decimal text to double. The value is always the one `Number(text)` gives, the correctly rounded one.
 *
 * A double holds every decimal of up to 15 significant digits, so that printing it gives the text back.
 * Longer ones mostly do not survive; those are counted, never repaired.
 */

/** 10^0 to 10^22: the powers of ten a double holds exactly. */
export const POWERS_OF_TEN: Float64Array = Float64Array.from({ length: 23 }, (_, power) =>
  Number(`1e${power}`),
);

/** Below this a mantissa has at most 15 digits, so that mantissa / 10^k is exact to the last digit. */
export const MANTISSA_MAX = 1e15;

/** The smallest double that has all of its 53 bits. */
const SMALLEST_NORMAL = 2 ** -1022;

const DECIMAL = /^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Value of a decimal text; NaN when the text is not a finite decimal. */
export function parseDecimal(text: string): number {
  if (!DECIMAL.test(text)) return Number.NaN;
  const value = Number(text);
  return Number.isFinite(value) ? value : Number.NaN;
}

/** Digits without leading and trailing zeros, and the power of ten of the first one. */
function canonical(text: string): { digits: string; power: number } {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().replace(/^-/, "").split("e", 2);
  const [whole = "", fraction = ""] = mantissa.split(".", 2);
  const all = whole + fraction;
  const leading = /^0*/.exec(all)?.[0].length ?? 0;
  const digits = all.slice(leading).replace(/0+$/, "");
  return { digits, power: digits === "" ? 0 : whole.length - leading + Number(exponent) };
}

/** Whether the double nearest to a decimal text still tells the text: nothing was lost. */
export function isExact(text: string, value: number): boolean {
  const wanted = canonical(text);
  // Below the normal doubles digits are lost, at last all of them.
  const normal = Math.abs(value) >= SMALLEST_NORMAL || wanted.digits === "";
  if (wanted.digits.length <= 15 && normal) return true;
  const got = canonical(value.toString());
  return wanted.digits === got.digits && wanted.power === got.power;
}
