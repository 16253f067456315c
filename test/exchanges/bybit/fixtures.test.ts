/** Every recorded Bybit frame gives what the protocol page says, on both ways of decoding. */
import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { FIXTURES_NOTE, fixtureFiles, fixtureLines, HAVE_FIXTURES } from "../../lib/fixtures.ts";
import { sameRows } from "../decoder-bench.ts";
import { Bench } from "./bench.ts";

type Fields = Readonly<Record<string, unknown>>;
type Rows = readonly Fields[];

const ms = (time: number) => time * 1000;

/** Trades of one frame, alike in all but id, price and amount, which are read in the plainest way. */
function trades(
  symbol: string,
  published: number,
  timestamp: number,
  side: "buy" | "sell",
  sequence: number | null,
  is_rpi: boolean | null,
  count = 1,
): (line: string) => Rows {
  return (line) => {
    const { data } = JSON.parse(line) as { data: { i: string; p: string; v: string }[] };
    expect(data.length).toBe(count);
    return data.map(({ i, p, v }) => ({
      exchange: "bybit",
      stream: "trade",
      symbol,
      instrument: symbol,
      timestamp: ms(timestamp),
      published_timestamp: ms(published),
      id: i,
      side,
      price: Number(p),
      amount: Number(v),
      count: null,
      first_id: null,
      sequence,
      is_block: false,
      is_rpi,
    }));
  };
}

/** A best bid and offer: sides as price and amount, null = empty; times in ms. */
function bbo(
  symbol: string,
  published: number,
  timestamp: number | null,
  bid: readonly [number, number] | null,
  ask: readonly [number, number] | null,
  update_id: number,
  sequence: number,
): Rows {
  return [
    {
      exchange: "bybit",
      stream: "bbo",
      symbol,
      instrument: symbol,
      timestamp: timestamp === null ? null : ms(timestamp),
      published_timestamp: ms(published),
      bid_price: bid?.[0] ?? null,
      bid_amount: bid?.[1] ?? null,
      ask_price: ask?.[0] ?? null,
      ask_amount: ask?.[1] ?? null,
      update_id,
      sequence,
    },
  ];
}

/** What a ticker tells: mark and index; rate, next funding (ms), hours; open interest, value, one side. */
interface Ticker {
  readonly mark?: readonly [number | null, number | null];
  readonly funding?: readonly [number | null, number | null, number | null];
  readonly interest?: readonly [number | null, number | null, number | null];
}

function ticker(instrument: string, symbol: string, published: number, told: Ticker): Rows {
  const lead = {
    exchange: "bybit",
    symbol,
    instrument,
    timestamp: null,
    published_timestamp: ms(published),
  };
  const { mark, funding, interest } = told;
  const rows: Fields[] = [];
  if (mark !== undefined) {
    const [mark_price, index_price] = mark;
    const none = { settlement_price: null, average_price: null };
    rows.push({ ...lead, stream: "mark_price", mark_price, index_price, ...none });
  }
  if (funding !== undefined) {
    const [funding_rate, next, funding_interval_hours] = funding;
    rows.push({
      ...lead,
      stream: "funding",
      funding_rate,
      next_funding_timestamp: next === null ? null : ms(next),
      funding_interval_hours,
      predicted_funding_rate: null,
      settled_funding_rate: null,
    });
  }
  if (interest !== undefined) {
    const [open_interest, open_interest_value, open_interest_single] = interest;
    rows.push({
      ...lead,
      stream: "open_interest",
      open_interest,
      open_interest_base: null,
      open_interest_value,
      open_interest_single,
    });
  }
  return rows;
}

/** Liquidations: side of the order, amount, price, time in ms. */
function liquidations(
  symbol: string,
  published: number,
  ...list: readonly (readonly ["buy" | "sell", number, number, number])[]
): Rows {
  return list.map(([side, amount, price, timestamp]) => ({
    exchange: "bybit",
    stream: "liquidation",
    symbol,
    instrument: symbol,
    timestamp: ms(timestamp),
    published_timestamp: ms(published),
    side,
    price,
    amount,
    average_price: null,
    filled_amount: null,
    is_history: null,
  }));
}

