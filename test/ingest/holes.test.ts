/** What the holes in an exchange's channels are told as: which rows, with which span, and when. */
import { describe, expect, test } from "bun:test";
import type { Stream } from "../../src/events/streams.ts";
import type { Subscription } from "../../src/exchanges/exchange.ts";
import { type HoleReason, Holes } from "../../src/ingest/holes.ts";
import type { GapNotice } from "../../src/ingest/messages.ts";
import { pick, seeded } from "../lib/seed.ts";

const SECOND = 1_000_000;
/** A closed hole waits this long for others. */
const SETTLED = SECOND;
/** All are told at the latest after this. */
const LATEST = 15 * SECOND;

/** Three instruments: quotes and trades each by itself, mark price and funding in one, liquidations all in one. */
function exchange() {
  const wanted = new Map<string, Subscription>();
  const want = (channel: string, streams: readonly Stream[], instrument: string | null) =>
    wanted.set(channel, { route: "/r", channel, streams, instrument });
  for (const instrument of ["A", "B", "C"]) {
    want(`bbo.${instrument}`, ["bbo"], instrument);
    want(`trade.${instrument}`, ["trade"], instrument);
    want(`mark.${instrument}`, ["mark_price", "funding"], instrument);
  }
  want("liquidations", ["liquidation"], null);
  want("announcements", [], null);
  return { wanted, holes: new Holes("binance", wanted) };
}

type Told = [string, string | null, string, number | null, number | null];

const told = (gaps: readonly GapNotice[]): Told[] =>
  gaps.map(({ stream, instrument, reason, from, to }) => [stream, instrument, reason, from, to]);

describe("rows", () => {
  test("a row has everything that a gap has; that something is missing is possible, before the start planned", () => {
    const { holes } = exchange();
    holes.begin("bbo.A", "disconnect", 5);
    holes.begin("bbo.B", "start", 6);
    holes.end("bbo.A", 7);
    holes.end("bbo.B", 8);
    const common = { exchange: "binance", stream: "bbo", firstId: null, lastId: null, missed: null } as const;
    expect(holes.take(8 + SETTLED)).toEqual([
      { ...common, instrument: "A", reason: "disconnect", certainty: "possible", from: 5, to: 7 },
      { ...common, instrument: "B", reason: "start", certainty: "planned", from: 6, to: 8 },
    ]);
  });

  test("all instruments of a stream: one row without an instrument, over the whole span", () => {
    const { holes } = exchange();
    for (const [channel, from, to] of [
      ["bbo.B", 20, 110],
      ["bbo.A", 10, 130],
      ["bbo.C", 30, 120],
    ] as const) {
      holes.begin(channel, "disconnect", from);
      holes.end(channel, to);
    }
    expect(told(holes.take(120 + SETTLED))).toEqual([["bbo", null, "disconnect", 10, 130]]);
  });

  test("all of ours are not all there are where other workers have instruments of the exchange", () => {
    const { wanted } = exchange();
    const holes = new Holes("binance", wanted, false);
    for (const channel of ["bbo.A", "bbo.B", "bbo.C", "liquidations"]) {
      holes.begin(channel, "disconnect", 10);
      holes.end(channel, 20);
    }
    expect(told(holes.take(20 + SETTLED)).map(([stream, instrument]) => [stream, instrument])).toEqual([
      ["bbo", "A"],
      ["bbo", "B"],
      ["bbo", "C"],
      ["liquidation", null],
    ]);
  });

  test("some of them: one row each, with their own spans", () => {
    const { holes } = exchange();
    holes.begin("trade.A", "disconnect", 10);
    holes.begin("trade.C", "disconnect", 20);
    holes.end("trade.C", 40);
    holes.end("trade.A", 50);
    expect(told(holes.take(50 + SETTLED))).toEqual([
      ["trade", "C", "disconnect", 20, 40],
      ["trade", "A", "disconnect", 10, 50],
    ]);
  });

  test("the streams of one channel: a row for each", () => {
    const { holes } = exchange();
    holes.begin("mark.B", "silence", 1);
    holes.end("mark.B", 2);
    expect(told(holes.take(SETTLED + 2))).toEqual([
      ["mark_price", "B", "silence", 1, 2],
      ["funding", "B", "silence", 1, 2],
    ]);
  });

  test("a channel of all instruments is one row without an instrument; announcements bring no events, no row", () => {
    const { holes } = exchange();
    for (const channel of ["liquidations", "announcements"]) {
      holes.begin(channel, "disconnect", 1);
      holes.end(channel, 2);
    }
    expect(told(holes.take(SETTLED + 2))).toEqual([["liquidation", null, "disconnect", 1, 2]]);
  });

  test("one reason does not speak for another: all silent and all cut are two rows, some of each are single ones", () => {
    const { holes } = exchange();
    const hole = (channel: string, reason: HoleReason) => {
      holes.begin(channel, reason, 1);
      holes.end(channel, 2);
    };
    hole("bbo.A", "disconnect");
    hole("bbo.B", "disconnect");
    hole("bbo.C", "lag");
    expect(told(holes.take(SETTLED + 2)).map(([, instrument, reason]) => [instrument, reason])).toEqual([
      ["A", "disconnect"],
      ["B", "disconnect"],
      ["C", "lag"],
    ]);
    for (const instrument of ["A", "B", "C"]) hole(`bbo.${instrument}`, "disconnect");
    for (const instrument of ["A", "B", "C"]) hole(`bbo.${instrument}`, "silence");
    expect(told(holes.take(2 * SETTLED + 2)).map(([, instrument, reason]) => [instrument, reason])).toEqual([
      [null, "disconnect"],
      [null, "silence"],
    ]);
  });

  test("an instrument that is not wanted any more does not stand for one that is and was not concerned", () => {
    const { wanted, holes } = exchange();
    for (const channel of ["bbo.A", "bbo.B", "bbo.C"]) {
      if (channel === "bbo.B") continue;
      holes.begin(channel, "disconnect", 1);
      holes.end(channel, 2);
    }
    wanted.delete("bbo.C");
    // A and C are two, as many as are wanted: A and B.
    expect(told(holes.take(SETTLED + 2))).toEqual([
      ["bbo", "A", "disconnect", 1, 2],
      ["bbo", "C", "disconnect", 1, 2],
    ]);
    for (const channel of ["bbo.A", "bbo.B"]) {
      holes.begin(channel, "disconnect", 3);
      holes.end(channel, 4);
    }
    expect(told(holes.take(SETTLED + 4))).toEqual([["bbo", null, "disconnect", 3, 4]]);
  });

  test("a hole never ends before it begins", () => {
    const { holes } = exchange();
    holes.begin("bbo.A", "disconnect", 10);
    holes.end("bbo.A", 9);
    expect(told(holes.take(SETTLED + 10))).toEqual([["bbo", "A", "disconnect", 10, 10]]);
  });
});

