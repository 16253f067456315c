import { type IntervalOptions, Intervals } from "./intervals.ts";

/** Bounds of a {@link Rhythm}. Times in ms. */
export interface RhythmOptions {
  /** The threshold is never below this. */
  readonly floor: number;
  /** The threshold is at least this many times the 99th percentile of the intervals. */
  readonly factor: number;
  /** ... and this many times the longest one remembered. */
  readonly longestFactor: number;
  /** ... and where the tail of the intervals, continued, would lead to this many false alarms a day. */
  readonly falseAlarmsPerDay: number;
  /** Longest intervals that make the tail. */
  readonly tailSamples: number;
  /** ... but at most this many times the longest one. */
  readonly tailMaxFactor: number;
  /** Fewer intervals are no rhythm. */
  readonly samplesMin: number;
  /** What was learned is halved after this time ... */
  readonly fadeAfter: number;
  /** ... if at least this many intervals' weight is left then. */
  readonly fadeSamples: number;
}

/**
 * Defaults of {@link RhythmOptions}. 29 intervals are 30 events. With 10 events a second or more the threshold
 * stays below 9.5 s in a Poisson market; a market in clusters keeps it free of false alarms. Where a busy
 * connection's longest pause was half a second it stays at the floor, however its intervals are spread.
 */
export const RHYTHM: RhythmOptions = {
  floor: 8_000,
  factor: 8,
  longestFactor: 1.5,
  falseAlarmsPerDay: 0.05,
  tailSamples: 50,
  tailMaxFactor: 16,
  samplesMin: 29,
  fadeAfter: 900_000,
  fadeSamples: 4_000,
};

const SCALE = {
  shortest: 1,
  longest: 3_600_000,
  bucketsPerOctave: 8,
  // Many events flow together here, which makes light tails: `factor` does until the tail is known.
  tailEarlyFactor: 0,
} satisfies Partial<IntervalOptions>;

/** Learns the intervals of one thing, from 1 ms on (shorter ones are counted), and says which silence is too long. */
export class Rhythm {
  readonly #intervals: Intervals;
  readonly #shortest = SCALE.shortest * 1000;
  /** The last event; NaN = none, or the interval since then is not learned. */
  #last = Number.NaN;
  /** The last event before the pause. */
  #heard = Number.NaN;

  constructor(options: Partial<RhythmOptions> = {}) {
    this.#intervals = new Intervals({ ...RHYTHM, ...options, ...SCALE });
    this.#intervals.grow(1);
  }

  /** It happened. @param now µs */
  event(now: number): void {
    const interval = now - this.#last;
    this.#last = now;
    if (interval < this.#shortest) this.#intervals.learnShort(0);
    else if (interval >= this.#shortest) this.#intervals.learn(0, interval);
    this.#intervals.fade(0, now);
  }

  /** Begins with all that another knows, which goes on by itself. */
  inherit(from: Rhythm): void {
    this.#intervals.inherit(from.#intervals);
    this.#heard = Number.isNaN(from.#last) ? from.#heard : from.#last;
    this.#last = Number.NaN;
  }

  /** The interval in progress is not learned. */
  pause(): void {
    if (!Number.isNaN(this.#last)) this.#heard = this.#last;
    this.#last = Number.NaN;
  }

  /** Silence from which on it is overdue, µs; null = fewer than `samplesMin` intervals are known. */
  threshold(): number | null {
    const heard = Number.isNaN(this.#last) ? this.#heard : this.#last;
    const threshold = this.#intervals.threshold(0, heard);
    return Number.isNaN(threshold) ? null : threshold;
  }

  /** Intervals known, fading. */
  get samples(): number {
    return this.#intervals.samples(0);
  }

  /** The longest interval remembered, µs; 0 where all were below 1 ms. */
  get longest(): number {
    return this.#intervals.longest(0);
  }
}
