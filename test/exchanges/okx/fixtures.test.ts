/** Every recorded OKX frame gives what the protocol page says, on both ways of decoding. */
import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { FIXTURES, FIXTURES_NOTE, fixtureFiles, fixtureLines, HAVE_FIXTURES } from "../../lib/fixtures.ts";
import { sameRows } from "../decoder-bench.ts";
import { Bench } from "./bench.ts";

type Row = Readonly<Record<string, unknown>>;

const ms = (time: number) => time * 1000;

/** A trade; old frames (no `count`) lack the last three fields. */
function trade(
  instrument: string,
  symbol: string,
  id: string,
  [price, amount]: readonly [number, number],
  side: "buy" | "sell",
  time: number,
  [count, is_rpi, sequence]: readonly [number | null, boolean | null, number | null] = [null, null, null],
): Row {
  return {
    exchange: "okx",
    stream: "trade",
    symbol,
    instrument,
    timestamp: ms(time),
    published_timestamp: null,
    id,
    side,
    price,
    amount,
    count,
    first_id: null,
    sequence,
    is_block: null,
    is_rpi,
  };
}

/** One price: that of mark-price or that of index-tickers. */
function price(
  instrument: string,
  symbol: string,
  time: number,
  mark: number | null,
  index: number | null,
): Row {
  return {
    exchange: "okx",
    stream: "mark_price",
    symbol,
    instrument,
    timestamp: ms(time),
    published_timestamp: null,
    mark_price: mark,
    index_price: index,
    settlement_price: null,
    average_price: null,
  };
}

interface Rates {
  readonly rate: number | null;
  readonly next: number;
  readonly predicted: number | null;
  readonly settled: number | null;
}

function funding(instrument: string, symbol: string, time: number | null, rates: Rates): Row {
  return {
    exchange: "okx",
    stream: "funding",
    symbol,
    instrument,
    timestamp: time === null ? null : ms(time),
    published_timestamp: null,
    funding_rate: rates.rate,
    next_funding_timestamp: ms(rates.next),
    funding_interval_hours: null,
    predicted_funding_rate: rates.predicted,
    settled_funding_rate: rates.settled,
  };
}

function liquidation(
  instrument: string,
  symbol: string,
  side: string,
  price: number,
  amount: number,
  time: number,
  history: boolean,
): Row {
  return {
    exchange: "okx",
    stream: "liquidation",
    symbol,
    instrument,
    timestamp: ms(time),
    published_timestamp: null,
    side,
    price,
    amount,
    average_price: null,
    filled_amount: null,
    is_history: history,
  };
}

const all = (lines: number, kind: number) => Array.from({ length: lines }, () => kind);