describe("beginning and end", () => {
  test("what is open already keeps its beginning and its reason", () => {
    const { holes } = exchange();
    holes.begin("bbo.A", "silence", 10);
    holes.begin("bbo.A", "disconnect", 20);
    expect([holes.open, holes.isOpen("bbo.A"), holes.isOpen("bbo.B")]).toEqual([1, true, false]);
    holes.end("bbo.A", 30);
    expect([holes.open, holes.isOpen("bbo.A")]).toEqual([0, false]);
    expect(told(holes.take(SETTLED + 30))).toEqual([["bbo", "A", "silence", 10, 30]]);
  });

  test("the end of what was whole is no hole, nor is a second end", () => {
    const { holes } = exchange();
    holes.end("bbo.A", 5);
    holes.begin("bbo.A", "disconnect", 10);
    holes.end("bbo.A", 20);
    holes.end("bbo.A", 30);
    expect(told(holes.take(SETTLED + 30))).toEqual([["bbo", "A", "disconnect", 10, 20]]);
    expect(holes.take(LATEST * 2, true)).toEqual([]);
  });

  test("opened again before it was told: both are told, the second when it has ended", () => {
    const { holes } = exchange();
    holes.begin("bbo.A", "disconnect", 10);
    holes.end("bbo.A", 20);
    holes.begin("bbo.A", "disconnect", 30);
    expect(told(holes.take(SETTLED + 20))).toEqual([["bbo", "A", "disconnect", 10, 20]]);
    expect([holes.open, holes.take(LATEST * 2)]).toEqual([1, []]);
    holes.end("bbo.A", LATEST * 3);
    expect(told(holes.take(LATEST * 3 + SETTLED))).toEqual([["bbo", "A", "disconnect", 30, LATEST * 3]]);
  });

  test("twice within one outage, both ended: two rows of one instrument, and both within one row of all", () => {
    const { holes } = exchange();
    const twice = (channel: string) => {
      for (const from of [10, 30]) {
        holes.begin(channel, "disconnect", from);
        holes.end(channel, from + 10);
      }
    };
    twice("bbo.A");
    expect(told(holes.take(SETTLED + 40))).toEqual([
      ["bbo", "A", "disconnect", 10, 20],
      ["bbo", "A", "disconnect", 30, 40],
    ]);
    for (const instrument of ["A", "B", "C"]) twice(`trade.${instrument}`);
    expect(told(holes.take(SETTLED + 40))).toEqual([["trade", null, "disconnect", 10, 40]]);
  });

  test("forgotten: it was none after all; what is closed is told all the same", () => {
    const { wanted, holes } = exchange();
    holes.begin("bbo.A", "start", 1);
    holes.end("bbo.A", 2);
    holes.begin("bbo.A", "lag", 3);
    holes.begin("bbo.B", "lag", 3);
    holes.forget("bbo.A");
    holes.forget("bbo.C");
    wanted.delete("bbo.B");
    holes.forget("bbo.B");
    expect(holes.open).toBe(0);
    expect(told(holes.take(SETTLED + 3, true))).toEqual([["bbo", "A", "start", 1, 2]]);
  });
});

