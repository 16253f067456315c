/** Frames written from the protocol page, each with what it must become. */
import { describe, expect, test } from "bun:test";
import { FRAME, type FrameClass } from "../../../src/exchanges/decoding/decoder.ts";
import { type BenchOptions, decodeBoth } from "../decoder-bench.ts";
import { Bench } from "./bench.ts";

const KNOWN = ["BTCUSDT", "ETHUSDT", "币安人生USDT"];

/** Decodes on both ways, checks that they agree, and answers with the one that scans. */
const decode = (frame: object | string, options: BenchOptions = {}) =>
  decodeBoth(Bench, frame, { known: KNOWN, ...options });

const BOOK_TICKER = {
  stream: "ethusdt@bookTicker",
  data: {
    e: "bookTicker",
    u: 412345678901,
    s: "ETHUSDT",
    ps: "ETHUSDT",
    b: "2411.05",
    B: "12.500",
    a: "2411.06",
    A: "0.004",
    T: 1791300000123,
    E: 1791300000125,
    st: 1,
  },
};

const AGG_TRADE = {
  stream: "btcusdt@aggTrade",
  data: {
    e: "aggTrade",
    E: 1791300001234,
    a: 4000000001,
    s: "BTCUSDT",
    p: "83011.90",
    q: "0.250",
    nq: "0.240",
    f: 9000000010,
    l: 9000000012,
    T: 1791300001200,
    m: true,
    st: 1,
  },
};

const MARK_PRICE = {
  stream: "btcusdt@markPrice@1s",
  data: {
    e: "markPriceUpdate",
    E: 1791300002000,
    s: "BTCUSDT",
    p: "83000.10000000",
    ap: "83000.20000000",
    P: "83010.30000000",
    i: "83020.40000000",
    r: "-0.00012500",
    T: 1791302400000,
    st: 1,
  },
};

const ORDER = {
  s: "BTCUSDT",
  S: "SELL",
  o: "LIMIT",
  f: "IOC",
  q: "1.500",
  p: "82000.00",
  ap: "82500.50",
  X: "FILLED",
  l: "0.300",
  z: "1.200",
  T: 1791300003000,
  ps: "BTCUSDT",
  st: 1,
};
const FORCE_ORDER = { stream: "!forceOrder@arr", data: { e: "forceOrder", E: 1791300003500, o: ORDER } };

/** The same frame with other fields in its payload. */
function withData<T extends { stream: string; data: object }>(frame: T, change: object): object {
  return { ...frame, data: { ...frame.data, ...change } };
}

/** The frame without some of its payload's fields. */
function without(frame: { stream: string; data: object }, ...names: string[]): object {
  return {
    ...frame,
    data: Object.fromEntries(Object.entries(frame.data).filter(([name]) => !names.includes(name))),
  };
}

