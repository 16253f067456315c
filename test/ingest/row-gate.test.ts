/** What a gate between decoder and ring sees of each row, and what it keeps out. */
import { describe, expect, type Mock, spyOn, test } from "bun:test";
import { LAYOUTS, LOCAL, PUBLISHED, SYMBOL, TIMESTAMP } from "../../src/events/layout.ts";
import type { Stream } from "../../src/events/streams.ts";
import { SYMBOL_WATCH, SymbolWatch } from "../../src/exchanges/watchdog/symbol-watch.ts";
import { Handover } from "../../src/ingest/handover.ts";
import { createLagMemory, LagRecorder, readLags } from "../../src/ingest/lag-histogram.ts";
import { type FrameFacts, RowGate } from "../../src/ingest/row-gate.ts";
import { createRing, readRing, viewsOf } from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { seeded } from "../lib/seed.ts";

/** A row as a decoder fills it in. */
interface Given {
  readonly symbol: number;
  readonly local: number;
  readonly timestamp?: number;
  readonly published?: number;
  readonly connection?: number;
}

/** A gate before a real ring, with a spy on the symbol's watch. */
function bench(stream: Stream = "trade", capacity = 64) {
  const { numbers, texts, seq, connection: slot } = LAYOUTS[stream];
  const handle = createRing({ capacity, numbers: numbers.length, texts: texts.length });
  const ring = new RingProducer(handle, seq);
  const watch = new SymbolWatch(SYMBOL_WATCH);
  const observed = spyOn(watch, "observe");
  const facts: FrameFacts & { handover: Handover | null; snapshot: boolean } = {
    published: Number.NaN,
    handover: null,
    snapshot: false,
    isSnapshot() {
      return this.snapshot;
    },
  };
  const lags = createLagMemory();
  const gate = new RowGate({ stream, to: ring, watch, facts, lag: new LagRecorder(lags) });
  const commit = (row: Given): boolean => {
    const { symbol, local, timestamp = Number.NaN, published = Number.NaN, connection = 1 } = row;
    gate.row.numbers[SYMBOL] = symbol;
    gate.row.numbers[LOCAL] = local;
    gate.row.numbers[TIMESTAMP] = timestamp;
    gate.row.numbers[PUBLISHED] = published;
    gate.row.numbers[slot] = connection;
    return gate.commit();
  };
  const counts = () => {
    ring.publish();
    const { offered, accepted, dropped } = readRing(handle, viewsOf(handle));
    return { offered, accepted, dropped };
  };
  const lag = () => readLags([new Float64Array(lags)]);
  return { gate, ring, facts, observed, commit, counts, lag };
}

/** A hand-over that admits what it is told to. */
function stubbed(admits: boolean): { handover: Handover; asked: Mock<Handover["admits"]> } {
  const handover = new Handover({ old: 1, lastTimes: new Map() });
  return { handover, asked: spyOn(handover, "admits").mockReturnValue(admits) };
}

