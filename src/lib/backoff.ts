/** Delay before the next attempt: exponential with a cap, full jitter (uniform from 0 to the step). */
export class Backoff {
  #attempts = 0;

  /**
   * @param min first step, ms
   * @param max cap of the step, ms
   */
  constructor(
    readonly min: number,
    readonly max: number,
    readonly random: () => number = Math.random,
  ) {}

  /** Attempts since the last {@link reset}. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The next delay, ms. `atLeast` is what the other side asked for (Retry-After). */
  next(atLeast = 0): number {
    const step = Math.min(this.max, this.min * 2 ** Math.min(this.#attempts, 30));
    this.#attempts++;
    return Math.max(atLeast, Math.ceil(this.random() * step));
  }

  /** To be called only after data has flowed: a connection that opens and dies is no success. */
  reset(): void {
    this.#attempts = 0;
  }
}