/** What each line of each file gives: its row, or the class of a frame that has none. */
const EXPECTED: Readonly<Record<string, readonly (Row | number)[]>> = {
  "bbo.doc-example.jsonl": [
    {
      exchange: "okx",
      stream: "bbo",
      symbol: "BCHUSDT",
      instrument: "BCH-USDT-SWAP",
      timestamp: ms(1670324386802),
      published_timestamp: null,
      bid_price: 111.05,
      bid_amount: 57745,
      ask_price: 111.06,
      ask_amount: 55154,
      update_id: null,
      sequence: 363996337,
    },
  ],
  "trade.jsonl": [
    trade("BTC-USDT-SWAP", "BTCUSDT", "2832749635", [63913.5, 1], "buy", 1786540435948, [
      1,
      false,
      333793117432,
    ]),
    trade("BTC-USDT", "BTCUSDT", "1040968613", [64040.2, 0.00240857], "buy", 1786538760218, [
      2,
      false,
      79706765242,
    ]),
    trade("SOL-USDT-SWAP", "SOLUSDT", "1632918528", [120.6, 391.07], "sell", 1790394876983, [
      26,
      false,
      92286018766,
    ]),
    trade("BTC-USDT", "BTCUSDT", "1032787952", [62571.2, 0.07990896], "buy", 1784016942060, [
      1,
      false,
      78755034232,
    ]),
    trade("CRV-USDT", "CRVUSDT", "21300150", [3.973, 13.491146], "buy", 1639999319938),
    trade("BTC-USDT-SWAP", "BTCUSDT", "148266905", [48938.5, 5], "buy", 1640131236050),
    trade("UNI-USD-SWAP", "UNIUSD", "12883020", [5.123, 100], "sell", 1652459215150),
    trade("BTC-USDT", "BTCUSDT", "338476307", [30236, 0.0002], "buy", 1652459224818),
    trade("BTC-USDT", "BTCUSDT", "338476308", [30243.5, 0.001], "buy", 1652459226050),
    trade("BTC-USDT", "BTCUSDT", "338476309", [30243.5, 0.0002], "buy", 1652459226050),
  ],
  "mark_price.jsonl": [
    price("FIL-USDT-220325", "FILUSDT_220325", 1640140257676, 36.662, null),
    price("WNCG-USDT-SWAP", "WNCGUSDT", 1640131259180, 2.1729, null),
  ],
  "index_price.jsonl": [
    price("BTC-USD", "BTCUSD", 1785870839964, null, 64280),
    price("WNCG-USDT", "WNCGUSDT", 1640131290649, null, 2.1675),
    price("BTC-USD", "BTCUSD", 1681041600310, null, 27938.9),
    price("BTC-USD", "BTCUSD", 1681992000222, null, 28612.1),
  ],
  "funding.jsonl": [
    funding("BTC-USD_UM_XPERP-310404", "BTCUSD_UM_XPERP_310404", 1785870855692, {
      rate: -0.0004270396398519,
      next: 1785888000000,
      predicted: null,
      settled: -0.0001996513270201,
    }),
    // A frame of 2021: no ts, no fundingRate.
    funding("SOS-USDT-SWAP", "SOSUSDT", null, {
      rate: null,
      next: 1640851200000,
      predicted: 0.0003,
      settled: null,
    }),
  ],
  "funding.doc-example.jsonl": [
    funding("BTC-USDT-SWAP", "BTCUSDT", 1744590349506, {
      rate: 0.0001,
      next: 1744590349506,
      predicted: 0.0002,
      settled: null,
    }),
  ],
  "open_interest.jsonl": [
    {
      exchange: "okx",
      stream: "open_interest",
      symbol: "WNCGUSDT",
      instrument: "WNCG-USDT-SWAP",
      timestamp: ms(1640131258756),
      published_timestamp: null,
      open_interest: 644195,
      open_interest_base: 644195,
      open_interest_value: null,
      open_interest_single: null,
    },
  ],
  // The first of a connection, received long after: history. The second is not.
  "liquidation.jsonl": [
    liquidation("CNPY-USDT-SWAP", "CNPYUSDT", "buy", 0.4162, 2137, 1789669898955, true),
    liquidation("BTC-USDT-SWAP", "BTCUSDT", "sell", 82655.7, 8.55, 1791565600771, false),
  ],
  "instruments.doc-example.jsonl": all(1, FRAME.INSTRUMENTS),
  "control.jsonl": all(6, FRAME.CONTROL),
  "book_delta.jsonl": all(8, FRAME.IGNORED),
  "book_delta.doc-example.jsonl": all(1, FRAME.IGNORED),
  "book_snapshot.jsonl": all(4, FRAME.IGNORED),
  "ticker.jsonl": all(10, FRAME.IGNORED),
  "kline.jsonl": all(1, FRAME.IGNORED),
  "price_limit.jsonl": all(1, FRAME.IGNORED),
};

