import { expect, test } from "bun:test";
import { days } from "../../src/commands/selection.ts";

test.each([
  ["2026-11-20", { from: "2026-11-20", to: "2026-11-20" }],
  ["2024-02-29..", { from: "2024-02-29", to: null }],
  ["..2026-11-20", { from: null, to: "2026-11-20" }],
  ["2026-02-30", null],
  ["2025-02-29..2026-01-01", null],
  ["2026-11-20..2026-11-31", null],
  ["2026-13-01", null],
  ["2026-11-21..2026-11-20", null],
  ["..", null],
] as const)("--date %s", (text, wanted) => {
  expect(days.safeParse(text).data ?? null).toEqual(wanted);
});
