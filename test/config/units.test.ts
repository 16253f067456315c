import { describe, expect, test } from "bun:test";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["30", 30_000],
    ["1.5s", 1_500],
    ["1.5", 1_500],
    ["0.001", 1],
    ["1.005s", 1_005],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["0", 0],
    [" 10 S ", 10_000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    "",
    "s",
    "-1s",
    "1e3",
    "1.s",
    ".5s",
    "5 minutes",
    "1h30m",
    "0.5ms",
    "1.0001s",
    "Infinity",
    "9".repeat(30),
  ])("%p is none", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test.each([
    [0, "0ms"],
    [1_500, "1500ms"],
    [90_000, "90s"],
    [300_000, "5m"],
    [172_800_000, "2d"],
  ])("%d is written %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe("sizes", () => {
  test.each([
    ["64MiB", 67_108_864],
    ["256MB", 256_000_000],
    ["1GiB", 1_073_741_824],
    ["1.5KiB", 1_536],
    ["100", 100],
    ["100B", 100],
    ["64mib", 67_108_864],
    ["2 TB", 2_000_000_000_000],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["", "MB", "64M", "64Mb", "-1MB", "1.5B", "1e9", "99999TiB999"])("%p is none", (text) => {
    expect(parseSize(text)).toBeUndefined();
  });

  test.each([
    [256_000_000, "256MB"],
    [67_108_864, "64MiB"],
    [1_025, "1025B"],
  ])("%d is written %s", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});

test("what is written reads back to the same number", () => {
  const seed = Number(process.env.SEED ?? 20_261_120);
  console.log(`seed ${seed}`);
  let state = seed;
  for (let i = 0; i < 2_000; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // Round numbers in both families of units, and crooked ones.
    const value = (state % 4_000) * [1, 1_000, 1_024, 60_000, 86_400_000, 1_048_576][i % 6];
    expect(parseDuration(formatDuration(value))).toBe(value);
    expect(parseSize(formatSize(value))).toBe(value);
  }
});
