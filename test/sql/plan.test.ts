/** What is read out of DuckDB's plans, and what becomes of byte ranges. */
import { describe, expect, test } from "bun:test";
import { merged, type Range, without } from "../../src/sql/chunks.ts";
import { neededViews } from "../../src/sql/kinds.ts";
import { comparisonsIn, splitConditions } from "../../src/sql/plan.ts";
import { isoTime } from "../../src/sql/values.ts";
import { seeded } from "../lib/seed.ts";

describe("plans", () => {
  test("conditions that stand one behind the other are told apart", () => {
    expect(splitConditions("(date = '2026-11-20'::DATE)(stream = 'trade')")).toEqual([
      "(date = '2026-11-20'::DATE)",
      "(stream = 'trade')",
    ]);
    expect(splitConditions("prefix(exchange, 'o)')prefix(CAST(date AS VARCHAR), 'it''s(')")).toEqual([
      "prefix(exchange, 'o)')",
      "prefix(CAST(date AS VARCHAR), 'it''s(')",
    ]);
    expect(splitConditions("")).toEqual([]);
  });

  test("only conditions that every row has to meet are comparisons", () => {
    expect(
      comparisonsIn([
        "symbol!='it''s' AND symbol>='BT' AND symbol<'BU'",
        "optional: price>0.5 OR price<0.1",
        "local_timestamp>='2026-11-20 00:01:00+00'::TIMESTAMP WITH TIME ZONE AND (\"hour\"(local_timestamp) = 3)",
        "seq=5",
        "symbol='A' OR symbol='B'",
        "symbol='a AND b'",
      ]),
    ).toEqual([
      { column: "symbol", operator: ">=", value: "BT" },
      { column: "symbol", operator: "<", value: "BU" },
      { column: "local_timestamp", operator: ">=", value: "2026-11-20 00:01:00+00" },
      { column: "seq", operator: "=", value: "5" },
      { column: "symbol", operator: "=", value: "a AND b" },
    ]);
  });

  test("views are made where their names stand, with those that they are made of", () => {
    expect(neededViews("SELECT 1 AS trades").kinds).toEqual([]);
    expect(neededViews('FROM "Trade" t').kinds).toEqual(["trade"]);
    expect(neededViews("FROM trade_base").kinds).toEqual(["trade", "instruments"]);
    expect(neededViews("SHOW TABLES").kinds).toHaveLength(9);
  });
});

describe("ranges", () => {
  test("merged and without agree with bytes one by one", () => {
    const source = seeded("ranges");
    const random = () => source.unit();
    const some = (): Range[] =>
      Array.from({ length: Math.floor(random() * 6) }, () => {
        const from = Math.floor(random() * 50);
        return [from, from + Math.floor(random() * 12)] as const;
      });
    const bytes = (ranges: readonly Range[]) => {
      const set = new Set<number>();
      for (const [from, to] of ranges) for (let i = from; i < to; i++) set.add(i);
      return set;
    };
    for (let round = 0; round < 500; round++) {
      const [a, b] = [some(), some()];
      const together = merged(a, 0);
      expect([...bytes(together)].sort()).toEqual([...bytes(a)].sort());
      for (let i = 1; i < together.length; i++)
        expect(together[i]?.[0] ?? 0).toBeGreaterThan(together[i - 1]?.[1] ?? 0);
      const left = without(together, merged(b, 0));
      expect([...bytes(left)].sort()).toEqual([...bytes(a).difference(bytes(b))].sort());
    }
    expect(
      merged(
        [
          [0, 3],
          [5, 9],
        ],
        2,
      ),
    ).toEqual([[0, 9]]);
  });
});

test("times have microseconds, before 1970 too", () => {
  expect(isoTime(1_795_000_000_000_001n)).toBe("2026-11-18T11:06:40.000001Z");
  expect(isoTime(-1n)).toBe("1969-12-31T23:59:59.999999Z");
  expect(isoTime(9_223_372_036_854_775_807n)).toBe("infinity");
});
