import { describe, expect, test } from "bun:test";
import { placeFrame } from "../../src/exchanges/decoding/frame-memory.ts";
import { KeyTable } from "../../src/exchanges/decoding/key-table.ts";
import { seeded } from "../lib/seed.ts";

const utf8 = new TextEncoder();

/** @param before the key before it */
function entryOf(table: KeyTable, key: string, before = -1): number {
  placeFrame(utf8.encode(`{"${key}":"1"}`));
  return table.entryAt(1, before);
}

describe("a table of keys", () => {
  const KEYS = [
    "markPrice",
    "indexPrice",
    "openInterest",
    "openInterestValue",
    "bid1Price",
    "ask1Price",
    "a",
  ];
  const table = new KeyTable(KEYS);

  test("finds each of its keys", () => {
    expect(KEYS.map((key) => entryOf(table, key))).toEqual([...KEYS.keys()]);
  });

  test("knows no other: not one that differs in any one byte, nor one longer or shorter", () => {
    for (const key of KEYS) {
      for (let at = 0; at < key.length; at++) {
        const other = `${key.slice(0, at)}#${key.slice(at + 1)}`;
        expect(entryOf(table, other)).toBe(-1);
      }
      expect(entryOf(table, `${key}s`)).toBe(-1);
      if (key.length > 1) expect(entryOf(table, key.slice(1))).toBe(-1);
    }
    expect(entryOf(table, "")).toBe(-1);
  });

  test("finds them in any order, whichever followed which before", () => {
    const random = seeded("keys in any order");
    let before = -1;
    for (let i = 0; i < 2000; i++) {
      const entry = random.below(KEYS.length);
      expect(entryOf(table, KEYS[entry], before)).toBe(entry);
      before = entry;
    }
  });

  test("knows no key that is followed by anything but a text", () => {
    for (const frame of ['"a":1', '"a": "1"', '"a":"', '"a"', '"a', '"', "", 'a":"']) {
      placeFrame(utf8.encode(frame));
      expect(table.entryAt(0, -1)).toBe(frame === '"a":"' ? KEYS.indexOf("a") : -1);
    }
  });

  test("keys that it could not tell are refused when it is made", () => {
    expect(() => new KeyTable(["basisRate", "bid1sPrxe"])).toThrow("same first byte, middle byte and length");
  });
});