describe("what is recorded", () => {
  test("bookTicker gives a bbo row, wrapped and raw, by the scanner", () => {
    const row = {
      exchange: "binance",
      stream: "bbo",
      symbol: "ETHUSDT",
      instrument: "ETHUSDT",
      timestamp: 1791300000123000,
      published_timestamp: 1791300000125000,
      bid_price: 2411.05,
      bid_amount: 12.5,
      ask_price: 2411.06,
      ask_amount: 0.004,
      update_id: 412345678901,
      sequence: null,
    };
    for (const frame of [BOOK_TICKER, BOOK_TICKER.data, without(BOOK_TICKER, "st", "ps")]) {
      expect(decode(frame)).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 0 });
    }
  });

  test("aggTrade: m = the buyer is the maker, so m true is a seller's trade; count = l - f + 1", () => {
    const row = {
      exchange: "binance",
      stream: "trade",
      symbol: "BTCUSDT",
      instrument: "BTCUSDT",
      timestamp: 1791300001200000,
      published_timestamp: 1791300001234000,
      id: "4000000001",
      side: "sell",
      price: 83011.9,
      amount: 0.25,
      count: 3,
      first_id: 9000000010,
      sequence: null,
      is_block: null,
      is_rpi: null,
    };
    expect(decode(AGG_TRADE)).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 0 });
    expect(decode(without(AGG_TRADE, "nq", "st")).rows).toEqual([row]);
    expect(decode(withData(AGG_TRADE, { m: false })).rows).toEqual([{ ...row, side: "buy" }]);
    // Not in the frame: NULL, nothing made up.
    const { rows } = decode(without(AGG_TRADE, "a", "f", "m", "T"));
    expect(rows).toEqual([{ ...row, id: null, first_id: null, count: null, side: null, timestamp: null }]);
  });

  test("@trade means the same where X is MARKET, and is no trade otherwise", () => {
    const frame = {
      e: "trade",
      E: 1791300004001,
      T: 1791300004000,
      s: "BTCUSDT",
      t: 9000000099,
      p: "83000.00",
      q: "0.010",
      X: "MARKET",
      m: false,
      st: 1,
    };
    expect(decode(frame)).toMatchObject({
      kind: FRAME.EVENTS,
      rows: [{ stream: "trade", id: "9000000099", side: "buy", count: null, first_id: null, amount: 0.01 }],
      fallback: 0,
    });
    for (const X of ["INSURANCE_FUND", "ADL", "NA"]) {
      expect(decode({ ...frame, X })).toMatchObject({ kind: FRAME.IGNORED, rows: [] });
    }
  });

  test("markPriceUpdate gives a mark_price row and a funding row, timestamps NULL, E published", () => {
    const lead = {
      exchange: "binance",
      symbol: "BTCUSDT",
      instrument: "BTCUSDT",
      timestamp: null,
      published_timestamp: 1791300002000000,
    };
    const mark = {
      ...lead,
      stream: "mark_price",
      mark_price: 83000.1,
      index_price: 83020.4,
      settlement_price: 83010.3,
      average_price: 83000.2,
    };
    const funding = {
      ...lead,
      stream: "funding",
      funding_rate: -0.000125,
      next_funding_timestamp: 1791302400000000,
      funding_interval_hours: null,
      predicted_funding_rate: null,
      settled_funding_rate: null,
    };
    expect(decode(MARK_PRICE)).toMatchObject({ kind: FRAME.EVENTS, rows: [mark, funding], fallback: 0 });
    expect(decode(without(MARK_PRICE, "ap")).rows).toEqual([{ ...mark, average_price: null }, funding]);
    expect(decode(MARK_PRICE, { streams: ["funding"] }).rows).toEqual([funding]);
    expect(decode(MARK_PRICE, { streams: ["mark_price"] }).rows).toEqual([mark]);
    expect(decode(MARK_PRICE, { streams: ["bbo"] })).toMatchObject({ kind: FRAME.UNWANTED, rows: [] });
  });

  test("dated futures have no funding: absent, not zero", () => {
    for (const change of [
      { r: "", T: 0 },
      { r: "0.00000000", T: 0 },
      { r: null, T: 0 },
    ]) {
      const { kind, rows } = decode(withData(MARK_PRICE, change));
      expect(kind).toBe(FRAME.EVENTS);
      expect(rows.map((row) => row.stream)).toEqual(["mark_price"]);
    }
    expect(decode(without(MARK_PRICE, "r", "T")).rows.map((row) => row.stream)).toEqual(["mark_price"]);
    // A rate of zero with a time is a rate of zero.
    expect(decode(withData(MARK_PRICE, { r: "0.00000000" })).rows).toMatchObject([
      { stream: "mark_price" },
      { stream: "funding", funding_rate: 0, next_funding_timestamp: 1791302400000000 },
    ]);
    expect(decode(withData(MARK_PRICE, { r: "" })).rows).toMatchObject([
      {},
      { funding_rate: null, next_funding_timestamp: 1791302400000000 },
    ]);
  });

  test("forceOrder gives a liquidation, side = that of the order", () => {
    const row = {
      exchange: "binance",
      stream: "liquidation",
      symbol: "BTCUSDT",
      instrument: "BTCUSDT",
      timestamp: 1791300003000000,
      published_timestamp: 1791300003500000,
      side: "sell",
      price: 82000,
      amount: 1.5,
      average_price: 82500.5,
      filled_amount: 1.2,
      is_history: null,
    };
    const raw = FORCE_ORDER.data;
    expect(decode(FORCE_ORDER)).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 0 });
    expect(decode(raw)).toMatchObject({ rows: [row], fallback: 0 });
    const buy = decode({ ...raw, o: { ...ORDER, S: "BUY" } });
    expect(buy.rows).toEqual([{ ...row, side: "buy" }]);
    const { st: _, ps: __, ...old } = ORDER;
    expect(decode({ ...raw, o: old })).toMatchObject({ rows: [row], fallback: 0 });
  });

  test("a symbol beyond ASCII goes through the scanner too", () => {
    const frame = {
      stream: "币安人生usdt@bookTicker",
      data: { ...BOOK_TICKER.data, s: "币安人生USDT", ps: "币安人生USDT" },
    };
    expect(decode(frame)).toMatchObject({
      kind: FRAME.EVENTS,
      rows: [{ symbol: "币安人生USDT" }],
      fallback: 0,
    });
    // Escaped, it is the same symbol by way of JSON.
    const escaped = JSON.stringify(frame).replaceAll("币", "\\u5e01");
    expect(decode(escaped)).toMatchObject({
      kind: FRAME.EVENTS,
      rows: [{ symbol: "币安人生USDT" }],
      fallback: 1,
    });
  });

  test("an array of mark prices gives all its events in order; what is unwanted in it is left out", () => {
    const of = (s: string, extra: object = {}) => ({ ...MARK_PRICE.data, s, ...extra });
    const data = [
      of("ETHUSDT"),
      of("BTCUSD_PERP", { st: 2 }),
      of("BTCUSDT"),
      of("BTCUSDT_270326", { r: "", T: 0 }),
    ];
    const { kind, rows } = decode({ stream: "!markPrice@arr@1s", data });
    expect(kind).toBe(FRAME.EVENTS);
    expect(rows.map((row) => `${row.symbol}/${row.stream}`)).toEqual([
      "ETHUSDT/mark_price",
      "ETHUSDT/funding",
      "BTCUSDT/mark_price",
      "BTCUSDT/funding",
    ]);
    // One bad element takes the whole frame back: no half of a frame is recorded.
    const bad = decode({ stream: "!markPrice@arr@1s", data: [...data, of("BTCUSDT", { p: "83.000,10" })] });
    expect(bad).toMatchObject({ kind: FRAME.UNDECODABLE, rows: [] });
  });
});

