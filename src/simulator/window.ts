/** A limit of so many uses within a span of time. */
export class Window {
  readonly #spanMs: number;
  readonly #uses: number;
  /** Of the uses that still count, oldest first; never more than `#uses`. */
  #times: number[] = [];

  /** @param uses allowed within any `spanMs`; Infinity = no limit */
  constructor(uses: number, spanMs: number) {
    this.#uses = uses;
    this.#spanMs = spanMs;
  }

  /** Takes note of a use; false = one too many, which does not count. */
  admit(now = performance.now()): boolean {
    if (this.#uses === Number.POSITIVE_INFINITY) return true;
    this.#times = this.#times.filter((time) => now - time < this.#spanMs);
    if (this.#times.length >= this.#uses) return false;
    this.#times.push(now);
    return true;
  }
}
