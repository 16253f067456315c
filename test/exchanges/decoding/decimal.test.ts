import { describe, expect, test } from "bun:test";
import {
  isExact,
  MANTISSA_MAX,
  POWERS_OF_TEN,
  parseDecimal,
} from "../../../src/exchanges/decoding/decimal.ts";
import { Scanner } from "../../../src/exchanges/decoding/scanner.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { FIXTURES_NOTE, fixtureFiles, fixtureLines, HAVE_FIXTURES } from "../../lib/fixtures.ts";
import { digits, pick, seeded } from "../../lib/seed.ts";

/** Far above what they take; Bun's own limit is 5 s. */
const TIMEOUT_MS = 120_000;

const scanner = new Scanner();
const target = new Uint8Array(512);
const utf8 = new TextEncoder();

/** What the scanner makes of a decimal between quotes. */
function scan(text: string): { value: number; failed: boolean; inexact: number } {
  const { written } = utf8.encodeInto(`${text}"`, target);
  scanner.start(target.subarray(0, written));
  const value = scanner.decimal();
  return { value, failed: !scanner.complete, inexact: scanner.inexact };
}

/** A decimal text as `mantissa × 10^power`, exactly. */
function rational(text: string): { mantissa: bigint; power: number } {
  const [, sign, whole, fraction = "", exponent = "0"] =
    /^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  return {
    mantissa: BigInt(`${sign}${whole}${fraction}` || "0"),
    power: Number(exponent) - fraction.length,
  };
}

/** The definition: the printed double denotes the same number as the text. */
function isExactByReference(text: string): boolean {
  const a = rational(text);
  const b = rational(String(Number(text)));
  const power = Math.min(a.power, b.power);
  return a.mantissa * 10n ** BigInt(a.power - power) === b.mantissa * 10n ** BigInt(b.power - power);
}

/** Scanner, checked parser and reference agree on a plain decimal. */
function check(text: string): void {
  const { value, failed, inexact } = scan(text);
  const wanted = Number(text);
  if (failed || !Object.is(value, wanted)) {
    throw new Error(`${text}: the scanner reads ${value} (failed: ${failed}), Number reads ${wanted}`);
  }
  if (!Object.is(parseDecimal(text), wanted)) throw new Error(`${text}: parseDecimal differs`);
  const exact = isExactByReference(text);
  if (isExact(text, wanted) !== exact) throw new Error(`${text}: isExact is ${!exact}, should be ${exact}`);
  if ((inexact === 0) !== exact) throw new Error(`${text}: scanner counts ${inexact}, exact is ${exact}`);
}

function randomDecimal(random: Random): string {
  const length = 1 + random.below(40);
  const all = digits(random, length);
  const point = random.below(length + 1);
  let whole = all.slice(0, point);
  let fraction = all.slice(point);
  if (whole === "") whole = "0";
  if (random.below(4) === 0) fraction += "0".repeat(random.below(20));
  if (random.below(4) === 0) whole = `${"0".repeat(random.below(6))}${whole}`;
  if (random.below(6) === 0) fraction = `${"0".repeat(random.below(25))}${fraction}`;
  const sign = random.below(4) === 0 ? "-" : "";
  return sign + (fraction === "" ? whole : `${whole}.${fraction}`);
}

