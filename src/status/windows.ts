/** Counts over a sliding span of time. */

/** How often something happened in the last `span` ms, and in all. What happened `span` ago or longer is forgotten. */
export class RollingCount {
  readonly #span: number;
  /** Times and counts, oldest first: no more of them than calls of {@link add} with another time within the span. */
  readonly #entries: { readonly at: number; count: number }[] = [];
  #recent = 0;
  total = 0;

  /** @param span ms */
  constructor(span: number) {
    this.#span = span;
  }

  /** @param now monotonic time, ms */
  add(count: number, now: number): void {
    if (count === 0) return;
    this.#forget(now);
    this.total += count;
    this.#recent += count;
    const last = this.#entries.at(-1);
    if (last?.at === now) last.count += count;
    else this.#entries.push({ at: now, count });
  }

  /** Count within the span that ends at `now`. */
  recent(now: number): number {
    this.#forget(now);
    return this.#recent;
  }

  #forget(now: number): void {
    let gone = 0;
    for (const { at, count } of this.#entries) {
      if (now - at < this.#span) break;
      this.#recent -= count;
      gone++;
    }
    if (gone > 0) this.#entries.splice(0, gone);
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
