import { describe, expect, test } from "bun:test";
import { LagWatch } from "../../../src/exchanges/watchdog/lag-watch.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { seeded } from "../../lib/seed.ts";
import { exponential, normal } from "./markets.ts";

const SECOND = 1_000_000;
const TICK = SECOND / 2;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Events from `from` to `until` whose lag is a function of the receive time; the first verdict and when. */
function run(
  watch: LagWatch,
  options: { from?: number; until: number; interval: () => number; lag: (now: number) => number },
) {
  const { from = 0, until, interval, lag } = options;
  let next = from;
  for (let now = from; now <= until; now += TICK) {
    for (; next <= now; next += interval()) watch.observe(lag(next), next);
    const verdict = watch.verdict(now);
    if (verdict !== null) return { now, verdict };
  }
  return null;
}

/** 40 ms, log-normal jitter. */
function jitter(random: Random): number {
  return Math.round(40_000 * Math.exp(0.7 * normal(random)));
}

const every = (mean: number, random: Random) => () => Math.ceil(mean * exponential(random));

describe("a connection that falls behind", () => {
  test("82 % of real time from the start is found before 30 s, with its onset", () => {
    const random = seeded("slow drip");
    for (const rate of [2, 20, 500]) {
      for (const clocks of [-0.4, 0, 7]) {
        const found = run(new LagWatch(), {
          until: 5 * MINUTE,
          interval: every(SECOND / rate, random),
          lag: (now) => clocks * SECOND + 0.18 * now + jitter(random),
        });
        expect(found).not.toBeNull();
        expect(found?.now).toBeLessThan(30 * SECOND);
        expect(found?.verdict.since).toBeLessThanOrEqual(6 * SECOND);
        expect(found?.verdict.lag).toBeGreaterThan((found?.verdict.baseline ?? 0) + 3 * SECOND);
        expect(Math.abs((found?.verdict.baseline ?? 0) - clocks * SECOND)).toBeLessThan(SECOND);
      }
    }
  });

  test("from an onset later on as well, found within 30 s of it", () => {
    const random = seeded("slow drip later");
    const onset = 3 * HOUR;
    const found = run(new LagWatch(), {
      until: 4 * HOUR,
      interval: every(SECOND / 10, random),
      lag: (now) => Math.max(0, 0.18 * (now - onset)) + jitter(random),
    });
    expect((found?.now ?? Number.NaN) - onset).toBeLessThan(30 * SECOND);
    expect(Math.abs((found?.verdict.since ?? Number.NaN) - onset)).toBeLessThan(5 * SECOND);
  });

  test("99 % and 99.5 % of real time are found, though slowly: the baseline does not rise along", () => {
    const random = seeded("very slow drip");
    for (const [share, within] of [
      [0.01, 6 * MINUTE],
      [0.005, 13 * MINUTE],
    ] as const) {
      const found = run(new LagWatch(), {
        until: 2 * HOUR,
        interval: every(SECOND / 5, random),
        lag: (now) => share * now + jitter(random),
      });
      expect(found?.now).toBeLessThan(within);
    }
  });

  test("a backlog that lasts is found whatever made it", () => {
    const random = seeded("backlog");
    const found = run(new LagWatch(), {
      until: HOUR,
      interval: every(SECOND / 20, random),
      lag: (now) => (now > 30 * MINUTE ? 4 * SECOND : 0) + jitter(random),
    });
    expect((found?.now ?? Number.NaN) - 30 * MINUTE).toBeLessThan(8 * SECOND);
    expect(found?.verdict.since).toBe(30 * MINUTE);
  });

  test("a verdict ends when it has caught up", () => {
    const watch = new LagWatch();
    const lag = (now: number) => (now > 20 * SECOND && now < 40 * SECOND ? 5 * SECOND : 0);
    const interval = () => SECOND / 10;
    expect(run(watch, { until: 30 * SECOND, interval, lag })).not.toBeNull();
    for (let now = 30 * SECOND; now < 42 * SECOND; now += interval()) watch.observe(lag(now), now);
    expect(watch.verdict(43 * SECOND)).toBeNull();
  });
});