describe("what is not recorded", () => {
  const cases: readonly [string, FrameClass, object | string][] = [
    ["an ack", FRAME.CONTROL, { result: null, id: 7 }],
    ["a list of subscriptions", FRAME.CONTROL, { result: ["btcusdt@aggTrade"], id: 3 }],
    ["an error", FRAME.CONTROL, { error: { code: 2, msg: "Invalid request" }, id: 4 }],
    ["an error of the other shape", FRAME.CONTROL, { code: -1121, msg: "Invalid symbol." }],
    [
      "depth",
      FRAME.IGNORED,
      {
        stream: "btcusdt@depth@100ms",
        data: { e: "depthUpdate", E: 1, T: 1, s: "BTCUSDT", U: 1, u: 2, pu: 0, b: [["1.0", "2"]], a: [] },
      },
    ],
    [
      "kline with spaces",
      FRAME.IGNORED,
      '{"e":"kline", "E":1791300000000, "s":"BTCUSDT", "k":{"t":1, "x":true}}',
    ],
    ["ticker", FRAME.IGNORED, { e: "24hrTicker", E: 1, s: "BTCUSDT", c: "1" }],
    ["tickers of all", FRAME.IGNORED, { stream: "!ticker@arr", data: [{ e: "24hrTicker", s: "BTCUSDT" }] }],
    ["mini ticker", FRAME.IGNORED, { e: "24hrMiniTicker", E: 1, s: "BTCUSDT" }],
    ["continuous kline", FRAME.IGNORED, { e: "continuous_kline", E: 1, ps: "BTCUSDT" }],
    ["an unknown instrument", FRAME.UNWANTED, withData(AGG_TRADE, { s: "XRPUSDT" })],
    ["COIN-M bookTicker", FRAME.UNWANTED, withData(BOOK_TICKER, { s: "BTCUSD_PERP", ps: "BTCUSD", st: 2 })],
    ["COIN-M of a known name", FRAME.UNWANTED, withData(BOOK_TICKER, { st: 2 })],
    ["COIN-M trade", FRAME.UNWANTED, withData(AGG_TRADE, { st: 2 })],
    ["COIN-M mark price", FRAME.UNWANTED, withData(MARK_PRICE, { st: 2 })],
    ["COIN-M liquidation", FRAME.UNWANTED, { ...FORCE_ORDER.data, o: { ...ORDER, st: 2 } }],
  ];
  for (const [name, kind, frame] of cases) {
    test(name, () => {
      expect(decode(frame)).toMatchObject({ kind, rows: [] });
    });
  }

  test("an announcement of instruments is told apart, so that the list can be read again", () => {
    const data = { e: "contractInfo", E: 1791300000000, s: "NEWUSDT", ct: "PERPETUAL", cs: "TRADING" };
    expect(decode(data)).toMatchObject({ kind: FRAME.INSTRUMENTS, rows: [] });
    expect(decode({ stream: "!contractInfo", data })).toMatchObject({ kind: FRAME.INSTRUMENTS, rows: [] });
  });

  test("COIN-M is unwanted in an open table as well", () => {
    const bench = new Bench();
    const frame = withData(BOOK_TICKER, { s: "BTCUSD_PERP", ps: "BTCUSD", st: 2 });
    expect(bench.decode(JSON.stringify(frame))).toEqual({ kind: FRAME.UNWANTED, rows: [] });
    expect(bench.symbols.instruments).toEqual([]);
  });
});

