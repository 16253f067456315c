/** Buckets for time intervals whose edges grow by a constant factor, so that the error is relative. */
export class LogScale {
  /** Buckets; the last one also takes what is longer than the scale. */
  readonly size: number;
  readonly #perOctave: number;
  readonly #edges: Float64Array;

  /**
   * @param shortest lower edge of the first bucket, µs
   * @param longest the scale ends at the first edge that is not below this, µs
   * @param perOctave buckets for each doubling
   */
  constructor(
    readonly shortest: number,
    longest: number,
    perOctave: number,
  ) {
    this.#perOctave = perOctave;
    this.size = Math.max(1, Math.ceil(Math.log2(longest / shortest) * perOctave));
    this.#edges = Float64Array.from(
      { length: this.size + 1 },
      (_, index) => shortest * 2 ** (index / perOctave),
    );
  }

  /** The bucket of an interval that is not below {@link shortest}. @param interval µs */
  indexOf(interval: number): number {
    const index = Math.floor(Math.log2(interval / this.shortest) * this.#perOctave);
    return index < this.size ? index : this.size - 1;
  }

  /** Lower edge of a bucket, µs; that of the bucket after it is its upper one. */
  edge(index: number): number {
    return this.#edges[index];
  }
}