describe("decimals", () => {
  test("powers of ten are exact", () => {
    expect(POWERS_OF_TEN.length).toBe(23);
    POWERS_OF_TEN.forEach((power, i) => {
      expect(BigInt(power)).toBe(10n ** BigInt(i));
    });
    expect(MANTISSA_MAX * 9).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER + 1);
  });

  test(
    "200,000 random decimals of 1 to 40 digits are read as Number reads them",
    () => {
      const random = seeded("decimals");
      for (let i = 0; i < 200_000; i++) check(randomDecimal(random));
    },
    TIMEOUT_MS,
  );

  test(
    "100,000 decimals of 14 to 18 digits, where exactness ends",
    () => {
      const random = seeded("decimals at the border");
      let inexact = 0;
      for (let i = 0; i < 100_000; i++) {
        const length = 14 + random.below(5);
        const all = pick(random, ["1", "2", "5", "9"]) + digits(random, length - 1);
        const point = random.below(length);
        const text = point === 0 ? all : `${all.slice(0, -point) || "0"}.${all.slice(-point)}`;
        check(text);
        if (!isExactByReference(text)) inexact++;
      }
      // Both kinds must be there, or the test shows nothing.
      expect(inexact).toBeGreaterThan(10_000);
      expect(inexact).toBeLessThan(90_000);
    },
    TIMEOUT_MS,
  );

  test("random doubles as JavaScript prints them are exact and come back", () => {
    const random = seeded("printed doubles");
    const bits = new Uint32Array(2);
    const double = new Float64Array(bits.buffer);
    for (let i = 0; i < 50_000; i++) {
      bits[0] = random.uint32();
      bits[1] = random.uint32();
      const value = double[0];
      if (!Number.isFinite(value)) continue;
      const text = String(value);
      if (!isExact(text, value)) throw new Error(`${text} is not exact`);
      if (!Object.is(parseDecimal(text), value)) throw new Error(`${text} is read wrongly`);
    }
  });

  test("written cases", () => {
    for (const text of [
      "0",
      "-0",
      "0.0",
      "-0.00000000",
      "00000.5",
      "10000.0000000000000000",
      "229576048.730317321",
      "999999999999999",
      "1000000000000000",
      "9007199254740991",
      "9007199254740992",
      "9007199254740993",
      "0.1234567890123456",
      "0.12345678901234567",
      "0.00000000000000000000000123456789",
      "123456789012345.0",
      "1234567890123456.0",
      "0.30000000000000004",
      "4.35",
      "0.000001",
      `0.${"0".repeat(30)}`,
      `${"9".repeat(40)}`,
      `1${"0".repeat(60)}`,
      `0.${"1".repeat(80)}`,
    ]) {
      check(text);
    }
    expect(isExact("10000.0000000000000000", 10000)).toBe(true);
    expect(isExact("229576048.730317321", Number("229576048.730317321"))).toBe(false);
    expect(isExact("9007199254740993", Number("9007199254740993"))).toBe(false);
    expect(isExact("9007199254740992", 9007199254740992)).toBe(true);
    expect(isExact("-1.5E+3", -1500)).toBe(true);
    expect(isExact("1234567890123456e-3", 1234567890123.456)).toBe(true);
  });

  test("what is no plain decimal fails in the scanner, which leaves it to the JSON path", () => {
    for (const text of [
      "",
      "-",
      ".",
      ".5",
      "-.5",
      "+1",
      "1e5",
      "1E-5",
      "1,5",
      "1 ",
      " 1",
      "1.2.3",
      "0x10",
      "NaN",
      "Infinity",
      "--1",
      "1-",
      "\\u0031",
      "١",
      "9".repeat(400),
    ]) {
      expect({ text, failed: scan(text).failed }).toEqual({ text, failed: true });
    }
  });

  test("what is no decimal at all is NaN, what is beyond a double too", () => {
    for (const text of [
      "",
      "-",
      ".",
      "+1",
      "1,5",
      " 1",
      "1 ",
      "1.2.3",
      "0x10",
      "NaN",
      "Infinity",
      "1e",
      "e5",
    ]) {
      expect(parseDecimal(text)).toBeNaN();
    }
    for (const text of ["1e400", "-1e400", "9".repeat(400)]) expect(parseDecimal(text)).toBeNaN();
    expect([".5", "5.", "-.5", "1e5", "1.5E-3"].map(parseDecimal)).toEqual([0.5, 5, -0.5, 1e5, 0.0015]);
  });
});

describe("decimals of the recorded frames", () => {
  test.skipIf(!HAVE_FIXTURES)(
    `each is read as Number reads it${FIXTURES_NOTE}`,
    () => {
      let strings = 0;
      let numbers = 0;
      const files = fixtureFiles();
      for (const file of files) {
        for (const line of fixtureLines(file)) {
          // A capture line carries the frame as text, with its quotes escaped.
          const text = line.startsWith('{"ts":') ? String((JSON.parse(line) as { raw: unknown }).raw) : line;
          for (const [, decimal] of text.matchAll(/"(-?\d+(?:\.\d*)?)"/g)) {
            check(decimal);
            strings++;
          }
          for (const [, decimal] of text.matchAll(/[:,[]\s*(-?\d+(?:\.\d+)?)(?=[\s,\]}])/g)) {
            check(decimal);
            numbers++;
          }
        }
      }
      console.log(`  ${files.length} files, ${strings} decimal strings, ${numbers} numbers`);
      expect(files.length).toBeGreaterThan(80);
      expect(strings).toBeGreaterThan(20_000);
      expect(numbers).toBeGreaterThan(5_000);
    },
    TIMEOUT_MS,
  );
});