describe("what cannot be decoded says why and leaves no row", () => {
  const cases: readonly [string, object | string][] = [
    ["not JSON", "pong"],
    ["not JSON", '{"e":"aggTrade","E":17913'],
    ["not JSON", ""],
    ["not JSON", `\ufeff${JSON.stringify(AGG_TRADE)}`],
    ["neither an object nor an array", "17"],
    ["neither an object nor an array", { stream: "x", data: null }],
    ["no event type", { stream: "x", data: {} }],
    ['unknown event type "listenKeyExpired"', { e: "listenKeyExpired" }],
    ["unknown event type 5", { e: 5 }],
    ["s is missing or not text", without(BOOK_TICKER, "s")],
    ["s is missing or not text", withData(BOOK_TICKER, { s: "" })],
    ["bookTicker without b and a", without(BOOK_TICKER, "a", "b")],
    ["trade without p or q", without(AGG_TRADE, "p")],
    ["trade without p or q", withData(AGG_TRADE, { q: "" })],
    ["p is not a decimal", withData(AGG_TRADE, { p: "83,011.90" })],
    ["p is not a decimal", withData(AGG_TRADE, { p: [] })],
    ["p is not a decimal", withData(AGG_TRADE, { p: "1e999" })],
    ["p is not a decimal", JSON.stringify(AGG_TRADE).replace('"p":"83011.90"', '"p":1e999')],
    ["m is not true or false", withData(AGG_TRADE, { m: "true" })],
    ["u is not a whole number", withData(BOOK_TICKER, { u: 1.5 })],
    ["T is not a whole number", withData(AGG_TRADE, { T: "soon" })],
    ["T is not a time", withData(AGG_TRADE, { T: -1 })],
    ["a is too long", JSON.stringify(AGG_TRADE).replace("4000000001", "7".repeat(49))],
    ["a is not an id", withData(AGG_TRADE, { a: true })],
    ["forceOrder without o", { e: "forceOrder", E: 1 }],
    ["forceOrder: S is neither SELL nor BUY", { ...FORCE_ORDER.data, o: { ...ORDER, S: "sell" } }],
  ];
  for (const [reason, frame] of cases) {
    const text = typeof frame === "string" ? frame : JSON.stringify(frame);
    test(`${reason}: ${text.slice(0, 60)}`, () => {
      expect(decode(text)).toMatchObject({
        kind: FRAME.UNDECODABLE,
        rows: [],
        reason,
        inexact: 0,
        oversized: 0,
      });
    });
  }

  test("bytes that are not UTF-8", () => {
    const bytes = Buffer.from(JSON.stringify(BOOK_TICKER));
    bytes[bytes.indexOf("ethusdt") + 1] = 0xff;
    const bench = new Bench({ known: KNOWN });
    expect(bench.decode(bytes)).toEqual({ kind: FRAME.UNDECODABLE, rows: [] });
    expect(bench.reason).toBe("not valid UTF-8");
  });
});

