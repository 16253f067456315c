import { describe, expect, test } from "bun:test";
import {
  FieldReader,
  FrameError,
  isObject,
  parseFrame,
  TIME_MAX_MS,
} from "../../../src/exchanges/decoding/json.ts";

const parse = (text: string) => parseFrame(Buffer.from(text));

describe("parsing without losing digits", () => {
  test("numbers of 16 characters or more come as text, all others as JSON has them", () => {
    expect(
      parse("[123456789012345,1234567890123456,-1234567890123456,0.12345678901234567,1.5e10,1]"),
    ).toEqual([123456789012345, "1234567890123456", "-1234567890123456", "0.12345678901234567", 1.5e10, 1]);
    expect(parse("12345678901234567890")).toBe("12345678901234567890");
    expect(parse('{"a":{"b":[12345678901234567890 , null]},"c":1e0000000000000000}')).toEqual({
      a: { b: ["12345678901234567890", null] },
      c: "1e0000000000000000",
    });
  });

  test("digits inside strings and keys stay what they are", () => {
    const text =
      '{"12345678901234567890":"x 12345678901234567890 \\" 99999999999999999999","a\\\\":12345678901234567890}';
    expect(parse(text)).toEqual({
      "12345678901234567890": 'x 12345678901234567890 " 99999999999999999999',
      "a\\": "12345678901234567890",
    });
  });

  test("what is not UTF-8 or not JSON is named", () => {
    for (const text of [
      "",
      "{",
      "pong",
      "{}{}",
      "[1,]",
      "\ufeff{}",
      "01",
      "NaN",
      '{"a":12345678901234567890',
    ]) {
      expect(() => parse(text)).toThrow(new FrameError("not JSON"));
    }
    expect(() => parseFrame(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(new FrameError("not valid UTF-8"));
    expect(() => parseFrame(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))).toThrow("not valid UTF-8");
    // As deep as it gets: an error of ours, not of the machine.
    expect(() => parse("[".repeat(1_000_000))).toThrow(FrameError);
  });

  test("an object is neither null nor an array", () => {
    expect([{}, [], null, "x", 1, undefined].map(isObject)).toEqual([
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("fields", () => {
  const read = new FieldReader();
  const absent = [{}, { x: null }, { x: undefined }, { x: "" }];

  test("decimal", () => {
    for (const fields of absent) expect(read.decimal(fields, "x")).toBeNaN();
    expect([1.5, "1.5", "-0.10", "1e3", 0].map((x) => read.decimal({ x }, "x"))).toEqual([
      1.5, 1.5, -0.1, 1000, 0,
    ]);
    for (const x of ["x", "1,5", "0x10", "Infinity", "1e999", [], {}, true, Number.POSITIVE_INFINITY]) {
      expect(() => read.decimal({ x }, "x")).toThrow(new FrameError("x is not a decimal"));
    }
  });

  test("decimal counts what a double does not hold", () => {
    read.reset();
    for (const x of [
      "229576048.730317321",
      "10000.0000000000000000",
      "0.30000000000000004",
      "1".repeat(30),
    ]) {
      read.decimal({ x }, "x");
    }
    expect(read.inexact).toBe(2);
    read.reset();
    expect([read.inexact, read.oversized]).toEqual([0, 0]);
  });

  test("integer", () => {
    read.reset();
    for (const fields of absent) expect(read.integer(fields, "x")).toBeNaN();
    expect([7, "7", -7, 0, "7.0", Number.MAX_SAFE_INTEGER].map((x) => read.integer({ x }, "x"))).toEqual([
      7,
      7,
      -7,
      0,
      7,
      Number.MAX_SAFE_INTEGER,
    ]);
    expect(read.oversized).toBe(0);
    for (const x of [2 ** 53, "9007199254740993", -(2 ** 53)]) expect(read.integer({ x }, "x")).toBeNaN();
    expect(read.oversized).toBe(3);
    for (const x of [1.5, "1.5", "x", true, [], Number.POSITIVE_INFINITY]) {
      expect(() => read.integer({ x }, "x")).toThrow("x is not a whole number");
    }
  });

  test("time: ms to µs, zero is absent", () => {
    read.reset();
    for (const fields of [...absent, { x: 0 }, { x: "0" }]) expect(read.time(fields, "x")).toBeNaN();
    expect(read.time({ x: 1785048483771 }, "x")).toBe(1785048483771000);
    expect(Number.isSafeInteger(read.time({ x: TIME_MAX_MS }, "x"))).toBe(true);
    expect(read.oversized).toBe(0);
    expect(read.time({ x: TIME_MAX_MS + 1 }, "x")).toBeNaN();
    expect(read.oversized).toBe(1);
    expect(() => read.time({ x: -1 }, "x")).toThrow("x is not a time");
  });

  test("id keeps its digits", () => {
    for (const fields of absent) expect(read.id(fields, "x")).toBeNull();
    expect([5, "5", "abc-1", "12345678901234567890"].map((x) => read.id({ x }, "x"))).toEqual([
      "5",
      "5",
      "abc-1",
      "12345678901234567890",
    ]);
    for (const x of [1.5, true, [], 2 ** 53]) expect(() => read.id({ x }, "x")).toThrow("x is not an id");
  });

  test("text and flag", () => {
    expect(read.text({ x: "币" }, "x")).toBe("币");
    for (const fields of [...absent, { x: 5 }, { x: [] }]) {
      expect(() => read.text(fields, "x")).toThrow("x is missing or not text");
    }
    expect([read.flag({ x: true }, "x"), read.flag({ x: false }, "x"), read.flag({}, "x")]).toEqual([
      1,
      0,
      Number.NaN,
    ]);
    for (const x of [1, "true", ""]) expect(() => read.flag({ x }, "x")).toThrow("x is not true or false");
  });

  test("fields that every object has by birth are absent", () => {
    for (const key of ["toString", "constructor", "__proto__"]) {
      expect(() => read.text(JSON.parse("{}"), key)).toThrow("missing");
    }
  });
});
