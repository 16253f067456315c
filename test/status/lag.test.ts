import { describe, expect, test } from "bun:test";
import {
  createLagMemory,
  LAG_BUCKETS,
  LagRecorder,
  lagBucket,
  lagUpperEdge,
  readLags,
} from "../../src/ingest/lag-histogram.ts";
import { LagWindow, lagQuantile } from "../../src/status/lag.ts";
import { seeded } from "../lib/seed.ts";

/** A histogram that one worker writes. */
function histogram() {
  const memory = createLagMemory();
  return { recorder: new LagRecorder(memory), memory: new Float64Array(memory) };
}

describe("buckets", () => {
  test("are (lower, upper], without a hole, each at most a sixteenth of its values wide", () => {
    let lower = 0;
    for (let bucket = 0; bucket < LAG_BUCKETS; bucket++) {
      const upper = lagUpperEdge(bucket);
      expect(upper).toBeGreaterThan(lower);
      if (upper > 32) expect(upper - lower).toBeLessThanOrEqual(lower / 16);
      expect(lagBucket(upper)).toBe(bucket);
      expect(lagBucket(lower + 1)).toBe(bucket);
      lower = upper;
    }
    expect(lower).toBe(2 ** 31);
  });

  test("what is longer than the last bucket is in it, and 0 in the first", () => {
    expect(lagBucket(2 ** 31 - 1)).toBe(LAG_BUCKETS - 1);
    for (const lag of [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY])
      expect(lagBucket(lag)).toBe(LAG_BUCKETS - 1);
    expect(lagBucket(0)).toBe(0);
  });
});

describe("lags of a stream", () => {
  test("negative ones are counted apart and as 0; what has no time is not counted, but is the last event", () => {
    const { recorder, memory } = histogram();
    recorder.observe(1000, 5);
    recorder.observe(2000, -700);
    recorder.observe(3000, Number.NaN);
    expect(readLags([memory])).toMatchObject({ count: 2, sum: 5, negative: 1, last: 3000 });
    expect(lagQuantile(readLags([memory]).buckets, 1)).toBe(5);
  });

  test("what a frame brought is taken back when the frame turns out to be another; what came before is not", () => {
    const { recorder, memory } = histogram();
    recorder.mark();
    recorder.observe(1000, 700);
    const before = readLags([memory]);
    recorder.mark();
    for (const lag of [5, -3, Number.NaN, 10_000]) recorder.observe(1000, lag);
    expect(readLags([memory])).toMatchObject({ count: 4, negative: 1 });
    recorder.rewind();
    expect(readLags([memory])).toEqual(before);
    recorder.rewind();
    expect(readLags([memory])).toEqual(before);
  });

  test("nothing has come: no last event, no quantile", () => {
    const { memory } = histogram();
    const reading = readLags([memory]);
    expect([reading.last, reading.count]).toEqual([null, 0]);
    expect(lagQuantile(reading.buckets, 0.99)).toBeNull();
  });

  test("of several workers are added up, and quantiles are right to a sixteenth", () => {
    const random = seeded("lags");
    const workers = [histogram(), histogram(), histogram()];
    const all: number[] = [];
    for (let i = 0; i < 30_000; i++) {
      const lag = Math.floor(10 ** (random.unit() * 7));
      all.push(lag);
      workers[i % 3]?.recorder.observe(i, lag);
    }
    const reading = readLags(workers.map(({ memory }) => memory));
    expect(reading.count).toBe(all.length);
    expect(reading.sum).toBe(all.reduce((a, b) => a + b, 0));
    expect(reading.last).toBe(29_999);
    const sorted = all.toSorted((a, b) => a - b);
    for (const share of [0.001, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
      const found = lagQuantile(reading.buckets, share) ?? 0;
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThanOrEqual(exact * (1 + 1 / 16) + 1);
    }
  });

  test("a window forgets what came before it", () => {
    const { recorder, memory } = histogram();
    const window = new LagWindow(60_000);
    const p99 = (now: number) => lagQuantile(window.add(readLags([memory]), now), 0.99);
    for (let second = 0; second < 300; second++) {
      const isLate = second >= 100 && second < 110;
      for (let i = 0; i < 100; i++) recorder.observe(second, isLate ? 5_000_000 : 1000);
      const found = p99(second * 1000) ?? 0;
      if (second < 100 || second >= 110 + 60 + 5) expect(found).toBeLessThan(1100);
      else if (second >= 101 && second <= 160) expect(found).toBeGreaterThan(4_900_000);
    }
    // Nothing more comes.
    for (let second = 300; second < 370; second++) p99(second * 1000);
    expect(p99(370_000)).toBeNull();
  });
});
