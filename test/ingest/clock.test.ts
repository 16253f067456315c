import { describe, expect, test } from "bun:test";
import { Clock } from "../../src/ingest/clock.ts";
import { seeded } from "../lib/seed.ts";

/** Time under the test's hand: `ms` passes on both clocks, `jump` moves the wall clock alone. */
class FakeTime {
  #monotonic = 1234.567;
  #wall = 1_790_000_000_000.25;

  pass(ms: number, drift = 0): void {
    this.#monotonic += ms;
    this.#wall += ms * (1 + drift);
  }

  jump(ms: number): void {
    this.#wall += ms;
  }

  /** Wall time in whole ms, as Date.now() gives it. */
  wall = () => Math.floor(this.#wall);
  monotonic = () => this.#monotonic;
  /** Wall time, µs. */
  get wallUs(): number {
    return this.#wall * 1000;
  }
}

function start(): { time: FakeTime; clock: Clock } {
  const time = new FakeTime();
  return { time, clock: new Clock(time.wall, time.monotonic) };
}

/** Lets time pass in steps of 250 ms with a discipline after each; `each` gets how far the clock went, µs. */
function run(time: FakeTime, clock: Clock, ms: number, each: (advance: number) => void, drift = 0): void {
  for (let passed = 0; passed < ms; passed += 250) {
    const before = clock.now();
    let last = before;
    for (let i = 0; i < 50; i++) {
      time.pass(5, drift);
      const now = clock.now();
      if (now < last) throw new Error(`went back from ${last} to ${now}`);
      last = now;
    }
    clock.discipline();
    const after = clock.now();
    if (after < last) throw new Error(`went back from ${last} to ${after} when disciplined`);
    each(after - before);
  }
}

describe("receive time", () => {
  test("is whole microseconds of wall time, with the resolution of the monotonic clock", () => {
    const { time, clock } = start();
    const first = clock.now();
    expect(Number.isSafeInteger(first)).toBe(true);
    expect(Math.abs(first - time.wallUs)).toBeLessThanOrEqual(1000);
    time.pass(0.25);
    expect(clock.now() - first).toBe(250);
    expect(clock.offset()).toBe(0);
  });

  test("stays within a millisecond of a steady wall clock", () => {
    const { time, clock } = start();
    run(time, clock, 60_000, () => {
      expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1000);
    });
  });

  test("follows a wall clock that runs 200 ppm fast or slow", () => {
    for (const drift of [2e-4, -2e-4]) {
      const { time, clock } = start();
      run(
        time,
        clock,
        120_000,
        () => {
          expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1100);
        },
        drift,
      );
    }
  });

  test("a wall clock stepped back 2 s: never back, at most a tenth slower, together again after 20 s", () => {
    const { time, clock } = start();
    run(time, clock, 1000, () => {});
    time.jump(-2000);
    expect(clock.offset()).toBeLessThan(-1_990_000);
    expect(clock.offset()).toBeGreaterThan(-2_010_000);
    const advances: number[] = [];
    run(time, clock, 19_500, (advance) => advances.push(advance));
    // It goes on all the time, at nine tenths of the speed.
    for (const advance of advances) {
      expect(advance).toBeGreaterThanOrEqual(224_000);
      expect(advance).toBeLessThanOrEqual(251_000);
    }
    expect(clock.offset()).toBeLessThan(0);
    run(time, clock, 1500, () => {});
    expect(clock.offset()).toBe(0);
    expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1000);
    run(time, clock, 5000, (advance) => expect(Math.abs(advance - 250_000)).toBeLessThanOrEqual(1000));
  });

  test("a wall clock stepped forward is followed at the next discipline", () => {
    const { time, clock } = start();
    const before = clock.now();
    time.jump(3_600_000);
    expect(clock.now()).toBe(before);
    expect(clock.offset()).toBeGreaterThan(3_599_000_000);
    clock.discipline();
    expect(clock.offset()).toBe(0);
    expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1000);
    expect(clock.now() - before).toBeGreaterThan(3_599_000_000);
  });

  test("a step back followed by one forward", () => {
    const { time, clock } = start();
    time.jump(-5000);
    run(time, clock, 2000, () => {});
    time.jump(5000);
    run(time, clock, 500, () => {});
    expect(clock.offset()).toBe(0);
    expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1000);
  });

  test("never goes back under random steps, however seldom it is disciplined", () => {
    const random = seeded("clock");
    const { time, clock } = start();
    let last = clock.now();
    for (let i = 0; i < 50_000; i++) {
      time.pass(random.unit() * (random.below(50) === 0 ? 5000 : 5));
      if (random.below(100) === 0) time.jump((random.unit() - 0.5) * 10_000);
      if (random.below(20) === 0) clock.discipline();
      const now = clock.now();
      if (!(now >= last) || !Number.isSafeInteger(now)) throw new Error(`step ${i}: ${last}, then ${now}`);
      last = now;
    }
  });

  test("is not led astray by a thread that is held up between its two clocks", () => {
    const time = new FakeTime();
    let held = 0;
    /** After each reading of the wall clock, or before it, a second passes in which this thread does not run. */
    const holding = (when: "before" | "after") => () => {
      if (when === "before") time.pass(held);
      const wall = time.wall();
      if (when === "after") time.pass(held);
      return wall;
    };
    for (const when of ["before", "after"] as const) {
      held = 0;
      const clock = new Clock(holding(when), time.monotonic);
      held = 1000;
      for (let i = 0; i < 100; i++) {
        expect(clock.offset()).toBe(0);
        clock.discipline();
        expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1000);
      }
      // A step is seen all the same, as far as it is longer than that.
      time.jump(5000);
      expect(Math.abs(clock.offset() - 4_000_000)).toBeLessThanOrEqual(1_001_000);
    }
    // It starts with a reading that was not held up, where there is one.
    let readings = 0;
    const clock = new Clock(() => {
      const wall = time.wall();
      if (readings++ < 3) time.pass(700);
      return wall;
    }, time.monotonic);
    expect(Math.abs(clock.now() - time.wallUs)).toBeLessThanOrEqual(1000);
  });

  test("takes the clocks of the system unless told otherwise", () => {
    const clock = new Clock();
    const before = Date.now() * 1000;
    const now = clock.now();
    expect(now).toBeGreaterThan(before - 2000);
    expect(now).toBeLessThan(Date.now() * 1000 + 2000);
    expect(clock.now()).toBeGreaterThanOrEqual(now);
  });
});