describe("rows that go by", () => {
  test("all reach the ring, and each is seen by its symbol's watch at its receive time", () => {
    const { commit, counts, observed } = bench();
    expect([commit({ symbol: 3, local: 10 }), commit({ symbol: 0, local: 10 })]).toEqual([true, true]);
    expect(commit({ symbol: 3, local: 11 })).toBe(true);
    expect(counts()).toEqual({ offered: 3, accepted: 3, dropped: 0 });
    expect(observed.mock.calls).toEqual([
      [3, 10],
      [0, 10],
      [3, 11],
    ]);
  });

  test("last times: the timestamp, else when it was published, else none; each symbol its own", () => {
    const { gate, commit } = bench();
    expect(Number.isNaN(gate.lastTimes[3])).toBe(true);
    commit({ symbol: 3, local: 10, timestamp: 100, published: 200 });
    commit({ symbol: 4, local: 10, published: 300 });
    expect([gate.lastTimes[3], gate.lastTimes[4]]).toEqual([100, 300]);
    expect(Number.isNaN(gate.lastTimes[5])).toBe(true);
    // Of the last row, not the latest time: a resend shows where the connection is.
    commit({ symbol: 3, local: 11, timestamp: 90 });
    expect(gate.lastTimes[3]).toBe(90);
    commit({ symbol: 3, local: 12 });
    expect(Number.isNaN(gate.lastTimes[3])).toBe(true);
  });

  test("rows are counted by symbol, of any number", () => {
    const { gate, commit } = bench("bbo", 1024);
    for (const symbol of [0, 63, 64, 5000, 64]) commit({ symbol, local: 1, timestamp: symbol });
    expect([0, 63, 64, 5000, 1].map((symbol) => gate.rowsOf(symbol))).toEqual([1, 1, 2, 1, 0]);
    expect([0, 63, 64, 5000].map((symbol) => gate.lastTimes[symbol])).toEqual([0, 63, 64, 5000]);
    expect([Number.isNaN(gate.lastTimes[65]), gate.rowsOf(1_000_000)]).toEqual([true, 0]);
  });

  test("how late a frame is, is said by the streams that come at once, and by no other", () => {
    for (const stream of ["bbo", "trade", "mark_price"] as const) {
      const { commit, facts } = bench(stream);
      commit({ symbol: 0, local: 10, published: 5 });
      commit({ symbol: 1, local: 10, published: 7 });
      expect([stream, facts.published]).toEqual([stream, 7]);
    }
    for (const stream of ["funding", "open_interest", "liquidation"] as const) {
      const { commit, facts } = bench(stream);
      commit({ symbol: 0, local: 10, published: 5 });
      expect([stream, facts.published]).toEqual([stream, Number.NaN]);
    }
  });
});

describe("a full ring", () => {
  test("each row without room is counted for its symbol, with the span; taking it begins anew", () => {
    const { gate, commit, counts } = bench("trade", 2);
    expect(gate.takeOverflow()).toBeNull();
    expect([commit({ symbol: 1, local: 10 }), commit({ symbol: 1, local: 11 })]).toEqual([true, true]);
    expect(gate.takeOverflow()).toBeNull();
    for (const [symbol, local] of [
      [1, 12],
      [70, 13],
      [1, 13],
      [1, 19],
    ]) {
      expect(commit({ symbol, local })).toBe(false);
    }
    expect([gate.overflowFrom, gate.overflowTo]).toEqual([12, 19]);
    expect(gate.takeOverflow()).toEqual([
      { symbol: 1, missed: 3 },
      { symbol: 70, missed: 1 },
    ]);
    expect(gate.takeOverflow()).toBeNull();
    commit({ symbol: 2, local: 30 });
    expect([gate.overflowFrom, gate.overflowTo]).toEqual([30, 30]);
    expect(gate.takeOverflow()).toEqual([{ symbol: 2, missed: 1 }]);
    expect(counts()).toEqual({ offered: 7, accepted: 2, dropped: 5 });
  });

  test("what is dropped shows all the same that the symbol lives", () => {
    const { commit, observed } = bench("trade", 2);
    for (let local = 1; local <= 4; local++) commit({ symbol: 1, local });
    expect(observed.mock.calls.length).toBe(4);
  });

  test("a frame that is taken back has missed nothing: what is told equals what the ring dropped", () => {
    const { gate, commit, counts } = bench("trade", 2);
    gate.mark();
    commit({ symbol: 1, local: 10 });
    commit({ symbol: 1, local: 10 });
    commit({ symbol: 2, local: 10 });
    gate.rewind();
    expect([gate.takeOverflow(), counts()]).toEqual([null, { offered: 0, accepted: 0, dropped: 0 }]);
    for (const symbol of [1, 1, 2]) commit({ symbol, local: 10 });
    gate.mark();
    for (const symbol of [1, 2, 2]) commit({ symbol, local: 11 });
    gate.rewind();
    gate.rewind();
    expect(gate.takeOverflow()).toEqual([{ symbol: 2, missed: 1 }]);
    expect(counts()).toEqual({ offered: 3, accepted: 2, dropped: 1 });
  });

  test("any frames, marked or not, some taken back: missed is dropped, to the last row", () => {
    const random = seeded("row gate");
    for (let round = 0; round < 100; round++) {
      const { gate, commit, counts } = bench("trade", 4);
      const missed = new Map<number, number>();
      let told = 0;
      for (let local = 1; local <= 60; local++) {
        const marked = random.below(2) === 0;
        const back = marked && random.below(3) === 0;
        if (marked) gate.mark();
        const rows = random.below(5);
        for (let row = 0; row < rows; row++) {
          const symbol = random.below(3);
          if (!commit({ symbol, local }) && !back) missed.set(symbol, (missed.get(symbol) ?? 0) + 1);
        }
        if (back) gate.rewind();
        if (random.below(10) !== 0) continue;
        for (const one of gate.takeOverflow() ?? []) {
          expect(one.missed).toBe(missed.get(one.symbol) ?? 0);
          missed.delete(one.symbol);
          told += one.missed;
        }
        expect(missed.size).toBe(0);
      }
      told += (gate.takeOverflow() ?? []).reduce((sum, one) => sum + one.missed, 0);
      expect(told).toBe(counts().dropped);
    }
  });
});

