import { LAG_BUCKETS, type LagReading, lagUpperEdge } from "../ingest/lag-histogram.ts";

/** A quantile of what a histogram counted, µs (the upper edge of its bucket); null = it counted nothing. */
export function lagQuantile(buckets: Float64Array, quantile: number): number | null {
  const count = buckets.reduce((sum, rows) => sum + rows, 0);
  if (count === 0) return null;
  const rank = Math.max(1, Math.ceil(count * quantile));
  let below = 0;
  for (const [bucket, rows] of buckets.entries()) {
    below += rows;
    if (below >= rank) return lagUpperEdge(bucket);
  }
  return lagUpperEdge(LAG_BUCKETS - 1);
}

/** How often the window moves on, ms. */
const STEP = 5_000;

/** What a histogram counted in the last `span` ms, to one step of 5 s, never less. */
export class LagWindow {
  readonly #span: number;
  /** Earlier readings, oldest first: at most span / STEP + 2 of them. */
  readonly #earlier: { readonly at: number; readonly buckets: Float64Array }[] = [];

  /** @param span ms */
  constructor(span: number) {
    this.#span = span;
  }

  /** Takes a reading and tells what has come since the window began; to be called about once a second. */
  add({ buckets }: Pick<LagReading, "buckets">, now: number): Float64Array {
    const last = this.#earlier.at(-1);
    if (last === undefined) this.#earlier.push({ at: now, buckets: new Float64Array(LAG_BUCKETS) });
    else if (now - last.at >= STEP) this.#earlier.push({ at: now, buckets });
    while (this.#earlier.length > 1 && now - (this.#earlier[1]?.at ?? now) >= this.#span)
      this.#earlier.shift();
    const [first] = this.#earlier;
    return first === undefined ? buckets : buckets.map((rows, bucket) => rows - first.buckets[bucket]);
  }
}
