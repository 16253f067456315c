import { expect, test } from "bun:test";
import { parseRetryAfter } from "../../src/lib/retry-after.ts";

test("seconds, dates, nonsense; never more than a day", () => {
  expect(parseRetryAfter("120")).toBe(120_000);
  expect(parseRetryAfter("0")).toBe(0);
  expect(parseRetryAfter("-5")).toBe(0);
  expect(parseRetryAfter("999999999")).toBe(86_400_000);
  expect(parseRetryAfter("soon")).toBe(0);
  expect(parseRetryAfter(undefined)).toBe(0);
  const wait = parseRetryAfter(new Date(Date.now() + 60_000).toUTCString());
  expect(wait).toBeGreaterThan(57_000);
  expect(wait).toBeLessThanOrEqual(60_000);
});
