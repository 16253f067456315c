import { grown, Intervals } from "./intervals.ts";

/** Bounds of a {@link SymbolWatch}. Times in ms. */
export interface SymbolWatchOptions {
  /** No silence up to this is too long. */
  readonly floor: number;
  /** Silence is too long from this many times the 99th percentile of the symbol's own intervals. */
  readonly factor: number;
  /** ... and from this many times the longest one remembered. */
  readonly longestFactor: number;
  /** ... and from where the symbol's tail, continued, would lead to this many false alarms a day. */
  readonly falseAlarmsPerDay: number;
  /** Longest intervals that make the tail. */
  readonly tailSamples: number;
  /** ... and, while too few intervals are known to see a tail, from this many times the longest one. */
  readonly tailEarlyFactor: number;
  /** A symbol whose threshold is above this is not judged. */
  readonly judgedMax: number;
  /** Fewer intervals are no rhythm: the symbol is not judged. */
  readonly samplesMin: number;
  /** What was learned is halved after this time ... */
  readonly fadeAfter: number;
  /** ... if at least this many intervals' weight is left then. */
  readonly fadeSamples: number;
  /** How long the first event after {@link SymbolWatch.expect} may take. */
  readonly firstData: number;
  /** The same where nothing is due soon, and no rhythm is known: at most `judgedMax`. */
  readonly firstDataQuiet: number;
  /** Longest wait before a symbol that is still silent is visited again. */
  readonly againMax: number;
  /** An event this soon after a mend shows that the silence was a hole. */
  readonly promptly: number;
  /** Holes in a symbol that are not learned, until half of them are forgotten at its next fading. */
  readonly holesMax: number;
  /** Symbol numbers from this on are not watched. */
  readonly symbolsMax: number;
}

/** Defaults of {@link SymbolWatchOptions}. */
export const SYMBOL_WATCH: SymbolWatchOptions = {
  floor: 5_000,
  factor: 10,
  longestFactor: 1.5,
  falseAlarmsPerDay: 0.01,
  tailSamples: 50,
  tailEarlyFactor: 6,
  judgedMax: 900_000,
  samplesMin: 100,
  fadeAfter: 1_800_000,
  fadeSamples: 4_000,
  firstData: 10_000,
  firstDataQuiet: 300_000,
  againMax: 900_000,
  promptly: 3_000,
  holesMax: 10,
  symbolsMax: 65_536,
};

/** Intervals below this are counted, not measured, ms: they are no silence, and they are nearly all of them. */
const SHORTEST = 250;
/** Longest interval with a bucket of its own, ms: far above what is judged. */
const LONGEST = 3_600_000;
const BUCKETS_PER_OCTAVE = 4;

/** What is the matter with a symbol; 0 = its last event was an ordinary one. */
const FLAGGED = 1;
/** The interval in progress is not learned. */
const BROKEN = 2;
/** A first event is due. */
const EXPECTED = 4;
/** Not judged before its next event, or before {@link SymbolWatch.renewed} or {@link SymbolWatch.expect}. */
const RESTING = 8;
/** The first event that is due has `firstDataQuiet`. */
const UNHURRIED = 16;

/**
 * Which symbols of one stream are silent for too long, each against its own rhythm.
 *
 * A symbol is overdue when its silence exceeds max(`floor`, `factor` × p99 of its intervals, `longestFactor` ×
 * the longest one remembered, where its tail leads to `falseAlarmsPerDay`). If that is more than `judgedMax`, the symbol is not judged
 * at all. Capping the threshold there instead would call a symbol with a trade an hour silent after 15 minutes,
 * nearly every time, mend what is whole, and write gaps that are none: the recorder would cry wolf day and
 * night. What is not judged here is still covered by its connection, which is.
 *
 * A symbol that is overdue is flagged. Whether that means anything (its siblings live, its connection does) is
 * for the caller to judge, who may mend it. When its event comes, the hole is kept for {@link recovered}.
 * A silence that ended by a mend was a real hole and says nothing about the symbol's rhythm: it is not learned,
 * so that the next one is found as soon. Any other silence is learned, so the same false alarm does not come
 * twice. Streams that begin with a snapshot answer every mend at once, needed or not: hence `holesMax`, after
 * which such silences are learned too.
 *
 * Times are whole µs of the receive clock. Symbols are small numbers, given out from 0 on.
 */
