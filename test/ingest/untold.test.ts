/** What is noted of holes that are not told yet: when they change, not too often, and never too many. */
import { expect, test } from "bun:test";
import { Holes } from "../../src/ingest/holes.ts";
import type { GapNotice } from "../../src/ingest/messages.ts";
import { Untold } from "../../src/ingest/untold.ts";

const SECOND = 1_000_000;
const T = 1_795_132_800_000_000;

/** Holes of so many instruments, and what is noted of them. */
function bench(instruments: number) {
  const names = Array.from({ length: instruments }, (_, i) => `c${i}`);
  const wanted = new Map(
    names.map((instrument) => [
      instrument,
      { route: "/r", channel: instrument, streams: ["bbo"] as const, instrument },
    ]),
  );
  const holes = new Holes("okx", wanted);
  const untold = new Untold("okx", [holes], (now) => holes.untold(now));
  const spans = (list: readonly GapNotice[] | undefined) =>
    list?.map(({ instrument, reason, from, to }) => [
      instrument,
      reason,
      (from ?? 0) - T,
      to === null ? null : to - T,
    ]);
  const take = (now: number, told = false) => spans(untold.take(T + now, told)?.holes);
  return { holes, take };
}

test("a hole when it begins, when it has ended, and that it is gone with the row that tells it", () => {
  const { holes, take } = bench(3);
  expect(take(0)).toBeUndefined();
  holes.begin("c1", "disconnect", T + 5);
  expect(take(SECOND)).toEqual([["c1", "disconnect", 5, null]]);
  expect(take(3 * SECOND)).toBeUndefined();
  holes.end("c1", T + 4 * SECOND);
  expect(take(4 * SECOND)).toEqual([["c1", "disconnect", 5, 4 * SECOND]]);
  expect(holes.take(T + 4.5 * SECOND)).toEqual([]);
  // Told at once, however short the time since the last note.
  holes.begin("c2", "silence", T + 4.5 * SECOND);
  expect(take(4.6 * SECOND)).toBeUndefined();
  expect(holes.take(T + 5 * SECOND).length).toBe(1);
  expect(take(4.7 * SECOND, true)).toEqual([["c2", "silence", 4.5 * SECOND, null]]);
  holes.forget("c2");
  expect(take(7 * SECOND)).toEqual([]);
  expect(take(60 * SECOND)).toBeUndefined();
});

test("again every 15 s while it is open: it was so then", () => {
  const { holes, take } = bench(2);
  holes.begin("c0", "silence", T);
  const noted = Array.from({ length: 60 }, (_, second) => second).filter(
    (second) => take(second * SECOND) !== undefined,
  );
  expect(noted).toEqual([0, 15, 30, 45]);
});

test("a start only when it has been open for long; then its channel may be refused for ever", () => {
  const { holes, take } = bench(2);
  holes.begin("c0", "start", T);
  expect(take(SECOND)).toBeUndefined();
  const noted = Array.from({ length: 40 }, (_, second) => take((2 + second) * SECOND)).find(Boolean);
  expect(noted).toEqual([["c0", "start", 0, null]]);
});

test("more than a thousand are one for each reason, of the whole span", () => {
  const { holes, take } = bench(1500);
  for (let i = 0; i < 1400; i++) holes.begin(`c${i}`, i % 2 === 0 ? "silence" : "lag", T + i);
  expect(take(SECOND)).toEqual([
    [null, "silence", 0, null],
    [null, "lag", 1, null],
  ]);
});
