/** Which symbol moves next: a few are very busy and most are quiet, as on every exchange. */
import type { Random } from "./random.ts";

/**
 * Draws indices 0 … count-1 with weights 1 / rank^skew in constant time (Walker's alias method).
 *
 * `skew` 0 = all alike, 1 = the second half as busy as the first, the third a third.
 */
export class Zipf {
  readonly #keep: Float64Array;
  readonly #alias: Int32Array;

  constructor(count: number, skew: number) {
    const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1) ** skew);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const scaled = weights.map((weight) => (weight / total) * count);
    this.#keep = new Float64Array(count).fill(1);
    this.#alias = new Int32Array(count);
    const light: number[] = [];
    const heavy: number[] = [];
    for (let i = 0; i < count; i++) ((scaled[i] ?? 0) < 1 ? light : heavy).push(i);
    while (light.length > 0 && heavy.length > 0) {
      const from = light.pop() ?? 0;
      const to = heavy.at(-1) ?? 0;
      this.#keep[from] = scaled[from] ?? 0;
      this.#alias[from] = to;
      const rest = (scaled[to] ?? 0) - (1 - (scaled[from] ?? 0));
      scaled[to] = rest;
      if (rest < 1) light.push(heavy.pop() ?? 0);
    }
  }

  /** The next index; two draws of `random`. */
  pick(random: Random): number {
    const index = random.below(this.#keep.length);
    return random.unit() < (this.#keep[index] ?? 1) ? index : (this.#alias[index] ?? index);
  }
}