export class SymbolWatch {
  /** Events of symbols beyond `symbolsMax`. */
  unwatched = 0;
  readonly #options: SymbolWatchOptions;
  readonly #intervals: Intervals;
  #capacity = 0;
  /** Time of the last event; NaN = none yet, or the next one needs care (`#state` says why). */
  #last = new Float64Array(0);
  #state = new Uint8Array(0);
  /** While `#last` is NaN: the last event (NaN = none), and since when the symbol is silent. */
  #heard = new Float64Array(0);
  #since = new Float64Array(0);
  #flaggedAt = new Float64Array(0);
  /** A flagged symbol is not visited before this. */
  #again = new Float64Array(0);
  #mendedAt = new Float64Array(0);
  #holes = new Uint8Array(0);
  /** The threshold as it was after the event of that time. */
  #threshold = new Float64Array(0);
  #thresholdOf = new Float64Array(0);
  /** Holes that ended since the last {@link recovered}; NaN = none. */
  #recoveredFrom = new Float64Array(0);
  #recoveredTo = new Float64Array(0);
  #recoveredFlaggedAt = new Float64Array(0);
  #recoveries = 0;

  constructor(options: Partial<SymbolWatchOptions> = {}) {
    this.#options = { ...SYMBOL_WATCH, ...options };
    this.#intervals = new Intervals({
      ...this.#options,
      // A symbol may well have a heavy tail: it is left alone rather than called silent.
      tailMaxFactor: Number.POSITIVE_INFINITY,
      shortest: SHORTEST,
      longest: LONGEST,
      bucketsPerOctave: BUCKETS_PER_OCTAVE,
    });
    this.#grow(63);
  }

  /** An event of the symbol came. Hot: an ordinary event costs a load, a store, a subtraction and a count. */
  observe(symbol: number, now: number): void {
    if (symbol >= this.#capacity && !this.#grow(symbol)) {
      this.unwatched++;
      return;
    }
    const interval = now - this.#last[symbol];
    this.#last[symbol] = now;
    if (interval < SHORTEST * 1000) this.#intervals.learnShort(symbol);
    else if (interval >= SHORTEST * 1000) this.#intervals.learn(symbol, interval);
    else this.#heardAgain(symbol, now);
  }

  /** The feed of the symbol is interrupted: it is not judged, and the interval in progress is not learned. */
  pause(symbol: number): void {
    if (symbol >= this.#capacity && !this.#grow(symbol)) return;
    this.#park(symbol, BROKEN | RESTING);
    this.#state[symbol] &= ~(EXPECTED | UNHURRIED);
  }

  /**
   * The feed of the symbol comes from elsewhere or anew from now on: its silence counts from here, and the
   * interval in progress is not learned. A flag stays: the hole ends with the next event.
   */
  renewed(symbol: number, now: number): void {
    if (symbol >= this.#capacity && !this.#grow(symbol)) return;
    this.#park(symbol, BROKEN);
    this.#state[symbol] &= ~RESTING;
    this.#since[symbol] = now;
  }

  /** As {@link renewed}, and the first event is due within `firstData`, whatever the rhythm. */
  expect(symbol: number, now: number): void {
    this.renewed(symbol, now);
    if (symbol >= this.#capacity) return;
    this.#state[symbol] |= EXPECTED;
    this.#state[symbol] &= ~UNHURRIED;
  }

  /** As {@link renewed}; where the rhythm is not known the first event is due within `firstDataQuiet`. */
  expectInTime(symbol: number, now: number): void {
    this.renewed(symbol, now);
    if (symbol >= this.#capacity || !Number.isNaN(this.threshold(symbol))) return;
    this.#state[symbol] |= EXPECTED | UNHURRIED;
  }

  /** A symbol that has brought nothing since `since` (µs) should have, as others show: it is overdue from now on. */
  suspect(symbol: number, since: number): void {
    this.expect(symbol, since);
  }

  /** The own clock was set ahead: that much of all silences did not pass, and intervals in progress are not learned. @param by µs */
  stepped(by: number): void {
    for (let symbol = 0; symbol < this.#capacity; symbol++) {
      if (!Number.isNaN(this.#last[symbol])) this.#park(symbol, BROKEN);
      this.#since[symbol] += by;
      this.#again[symbol] += by;
      this.#mendedAt[symbol] += by;
    }
  }

  /** We ourselves were away until now: no silence counts from before, and no interval in progress is learned. */
  interrupted(now: number): void {
    for (let symbol = 0; symbol < this.#capacity; symbol++) {
      if (!Number.isNaN(this.#last[symbol])) this.#park(symbol, BROKEN);
      if (this.#state[symbol] !== 0) this.#since[symbol] = now;
    }
  }

  /** The symbol was unsubscribed: it is not judged until it is heard again, and a hole in it is none. */
  forget(symbol: number): void {
    this.pause(symbol);
    if (symbol < this.#capacity) this.#state[symbol] &= ~FLAGGED;
  }

  /** A silent symbol was asked for again: if it comes promptly, there was a hole. */
  mended(symbol: number, now: number): void {
    if (symbol < this.#capacity) this.#mendedAt[symbol] = now;
  }

  /** Whether the symbol was visited as overdue and has not been heard since. */
  isFlagged(symbol: number): boolean {
    return symbol < this.#capacity && (this.#state[symbol] & FLAGGED) !== 0;
  }

  /** Time of the last event of the symbol, µs; NaN = none is known. */
  lastEvent(symbol: number): number {
    if (symbol >= this.#capacity) return Number.NaN;
    const last = this.#last[symbol];
    return Number.isNaN(last) ? this.#heard[symbol] : last;
  }

  /** Whether an event of the symbol came since anything was the matter with it. */
  isHeard(symbol: number): boolean {
    return symbol < this.#capacity && !Number.isNaN(this.#last[symbol]);
  }

  /**
   * Silence from which on the symbol would be overdue, µs, even where that is too long to be judged; NaN = its
   * rhythm is not known yet.
   */
  threshold(symbol: number): number {
    if (symbol >= this.#capacity) return Number.NaN;
    const last = Number.isNaN(this.#last[symbol]) ? this.#heard[symbol] : this.#last[symbol];
    if (this.#thresholdOf[symbol] !== last) {
      this.#thresholdOf[symbol] = last;
      this.#threshold[symbol] = this.#intervals.threshold(symbol, last);
    }
    return this.#threshold[symbol];
  }

  /**
   * To be called on a tick, more often than `floor`: visits symbols that are overdue with the time since which
   * they are silent and the silence that was too much, µs. A symbol that stays silent is visited again each
   * time its silence has doubled, at the latest after `againMax`.
   */
  overdue(now: number, visit: (symbol: number, since: number, threshold: number) => void): void {
    const floor = this.#options.floor * 1000;
    for (let symbol = 0; symbol < this.#capacity; symbol++) {
      const last = this.#last[symbol];
      if (now - last <= floor) this.#fade(symbol, now);
      else if (!Number.isNaN(last)) this.#judge(symbol, last, this.threshold(symbol), now, visit);
      else if (this.#state[symbol] !== 0) this.#judgeParked(symbol, now, visit);
    }
  }

  /**
   * Visits the holes that ended since the last call: from the last event before (or since when one was due) to
   * the first one after, and when it was flagged. Two holes of one symbol between two calls come as one span.
   */
  recovered(visit: (symbol: number, from: number, to: number, flaggedAt: number) => void): void {
    for (let symbol = 0; symbol < this.#capacity && this.#recoveries > 0; symbol++) {
      const from = this.#recoveredFrom[symbol];
      if (Number.isNaN(from)) continue;
      this.#recoveries--;
      this.#recoveredFrom[symbol] = Number.NaN;
      visit(symbol, from, this.#recoveredTo[symbol], this.#recoveredFlaggedAt[symbol]);
    }
  }

  #judgeParked(symbol: number, now: number, visit: (symbol: number, since: number, max: number) => void) {
    const state = this.#state[symbol];
    if (state & RESTING) return;
    const since = this.#since[symbol];
    const threshold = state & EXPECTED ? this.#firstDue(state) : this.threshold(symbol);
    if (!(state & FLAGGED)) this.#judge(symbol, since, threshold, now, visit);
    else if (now >= this.#again[symbol] && now - since > threshold) {
      this.#flag(symbol, since, now);
      visit(symbol, since, threshold);
    }
  }

  #firstDue(state: number): number {
    const { firstData, firstDataQuiet, judgedMax } = this.#options;
    return 1000 * (state & UNHURRIED ? Math.min(firstDataQuiet, judgedMax) : firstData);
  }

  #judge(
    symbol: number,
    since: number,
    threshold: number,
    now: number,
    visit: (symbol: number, since: number, threshold: number) => void,
  ): void {
    // Written so that an unknown threshold (NaN) judges nothing.
    if (!(now - since > threshold && threshold <= this.#options.judgedMax * 1000)) return;
    this.#park(symbol, FLAGGED);
    this.#flaggedAt[symbol] = now;
    this.#mendedAt[symbol] = Number.NaN;
    this.#flag(symbol, since, now);
    visit(symbol, since, threshold);
  }

  #flag(symbol: number, since: number, now: number): void {
    this.#again[symbol] = now + Math.min(now - since, this.#options.againMax * 1000);
  }

  /** Makes the next event take the careful way. */
  #park(symbol: number, state: number): void {
    const last = this.#last[symbol];
    if (!Number.isNaN(last)) {
      this.#heard[symbol] = last;
      this.#since[symbol] = last;
      this.#last[symbol] = Number.NaN;
    }
    this.#state[symbol] |= state;
  }

  /** The first event ever, or the first after something was the matter. */
  #heardAgain(symbol: number, now: number): void {
    const state = this.#state[symbol];
    const heard = this.#heard[symbol];
    this.#state[symbol] = 0;
    this.#heard[symbol] = Number.NaN;
    this.#fade(symbol, now);
    if (state & FLAGGED) this.#keepHole(symbol, Number.isNaN(heard) ? this.#since[symbol] : heard, now);
    if (state & BROKEN || Number.isNaN(heard)) return;
    if (state & FLAGGED && this.#wasHole(symbol, now)) this.#holes[symbol]++;
    else this.#intervals.learn(symbol, now - heard);
  }

  /** Whether the silence that ends now ended because it was mended. */
  #wasHole(symbol: number, now: number): boolean {
    const { promptly, holesMax } = this.#options;
    return now - this.#mendedAt[symbol] <= promptly * 1000 && this.#holes[symbol] < holesMax;
  }

  #keepHole(symbol: number, from: number, to: number): void {
    if (Number.isNaN(this.#recoveredFrom[symbol])) {
      this.#recoveries++;
      this.#recoveredFrom[symbol] = from;
      this.#recoveredFlaggedAt[symbol] = this.#flaggedAt[symbol];
    }
    this.#recoveredTo[symbol] = to;
  }

  #fade(symbol: number, now: number): void {
    if (this.#intervals.fade(symbol, now)) this.#holes[symbol] >>= 1;
  }

  #grow(symbol: number): boolean {
    if (symbol >= this.#options.symbolsMax) return false;
    const from = this.#capacity;
    const capacity = Math.max(symbol + 1, 2 * from);
    this.#intervals.grow(capacity);
    this.#state = grown(this.#state, capacity);
    this.#holes = grown(this.#holes, capacity);
    this.#last = grown(this.#last, capacity).fill(Number.NaN, from);
    this.#heard = grown(this.#heard, capacity).fill(Number.NaN, from);
    this.#since = grown(this.#since, capacity).fill(Number.NaN, from);
    this.#flaggedAt = grown(this.#flaggedAt, capacity).fill(Number.NaN, from);
    this.#again = grown(this.#again, capacity).fill(Number.NaN, from);
    this.#mendedAt = grown(this.#mendedAt, capacity).fill(Number.NaN, from);
    this.#threshold = grown(this.#threshold, capacity).fill(Number.NaN, from);
    this.#thresholdOf = grown(this.#thresholdOf, capacity).fill(Number.NaN, from);
    this.#recoveredFrom = grown(this.#recoveredFrom, capacity).fill(Number.NaN, from);
    this.#recoveredTo = grown(this.#recoveredTo, capacity).fill(Number.NaN, from);
    this.#recoveredFlaggedAt = grown(this.#recoveredFlaggedAt, capacity).fill(Number.NaN, from);
    this.#capacity = capacity;
    return true;
  }
}
