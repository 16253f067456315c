/** How far the clock of an exchange is ahead of ours, from what it says when it is asked. */

/** Answers that are remembered: at the usual one a minute, a quarter of an hour, in which a clock drifts by a ms or two. */
const REMEMBERED = 15;
/** Exchanges name whole milliseconds and ours are whole too: each may be this much later than it says, ms. */
const GRAIN = 0.5;

/** An estimate; ms. */
export interface OffsetEstimate {
  /** By how much the exchange's clock is ahead of ours; negative = behind. */
  readonly offset: number;
  /** The true one is at most this far away, however unequal the ways there and back. */
  readonly error: number;
}

/**
 * Estimates as NTP does: the answer was made somewhere between question and answer, so it is right to half the round
 * trip, and of the last answers the quickest one is the best.
 */
export class ClockOffset {
  readonly #answers: OffsetEstimate[] = [];

  /**
   * Takes an answer.
   *
   * @param asked our wall clock when it was asked, epoch ms
   * @param took the round trip by a clock that is not set in between, ms
   * @param server what the exchange said, epoch ms
   */
  add(asked: number, took: number, server: number): void {
    this.#answers.push({ offset: server - (asked + took / 2), error: took / 2 + 2 * GRAIN });
    if (this.#answers.length > REMEMBERED) this.#answers.shift();
  }

  /** The best of the last answers; null = there is none. */
  get estimate(): OffsetEstimate | null {
    return this.#answers.reduce<OffsetEstimate | null>(
      (best, one) => (best === null || one.error < best.error ? one : best),
      null,
    );
  }
}
