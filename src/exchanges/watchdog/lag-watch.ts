/** Bounds of a {@link LagWatch}. Times in ms. */
export interface LagWatchOptions {
  /** Lag above the baseline that is too much. */
  readonly limit: number;
  /** Bins with data in a row that must be above it. */
  readonly bins: number;
  /** Bins with data at the start of a connection that only make the baseline. */
  readonly binsMin: number;
  /** Length of a bin. */
  readonly bin: number;
  /** The baseline rises at most by this share of the time that passes. */
  readonly rise: number;
}

/** Defaults of {@link LagWatchOptions}. */
export const LAG_WATCH: LagWatchOptions = { limit: 3_000, bins: 5, binsMin: 10, bin: 1_000, rise: 0.001 };

/** A connection that has fallen behind; all in µs. */
export interface Lag {
  /** When it began: start of the first bin above baseline + a tenth of the limit, all later ones being so too. */
  readonly since: number;
  /** Least lag in the last bin. */
  readonly lag: number;
  /** What it should be about. */
  readonly baseline: number;
}

/** Of the limit: lag above the baseline with which falling behind begins. */
const ONSET = 0.1;

/**
 * Whether events arrive, but later and later: lag is the time from publication at the exchange to receipt.
 *
 * The least lag of each bin (a second) counts, so one late event says nothing, nor does a burst of late ones that
 * ends. The two clocks differ by an unknown sum, so only growth can be seen: over a baseline that follows a lower
 * lag at once and a higher one by `rise` only. The least lag of a sliding window of minutes would rise along with
 * a connection that delivers at 99 % of real time, and never see it; a thousandth is ten times the drift of a
 * bad quartz, and sees whatever falls behind faster than that.
 *
 * A step of a clock changes the lag of all connections at once, and lasts. One of the own clock is told by
 * {@link stepped}. One of the exchange's, if it makes all lags grow by more than the limit, gives a
 * verdict on all its connections at the same time: the caller can tell, and {@link reset} accepts the new lag.
 */
export class LagWatch {
  readonly #limit: number;
  readonly #bins: number;
  readonly #binsMin: number;
  readonly #width: number;
  readonly #rise: number;
  /** The bin being filled: its end, and its least lag (infinite = no data). */
  #end = Number.NEGATIVE_INFINITY;
  #least = Number.POSITIVE_INFINITY;
  #baseline = Number.POSITIVE_INFINITY;
  /** Start of the last bin with data. */
  #closedAt = Number.NaN;
  #lag = Number.NaN;
  #known = 0;
  #above = 0;
  #since = Number.NaN;
  /** Lag of the last frame that had one. */
  #latest = Number.NaN;

  constructor(options: Partial<LagWatchOptions> = {}) {
    const { limit, bins, binsMin, bin, rise } = { ...LAG_WATCH, ...options };
    this.#limit = limit * 1000;
    this.#bins = bins;
    this.#binsMin = binsMin;
    this.#width = bin * 1000;
    this.#rise = rise;
  }

  /** A frame came with this lag, NaN = it has no time of publication. Hot. All in µs. */
  observe(lag: number, now: number): void {
    if (now >= this.#end) this.#close(now);
    if (lag < this.#least) this.#least = lag;
    if (!Number.isNaN(lag)) this.#latest = lag;
  }

  /** By how much the last frame was later than usual, µs; 0 = not at all, or nothing is known yet. */
  get behind(): number {
    const behind = this.#latest - Math.min(this.#baseline, this.#least);
    return behind > 0 && behind < Number.POSITIVE_INFINITY ? behind : 0;
  }

  /** How far the connection has fallen behind, if that is too far; null = it has not. @param now µs */
  verdict(now: number): Lag | null {
    if (now >= this.#end) this.#close(now);
    if (this.#above < this.#bins) return null;
    return { since: this.#since, lag: this.#lag, baseline: this.#baseline };
  }

  /** The connection was replaced, or its lag is accepted: all that is known is forgotten. */
  reset(): void {
    this.#end = Number.NEGATIVE_INFINITY;
    this.#least = Number.POSITIVE_INFINITY;
    this.#baseline = Number.POSITIVE_INFINITY;
    this.#closedAt = Number.NaN;
    this.#lag = Number.NaN;
    this.#known = 0;
    this.#above = 0;
    this.#since = Number.NaN;
    this.#latest = Number.NaN;
  }

  /** The own clock was set forward (or back) by so much, and all lags grew with it. @param by µs */
  stepped(by: number): void {
    this.#baseline += by;
    this.#least += by;
    this.#lag += by;
    this.#latest += by;
  }

  /** Ends the bin and begins that of `now`. */
  #close(now: number): void {
    const least = this.#least;
    const start = this.#end - this.#width;
    this.#least = Number.POSITIVE_INFINITY;
    this.#end = (Math.floor(now / this.#width) + 1) * this.#width;
    if (least === Number.POSITIVE_INFINITY) return;
    const risen = Number.isNaN(this.#closedAt) ? 0 : (start - this.#closedAt) * this.#rise;
    this.#baseline = Math.min(least, this.#baseline + risen);
    this.#closedAt = start;
    this.#lag = least;
    this.#known++;
    if (least <= this.#baseline + this.#limit * ONSET) this.#since = Number.NaN;
    else if (Number.isNaN(this.#since)) this.#since = start;
    const late = this.#known > this.#binsMin && least > this.#baseline + this.#limit;
    this.#above = late ? this.#above + 1 : 0;
  }
}