describe("no verdict", () => {
  test("for jitter, late events, late seconds, and events without a time, in 24 hours", () => {
    const random = seeded("jitter");
    const watch = new LagWatch();
    let lateUntil = 0;
    const found = run(watch, {
      until: 24 * HOUR,
      interval: every(SECOND / 5, random),
      lag: (now) => {
        const dice = random.unit();
        if (dice < 0.01) return Number.NaN;
        // One in a hundred is late by up to a minute.
        if (dice < 0.02) return 60 * SECOND * random.unit();
        // Now and then all events are 5 s late, for 3 s.
        if (dice < 0.020_05) lateUntil = now + 3 * SECOND;
        return (now < lateUntil ? 5 * SECOND : 0) + jitter(random);
      },
    });
    expect(found).toBeNull();
  });

  test("for all events of a second 2 s late once, nor 10 s late once", () => {
    const random = seeded("late second");
    for (const late of [2, 10]) {
      const found = run(new LagWatch(), {
        until: 10 * MINUTE,
        interval: every(SECOND / 50, random),
        lag: (now) => (Math.floor(now / SECOND) === 300 ? late * SECOND : 0) + jitter(random),
      });
      expect(found).toBeNull();
    }
  });

  test("for a market with an event a minute, some of them late, in a week", () => {
    const random = seeded("event a minute");
    const found = run(new LagWatch(), {
      until: 168 * HOUR,
      interval: every(MINUTE, random),
      lag: () => (random.unit() < 0.02 ? 10 * SECOND : 0) + jitter(random),
    });
    expect(found).toBeNull();
  });

  test("for clocks that drift apart by 100 ppm, or agree never, in a week", () => {
    const random = seeded("drift");
    for (const ppm of [-100, 100]) {
      const found = run(new LagWatch(), {
        until: 168 * HOUR,
        interval: every(SECOND, random),
        lag: (now) => 5 * MINUTE + now * ppm * 1e-6 + jitter(random),
      });
      expect(found).toBeNull();
    }
  });

  test("for a clock stepped back, nor for one stepped forward if that is told", () => {
    const random = seeded("steps");
    const interval = every(SECOND / 20, random);
    const back = (now: number) => (now > HOUR ? -20 * SECOND : 0) + jitter(random);
    expect(run(new LagWatch(), { until: 2 * HOUR, interval, lag: back })).toBeNull();
    const forward = (now: number) => (now > HOUR ? 20 * SECOND : 0) + jitter(random);
    const watch = new LagWatch();
    expect(run(watch, { until: HOUR, interval, lag: forward })).toBeNull();
    watch.stepped(20 * SECOND);
    expect(run(watch, { from: HOUR + 1, until: 2 * HOUR, interval, lag: forward })).toBeNull();
  });

  test("in the first 10 bins with data, which only make the baseline", () => {
    const watch = new LagWatch();
    // The backlog of the start: one event at once, then nine seconds that are late.
    const lag = (now: number) => (now >= SECOND && now < 10 * SECOND ? 5 * SECOND : 0);
    expect(run(watch, { until: MINUTE, interval: () => SECOND / 10, lag })).toBeNull();
  });

  test("for a connection that nobody told anything", () => {
    expect(new LagWatch().verdict(HOUR)).toBeNull();
    const watch = new LagWatch();
    for (let now = 0; now < MINUTE; now += TICK) watch.observe(Number.NaN, now);
    expect(watch.verdict(HOUR)).toBeNull();
  });
});

test("a clock step of the exchange is accepted by reset, and the new connection makes its own baseline", () => {
  const random = seeded("reset");
  const watch = new LagWatch();
  const interval = every(SECOND / 20, random);
  const lag = (now: number) => (now > MINUTE ? 30 * SECOND : 0) + jitter(random);
  const found = run(watch, { until: HOUR, interval, lag });
  expect(found?.verdict.since).toBe(MINUTE);
  watch.reset();
  const from = found?.now ?? Number.NaN;
  expect(watch.verdict(from)).toBeNull();
  expect(run(watch, { from, until: 2 * HOUR, interval, lag })).toBeNull();
  // And what falls behind from there on is found again.
  const again = run(watch, {
    from: 2 * HOUR,
    until: 3 * HOUR,
    interval,
    lag: (now) => 30 * SECOND + 0.18 * (now - 2 * HOUR) + jitter(random),
  });
  expect((again?.now ?? Number.NaN) - 2 * HOUR).toBeLessThan(30 * SECOND);
});
