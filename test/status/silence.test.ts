import { expect, test } from "bun:test";
import { PACED_STREAMS, SilenceCounter } from "../../src/status/silence.ts";

const THRESHOLD = 10_000;
const SPAN = 900_000;

test("only streams that come at a fixed rate are paced", () => {
  expect([...PACED_STREAMS].sort()).toEqual(["funding", "mark_price", "open_interest"]);
});

test("a silence counts once, when it is longer than the threshold", () => {
  const silence = new SilenceCounter(THRESHOLD, SPAN);
  silence.sample("binance/mark_price", 10, 0);
  silence.sample("binance/mark_price", 10, THRESHOLD);
  expect(silence.intervals.total).toBe(0);
  silence.sample("binance/mark_price", 10, THRESHOLD + 1);
  silence.sample("binance/mark_price", 10, THRESHOLD + 2);
  silence.sample("binance/mark_price", 10, THRESHOLD * 50);
  expect(silence.intervals.total).toBe(1);
});

test("after new events another silence is another interval", () => {
  const silence = new SilenceCounter(THRESHOLD, SPAN);
  for (let i = 0; i < 3; i++) {
    const at = i * 100_000;
    silence.sample("a", 10 + i, at);
    silence.sample("a", 10 + i, at + THRESHOLD + 1);
    expect(silence.intervals.total).toBe(i + 1);
  }
  expect(silence.intervals.recent(250_000)).toBe(3);
  expect(silence.intervals.recent(SPAN + 150_000)).toBe(1);
});

test("silence before the first event is none", () => {
  const silence = new SilenceCounter(THRESHOLD, SPAN);
  silence.sample("a", 0, 0);
  silence.sample("a", 0, THRESHOLD * 100);
  expect(silence.intervals.total).toBe(0);
  silence.sample("a", 1, THRESHOLD * 101);
  silence.sample("a", 1, THRESHOLD * 102);
  expect(silence.intervals.total).toBe(0);
  silence.sample("a", 1, THRESHOLD * 102 + 1);
  expect(silence.intervals.total).toBe(1);
});

test("lanes are counted apart", () => {
  const silence = new SilenceCounter(THRESHOLD, SPAN);
  silence.sample("a", 5, 0);
  silence.sample("b", 5, 0);
  silence.sample("a", 6, THRESHOLD + 1);
  silence.sample("b", 5, THRESHOLD + 1);
  expect(silence.intervals.total).toBe(1);
  silence.sample("a", 6, THRESHOLD * 2 + 2);
  expect(silence.intervals.total).toBe(2);
});
