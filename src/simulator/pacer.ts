/** How many events are owed by now: a rate over time, with bursts. */

/** Rate and its bursts. */
export interface PacerOptions {
  /** Events per second outside of bursts. */
  readonly rate: number;
  /** The rate is multiplied by this during a burst; 1 = no bursts. */
  readonly burstFactor: number;
  /** A burst begins every so many ms, the first after that time. */
  readonly burstEveryMs: number;
  /** A burst lasts so many ms. */
  readonly burstLengthMs: number;
  /** After a longer stall (ms) only this much is caught up; the rest is given up and counted. */
  readonly maxCatchUpMs: number;
}

/** Turns passing time into whole events; fractions are kept, so the rate holds over any span. */
export class Pacer {
  /** Time (ms) that was too long ago to catch up. */
  skippedMs = 0;
  readonly #options: PacerOptions;
  readonly #start: number;
  #last: number;
  #owed = 0;

  /** `now` is any monotonic clock in ms; bursts count from here. */
  constructor(options: PacerOptions, now: number) {
    this.#options = options;
    this.#start = now;
    this.#last = now;
  }

  /** Forgets the time since the last call: after a pause nothing is owed. */
  skip(now: number): void {
    this.#last = now;
  }

  /** Whole events owed since the last call. */
  due(now: number): number {
    const { rate, burstFactor, maxCatchUpMs } = this.#options;
    const from = Math.max(this.#last, now - maxCatchUpMs);
    this.skippedMs += from - this.#last;
    this.#last = now;
    const burstMs = this.#burstMsUntil(now) - this.#burstMsUntil(from);
    this.#owed += (rate / 1000) * (now - from + (burstFactor - 1) * burstMs);
    const events = Math.floor(this.#owed);
    this.#owed -= events;
    return events;
  }

  /** Time spent in bursts between the start and `now`. */
  #burstMsUntil(now: number): number {
    const { burstEveryMs, burstLengthMs } = this.#options;
    const length = Math.min(burstLengthMs, burstEveryMs);
    const sinceFirst = now - this.#start - burstEveryMs;
    if (!(sinceFirst > 0 && length > 0)) return 0;
    const full = Math.floor(sinceFirst / burstEveryMs);
    return full * length + Math.min(sinceFirst - full * burstEveryMs, length);
  }
}
