import { expect, test } from "bun:test";
import { dayStart } from "../../src/storage/names.ts";
import { type SealState, sealReason } from "../../src/storage/seal-policy.ts";

const BOUNDS = { rows: 1000, bytes: 1_000_000, interval: 300_000 };
const DAY = 20_777;

function state(change: Partial<SealState>): SealState {
  return { rows: 1, bytes: 100, age: 0, nowUs: dayStart(DAY) + 5_000_000, day: DAY, ...change };
}

test("nothing is due before a bound is reached", () => {
  expect(sealReason(state({}), BOUNDS)).toBeNull();
  expect(sealReason(state({ rows: 999, bytes: 999_999, age: 299_999 }), BOUNDS)).toBeNull();
});

test("each bound by itself", () => {
  expect(sealReason(state({ rows: 1000 }), BOUNDS)).toBe("rows");
  expect(sealReason(state({ bytes: 1_000_000 }), BOUNDS)).toBe("bytes");
  expect(sealReason(state({ age: 300_000 }), BOUNDS)).toBe("interval");
});

test("the day ends a second after midnight UTC, so that its last rows are in", () => {
  const midnight = dayStart(DAY + 1);
  expect(sealReason(state({ nowUs: midnight - 1 }), BOUNDS)).toBeNull();
  expect(sealReason(state({ nowUs: midnight }), BOUNDS)).toBeNull();
  expect(sealReason(state({ nowUs: midnight + 999_999 }), BOUNDS)).toBeNull();
  expect(sealReason(state({ nowUs: midnight + 1_000_000 }), BOUNDS)).toBe("day");
  expect(sealReason(state({ nowUs: midnight + 40 * 86_400_000_000 }), BOUNDS)).toBe("day");
});

test("what must not wait comes before what may be staggered", () => {
  const nowUs = dayStart(DAY + 1) + 2_000_000;
  expect(sealReason(state({ rows: 1000, bytes: 1_000_000, age: 300_000, nowUs }), BOUNDS)).toBe("rows");
  expect(sealReason(state({ bytes: 1_000_000, age: 300_000, nowUs }), BOUNDS)).toBe("bytes");
  expect(sealReason(state({ age: 300_000, nowUs }), BOUNDS)).toBe("day");
});
