/** What becomes a row of `gaps` of what trade ids told. */
import { expect, test } from "bun:test";
import { sequenceGapOf } from "../../src/ingest/gaps.ts";

const of = { exchange: "okx", stream: "trade", instrument: "BTC-USDT-SWAP" } as const;
const span = { symbol: 0, from: 1000, to: 2000 };

test("missing ids are lost events, counted", () => {
  expect(sequenceGapOf(of, { kind: "missing", ...span, firstId: 7, lastId: 9 })).toEqual({
    ...of,
    reason: "sequence",
    certainty: "lost",
    from: 1000,
    to: 2000,
    firstId: "7",
    lastId: "9",
    missed: 3,
  });
});

test("where ids tell nothing events may be missing, and nobody knows how many", () => {
  for (const kind of ["renumbered", "leap"] as const) {
    expect(sequenceGapOf(of, { kind, ...span })).toEqual({
      ...of,
      reason: "sequence",
      certainty: "possible",
      from: 1000,
      to: 2000,
      firstId: null,
      lastId: null,
      missed: null,
    });
  }
});
