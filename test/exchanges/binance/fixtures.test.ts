/** Every recorded Binance frame gives what the protocol page says, on both ways of decoding. */
import { describe, expect, test } from "bun:test";
import type { DecodedEvent } from "../../../src/exchanges/decoding/collector.ts";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { FIXTURES, FIXTURES_NOTE, fixtureFiles, fixtureLines, HAVE_FIXTURES } from "../../lib/fixtures.ts";
import { sameRows } from "../decoder-bench.ts";
import { Bench } from "./bench.ts";

type Fields = Readonly<Record<string, unknown>>;
type Rows = readonly Fields[];

const ms = (time: number) => time * 1000;

/** A bookTicker: symbol, update id, matching and sending time in ms. */
function bbo(symbol: string, update_id: number, timestamp: number, published: number): Rows {
  return [
    {
      stream: "bbo",
      symbol,
      instrument: symbol,
      update_id,
      timestamp: ms(timestamp),
      published_timestamp: ms(published),
      sequence: null,
    },
  ];
}

/** A trade: symbol, id, aggressor, first fill, number of fills, trade and sending time in ms. */
function trade(
  symbol: string,
  id: string | null,
  side: "buy" | "sell",
  first_id: number | null,
  count: number | null,
  timestamp: number,
  published: number,
): Rows {
  return [
    {
      stream: "trade",
      symbol,
      id,
      side,
      first_id,
      count,
      timestamp: ms(timestamp),
      published_timestamp: ms(published),
      sequence: null,
      is_block: null,
      is_rpi: null,
    },
  ];
}

/** A mark price, with a funding row where `next` (ms) is there; `absent` names the columns that are NULL. */
function mark(symbol: string, published: number, next: number | null, absent: readonly string[]): Rows {
  const lead = { symbol, timestamp: null, published_timestamp: ms(published) };
  const nulls = Object.fromEntries(absent.map((name) => [name, null]));
  const price = { stream: "mark_price", ...lead, ...nulls };
  if (next === null) return [price];
  const funding = {
    stream: "funding",
    ...lead,
    next_funding_timestamp: ms(next),
    funding_interval_hours: null,
    predicted_funding_rate: null,
    settled_funding_rate: null,
  };
  return [price, funding];
}

/** A liquidation: symbol, side of the order, order and sending time in ms. */
function liquidation(symbol: string, side: "buy" | "sell", timestamp: number, published: number): Rows {
  const times = { timestamp: ms(timestamp), published_timestamp: ms(published) };
  return [{ stream: "liquidation", symbol, side, ...times, is_history: null }];
}

const ignored = (lines: number) => Array.from({ length: lines }, () => FRAME.IGNORED);

/** What each line of each file gives: its rows, or the class of a frame that has none. */
const EXPECTED: Readonly<Record<string, readonly (Rows | number)[]>> = {
  "bbo.jsonl": [
    bbo("BTCUSDT", 359220650272, 1785048483771, 1785048483771),
    bbo("SUSHIUSDT", 600859600576, 1626992741012, 1626992741017),
    bbo("SUSHIUSDT", 600859603936, 1626992741163, 1626992741167),
    bbo("AKROUSDT", 600859621226, 1626992742134, 1626992742140),
    bbo("AKROUSDT", 600859625483, 1626992742347, 1626992742351),
    bbo("KEEPUSDT", 600859632247, 1626992742693, 1626992742697),
    bbo("SUSHIUSDT", 600859632276, 1626992742695, 1626992742699),
  ],
  "trade.jsonl": [
    trade("BTCUSDT", "3478018549", "sell", 8154045700, 5, 1791391081874, 1791391082024),
    // @trade, undocumented: one fill a frame.
    trade("BTCUSDT", "8097313955", "sell", null, null, 1789893896920, 1789893896920),
    trade("BTCUSDT", "300238285", "buy", 521512568, 1, 1785048482718, 1785048482872),
    // A frame of 2019 whose capture lacks `a`: NULL, not a made-up id.
    trade("BTCUSDT", null, "buy", 181349, 1, 1568693103463, 1568693103463),
    // X = INSURANCE_FUND: not an ordinary trade.
    FRAME.IGNORED,
    trade("BTCUSDT", "173525189", "sell", null, null, 1596240000519, 1596240000596),
    trade("AKROUSDT", "14888302", "sell", 27931348, 1, 1626992742134, 1626992742291),
    trade("SUSHIUSDT", "87353230", "buy", 126902924, 4, 1626992744108, 1626992744262),
    trade("SUSHIUSDT", "87353231", "sell", 126902928, 1, 1626992745907, 1626992746062),
    trade("SUSHIUSDT", "87353232", "buy", 126902929, 1, 1626992750163, 1626992750168),
    trade("AKROUSDT", "14888303", "sell", 27931349, 2, 1626992752632, 1626992752787),
    trade("AKROUSDT", "14888304", "sell", 27931351, 1, 1626992753668, 1626992753824),
  ],
  "trade.doc-example.jsonl": [trade("BTCUSDT", "5933014", "sell", 100, 6, 123456785, 123456789)],
  "mark_price.jsonl": [
    mark("BTCUSDT", 1786171884000, 1786176000000, []),
    mark("BTCUSDT", 1789467508000, 1789488000000, []),
    mark("BTCUSDT", 1781419401002, 1781424000000, []),
    mark("BTCUSDT", 1569888003001, 1569916800000, ["index_price", "settlement_price", "average_price"]),
    // A dated future, T = 0: no funding row though r says 0.00000000.
    mark("BTCBUSD_210129", 1609830121004, null, ["average_price"]),
  ],
  "liquidation.jsonl": [
    liquidation("BTCUSDT", "sell", 1791565602120, 1791565603055),
    liquidation("COTIUSDT", "buy", 1789672235690, 1789672236702),
  ],
  "liquidation.doc-example.jsonl": [liquidation("BTCUSDT", "sell", 1568014460893, 1568014460893)],
  "control.jsonl": [FRAME.CONTROL],
  "kline.jsonl": ignored(8),
  "ticker.jsonl": ignored(2),
  "book_delta.jsonl": ignored(7),
  "book_delta.doc-example.jsonl": ignored(1),
  "book_snapshot.jsonl": ignored(1),
};

