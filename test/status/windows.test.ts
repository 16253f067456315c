import { describe, expect, test } from "bun:test";
import { RollingCount, RollingRate } from "../../src/status/windows.ts";
import { seeded } from "../lib/seed.ts";

const MINUTES_15 = 900_000;

describe("RollingCount", () => {
  test("forgets after exactly 15 minutes and keeps the total", () => {
    const count = new RollingCount(MINUTES_15);
    count.add(3, 1000);
    count.add(2, 61_050.5);
    expect(count.recent(61_050.5)).toBe(5);
    expect(count.recent(1000 + MINUTES_15 - 0.001)).toBe(5);
    expect(count.recent(1000 + MINUTES_15)).toBe(2);
    expect(count.recent(61_050.5 + MINUTES_15 - 0.001)).toBe(2);
    expect(count.recent(61_050.5 + MINUTES_15)).toBe(0);
    expect(count.total).toBe(5);
    count.add(1, 10_000_000);
    expect(count.recent(10_000_000)).toBe(1);
    expect(count.total).toBe(6);
  });

  test("nothing is nothing", () => {
    const count = new RollingCount(MINUTES_15);
    count.add(0, 5);
    expect([count.recent(5), count.total]).toEqual([0, 0]);
  });

  test("agrees with a plain list", () => {
    const random = seeded("rolling count");
    const span = 5000;
    const count = new RollingCount(span);
    const all: { at: number; count: number }[] = [];
    let now = 0;
    for (let i = 0; i < 20_000; i++) {
      now += random.unit() * 60;
      const n = random.below(3);
      count.add(n, now);
      all.push({ at: now, count: n });
      const within = (ms: number) => all.reduce((sum, one) => sum + (now - one.at < ms ? one.count : 0), 0);
      expect(count.recent(now)).toBe(within(span));
      while (now - all[0].at > span * 2) all.shift();
    }
  });
});

describe("RollingRate", () => {
  test("no rate before two readings", () => {
    const rate = new RollingRate(10_000);
    expect(rate.perSecond).toBe(0);
    rate.sample(100, 0);
    expect(rate.perSecond).toBe(0);
    rate.sample(100, 0);
    expect(rate.perSecond).toBe(0);
  });

  test("growth over the last ten seconds, zeros kept", () => {
    const rate = new RollingRate(10_000);
    for (let second = 0; second <= 60; second++) {
      rate.sample(second <= 30 ? second * 50 : 1500, second * 1000);
      if (second > 0 && second <= 30) expect(rate.perSecond).toBe(50);
      if (second === 35) expect(rate.perSecond).toBe(25);
      if (second >= 40) expect(rate.perSecond).toBe(0);
    }
  });

  test("covers the whole span where readings are uneven", () => {
    const rate = new RollingRate(10_000);
    for (const at of [0, 100, 4000, 9000, 12_000, 15_000]) rate.sample(at, at);
    expect(rate.perSecond).toBe(1000);
    // A long pause: the last readings before it still tell the growth over it.
    rate.sample(15_000, 100_000);
    expect(rate.perSecond).toBe(0);
  });
});
