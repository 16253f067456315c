/** Largest share of elapsed time by which the clock is slowed down or sped up to follow the wall clock. */
const SLEW_MAX = 0.1;
/** The two clocks are read as one reading when no more than this passed meanwhile, ms; so often it is tried. */
const AT_ONCE = 0.1;
const TRIES = 10;

/**
 * Receive time: whole microseconds since the epoch that never go back, whatever NTP does.
 *
 * It runs on the monotonic clock and follows the wall clock: ahead by a jump forward, back by running up
 * to 10 % slower until the two agree. The wall clock is read in whole milliseconds, so a deviation within
 * the current millisecond is none. The two clocks cannot be read at once: what a busy machine takes from this thread
 * between them is no deviation either.
 */
export class Clock {
  readonly #wall: () => number;
  readonly #monotonic: () => number;
  /** Wall time in µs minus monotonic time in µs. */
  #base = 0;
  #last = 0;
  #disciplinedAt: number;

  /**
   * @param wall wall time in ms, whole
   * @param monotonic monotonic time in ms, with fractions
   */
  constructor(wall: () => number = Date.now, monotonic: () => number = () => performance.now()) {
    this.#wall = wall;
    this.#monotonic = monotonic;
    this.#disciplinedAt = monotonic();
    for (let left = TRIES, best = Number.POSITIVE_INFINITY; left > 0 && best > AT_ONCE; left--) {
      const before = monotonic();
      const at = wall();
      const took = monotonic() - before;
      if (took >= best) continue;
      best = took;
      this.#base = at * 1000 - before * 1000;
    }
  }

  /** Now, in whole µs. */
  now(): number {
    const now = Math.floor(this.#base + this.#monotonic() * 1000);
    if (now > this.#last) this.#last = now;
    return this.#last;
  }

  /** How far the wall clock is ahead of this one, in µs; 0 within the millisecond it can be read to. */
  offset(): number {
    const before = this.#base + this.#monotonic() * 1000;
    const wall = this.#wall() * 1000;
    const after = this.#base + this.#monotonic() * 1000;
    if (after < wall) return wall - after;
    return before >= wall + 1000 ? wall + 999 - before : 0;
  }

  /** Brings it closer to the wall clock; to be called every few hundred milliseconds. */
  discipline(): void {
    const now = this.#monotonic();
    const slewMax = (now - this.#disciplinedAt) * 1000 * SLEW_MAX;
    this.#disciplinedAt = now;
    const offset = this.offset();
    this.#base += offset > 0 ? offset : Math.max(offset, -slewMax);
  }
}
