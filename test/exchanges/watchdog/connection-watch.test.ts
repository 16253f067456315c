import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { ConnectionWatch } from "../../../src/exchanges/watchdog/connection-watch.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { seeded } from "../../lib/seed.ts";
import { exponential, type Shape, wandering } from "./markets.ts";

// Months of events are sheer computing: it takes as long as the machine lets it.
setDefaultTimeout(60_000);

const SECOND = 1_000_000;
const TICK = SECOND / 2;
const HOUR = 3600 * SECOND;

/** Ticks from `from` on until there is a verdict; when, or null if there is none until `until`. */
function judged(watch: ConnectionWatch, from: number, until: number): number | null {
  for (let now = Math.ceil(from / TICK) * TICK; now <= until; now += TICK)
    if (watch.verdict(now) !== null) return now;
  return null;
}

/** Feeds events of that mean interval (µs), ticking in between; the last event and the number of verdicts. */
function live(
  watch: ConnectionWatch,
  random: Random,
  options: { from: number; until: number; mean: (now: number) => number; shape?: Shape; tick?: number },
): { last: number; verdicts: number } {
  const { from, until, mean, shape = exponential, tick = TICK } = options;
  let last = from;
  let verdicts = 0;
  let next = from + Math.round(mean(from) * shape(random));
  for (let now = from; now <= until; now += tick) {
    while (next <= now) {
      watch.data(next);
      last = next;
      next += Math.round(mean(next) * shape(random));
    }
    if (watch.verdict(now) !== null) verdicts++;
  }
  return { last, verdicts };
}

/** A connection that has lived for a minute at 50 events a second. */
function busy(name: string): { watch: ConnectionWatch; random: Random; last: number } {
  const random = seeded(name);
  const watch = new ConnectionWatch();
  watch.opened(0, true);
  const { last, verdicts } = live(watch, random, { from: 0, until: 60 * SECOND, mean: () => SECOND / 50 });
  expect(verdicts).toBe(0);
  return { watch, random, last };
}

describe("before the first data of a socket", () => {
  test("the patience is 10 s with prompt channels and 5 min without, and doubles up to the cap", () => {
    for (const [prompt, first] of [
      [true, 10],
      [false, 300],
    ] as const) {
      const watch = new ConnectionWatch();
      const waits: number[] = [];
      for (let socket = 0, now = 0; socket < 9; socket++) {
        watch.opened(now, prompt);
        const at = judged(watch, now, now + HOUR) ?? Number.NaN;
        expect(watch.verdict(at)?.silentSince).toBe(now);
        waits.push(Math.floor((at - now) / SECOND));
        watch.closed();
        now = Math.round((at + SECOND) / TICK) * TICK;
      }
      const due = waits.map((_, socket) => Math.min(900, first * 2 ** socket));
      expect(waits).toEqual(due);
    }
  });

  test("sockets that the exchange closes at once do not make it more patient, and data ends the doubling", () => {
    const watch = new ConnectionWatch();
    for (let socket = 0; socket < 20; socket++) {
      watch.opened(socket * SECOND, true);
      watch.closed();
    }
    watch.opened(100 * SECOND, true);
    expect(judged(watch, 100 * SECOND, HOUR)).toBe(110.5 * SECOND);
    watch.closed();
    watch.opened(200 * SECOND, true);
    watch.data(215 * SECOND);
    watch.closed();
    watch.opened(300 * SECOND, true);
    expect(judged(watch, 300 * SECOND, HOUR)).toBe(310.5 * SECOND);
  });

  test("it is at least what the rhythm of earlier sockets asks for", () => {
    const random = seeded("patience of a slow connection");
    const watch = new ConnectionWatch();
    watch.opened(0, true);
    watch.data(0);
    // A mean of 12 s: the p99 is 55 s, eight times that are 442 s.
    expect(live(watch, random, { from: 0, until: 24 * HOUR, mean: () => 12 * SECOND }).verdicts).toBe(0);
    watch.closed();
    watch.opened(25 * HOUR, true);
    const at = judged(watch, 25 * HOUR, 27 * HOUR) ?? Number.NaN;
    expect(at - 25 * HOUR).toBeGreaterThan(400 * SECOND);
    expect(at - 25 * HOUR).toBeLessThan(700 * SECOND);
  });

  test("nothing is said between sockets, and data of a closed one is none", () => {
    const watch = new ConnectionWatch();
    expect(watch.verdict(HOUR)).toBeNull();
    watch.opened(HOUR, true);
    watch.closed();
    watch.data(HOUR + 1);
    expect(judged(watch, HOUR, 3 * HOUR)).toBeNull();
  });
});

