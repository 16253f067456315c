import { LogScale } from "./log-scale.ts";

const US_PER_DAY = 86_400_000_000;
/** More of the intervals than this are no tail. */
const TAIL_SHARE = 0.02;

/** What {@link Intervals} are judged by. Times in ms. */
export interface IntervalOptions {
  /** Shorter intervals are counted and not measured. */
  readonly shortest: number;
  /** Longer intervals fall into one bucket (the longest is kept exactly). */
  readonly longest: number;
  readonly bucketsPerOctave: number;
  /** No threshold is below this. */
  readonly floor: number;
  /** The threshold is at least this many times the 99th percentile. */
  readonly factor: number;
  /** The threshold is at least this many times the longest interval remembered. */
  readonly longestFactor: number;
  /**
   * The threshold is at least so long that the tail of the intervals, continued as a power law, passes it this
   * often in a day. Infinity = the tail is not looked at.
   */
  readonly falseAlarmsPerDay: number;
  /** The longest intervals that make the tail; it is looked at once they are the last 2 % or less. */
  readonly tailSamples: number;
  /** Until there are 50 times `tailSamples` intervals, this many times the longest stands in for the tail. */
  readonly tailEarlyFactor: number;
  /**
   * The tail leads to this many times the longest interval at most: a power law that is continued from a few
   * pauses of milliseconds says hours.
   */
  readonly tailMaxFactor: number;
  /** Fewer intervals are no rhythm. */
  readonly samplesMin: number;
  /** What was learned is halved after this time ... */
  readonly fadeAfter: number;
  /** ... if at least this many intervals' weight is left then. */
  readonly fadeSamples: number;
}

/**
 * The intervals of many things, each with a histogram that fades, and the silence that is too long for it:
 * max(floor, factor × p99, longestFactor × longest, where the tail leads).
 *
 * Weights are halved, not rotated out, so that a quiet night still knows the day and the other way round. They
 * are Float32: integers would lose every lone long interval at the first halving, and those are the tail.
 */
export class Intervals {
  readonly #options: IntervalOptions;
  readonly #scale: LogScale;
  #capacity = 0;
  #counts = new Float32Array(0);
  #short = new Float64Array(0);
  #long = new Float64Array(0);
  /** Longest since the last halving, and before it. */
  #longest = new Float64Array(0);
  #longestBefore = new Float64Array(0);
  /** Faded observation time before `#start`, which is the time of the last halving; µs, NaN = none yet. */
  #observed = new Float64Array(0);
  #start = new Float64Array(0);

  constructor(options: IntervalOptions) {
    this.#options = options;
    this.#scale = new LogScale(options.shortest * 1000, options.longest * 1000, options.bucketsPerOctave);
  }

  /** Makes room for things 0 to `capacity` - 1. */
  grow(capacity: number): void {
    this.#counts = grown(this.#counts, capacity * this.#scale.size);
    this.#short = grown(this.#short, capacity);
    this.#long = grown(this.#long, capacity);
    this.#longest = grown(this.#longest, capacity);
    this.#longestBefore = grown(this.#longestBefore, capacity);
    this.#observed = grown(this.#observed, capacity);
    this.#start = grown(this.#start, capacity);
    this.#start.fill(Number.NaN, this.#capacity);
    this.#capacity = capacity;
  }

  /** Takes over all that another knows, which was made with the same options and has room for as many. */
  inherit(from: Intervals): void {
    this.#counts.set(from.#counts);
    this.#short.set(from.#short);
    this.#long.set(from.#long);
    this.#longest.set(from.#longest);
    this.#longestBefore.set(from.#longestBefore);
    this.#observed.set(from.#observed);
    this.#start.set(from.#start);
  }

  /** Counts an interval that is below `shortest`. */
  learnShort(thing: number): void {
    this.#short[thing]++;
  }

