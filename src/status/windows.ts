/** Counts over a sliding span of time. */

/** Things that happen within one grain are forgotten together, at its end; ms. */
const GRAIN = 100;

/** How often something happened in the last `span` ms (exact to one grain, never early), and in all. */
export class RollingCount {
  readonly #span: number;
  /** End of a grain and count in it, oldest first: at most span / GRAIN of them. */
  readonly #entries: { at: number; count: number }[] = [];
  total = 0;

  /** @param span ms */
  constructor(span: number) {
    this.#span = span;
  }

  /** @param now monotonic time, ms */
  add(count: number, now: number): void {
    if (count === 0) return;
    this.total += count;
    const at = (Math.floor(now / GRAIN) + 1) * GRAIN;
    const last = this.#entries.at(-1);
    if (last?.at === at) last.count += count;
    else this.#entries.push({ at, count });
  }

  /** Count within the span that ends at `now`. */
  recent(now: number): number {
    while (this.#entries.length > 0 && now - (this.#entries[0]?.at ?? now) >= this.#span)
      this.#entries.shift();
    return this.#entries.reduce((sum, entry) => sum + entry.count, 0);
  }
}

/** Rate of a growing counter over the last `span` ms. */
export class RollingRate {
  readonly #span: number;
  readonly #samples: { at: number; value: number }[] = [];

  /** @param span ms */
  constructor(span: number) {
    this.#span = span;
  }

  /** Takes a reading of the counter. */
  sample(value: number, now: number): void {
    this.#samples.push({ at: now, value });
    // The oldest sample kept is the last one outside the span: the rate then covers the whole span.
    while (this.#samples.length > 2 && now - (this.#samples[1]?.at ?? now) >= this.#span)
      this.#samples.shift();
  }

  /** Growth per second; 0 before there are two readings. */
  get perSecond(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at <= first.at) return 0;
    return ((last.value - first.value) * 1000) / (last.at - first.at);
  }
}