describe("numbers a double does not hold", () => {
  test('"229576048.730317321" is counted inexact, once, on either way', () => {
    for (const frame of [
      withData(BOOK_TICKER, { b: "229576048.730317321" }),
      withData(AGG_TRADE, { p: "229576048.730317321" }),
      withData(MARK_PRICE, { i: "229576048.730317321" }),
      { ...FORCE_ORDER.data, o: { ...ORDER, ap: "229576048.730317321" } },
    ]) {
      expect(decode(frame)).toMatchObject({ kind: FRAME.EVENTS, inexact: 1, oversized: 0, fallback: 0 });
      // The same with a space, which the scanner does not take.
      const spaced = JSON.stringify(frame).replace('":', '": ');
      expect(decode(spaced)).toMatchObject({ kind: FRAME.EVENTS, inexact: 1, oversized: 0, fallback: 1 });
    }
  });

  test('"10000.0000000000000000" is exact', () => {
    for (const text of [
      JSON.stringify(withData(AGG_TRADE, { p: "10000.0000000000000000" })),
      JSON.stringify(withData(AGG_TRADE, { p: "10000.0000000000000000" })).replace('":', '": '),
      JSON.stringify(AGG_TRADE).replace('"83011.90"', "10000.0000000000000000"),
    ]) {
      expect(decode(text)).toMatchObject({ kind: FRAME.EVENTS, inexact: 0, rows: [{ price: 10000 }] });
    }
  });

  test("a number token that a double does not hold is counted as well", () => {
    const text = JSON.stringify(AGG_TRADE).replace('"83011.90"', "229576048.730317321");
    expect(decode(text)).toMatchObject({
      kind: FRAME.EVENTS,
      inexact: 1,
      rows: [{ price: 229576048.73031732 }],
    });
  });

  test("nq and l of a liquidation are not recorded, so they count as nothing", () => {
    expect(decode(withData(AGG_TRADE, { nq: "229576048.730317321" }))).toMatchObject({
      inexact: 0,
      fallback: 0,
    });
    const order = { ...ORDER, l: "229576048.730317321" };
    expect(decode({ ...FORCE_ORDER.data, o: order })).toMatchObject({ inexact: 0, fallback: 0 });
  });

  test("a stream that is not wanted counts nothing", () => {
    const frame = withData(BOOK_TICKER, { b: "229576048.730317321" });
    expect(decode(frame, { streams: ["trade"] })).toMatchObject({
      kind: FRAME.UNWANTED,
      inexact: 0,
      fallback: 0,
    });
  });

  test("ids are text and keep every digit; BIGINT above 2^53 is NULL and counted", () => {
    const id = "98765432109876543210987654321098765432109876";
    const trade = JSON.stringify(AGG_TRADE).replace("4000000001", id);
    expect(decode(trade)).toMatchObject({ kind: FRAME.EVENTS, rows: [{ id }], oversized: 0, fallback: 0 });
    const border = (u: string) => decode(JSON.stringify(BOOK_TICKER).replace("412345678901", u));
    expect(border("9007199254740991")).toMatchObject({
      rows: [{ update_id: 9007199254740991 }],
      oversized: 0,
    });
    for (const u of ["9007199254740992", "9007199254740993", "123456789012345678901"]) {
      expect(border(u)).toMatchObject({ kind: FRAME.EVENTS, rows: [{ update_id: null }], oversized: 1 });
    }
  });

  test("a count that INTEGER does not hold is NULL and counted", () => {
    expect(decode(withData(AGG_TRADE, { f: 1, l: 2147483647 }))).toMatchObject({
      rows: [{ count: 2147483647, first_id: 1 }],
      oversized: 0,
    });
    expect(decode(withData(AGG_TRADE, { f: 1, l: 2147483648 }))).toMatchObject({
      rows: [{ count: null, first_id: 1 }],
      oversized: 1,
    });
    expect(decode(withData(AGG_TRADE, { f: 10, l: 8 }))).toMatchObject({
      rows: [{ count: null, first_id: 10 }],
    });
  });

  test("times of zero are NULL, times beyond 2255 NULL and counted, milliseconds never taken for µs", () => {
    expect(decode(withData(BOOK_TICKER, { T: 0 })).rows).toMatchObject([
      { timestamp: null, published_timestamp: 1791300000125000 },
    ]);
    expect(decode(withData(BOOK_TICKER, { T: 9007199254740, E: 1 }))).toMatchObject({
      rows: [{ timestamp: 9007199254740000, published_timestamp: 1000 }],
      oversized: 0,
    });
    expect(decode(withData(BOOK_TICKER, { T: 9007199254741 }))).toMatchObject({
      rows: [{ timestamp: null }],
      oversized: 1,
    });
  });

  test("minus zero and negative numbers are as sent", () => {
    const { rows } = decode(withData(MARK_PRICE, { r: "-0.00000000", i: "-37.63" }));
    expect(rows).toMatchObject([{ index_price: -37.63 }, {}]);
    expect(Object.is(rows[1]?.funding_rate, -0)).toBe(true);
  });
});
