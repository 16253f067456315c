import { expect, test } from "bun:test";
import { nearest } from "../../src/config/suggest.ts";

const KNOWN = ["bbo", "trade", "mark_price", "funding"];

test.each([
  ["trdae", "trade"],
  ["TRADES", "trade"],
  ["markprice", "mark_price"],
  ["bb", "bbo"],
])("%s is near %s", (wrong, name) => {
  expect(nearest(wrong, KNOWN)).toBe(name);
});

test.each(["", "candles", "x", "trade".repeat(30)])("nothing is near %p", (wrong) => {
  expect(nearest(wrong, KNOWN)).toBeUndefined();
});
