/** What the bench makes of its readings: a wrong median would praise or damn the program. */
import { describe, expect, test } from "bun:test";
import { collectionOf } from "../../bench/lib/garbage.ts";
import { isMet, printed, single } from "../../bench/lib/report.ts";
import { quantile, ratioOf, spreadOf } from "../../bench/lib/statistics.ts";

describe("figures of repeats", () => {
  test("a median of odd and even numbers of readings, whatever their order", () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, n: 3 });
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4, n: 4 });
    expect(spreadOf([5, Number.NaN, 1])).toEqual({ median: 3, min: 1, max: 5, n: 2 });
    expect(spreadOf([]).median).toBeNaN();
  });

  test("a quotient is taken pair by pair: a machine that is slow for a while cancels out", () => {
    expect(ratioOf([10, 100, 12], [20, 200, 24])).toEqual({ median: 0.5, min: 0.5, max: 0.5, n: 3 });
  });

  test("quantiles are values that were read", () => {
    const values = Array.from({ length: 1000 }, (_, i) => i);
    expect([0, 0.5, 0.99, 0.999, 1].map((q) => quantile(values, q))).toEqual([0, 500, 990, 999, 999]);
  });

  test("a bar is met at its figure, from the right side; an unknown value meets none", () => {
    const bar = (value: number, is: "at most" | "at least") =>
      isMet({ name: "", value: single(value), is, bar: 2 });
    expect([bar(2, "at most"), bar(2.01, "at most"), bar(2, "at least"), bar(1.99, "at least")]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect([bar(Number.NaN, "at most"), bar(Number.NaN, "at least")]).toEqual([false, false]);
  });

  test("a table has the columns that somebody has something in, and says which bars are missed", () => {
    const ceiling = { name: "receive", cpuNs: single(200), perSecond: single(2_000_000) };
    const text = printed(
      {
        stage: "example",
        figures: [{ name: "decode", cpuNs: single(400), perSecond: single(1_000_000) }],
        bars: [{ name: "ratio", value: single(0.7), is: "at most", bar: 0.5 }],
        notes: ["how"],
      },
      ceiling,
    );
    expect(text).toContain("| decode | 400          | 2.00      | 1.00M    | 50 %       |");
    expect(text).not.toContain("RSS");
    expect(text).toContain("NOT MET  ratio: 0.700 (at most 0.500)");
  });

  test("pauses are added up from the engine's log, epilogues left out", () => {
    const log =
      "[GC<0x1>: START M 8848kb => EdenCollection, i#1:N<Cs> 2488+0 p=1.5ms (max 1.5)...]\n" +
      "[GC<0x1>: M a=0kb p=0.25ms (max 1.5), cycle 3ms END]\n[GC<0x1>: epilogue 0.040480ms]\n";
    expect(collectionOf(log)).toBe(1.75);
  });
});
