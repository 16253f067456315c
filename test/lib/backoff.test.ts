import { expect, test } from "bun:test";
import { Backoff } from "../../src/lib/backoff.ts";
import { seeded } from "./seed.ts";

const ALMOST_ONE = 1 - 2 ** -53;

test("the step doubles from the first to the cap and stays there", () => {
  const backoff = new Backoff(250, 30_000, () => ALMOST_ONE);
  const steps = Array.from({ length: 12 }, () => backoff.next());
  expect(steps).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, ...Array<number>(5).fill(30_000)]);
});

test("full jitter: anything from 0 to the step, and all of it is used", () => {
  const random = seeded("backoff");
  const sums = Array<number>(10).fill(0);
  const rounds = 2000;
  for (let round = 0; round < rounds; round++) {
    const backoff = new Backoff(100, 5000, () => random.unit());
    for (let attempt = 0; attempt < 10; attempt++) {
      const step = Math.min(5000, 100 * 2 ** attempt);
      const delay = backoff.next();
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(step);
      expect(Number.isInteger(delay)).toBe(true);
      sums[attempt] += delay / step;
    }
  }
  for (const sum of sums) expect(Math.abs(sum / rounds - 0.5)).toBeLessThan(0.05);
});

test("what the other side asks for is waited, never less", () => {
  const backoff = new Backoff(100, 1000, () => ALMOST_ONE);
  expect(backoff.next(7000)).toBe(7000);
  expect(backoff.next(10)).toBe(200);
  expect(new Backoff(100, 1000, () => 0).next()).toBe(0);
});

test("only reset begins anew", () => {
  const backoff = new Backoff(10, 1000, () => ALMOST_ONE);
  for (let i = 0; i < 3; i++) backoff.next();
  expect(backoff.attempts).toBe(3);
  expect(backoff.next()).toBe(80);
  backoff.reset();
  expect(backoff.attempts).toBe(0);
  expect(backoff.next()).toBe(10);
});

test("after very many attempts it is still the cap", () => {
  const backoff = new Backoff(1, 30_000, () => ALMOST_ONE);
  for (let i = 0; i < 5000; i++) backoff.next();
  expect(backoff.next()).toBe(30_000);
});