describe("a planned replacement", () => {
  test("the hand-over is asked for each row, with all it needs to know", () => {
    const { gate, facts, commit } = bench();
    const { handover, asked } = stubbed(true);
    commit({ symbol: 1, local: 9, connection: 4 });
    facts.handover = handover;
    commit({ symbol: 1, local: 10, connection: 4 });
    facts.snapshot = true;
    commit({ symbol: 2, local: 11, connection: 5 });
    expect(asked.mock.calls).toEqual([
      ["trade", gate.row, 4, 10, false],
      ["trade", gate.row, 5, 11, true],
    ]);
  });

  test("a second copy goes nowhere: no row, no drop, no last time; and yet its symbol lives", () => {
    const { gate, facts, commit, counts, observed } = bench();
    commit({ symbol: 1, local: 10, timestamp: 100 });
    facts.handover = stubbed(false).handover;
    // True: nothing was dropped.
    expect(commit({ symbol: 1, local: 11, timestamp: 101, published: 55 })).toBe(true);
    expect([gate.lastTimes[1], gate.rowsOf(1), gate.takeOverflow()]).toEqual([100, 1, null]);
    expect(counts()).toEqual({ offered: 1, accepted: 1, dropped: 0 });
    expect(observed.mock.calls.at(-1)).toEqual([1, 11]);
    // It came on a connection whose lag is watched like any other.
    expect(facts.published).toBe(55);
  });

  test("a frame that is taken back was never decided on", () => {
    const { gate, facts, commit, counts } = bench();
    const handover = new Handover({ old: 1, next: [2], lastTimes: new Map() });
    facts.handover = handover;
    gate.mark();
    commit({ symbol: 1, local: 10, timestamp: 100, connection: 1 });
    gate.rewind();
    expect(handover.pending).toBe(0);
    gate.mark();
    commit({ symbol: 1, local: 11, timestamp: 100, connection: 1 });
    gate.mark();
    commit({ symbol: 1, local: 12, timestamp: 100, connection: 2 });
    expect([handover.suppressed, counts().accepted]).toEqual([1, 1]);
  });
});

describe("lag", () => {
  test("is from publication, else from when it happened; what is sent as history has none, and is an event", () => {
    const { gate, commit, counts, lag } = bench("liquidation");
    const history = LAYOUTS.liquidation.numbers.indexOf("is_history");
    gate.row.numbers[history] = 1;
    commit({ symbol: 1, local: 10_800_000_000, timestamp: 50 });
    expect(lag()).toMatchObject({ count: 0, sum: 0, last: 10_800_000_000 });
    gate.row.numbers[history] = 0;
    commit({ symbol: 1, local: 1000, timestamp: 400 });
    commit({ symbol: 1, local: 1000, timestamp: 400, published: 700 });
    expect(lag()).toMatchObject({ count: 2, sum: 900, last: 1000 });
    gate.row.numbers[history] = Number.NaN;
    commit({ symbol: 1, local: 1100, timestamp: 1000 });
    expect(lag()).toMatchObject({ count: 3, sum: 1000 });
    expect(counts().accepted).toBe(4);
  });
});