describe("a busy connection that goes dead", () => {
  test("is found within 10 s of its last event, from its 30th event on", () => {
    const random = seeded("busy and dead");
    for (const rate of [3, 10, 100, 5_000]) {
      for (let round = 0; round < 20; round++) {
        const watch = new ConnectionWatch();
        watch.opened(0, false);
        let now = random.below(SECOND);
        const events = 30 + random.below(300);
        for (let i = 0; i < events; i++) {
          watch.data(now);
          // A tenth of jitter: a busy connection, not a lonely Poisson process.
          if (i < events - 1) now += Math.round((SECOND / rate) * (0.9 + 0.2 * random.unit()));
        }
        const at = judged(watch, now, now + HOUR) ?? Number.NaN;
        expect(at - now).toBeLessThanOrEqual(10 * SECOND);
        expect(watch.verdict(at)).toEqual({ silentSince: now, expected: 8 * SECOND });
      }
    }
  });

  test("as well in a Poisson market, and time and again: a hole is never learned", () => {
    const { watch, random, last } = busy("dead again and again");
    let silentSince = last;
    for (let hole = 0; hole < 5; hole++) {
      const at = judged(watch, silentSince, silentSince + HOUR) ?? Number.NaN;
      expect(at - silentSince).toBeLessThanOrEqual(10 * SECOND);
      watch.closed();
      const from = Math.ceil((at + SECOND) / TICK) * TICK;
      watch.opened(from, true);
      silentSince = live(watch, random, { from, until: from + 15 * SECOND, mean: () => SECOND / 50 }).last;
    }
  });

  test("in a Poisson market of 10 and more events a second, whenever it dies", () => {
    const random = seeded("Poisson and dead");
    for (const rate of [10, 30]) {
      for (let round = 0; round < 20; round++) {
        const watch = new ConnectionWatch();
        watch.opened(0, true);
        const until = 6 * SECOND + random.below(3600) * SECOND * (round % 2);
        const { last } = live(watch, random, { from: 0, until, mean: () => SECOND / rate });
        const at = judged(watch, last, last + HOUR) ?? Number.NaN;
        expect(at - last).toBeLessThanOrEqual(10 * SECOND);
      }
    }
  });

  test("as well where the machine pauses now and then: a few tenths of a second are no heavy tail", () => {
    const random = seeded("pauses of the machine");
    for (const [share, from, to] of [
      [0.005, 20, 120],
      [0.02, 20, 120],
      [0.003, 50, 500],
    ] as const) {
      for (const seconds of [10, 20, 60, 300]) {
        const watch = new ConnectionWatch();
        watch.opened(0, true);
        let now = 0;
        while (now < seconds * SECOND) {
          watch.data(now);
          const pause = (from + random.unit() * (to - from)) * 1000;
          now += Math.round(random.unit() < share ? pause : exponential(random) * 2500);
        }
        watch.data(now);
        const at = judged(watch, now, now + HOUR) ?? Number.NaN;
        expect(at - now).toBeLessThanOrEqual(10 * SECOND);
      }
    }
  });

  test("as well when it has just taken the place of another, before it has a rhythm of its own", () => {
    const { watch, last } = busy("replaced");
    const next = new ConnectionWatch();
    next.inherit(watch);
    next.opened(last, true);
    // Its snapshot, and nothing more.
    next.data(last + SECOND / 2);
    const at = judged(next, last + SECOND, last + HOUR) ?? Number.NaN;
    expect(at - last - SECOND / 2).toBeLessThanOrEqual(10 * SECOND);
  });

  test("a silence that the caller lets pass is learned", () => {
    const { watch, random, last } = busy("let pass");
    expect(judged(watch, last, last + 20 * SECOND)).not.toBeNull();
    const from = 90 * SECOND;
    const { last: again } = live(watch, random, { from, until: from + 15 * SECOND, mean: () => SECOND / 50 });
    const at = judged(watch, again, again + HOUR) ?? Number.NaN;
    expect(at - again).toBeGreaterThan(1.5 * 29 * SECOND);
    expect(at - again).toBeLessThan(1.5 * 32 * SECOND);
  });
});

