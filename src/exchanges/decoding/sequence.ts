/** A jump in ids that should be consecutive: events that the exchange made and we did not get. */
export interface SequenceGap {
  /** Number of the symbol. */
  readonly symbol: number;
  /** Receive times of the last event before and the first one after the jump, µs. */
  readonly from: number;
  readonly to: number;
  readonly firstId: number;
  readonly lastId: number;
}

/** Follows the consecutive ids of one stream, symbol by symbol. */
export class SequenceFollower {
  readonly #gap: (gap: SequenceGap) => void;
  /** Last id and its receive time by symbol; -1 = none yet. */
  #ids = new Float64Array(64).fill(-1);
  #times = new Float64Array(64);

  constructor(gap: (gap: SequenceGap) => void) {
    this.#gap = gap;
  }

  /**
   * Takes note of an event that stands for the ids `first` to `last`.
   *
   * An id at or below the last one is a resend or comes late: it neither makes a gap nor moves back.
   *
   * @param local receive time, µs
   */
  observe(symbol: number, first: number, last: number, local: number): void {
    if (symbol >= this.#ids.length) this.#grow(symbol);
    const before = this.#ids[symbol];
    if (before >= 0 && first > before + 1) {
      this.#gap({ symbol, from: this.#times[symbol], to: local, firstId: before + 1, lastId: first - 1 });
    }
    if (!(last > before)) return;
    this.#ids[symbol] = last;
    this.#times[symbol] = local;
  }

  #grow(symbol: number): void {
    const size = 2 ** Math.ceil(Math.log2(symbol + 1));
    const ids = new Float64Array(size).fill(-1);
    ids.set(this.#ids);
    const times = new Float64Array(size);
    times.set(this.#times);
    this.#ids = ids;
    this.#times = times;
  }
}