/** Which field of the payload a numeric column is, by the protocol page. */
const SOURCE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bbo: { bid_price: "b", bid_amount: "B", ask_price: "a", ask_amount: "A" },
  trade: { price: "p", amount: "q" },
  mark_price: { mark_price: "p", average_price: "ap", settlement_price: "P", index_price: "i" },
  funding: { funding_rate: "r" },
  liquidation: { price: "p", amount: "q", average_price: "ap", filled_amount: "z" },
};

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The values a row must have because its frame has them, read in the plainest way there is. */
function valuesIn(line: string, stream: string): Fields {
  const frame: unknown = JSON.parse(line);
  if (!isFields(frame)) throw new Error("not an object");
  let fields = isFields(frame.data) ? frame.data : frame;
  if (stream === "liquidation" && isFields(fields.o)) fields = fields.o;
  return Object.fromEntries(
    Object.entries(SOURCE[stream] ?? {}).map(([column, key]) => [
      column,
      fields[key] === undefined ? null : Number(fields[key]),
    ]),
  );
}

describe("recorded Binance futures frames", () => {
  test.skipIf(!HAVE_FIXTURES)(`every file is in the table${FIXTURES_NOTE}`, () => {
    const files = fixtureFiles("binance-futures").map((file) => file.slice("binance-futures/".length));
    expect(files.filter((file) => !file.startsWith("rest")).sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  for (const [file, lines] of Object.entries(EXPECTED)) {
    test.skipIf(!HAVE_FIXTURES)(`${file}${FIXTURES_NOTE}`, () => {
      const frames = fixtureLines(`binance-futures/${file}`);
      expect(frames.length).toBe(lines.length);
      const scanning = new Bench();
      const parsing = new Bench({ scanners: false });
      frames.forEach((frame, i) => {
        const expected = lines[i];
        const decoded = scanning.decode(frame);
        const again = parsing.decode(frame);
        if (typeof expected === "number") {
          expect({ line: i + 1, ...decoded }).toEqual({ line: i + 1, kind: expected as never, rows: [] });
        } else {
          expect({ line: i + 1, kind: decoded.kind }).toEqual({ line: i + 1, kind: FRAME.EVENTS });
          const wanted = expected.map((row) => ({
            exchange: "binance",
            ...valuesIn(frame, String(row.stream)),
            ...row,
          }));
          expect(decoded.rows as readonly Fields[]).toMatchObject(wanted);
          expect(decoded.rows.length).toBe(wanted.length);
        }
        expect(again.kind).toBe(decoded.kind);
        expect(sameRows(decoded.rows, again.rows)).toBe(true);
      });
      expect(scanning.counters.inexact).toBe(0);
      expect(scanning.counters.oversized).toBe(0);
    });
  }
});

interface Summary {
  symbols: Record<
    string,
    {
      frames: Record<string, number>;
      trades: number;
      aggressor_buy_qty: string;
      aggressor_sell_qty: string;
      last_bbo: { bid: [string, string]; ask: [string, string]; u: number };
    }
  >;
}

/** Sum of amounts without rounding: amounts of these symbols are whole numbers. */
function total(rows: readonly DecodedEvent[], side: string): string {
  return String(rows.filter((row) => row.side === side).reduce((sum, row) => sum + Number(row.amount), 0));
}

test.skipIf(!HAVE_FIXTURES)(
  `the recorded stream agrees with its independent summary${FIXTURES_NOTE}`,
  async () => {
    const summary = JSON.parse(
      await Bun.file(`${FIXTURES}/streams/binance-futures.summary.json`).text(),
    ) as Summary;
    const bench = new Bench();
    const rows: DecodedEvent[] = [];
    for (const line of fixtureLines("streams/binance-futures.jsonl")) {
      const { dir, raw } = JSON.parse(line) as { dir: string; raw: string };
      if (dir !== "in") continue;
      const decoded = bench.decode(raw);
      expect(decoded.kind).not.toBe(FRAME.UNDECODABLE);
      rows.push(...decoded.rows);
    }
    const symbols = Object.entries(summary.symbols);
    expect(symbols.length).toBe(3);
    for (const [symbol, wanted] of symbols) {
      const of = (stream: string) => rows.filter((row) => row.symbol === symbol && row.stream === stream);
      expect(of("trade").length).toBe(wanted.trades);
      expect(of("bbo").length).toBe(wanted.frames.bookTicker ?? 0);
      expect(total(of("trade"), "buy")).toBe(wanted.aggressor_buy_qty);
      expect(total(of("trade"), "sell")).toBe(wanted.aggressor_sell_qty);
      const { bid, ask, u } = wanted.last_bbo;
      expect(of("bbo").at(-1)).toMatchObject({
        bid_price: Number(bid[0]),
        bid_amount: Number(bid[1]),
        ask_price: Number(ask[0]),
        ask_amount: Number(ask[1]),
        update_id: u,
      });
    }
    // One frame per symbol went by JSON: the table was open and did not know it yet.
    expect(bench.counters.fallback).toBe(3);
  },
);
