/**
 * How late events come: counts by lag, in memory that the ingest worker writes and the main thread reads.
 *
 * Buckets are (lower, upper] in whole µs: {@link SUB} of equal width in each doubling, so that a quantile is right to
 * one part in {@link SUB}. An index costs a few integer operations; nothing is allocated.
 */

/** Buckets in each doubling; a power of two. */
const SUB = 16;
const SUB_BITS = 4;
/** Longest lag with a bucket of its own, µs: 35 minutes. */
const LONGEST = 2 ** 31 - 1;
/** Buckets. */
export const LAG_BUCKETS: number = (31 - SUB_BITS + 1) * SUB;

/** Slots before the buckets. */
const NEGATIVE = 0;
const SUM = 1;
const LAST = 2;
const BUCKETS_AT = 3;

/** Memory for one stream of one exchange on one ingest worker. */
export function createLagMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((BUCKETS_AT + LAG_BUCKETS) * 8);
}

/** The bucket of a lag. @param lag whole µs */
export function lagBucket(lag: number): number {
  // Minus one: upper edges belong to their bucket, as Prometheus counts.
  const value = lag <= 1 ? 0 : (lag > LONGEST ? LONGEST : lag) - 1;
  if (value < 2 * SUB) return value;
  const octave = 31 - Math.clz32(value) - SUB_BITS;
  return octave * SUB + (value >>> octave);
}

/** Upper edge of a bucket, µs, itself in it. */
export function lagUpperEdge(bucket: number): number {
  if (bucket < 2 * SUB) return bucket + 1;
  const octave = Math.floor(bucket / SUB) - 1;
  return (SUB + (bucket % SUB) + 1) * 2 ** octave;
}

/** Rows of one frame that can be taken back: more than any frame has. */
export const FRAME_ROWS_MAX = 4096;

/** The ingest worker's end. Numbers are stored whole: a reader sees each of them as it was before or after. */
export class LagRecorder {
  readonly #counts: Float64Array;
  /** Lags since {@link mark}. */
  readonly #lags = new Float64Array(FRAME_ROWS_MAX);
  #marked = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#counts = new Float64Array(memory);
  }

  /**
   * A row was received. Hot.
   *
   * @param local when, µs
   * @param lag since it was published, µs; NaN = its frame does not say. A negative one (the exchange's clock is ahead
   *   of ours) counts as 0, and as negative.
   */
  observe(local: number, lag: number): void {
    const counts = this.#counts;
    counts[LAST] = local;
    if (this.#marked < FRAME_ROWS_MAX) this.#lags[this.#marked++] = lag;
    if (lag >= 0) {
      counts[SUM] += lag;
      counts[BUCKETS_AT + lagBucket(lag)]++;
    } else if (lag < 0) {
      counts[NEGATIVE]++;
      counts[BUCKETS_AT]++;
    }
  }

  /** A frame begins. */
  mark(): void {
    this.#marked = 0;
  }

  /** Takes back what was counted since {@link mark}: the frame is read another way, or not at all. */
  rewind(): void {
    const counts = this.#counts;
    for (let row = 0; row < this.#marked; row++) {
      const lag = this.#lags[row];
      if (lag >= 0) {
        counts[SUM] -= lag;
        counts[BUCKETS_AT + lagBucket(lag)]--;
      } else if (lag < 0) {
        counts[NEGATIVE]--;
        counts[BUCKETS_AT]--;
      }
    }
    this.#marked = 0;
  }
}

/** What was counted of one stream, over all of its workers. */
export interface LagReading {
  /** Rows by bucket. */
  readonly buckets: Float64Array;
  /** Rows that had a time of publication. */
  readonly count: number;
  /** Of all lags, µs. */
  readonly sum: number;
  /** Rows that came before they were published, by the two clocks. */
  readonly negative: number;
  /** When the last row was received, µs; null = none was. */
  readonly last: number | null;
}

/** Adds up what the workers of a stream have counted. */
export function readLags(memories: readonly Float64Array[]): LagReading {
  const buckets = new Float64Array(LAG_BUCKETS);
  let [count, sum, negative, last] = [0, 0, 0, 0];
  for (const memory of memories) {
    last = Math.max(last, memory[LAST]);
    sum += memory[SUM];
    negative += memory[NEGATIVE];
    for (let bucket = 0; bucket < LAG_BUCKETS; bucket++) {
      const rows = memory[BUCKETS_AT + bucket];
      buckets[bucket] += rows;
      count += rows;
    }
  }
  return { buckets, count, sum, negative, last: last === 0 ? null : last };
}