describe("a quiet connection is left alone", () => {
  test("300 symbols with one trade an hour in all, from its first trade on: 24 h and 100 days", () => {
    const random = seeded("one trade an hour");
    for (let round = 0; round < 40; round++) {
      const watch = new ConnectionWatch();
      watch.opened(0, false);
      watch.data(0);
      expect(
        live(watch, random, { from: 0, until: 24 * HOUR, mean: () => HOUR, tick: 10 * SECOND }).verdicts,
      ).toBe(0);
      expect(
        live(watch, random, {
          from: 24 * HOUR,
          until: 2400 * HOUR,
          mean: () => HOUR,
          tick: 300 * SECOND,
        }).verdicts,
      ).toBe(0);
    }
  });

  test("300 symbols with one trade an hour each, and anything in between", () => {
    const random = seeded("one trade an hour each");
    for (const mean of [1, 4, 12, 60, 600]) {
      for (let round = 0; round < 10; round++) {
        const watch = new ConnectionWatch();
        watch.opened(0, false);
        watch.data(0);
        const until = 24 * HOUR;
        expect(
          live(watch, random, { from: 0, until, mean: () => mean * SECOND, tick: 2 * SECOND }).verdicts,
        ).toBe(0);
      }
    }
  });

  test("a market that comes in clusters, from a day to a night that is 50 times slower and back", () => {
    const random = seeded("clusters by day and night");
    for (let round = 0; round < 10; round++) {
      const watch = new ConnectionWatch();
      watch.opened(0, true);
      const { verdicts } = live(watch, random, {
        from: 0,
        until: 96 * HOUR,
        mean: (now) => 2 * SECOND * 50 ** (-Math.cos((now / (24 * HOUR)) * 2 * Math.PI) / 2),
        shape: wandering(600),
      });
      expect(verdicts).toBe(0);
    }
  });

  test("but after many quiet days it is judged: one that slept for a day had an event an hour", () => {
    const random = seeded("quiet and dead");
    const watch = new ConnectionWatch();
    watch.opened(0, false);
    watch.data(0);
    const { last } = live(watch, random, { from: 0, until: 720 * HOUR, mean: () => HOUR, tick: 60 * SECOND });
    const at = judged(watch, last, last + 100 * HOUR) ?? Number.NaN;
    expect(at - last).toBeGreaterThan(5 * HOUR);
    expect(at - last).toBeLessThan(60 * HOUR);
  });
});

describe("snapshots at the start of a socket", () => {
  test("are no rhythm: 300 of them, then an event a minute", () => {
    const watch = new ConnectionWatch();
    watch.opened(0, true);
    for (let i = 0; i < 300; i++) watch.data(i * 2_000);
    let verdicts = 0;
    for (let now = SECOND; now < HOUR; now += TICK) {
      if (now % (60 * SECOND) === 0) watch.data(now);
      if (watch.verdict(now) !== null) verdicts++;
    }
    expect(verdicts).toBe(0);
  });

  test("that last longer than that cost a few sockets at first, never an endless chain of them", () => {
    const watch = new ConnectionWatch();
    let sockets = 0;
    let opened = 0;
    watch.opened(0, true);
    for (let now = 0; now < 24 * HOUR; now += TICK) {
      const age = now - opened;
      // 3 s of snapshots, then each of the channels every 100 s, all together.
      if (age <= 3 * SECOND || age % (100 * SECOND) === 0)
        for (let i = 0; i < 50; i++) watch.data(now + i * 10_000);
      if (watch.verdict(now) === null) continue;
      watch.closed();
      sockets++;
      opened = now + TICK;
      watch.opened(opened, true);
    }
    expect(sockets).toBeLessThanOrEqual(4);
  });
});

describe("the own clock is set ahead by an hour", () => {
  test("that is no silence, nor an interval of the rhythm: a real silence is found as soon as before", () => {
    const { watch, random, last } = busy("set ahead");
    watch.stepped(HOUR);
    const from = last + HOUR;
    expect(judged(watch, from, from + 7 * SECOND)).toBeNull();
    const { last: lastAgain, verdicts } = live(watch, random, {
      from: from + 7 * SECOND,
      until: from + 20 * SECOND,
      mean: () => SECOND / 50,
    });
    expect(verdicts).toBe(0);
    const at = judged(watch, lastAgain, lastAgain + HOUR);
    expect((Number(at) - lastAgain) / SECOND).toBeLessThan(10);
    expect(watch.verdict(Number(at))?.silentSince).toBe(lastAgain);
  });

  test("in the middle of a silence: it is found when its own time has passed, and began where it did", () => {
    const { watch, last } = busy("set ahead in silence");
    expect(judged(watch, last, last + 4 * SECOND)).toBeNull();
    watch.stepped(HOUR);
    const at = judged(watch, last + HOUR + 4 * SECOND, last + 2 * HOUR);
    expect((Number(at) - last - HOUR) / SECOND).toBeLessThan(10);
    expect(watch.verdict(Number(at))?.silentSince).toBe(last);
  });
});