const ignored = (lines: number) => Array.from({ length: lines }, () => FRAME.IGNORED);
const control = (lines: number) => Array.from({ length: lines }, () => FRAME.CONTROL);

/** What each line of each file gives: its rows, or the class of a frame that has none. */
const EXPECTED: Readonly<Record<string, readonly (Rows | number | ((line: string) => Rows))[]>> = {
  "bybit/bbo.jsonl": [
    bbo("BTCUSDT", 1702645020909, 1702645020906, [42663.5, 0.91], [42663.6, 11.446], 2768099, 108881526829),
    // A delta of 2023: the ask has not changed, and there was no cts.
    bbo("BTCUSDT", 1680673821137, null, [28552, 0.012], null, 7003306, 50193543147),
  ],
  "bybit/trade.jsonl": [
    trades("BTCUSDT", 1789470139409, 1789470139371, "sell", 9685122331, false),
    trades("BTCUSDT", 1774021164273, 1774021164272, "sell", 549792210006, false, 9),
    trades("BTCUSDT", 1791457528912, 1791457528911, "buy", 822323446907, false),
    // 2023: neither RPI nor seq.
    trades("LTCUSDT", 1680688979985, 1680688979983, "buy", null, null),
  ],
  "bybit/ticker.jsonl": [
    ticker("BTCUSDT", "BTCUSDT", 1786540397684, {
      mark: [63958.6, 63986.67],
      funding: [0.0000544, 1786550400000, 8],
      interest: [57798.137, 3696687925.13, 28899.069],
    }),
    ticker("BTCUSDT", "BTCUSDT", 1790134712383, {
      mark: [86716.3, 86756.7],
      interest: [null, 5250990127.1, null],
    }),
    ticker("BTCUSD", "BTCUSD", 1680673822577, {
      mark: [28560, 28566.94],
      funding: [0.0001, 1680681600000, null],
      interest: [449736676, 15747.08, null],
    }),
    ticker("BTCUSD", "BTCUSD", 1680673822776, {
      funding: [0.0001, null, null],
      interest: [449736674, null, null],
    }),
    // A dated contract's delta of other fields.
    FRAME.IGNORED,
  ],
  "bybit/ticker.doc-example.jsonl": [
    // A dated contract: fundingRate and nextFundingTime are "", so there is no funding row.
    ticker("BTC-26DEC25", "BTC_251226", 1760409119857, {
      mark: [121144.63, 114132.51],
      interest: [6.622, 802219.74, null],
    }),
  ],
  "bybit/liquidation.jsonl": [
    liquidations("ICPUSDT", 1789670094412, ["sell", 19.7, 2.585, 1789670094099]),
    liquidations(
      "BTCUSDT",
      1791565601482,
      ["sell", 0.006, 82396.9, 1791565600992],
      ["sell", 0.038, 82394.3, 1791565601058],
    ),
    liquidations("STRKUSDT", 1791091285551, ["sell", 2084.9, 0.05165, 1791091285156]),
    liquidations("ADAUSDT", 1786014947330, ["buy", 13248, 0.1915, 1786014946933]),
  ],
  "bybit/control.jsonl": control(5),
  "bybit/control.doc-example.jsonl": control(5),
  "bybit/kline.doc-example.jsonl": ignored(1),
  "bybit/book_delta.jsonl": ignored(9),
  "bybit/book_delta.doc-example.jsonl": ignored(2),
  "bybit/book_snapshot.jsonl": ignored(4),
  "bybit-spot/bbo.jsonl": [
    bbo(
      "BTCUSDT",
      1786613159819,
      1786613159817,
      [63705.3, 2.014151],
      [63705.4, 2.334566],
      72212458,
      112603120305,
    ),
    // A level set and another deleted: the one that stays.
    bbo("BTCUSDC", 1699152639644, null, [35050.72, 0.02853], null, 16468297, 14234996104),
    bbo("BTCUSDT", 1680652806615, null, [28165.07, 0.166754], null, 20404755, 4281281875),
  ],
  "bybit-spot/trade.jsonl": [
    trades("BTCUSDT", 1703430744103, 1703430744102, "sell", null, null),
    trades("BTCUSDT", 1703430745372, 1703430745370, "buy", null, null),
    trades("BTCUSDT", 1791457528952, 1791457528951, "buy", 115115351336, false),
    trades("BTCUSDC", 1680688980000, 1680688979998, "buy", null, null),
  ],
  // No mark, no funding, no open interest.
  "bybit-spot/ticker.jsonl": ignored(1),
  "bybit-spot/control.jsonl": control(2),
  "bybit-spot/control.doc-example.jsonl": control(1),
  "bybit-spot/book_delta.jsonl": ignored(2),
  "bybit-spot/book_delta.doc-example.jsonl": ignored(1),
  "bybit-spot/book_snapshot.jsonl": ignored(1),
};

