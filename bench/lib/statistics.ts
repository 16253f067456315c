/** Figures of repeated measurements: a median, and how far the repeats were apart. */

/** Several readings of one thing. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Readings. */
  readonly n: number;
}

/** The value below which a share `q` (0 to 1) of sorted values lies; NaN of none. */
export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** Median, least and greatest; NaN readings are left out. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const odd = sorted.length % 2 === 1;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return {
    median: odd ? at(middle) : (at(middle - 1) + at(middle)) / 2,
    min: at(0),
    max: at(sorted.length - 1),
    n: sorted.length,
  };
}

/** Spread of the quotients of two series, taken pair by pair: what slows both down at once cancels out. */
export function ratioOf(values: readonly number[], to: readonly number[]): Spread {
  return spreadOf(values.map((value, i) => value / (to[i] ?? Number.NaN)));
}
