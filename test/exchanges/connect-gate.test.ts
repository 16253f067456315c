import { beforeEach, describe, expect, test } from "bun:test";
import { binance } from "../../src/exchanges/binance.ts";
import { bybit } from "../../src/exchanges/bybit.ts";
import { type AttemptLimits, ConnectGate, createGateMemory } from "../../src/exchanges/connect-gate.ts";
import { okx } from "../../src/exchanges/okx.ts";
import { seeded } from "../lib/seed.ts";

const SPAN = 300_000;
const TWO_A_SECOND: AttemptLimits = { connectsPerSecond: 2, connectsPerFiveMinutes: null };

/** ms */
let now = 0;
beforeEach(() => {
  now = 0;
});

/** So many gates of one exchange, as its workers have them. */
function gates(limits: AttemptLimits, count: number): ConnectGate[] {
  const memory = createGateMemory(limits);
  return Array.from({ length: count }, () => new ConnectGate(limits, memory, () => now));
}

test("attempts are spaced out, the first goes at once, and a pause is not saved up", () => {
  const [gate] = gates(TWO_A_SECOND, 1);
  expect([gate.take(), gate.take(), gate.take()]).toEqual([0, 500, 1000]);
  now = 1200;
  expect(gate.take()).toBe(300);
  now = 60_000;
  expect([gate.take(), gate.take()]).toEqual([0, 500]);
});

describe("several workers", () => {
  test("keep the limit together, not each its part of it at the same instant", () => {
    const sixteen = gates(TWO_A_SECOND, 16);
    expect(sixteen.map((gate) => gate.take())).toEqual(sixteen.map((_, i) => 500 * i));
  });

  test("a wait that one is told of goes for all; places taken before are worth nothing", () => {
    const [one, other] = gates(TWO_A_SECOND, 2);
    now = 1000;
    expect([one.take(), other.take(), other.take(), other.isHeld]).toEqual([0, 500, 1000, false]);
    one.hold(30_000);
    one.hold(1000);
    now += 1000;
    expect([one.isHeld, other.isHeld]).toEqual([true, true]);
    expect([other.take(), one.take(), other.take()]).toEqual([29_000, 29_500, 30_000]);
    now += 29_000;
    expect([one.isHeld, other.isHeld]).toEqual([false, false]);
  });

  test("from real threads: no two have the same place, and none is lost", async () => {
    const [workers, each] = [4, 200];
    const limits: AttemptLimits = { connectsPerSecond: 1000, connectsPerFiveMinutes: 900 };
    const memory = createGateMemory(limits);
    const source = new URL("connect-gate-worker.ts", import.meta.url);
    const places = await Promise.all(
      Array.from({ length: workers }, () => {
        const worker = new Worker(source);
        return new Promise<number[]>((resolve, reject) => {
          worker.onmessage = ({ data }: MessageEvent<number[]>) => {
            worker.terminate();
            resolve(data);
          };
          worker.onerror = reject;
          worker.postMessage({ limits, memory, each });
        });
      }),
    );
    const all = places.flat().sort((a, b) => a - b);
    // Time stands still for all of them: each millisecond has one place.
    expect(all).toEqual(Array.from({ length: workers * each }, (_, i) => i));
  });
});

test("an outage of an hour with 60 connections: no five minutes with more attempts than are allowed", () => {
  const random = seeded("connect gate");
  for (const [connectsPerSecond, connectsPerFiveMinutes] of [
    [4, 300],
    [4, 500],
    [2, 100],
    [0.5, 1],
  ] as const) {
    const limits = { connectsPerSecond, connectsPerFiveMinutes };
    const three = gates(limits, 3);
    now = 1000;
    const end = now + 12 * SPAN;
    // Each fails at once and comes back within 30 s, as Backoff has it after a while.
    const next = Array.from({ length: 60 }, () => now);
    const attempts: number[] = [];
    for (now = Math.min(...next); now < end; now = Math.min(...next)) {
      const one = next.indexOf(now);
      const at = now + three[one % 3].take();
      attempts.push(at);
      next[one] = at + random.below(30_000) + 1;
    }
    attempts.sort((a, b) => a - b);
    for (let i = connectsPerFiveMinutes; i < attempts.length; i++) {
      expect(attempts[i] - attempts[i - connectsPerFiveMinutes]).toBeGreaterThanOrEqual(SPAN);
    }
    // ... and not one fewer where all of them are wanted, as here: each is used up to the end.
    const full = Math.floor((end - 1000) / SPAN) * connectsPerFiveMinutes;
    if (connectsPerFiveMinutes <= 300)
      expect(attempts.filter((at) => at < end).length).toBeGreaterThanOrEqual(full);
  }
});

test("turns that pass without an attempt do not count: refusals of a second are no wait of five minutes", () => {
  const random = seeded("connect gate, refused");
  const limits: AttemptLimits = { connectsPerSecond: 4, connectsPerFiveMinutes: 60 };
  const three = gates(limits, 3);
  const attempts: number[] = [];
  /** When each of 20 connections is to take a turn, or has the one it waits for. */
  const waiting = Array.from({ length: 20 }, (_, i) => ({
    gate: three[i % 3],
    next: 0,
    place: null as ConnectGate["taken"] | null,
  }));
  const storm = 60_000;
  while (attempts.length < 400) {
    const one = waiting.reduce((first, other) => (other.next < first.next ? other : first));
    now = one.next;
    const { gate, place } = one;
    if (place === null || gate.isHeld) {
      if (place !== null) gate.giveBack(place);
      one.next = now + gate.take();
      one.place = gate.taken;
      continue;
    }
    attempts.push(now);
    // Refused with Retry-After: 2 at first, then for no reason that the exchange names.
    if (now < storm) gate.hold(2000);
    one.place = null;
    one.next = now + 2000 + random.below(2000);
  }
  for (let i = 60; i < attempts.length; i++)
    expect(attempts[i] - attempts[i - 60]).toBeGreaterThanOrEqual(SPAN);
  // One in 2 s and a turn, of which there are 4 a second; and the rest as soon as the storm is over.
  const during = attempts.filter((at) => at < storm).length;
  expect(during).toBeGreaterThanOrEqual(20);
  expect(attempts.filter((at) => at < storm + 60_000).length).toBe(60);
});

test("limits are those that the exchanges document", () => {
  // Binance: 300 in 5 min. Bybit: 500 in 5 min. OKX: 3 a second.
  expect(
    [binance, bybit, okx].map(({ limits }) => [limits.connectsPerSecond, limits.connectsPerFiveMinutes]),
  ).toEqual([
    [4, 300],
    [4, 500],
    [2, null],
  ]);
});