describe("recorded Bybit frames", () => {
  test.skipIf(!HAVE_FIXTURES)(`every file is in the table${FIXTURES_NOTE}`, () => {
    const files = [...fixtureFiles("bybit"), ...fixtureFiles("bybit-spot")];
    const wanted = files.filter((file) => !file.includes("/rest"));
    expect(wanted.sort()).toEqual(Object.keys(EXPECTED).sort());
  });

  for (const [file, lines] of Object.entries(EXPECTED)) {
    test.skipIf(!HAVE_FIXTURES)(`${file}${FIXTURES_NOTE}`, () => {
      const frames = fixtureLines(file);
      expect(frames.length).toBe(lines.length);
      const scanning = new Bench();
      const parsing = new Bench({ scanners: false });
      frames.forEach((frame, i) => {
        const expected = lines[i];
        // Twice: an open table knows the symbol only the second time, and then the scanner takes it.
        for (let round = 0; round < 2; round++) {
          const decoded = scanning.decode(frame);
          const again = parsing.decode(frame);
          const rows =
            typeof expected === "number" ? [] : typeof expected === "function" ? expected(frame) : expected;
          const kind = typeof expected === "number" ? expected : FRAME.EVENTS;
          expect({ line: i + 1, kind: decoded.kind, rows: decoded.rows as Rows }).toEqual({
            line: i + 1,
            kind: kind as never,
            rows,
          });
          expect(again.kind).toBe(decoded.kind);
          expect(sameRows(decoded.rows, again.rows)).toBe(true);
        }
      });
      expect(scanning.counters.inexact).toBe(0);
      expect(scanning.counters.oversized).toBe(0);
    });
  }

  test.skipIf(!HAVE_FIXTURES)(
    `today's linear frames need no JSON once the symbol is known${FIXTURES_NOTE}`,
    () => {
      const bench = new Bench({ known: ["BTCUSDT", "LTCUSDT", "BTCUSD", "ICPUSDT", "STRKUSDT", "ADAUSDT"] });
      for (const kind of ["bbo", "trade", "ticker", "liquidation"]) {
        for (const frame of fixtureLines(`bybit/${kind}.jsonl`)) bench.decode(frame);
      }
      expect(bench.counters.fallback).toBe(0);
    },
  );
});

test.skipIf(!HAVE_FIXTURES)(
  `the dead v2 protocol is undecodable frame by frame, its acks control${FIXTURES_NOTE}`,
  () => {
    const bench = new Bench();
    const kinds = new Map<number, number>();
    for (const line of fixtureLines("streams/bybit-legacy-v2-not-v5.jsonl")) {
      const { dir, raw } = JSON.parse(line) as { dir: string; raw: string };
      if (dir !== "in") continue;
      const { kind, rows } = bench.decode(raw);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      expect(rows).toEqual([]);
      if (kind === FRAME.UNDECODABLE)
        expect(bench.reason).toMatch(/^topic "(trade|orderBookL2_25)\.\w+" is of a protocol/);
    }
    expect(Object.fromEntries(kinds)).toEqual({ [FRAME.UNDECODABLE]: 292, [FRAME.CONTROL]: 4 });
    expect(bench.symbols.instruments).toEqual([]);
  },
);
