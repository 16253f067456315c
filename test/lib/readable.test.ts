import { describe, expect, test } from "bun:test";
import { countOf, countText, pctText, rateText, sizeText, spanText } from "../../src/lib/readable.ts";

describe("readable numbers", () => {
  test("spans", () => {
    const cases: [number | null, string][] = [
      [null, "–"],
      [0, "0 ms"],
      [0.04, "0 ms"],
      [0.44, "0.4 ms"],
      [9.96, "10 ms"],
      [999.4, "999 ms"],
      [999.6, "1 s"],
      [1234, "1.2 s"],
      [59_400, "59 s"],
      [59_600, "1 min"],
      [64_000, "1 min 4 s"],
      [119_700, "2 min"],
      [3_599_700, "1 h"],
      [4_211_000, "1 h 10 min"],
      [86_399_000, "1 d"],
      [90_000_000, "1 d 1 h"],
      [365 * 86_400_000, "365 d"],
      [-1234, "−1.2 s"],
    ];
    expect(cases.map(([ms]) => spanText(ms))).toEqual(cases.map(([, text]) => text));
  });

  test("sizes", () => {
    const cases: [number, string][] = [
      [0, "0 B"],
      [1023, "1,023 B"],
      [1024, "1 KiB"],
      [1536, "1.5 KiB"],
      [1024 ** 2 - 1, "1 MiB"],
      [50 * 1024 ** 3, "50 GiB"],
    ];
    expect(cases.map(([bytes]) => sizeText(bytes))).toEqual(cases.map(([, text]) => text));
  });

  test("a slow stream is not shown as a dead one, nor a nearly empty ring as an empty one", () => {
    expect([0, 0.01, 0.3, 9.94, 10.4, 12_345.6].map(rateText)).toEqual([
      "0",
      "<0.1",
      "0.3",
      "9.9",
      "10",
      "12,346",
    ]);
    expect([0, 0.01, 0.3, 83.4, 100].map(pctText)).toEqual(["0 %", "<0.1 %", "0.3 %", "83 %", "100 %"]);
    expect([countText(null), countText(1_234_567)]).toEqual(["–", "1,234,567"]);
    const files = [0, 1, 2, 1234].map((count) => countOf(count, "file"));
    expect(files).toEqual(["0 files", "1 file", "2 files", "1,234 files"]);
  });
});