  /** Takes an interval that is not below `shortest`. @param interval µs */
  learn(thing: number, interval: number): void {
    this.#counts[thing * this.#scale.size + this.#scale.indexOf(interval)]++;
    this.#long[thing]++;
    if (interval > this.#longest[thing]) this.#longest[thing] = interval;
  }

  /** Weight of the intervals known: their number, until the first halving. */
  samples(thing: number): number {
    return this.#short[thing] + this.#long[thing];
  }

  /** The longest interval remembered, µs; 0 where all were below `shortest`. */
  longest(thing: number): number {
    return Math.max(this.#longest[thing], this.#longestBefore[thing]);
  }

  /** Halves what is known if it is time, and says whether; one comparison otherwise. @param now µs */
  fade(thing: number, now: number): boolean {
    const { fadeAfter, fadeSamples } = this.#options;
    const start = this.#start[thing];
    if (now - start < fadeAfter * 1000) return false;
    if (Number.isNaN(start)) {
      this.#start[thing] = now;
      return false;
    }
    if (this.samples(thing) < 2 * fadeSamples) return false;
    const from = thing * this.#scale.size;
    for (let i = from; i < from + this.#scale.size; i++) this.#counts[i] /= 2;
    this.#short[thing] /= 2;
    this.#long[thing] /= 2;
    this.#observed[thing] = (this.#observed[thing] + now - start) / 2;
    this.#start[thing] = now;
    this.#longestBefore[thing] = this.#longest[thing];
    this.#longest[thing] = 0;
    return true;
  }

  /** The silence from which on a thing is overdue, µs; NaN = too little is known. @param now µs */
  threshold(thing: number, now: number): number {
    const { floor, factor, longestFactor, samplesMin, tailMaxFactor } = this.#options;
    if (this.samples(thing) < samplesMin) return Number.NaN;
    const longest = this.longest(thing);
    return Math.max(
      floor * 1000,
      factor * this.p99(thing),
      longestFactor * longest,
      // Zero times infinity is no number: where no interval is known there is no tail.
      longest === 0 ? 0 : Math.min(this.#tail(thing, now), tailMaxFactor * longest),
    );
  }

  /** Upper edge of the bucket of the 99th percentile, µs. */
  p99(thing: number): number {
    const from = thing * this.#scale.size;
    const above = this.samples(thing) / 100;
    let weight = 0;
    for (let i = this.#scale.size - 1; i >= 0; i--) {
      weight += this.#counts[from + i];
      if (weight > above) return i === this.#scale.size - 1 ? this.longest(thing) : this.#scale.edge(i + 1);
    }
    return this.#scale.shortest;
  }

  /**
   * The interval that the tail passes `falseAlarmsPerDay` times a day: Hill's estimate of the exponent from the
   * longest intervals, continued from there. Rates, not shares, so that short intervals do not matter.
   */
  #tail(thing: number, now: number): number {
    const { falseAlarmsPerDay, tailSamples, tailEarlyFactor } = this.#options;
    if (falseAlarmsPerDay === Number.POSITIVE_INFINITY) return 0;
    const share = this.samples(thing) * TAIL_SHARE;
    if (share < tailSamples) return tailEarlyFactor * this.longest(thing);
    const from = thing * this.#scale.size;
    let weight = 0;
    let i = this.#scale.size;
    while (i > 0 && weight < tailSamples) weight += this.#counts[from + --i];
    // Nearly all intervals are below `shortest`: there is no tail.
    if (weight < tailSamples) return 0;
    if (weight > share) return tailEarlyFactor * this.longest(thing);
    const start = this.#scale.edge(i);
    let logs = 0;
    for (let j = i; j < this.#scale.size; j++) {
      const middle = Math.sqrt(this.#scale.edge(j) * this.#scale.edge(j + 1));
      logs += this.#counts[from + j] * Math.log(middle / start);
    }
    const days = (this.#observed[thing] + now - this.#start[thing]) / US_PER_DAY;
    return start * (weight / (days * falseAlarmsPerDay)) ** (logs / weight);
  }
}

/** A copy with room for more. */
export function grown<T extends Float32Array | Float64Array | Uint8Array>(array: T, length: number): T {
  const larger = new (array.constructor as new (length: number) => T)(length);
  larger.set(array);
  return larger;
}