describe("recorded OKX frames", () => {
  test.skipIf(!HAVE_FIXTURES)(`every file is in the table${FIXTURES_NOTE}`, () => {
    const files = fixtureFiles("okx").map((file) => file.slice("okx/".length));
    expect(files.filter((file) => !file.startsWith("rest")).sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  for (const [file, lines] of Object.entries(EXPECTED)) {
    test.skipIf(!HAVE_FIXTURES)(`${file}${FIXTURES_NOTE}`, () => {
      const frames = fixtureLines(`okx/${file}`);
      expect(frames.length).toBe(lines.length);
      const scanning = new Bench();
      const parsing = new Bench({ scanners: false });
      frames.forEach((frame, i) => {
        const expected = lines[i] ?? -1;
        const decoded = scanning.decode(frame);
        const again = parsing.decode(frame);
        if (typeof expected === "number") {
          expect({ line: i + 1, ...decoded }).toEqual({ line: i + 1, kind: expected as never, rows: [] });
        } else {
          expect({ line: i + 1, ...decoded }).toEqual({
            line: i + 1,
            kind: FRAME.EVENTS,
            rows: [expected] as never,
          });
        }
        expect(again.kind).toBe(decoded.kind);
        expect(sameRows(decoded.rows, again.rows)).toBe(true);
        // An open table takes an instrument up by JSON: the second time the frame goes by the scanner, to the same row.
        if (file.startsWith("liquidation")) return;
        const { fallback } = scanning.counters;
        expect(sameRows(scanning.decode(frame).rows, decoded.rows)).toBe(true);
        expect(scanning.counters.fallback).toBe(fallback);
      });
      expect(scanning.counters.inexact).toBe(0);
      expect(scanning.counters.oversized).toBe(0);
    });
  }
});

interface Summary {
  symbols: Record<
    string,
    { frames: Record<string, number>; trades: number; taker_buy_sz: string; taker_sell_sz: string }
  >;
}

/** Exact sum of decimals with at most eight digits after the point. */
function total(amounts: readonly number[]): string {
  const units = amounts.reduce((sum, amount) => sum + Math.round(amount * 1e8), 0);
  return String(units / 1e8);
}

test.skipIf(!HAVE_FIXTURES)(
  `the recorded stream agrees with its independent summary${FIXTURES_NOTE}`,
  async () => {
    const summary = JSON.parse(await Bun.file(`${FIXTURES}/streams/okx.summary.json`).text()) as Summary;
    const bench = new Bench();
    const trades: ReturnType<Bench["decode"]>["rows"] = [];
    const kinds = new Map<number, number>();
    for (const line of fixtureLines("streams/okx.jsonl")) {
      const { ts, dir, raw } = JSON.parse(line) as { ts: number; dir: string; raw: string };
      if (dir !== "in") continue;
      const { kind, rows } = bench.decode(raw, { local: ts });
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      trades.push(...rows);
    }
    const symbols = Object.entries(summary.symbols);
    const frames = (name: RegExp) =>
      symbols
        .flatMap(([, { frames }]) => Object.entries(frames))
        .reduce((sum, [key, count]) => sum + (name.test(key) ? count : 0), 0);
    expect(Object.fromEntries(kinds)).toEqual({
      [FRAME.EVENTS]: frames(/^trades$/),
      [FRAME.CONTROL]: frames(/^ack/),
      [FRAME.IGNORED]: frames(/^(tickers|books)/),
    });
    expect(trades.every(({ stream }) => stream === "trade")).toBe(true);
    for (const [instrument, wanted] of symbols) {
      const own = trades.filter((row) => row.instrument === instrument);
      const of = (side: string) =>
        total(own.filter((row) => row.side === side).map(({ amount }) => Number(amount)));
      expect(own.length).toBe(wanted.trades);
      expect([of("buy"), of("sell")]).toEqual([wanted.taker_buy_sz, wanted.taker_sell_sz]);
    }
    // The table was open and did not know the two instruments yet.
    expect(bench.counters).toEqual({ fallback: 2, inexact: 0, oversized: 0 });
    // Frames of 2022 have no count, so that their ids are not followed.
    expect(bench.gaps).toEqual([]);
  },
);
