import { describe, expect, test } from "bun:test";
import { Intervals } from "../../../src/exchanges/watchdog/intervals.ts";
import { LogScale } from "../../../src/exchanges/watchdog/log-scale.ts";
import { Rhythm } from "../../../src/exchanges/watchdog/rhythm.ts";
import { seeded } from "../../lib/seed.ts";
import { exponential } from "./markets.ts";

const SECOND = 1_000_000;
const HOUR = 3600 * SECOND;

test("a log scale: every interval lies between the edges of its bucket, the last takes the rest", () => {
  const random = seeded("log scale");
  const scale = new LogScale(1_000, HOUR, 8);
  expect(scale.size).toBe(175);
  for (let i = 0; i < 10_000; i++) {
    const interval = 1_000 * 2 ** (random.unit() * 21.7);
    const bucket = scale.indexOf(interval);
    expect(interval).toBeGreaterThanOrEqual(scale.edge(bucket) * (1 - 1e-12));
    expect(interval).toBeLessThanOrEqual(scale.edge(bucket + 1) * (1 + 1e-12));
  }
  expect(scale.indexOf(1_000)).toBe(0);
  expect(scale.indexOf(1000 * HOUR)).toBe(174);
});

describe("a rhythm", () => {
  test("is not known before its 30th event, and its threshold is never below the floor", () => {
    const rhythm = new Rhythm();
    for (let i = 0; i < 29; i++) {
      rhythm.event(i * 1000);
      expect(rhythm.threshold()).toBeNull();
    }
    rhythm.event(29_000);
    expect(rhythm.threshold()).toBe(8 * SECOND);
  });

  test("is factor times the p99 of its intervals, or longestFactor times the longest", () => {
    const random = seeded("p99");
    const rhythm = new Rhythm({ fadeAfter: 1e9, factor: 10, falseAlarmsPerDay: Number.POSITIVE_INFINITY });
    const intervals: number[] = [];
    let now = 0;
    for (let i = 0; i <= 20_000; i++) {
      rhythm.event(now);
      intervals.push(Math.round(3 * SECOND * exponential(random)));
      now += intervals[i];
    }
    const sorted = intervals.slice(0, 20_000).sort((a, b) => a - b);
    const p99 = sorted[19_800];
    // Upper edge of its bucket: up to an eighth of an octave more.
    expect(rhythm.threshold()).toBeGreaterThanOrEqual(10 * p99 * 0.999);
    expect(rhythm.threshold()).toBeLessThan(10 * p99 * 2 ** (1 / 8) * 1.001);
    rhythm.event(now + HOUR);
    expect(rhythm.threshold()).toBe(1.5 * rhythm.longest);
    expect(rhythm.longest).toBeGreaterThanOrEqual(HOUR);
  });

  test("does not learn the interval in which it was paused", () => {
    const rhythm = new Rhythm();
    for (let i = 0; i < 100; i++) rhythm.event(i * SECOND);
    const before = [rhythm.threshold(), rhythm.samples, rhythm.longest];
    rhythm.pause();
    rhythm.event(10 * HOUR);
    expect([rhythm.threshold(), rhythm.samples, rhythm.longest]).toEqual(before);
    rhythm.event(10 * HOUR + SECOND);
    expect(rhythm.samples).toBe(100);
  });

  test("follows the market from day to night and back, 50 times slower and faster", () => {
    const random = seeded("day and night");
    const rhythm = new Rhythm();
    const noonThresholds: number[] = [];
    let alarms = 0;
    let midnightMax = 0;
    let now = 0;
    for (let noon = 0; now < 96 * HOUR; ) {
      const wave = Math.cos((now / (24 * HOUR)) * 2 * Math.PI);
      const mean = 1.4 * SECOND * 50 ** (-wave / 2);
      const interval = Math.round(mean * exponential(random));
      const threshold = rhythm.threshold() ?? Number.POSITIVE_INFINITY;
      if (interval > threshold) alarms++;
      if (wave < -0.99) midnightMax = Math.max(midnightMax, threshold);
      now += interval;
      rhythm.event(now);
      if (now > noon) {
        noonThresholds.push(threshold);
        noon += 24 * HOUR;
      }
    }
    console.log(
      `day/night: ${alarms} alarms, noon ${noonThresholds.map((t) => t / SECOND)}, night ${midnightMax / SECOND}`,
    );
    expect(alarms).toBe(0);
    // 0.2 s mean by day, 10 s by night: by day near the floor again, each day.
    for (const threshold of noonThresholds.slice(1)) expect(threshold).toBeLessThan(20 * SECOND);
    expect(midnightMax).toBeGreaterThan(100 * SECOND);
  });
});

test("a lone long interval is remembered for one to two fadings, then forgotten; shares survive halving", () => {
  const intervals = new Intervals({
    shortest: 250,
    longest: 3_600_000,
    bucketsPerOctave: 4,
    floor: 5_000,
    factor: 10,
    longestFactor: 1.5,
    falseAlarmsPerDay: Number.POSITIVE_INFINITY,
    tailSamples: 50,
    tailEarlyFactor: 6,
    tailMaxFactor: Number.POSITIVE_INFINITY,
    samplesMin: 100,
    fadeAfter: 900_000,
    fadeSamples: 1_000,
  });
  intervals.grow(2);
  let now = 0;
  intervals.fade(1, now);
  intervals.learn(1, 60 * SECOND);
  const quarter = () => {
    for (let i = 0; i < 9_000; i++) {
      now += SECOND / 10;
      if (i % 20 === 0) intervals.learn(1, SECOND);
      else intervals.learnShort(1);
    }
    return intervals.fade(1, now);
  };
  expect([quarter(), intervals.threshold(1, now)]).toEqual([true, 90 * SECOND]);
  expect(intervals.samples(1)).toBe(4_500.5);
  expect(quarter()).toBe(true);
  const p99 = intervals.p99(1);
  expect(p99).toBeGreaterThanOrEqual(SECOND);
  expect(p99).toBeLessThan(1.2 * SECOND);
  expect(intervals.threshold(1, now)).toBe(10 * p99);
  // The neighbour is none of its business, and what is slow is not halved away.
  expect(intervals.samples(0)).toBe(0);
  for (let hour = 1; hour <= 48; hour++) intervals.fade(1, now + hour * HOUR);
  expect(intervals.samples(1)).toBeGreaterThanOrEqual(1_000);
});