describe("when they are told", () => {
  test("once nothing more has ended for a second, and once only", () => {
    const { holes } = exchange();
    for (const channel of ["bbo.A", "bbo.B", "bbo.C"]) holes.begin(channel, "disconnect", 0);
    holes.end("bbo.A", 1 * SECOND);
    expect(holes.take(1.5 * SECOND)).toEqual([]);
    holes.end("bbo.B", 1.9 * SECOND);
    expect(holes.take(2.5 * SECOND)).toEqual([]);
    holes.end("bbo.C", 2.8 * SECOND);
    expect(holes.take(3.8 * SECOND - 1)).toEqual([]);
    expect(told(holes.take(3.8 * SECOND))).toEqual([["bbo", null, "disconnect", 0, 2.8 * SECOND]]);
    expect(holes.take(60 * SECOND)).toEqual([]);
  });

  test("not later than 15 s after the first, whatever goes on ending; the next batch waits anew", () => {
    const { holes } = exchange();
    let first = Number.NaN;
    for (let now = SECOND; ; now += SECOND / 2) {
      holes.begin("bbo.A", "disconnect", now - 1);
      holes.end("bbo.A", now);
      const rows = holes.take(now);
      if (rows.length === 0) continue;
      if (Number.isNaN(first)) {
        first = now;
        expect(now).toBe(SECOND + LATEST);
        expect(rows.length).toBe(31);
      } else {
        expect(now - first).toBe(LATEST + SECOND / 2);
        break;
      }
    }
  });

  test("at the stop everything: what has ended and what goes on, up to now", () => {
    const { wanted, holes } = exchange();
    holes.begin("trade.A", "disconnect", 10);
    holes.end("trade.A", 20);
    holes.begin("trade.A", "silence", 30);
    for (const instrument of ["A", "B", "C"]) holes.begin(`bbo.${instrument}`, "disconnect", 40);
    holes.begin("gone", "start", 1);
    expect(wanted.has("gone")).toBe(false);
    expect(told(holes.take(50, true)).sort()).toEqual([
      ["bbo", null, "disconnect", 40, 50],
      ["trade", "A", "disconnect", 10, 20],
      ["trade", "A", "silence", 30, 50],
    ]);
    expect([holes.open, holes.take(LATEST * 2, true)]).toEqual([0, []]);
  });
});

test("any order of events: all time that a channel was incomplete is covered by a row of it", () => {
  const random = seeded("holes");
  for (let round = 0; round < 200; round++) {
    const { wanted, holes } = exchange();
    const channels = [...wanted.keys()].filter((channel) => channel !== "announcements");
    const since = new Map<string, number>();
    const spans: { channel: string; from: number; to: number }[] = [];
    const rows: GapNotice[] = [];
    let now = 0;
    for (let step = 0; step < 120; step++) {
      now += random.below(400_000);
      const channel = pick(random, channels);
      const from = since.get(channel);
      if (from === undefined) {
        since.set(channel, now);
        holes.begin(channel, pick(random, ["disconnect", "silence", "lag"] as const), now);
      } else {
        since.delete(channel);
        spans.push({ channel, from, to: now });
        holes.end(channel, now);
      }
      rows.push(...holes.take(now));
    }
    rows.push(...holes.take(now, true));
    for (const [channel, from] of since) spans.push({ channel, from, to: now });
    for (const { channel, from, to } of spans) {
      const { streams, instrument } = wanted.get(channel) ?? { streams: [], instrument: null };
      for (const stream of streams) {
        const covered = rows.some(
          (row) =>
            row.stream === stream &&
            (row.instrument === null || row.instrument === instrument) &&
            (row.from ?? 0) <= from &&
            to <= (row.to ?? 0),
        );
        expect({ round, channel, from, to, covered }).toEqual({ round, channel, from, to, covered: true });
      }
    }
  }
});
