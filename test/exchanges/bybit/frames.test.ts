/** Frames written from the protocol page, each with what it must become. */
import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { type BenchOptions, decodeBoth } from "../decoder-bench.ts";
import { Bench } from "./bench.ts";

const KNOWN = ["BTCUSDT", "ETHUSDT", "币安人生USDT"];
const UUID = "7c1d3f5a-90be-5e21-8a47-0123456789ab";

/** Decodes on both ways, checks that they agree, and answers with the one that scans. */
const decode = (frame: object | string, options: BenchOptions = {}) =>
  decodeBoth(Bench, frame, { known: KNOWN, ...options });

const trade = (change: object = {}) => ({
  T: 1795170600911,
  s: "BTCUSDT",
  S: "Sell",
  v: "0.027",
  p: "84120.50",
  L: "MinusTick",
  i: UUID,
  BT: false,
  RPI: false,
  seq: 371004513,
  ...change,
});
const trades = (...data: readonly object[]) => ({
  topic: "publicTrade.BTCUSDT",
  type: "snapshot",
  ts: 1795170600913,
  data,
});
const TRADE_ROW = {
  exchange: "bybit",
  stream: "trade",
  symbol: "BTCUSDT",
  instrument: "BTCUSDT",
  timestamp: 1795170600911000,
  published_timestamp: 1795170600913000,
  id: UUID,
  side: "sell",
  price: 84120.5,
  amount: 0.027,
  count: null,
  first_id: null,
  sequence: 371004513,
  is_block: false,
  is_rpi: false,
};

const book = (data: object = {}, change: object = {}) => ({
  topic: "orderbook.1.ETHUSDT",
  ts: 1795170601873,
  type: "snapshot",
  data: {
    s: "ETHUSDT",
    b: [["3120.41", "4.118"]],
    a: [["3120.42", "0.905"]],
    u: 71004512,
    seq: 371004512,
    ...data,
  },
  cts: 1795170601871,
  ...change,
});
const BOOK_ROW = {
  exchange: "bybit",
  stream: "bbo",
  symbol: "ETHUSDT",
  instrument: "ETHUSDT",
  timestamp: 1795170601871000,
  published_timestamp: 1795170601873000,
  bid_price: 3120.41,
  bid_amount: 4.118,
  ask_price: 3120.42,
  ask_amount: 0.905,
  update_id: 71004512,
  sequence: 371004512,
};

const ticker = (data: object, change: object = {}) => ({
  topic: "tickers.BTCUSDT",
  type: "delta",
  data: { symbol: "BTCUSDT", ...data },
  cs: 371004513,
  ts: 1795170605000,
  ...change,
});
const TICKER_LEAD = {
  exchange: "bybit",
  symbol: "BTCUSDT",
  instrument: "BTCUSDT",
  timestamp: null,
  published_timestamp: 1795170605000000,
};
const markRow = (mark_price: number | null, index_price: number | null) => ({
  ...TICKER_LEAD,
  stream: "mark_price",
  mark_price,
  index_price,
  settlement_price: null,
  average_price: null,
});
const fundingRow = (rate: number | null, next: number | null, hours: number | null) => ({
  ...TICKER_LEAD,
  stream: "funding",
  funding_rate: rate,
  next_funding_timestamp: next,
  funding_interval_hours: hours,
  predicted_funding_rate: null,
  settled_funding_rate: null,
});
const interestRow = (both: number | null, value: number | null, single: number | null) => ({
  ...TICKER_LEAD,
  stream: "open_interest",
  open_interest: both,
  open_interest_base: null,
  open_interest_value: value,
  open_interest_single: single,
});

const liquidation = (change: object = {}) => ({
  T: 1795170610418,
  s: "BTCUSDT",
  S: "Buy",
  v: "0.214",
  p: "83702.10",
  ...change,
});
const liquidations = (...data: readonly object[]) => ({
  topic: "allLiquidation.BTCUSDT",
  type: "snapshot",
  ts: 1795170611055,
  data,
});
const LIQUIDATION_ROW = {
  exchange: "bybit",
  stream: "liquidation",
  symbol: "BTCUSDT",
  instrument: "BTCUSDT",
  timestamp: 1795170610418000,
  published_timestamp: 1795170611055000,
  side: "sell",
  price: 83702.1,
  amount: 0.214,
  average_price: null,
  filled_amount: null,
  is_history: null,
};

describe("trades", () => {
  test("three of one time keep their order, block trades are flagged, UUIDs whole", () => {
    const ids = [UUID, "00000000-0000-5000-8000-000000000002", "ffffffff-ffff-5fff-bfff-ffffffffffff"];
    const frame = trades(
      trade(),
      trade({ i: ids[1], BT: true, S: "Buy", v: "12.5" }),
      trade({ i: ids[2], RPI: true, p: "84120.4" }),
    );
    const rows = [
      TRADE_ROW,
      { ...TRADE_ROW, id: ids[1], is_block: true, side: "buy", amount: 12.5 },
      { ...TRADE_ROW, id: ids[2], is_rpi: true, price: 84120.4 },
    ];
    expect(decode(frame)).toMatchObject({ kind: FRAME.EVENTS, rows, fallback: 0 });
  });

  test("what an old frame lacks is NULL; the order of keys of spot is taken by JSON", () => {
    const { RPI: _, seq: __, ...old } = trade();
    expect(decode(trades(old))).toMatchObject({
      rows: [{ ...TRADE_ROW, is_rpi: null, sequence: null }],
      fallback: 0,
    });
    const spot = { topic: "publicTrade.BTCUSDT", ts: 1795170600913, type: "snapshot" };
    const id = "9007199254740993";
    const item = { i: id, T: 1795170600911, p: "84120.5", v: "0.027", S: "Sell", s: "BTCUSDT", BT: false };
    const row = { ...TRADE_ROW, id, is_rpi: null, sequence: null };
    expect(decode({ ...spot, data: [item] })).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 1 });
    // As a number token, which no double holds.
    const number = JSON.stringify({ ...spot, data: [item] }).replace(`"${id}"`, id);
    expect(decode(number).rows).toEqual([row]);
    const { S: _S, i: _i, T: _T, ...bare } = trade();
    expect(decode(trades(bare)).rows).toEqual([{ ...TRADE_ROW, side: null, id: null, timestamp: null }]);
  });

  test("of a frame with one bad trade no row is kept", () => {
    for (const bad of [
      { S: "buy" },
      { p: "" },
      { p: "1,5" },
      { v: null },
      { T: "soon" },
      { BT: 1 },
      { s: "" },
    ]) {
      const { kind, rows } = decode(trades(trade(), trade(bad)));
      expect({ bad, kind, rows }).toEqual({ bad, kind: FRAME.UNDECODABLE, rows: [] });
    }
    expect(decode(trades(trade({ i: "x".repeat(49) }))).reason).toBe("i is too long");
    expect(decode({ ...trades(), data: {} }).reason).toBe("data is not an array");
    expect(decode({ ...trades(), data: [7] }).reason).toBe("an element of data is not an object");
    expect(decode(trades()).kind).toBe(FRAME.IGNORED);
  });

  test("a trade of another symbol than the topic's is its own; unknown ones are unwanted", () => {
    const mixed = trades(trade({ s: "XRPUSDT" }), trade({ s: "ETHUSDT" }));
    expect(decode(mixed)).toMatchObject({ kind: FRAME.EVENTS, rows: [{ symbol: "ETHUSDT" }], fallback: 1 });
    expect(decode(trades(trade({ s: "XRPUSDT" })))).toMatchObject({ kind: FRAME.UNWANTED, rows: [] });
    expect(decode(trades(trade()), { streams: ["bbo"] })).toMatchObject({
      kind: FRAME.UNWANTED,
      fallback: 0,
    });
  });

  test("a sequence above 2^53 is NULL and counted, an amount of too many digits counted", () => {
    const big = JSON.stringify(trades(trade())).replace("371004513", "9007199254740993");
    expect(decode(big)).toMatchObject({ rows: [{ sequence: null }], oversized: 1 });
    expect(decode(trades(trade({ v: "123456789.123456789" })))).toMatchObject({ inexact: 1, fallback: 0 });
  });
});

describe("the best bid and offer", () => {
  test("a snapshot, in both orders of keys, by the scanner; pushed again it is a row again", () => {
    const { topic, ts, type, data, cts } = book();
    for (const frame of [book(), { topic, type, ts, data, cts }]) {
      expect(decode(frame)).toMatchObject({ kind: FRAME.EVENTS, rows: [BOOK_ROW], fallback: 0 });
    }
    const bench = new Bench({ known: KNOWN });
    const rows = [book(), book({}, { ts: 1795170604873 })].flatMap(
      (frame) => bench.decode(JSON.stringify(frame)).rows,
    );
    expect(rows).toEqual([BOOK_ROW, { ...BOOK_ROW, published_timestamp: 1795170604873000 }]);
  });

  test("an empty side is NULL, without repair; so is what an old frame lacks", () => {
    const noBid = { ...BOOK_ROW, bid_price: null, bid_amount: null };
    expect(decode(book({ b: [] }))).toMatchObject({ rows: [noBid], fallback: 0 });
    expect(decode(book({ a: [], b: [] })).rows).toEqual([{ ...noBid, ask_price: null, ask_amount: null }]);
    const { topic, ts, data } = book();
    const { seq: _, ...old } = data;
    const row = { ...BOOK_ROW, timestamp: null, sequence: null };
    expect(decode({ topic, ts, type: "delta", data: old })).toMatchObject({ rows: [row], fallback: 0 });
  });

  test("deltas of old recordings: a size of 0 as it came; of two levels the one that stays", () => {
    expect(decode(book({ b: [["3120.41", "0"]], a: [] })).rows).toMatchObject([
      { bid_price: 3120.41, bid_amount: 0 },
    ]);
    for (const b of [
      [
        ["3120.41", "0"],
        ["3120.40", "2.5"],
      ],
      [
        ["3120.40", "2.5"],
        ["3120.39", "0"],
      ],
      [
        ["3120.41", "0"],
        ["3120.40", "2.5"],
        ["3120.39", "0"],
      ],
    ]) {
      expect(decode(book({ b }))).toMatchObject({
        rows: [{ bid_price: 3120.4, bid_amount: 2.5 }],
        fallback: 1,
      });
    }
  });

  test("a broken one is undecodable and says why", () => {
    const { b: _, a: __, ...sideless } = book().data;
    const reason = (frame: object) => {
      const decoded = decode(frame);
      expect(decoded).toMatchObject({ kind: FRAME.UNDECODABLE, rows: [] });
      return decoded.reason;
    };
    expect(reason({ ...book(), data: sideless })).toBe("orderbook.1 without b and a");
    expect(reason({ ...book(), data: [] })).toBe("data is not an object");
    expect(reason(book({ b: {} }))).toBe("b is not an array");
    expect(reason(book({ a: ["3120.42"] }))).toBe("a level of a is not an array");
    expect(reason(book({ a: [["3120.42"]] }))).toBe("a level of a without price or amount");
    expect(reason(book({ a: [["high", "1"]] }))).toBe("price is not a decimal");
    expect(reason(book({ u: 1.5 }))).toBe("u is not a whole number");
  });
});

describe("tickers", () => {
  test("a delta with only markPrice gives one mark_price row with index NULL, and nothing else", () => {
    expect(decode(ticker({ markPrice: "84118.21" }))).toMatchObject({
      kind: FRAME.EVENTS,
      rows: [markRow(84118.21, null)],
      fallback: 0,
    });
    expect(decode(ticker({ indexPrice: "84131.06" })).rows).toEqual([markRow(null, 84131.06)]);
  });

  test("each stream's fields alone give that stream's row alone", () => {
    const next = 1795190400000;
    const alone: [object, object][] = [
      [{ fundingRate: "-0.0000544" }, fundingRow(-0.0000544, null, null)],
      [{ fundingRate: "0" }, fundingRow(0, null, null)],
      [{ nextFundingTime: String(next) }, fundingRow(null, next * 1000, null)],
      [{ fundingIntervalHour: "4" }, fundingRow(null, null, 4)],
      [{ openInterest: "57798.137" }, interestRow(57798.137, null, null)],
      [{ openInterestValue: "3696687925.13" }, interestRow(null, 3696687925.13, null)],
      [{ singleOpenInterest: "28899.069" }, interestRow(null, null, 28899.069)],
    ];
    for (const [data, row] of alone) {
      expect(decode(ticker(data))).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 0 });
    }
  });

  test("a snapshot gives three rows, its keys in any order; unwanted streams are left out", () => {
    const data = {
      tickDirection: "ZeroMinusTick",
      price24hPcnt: "-0.00506",
      lastPrice: "84120.40",
      prevPrice24h: "83000.00",
      highPrice24h: "84500.00",
      lowPrice24h: "82900.00",
      prevPrice1h: "84100.00",
      markPrice: "84118.21",
      indexPrice: "84131.06",
      openInterest: "57798.137",
      openInterestValue: "4861875000.02",
      turnover24h: "3947254153.7179",
      volume24h: "61874.6390",
      fundingIntervalHour: "8",
      fundingCap: "0.005",
      singleOpenInterest: "28899.069",
      singleOpenInterestValue: "2430937500.01",
      nextFundingTime: "1795190400000",
      fundingRate: "0.0001",
      bid1Price: "84120.40",
      bid1Size: "6.907",
      ask1Price: "84120.50",
      ask1Size: "2.750",
      preOpenPrice: "",
      preQty: "",
      curPreListingPhase: "",
    };
    const rows = [
      markRow(84118.21, 84131.06),
      fundingRow(0.0001, 1795190400000000, 8),
      interestRow(57798.137, 4861875000.02, 28899.069),
    ];
    const frame = ticker(data, { type: "snapshot" });
    expect(decode(frame)).toMatchObject({ kind: FRAME.EVENTS, rows, fallback: 0 });
    const turned = Object.fromEntries(Object.entries({ symbol: "BTCUSDT", ...data }).reverse());
    expect(decode({ ...frame, data: turned })).toMatchObject({ rows, fallback: 0 });
    expect(decode(frame, { streams: ["funding"] })).toMatchObject({ rows: [rows[1]], fallback: 0 });
    expect(decode(frame, { streams: ["trade"] })).toMatchObject({
      kind: FRAME.UNWANTED,
      rows: [],
      fallback: 0,
    });
  });

  test("a frame without any of the fields is ignored and makes no symbol known", () => {
    const frame = ticker({
      bid1Price: "84120.40",
      bid1Size: "6.907",
      singleOpenInterestValue: "2430937500.01",
    });
    expect(decode(frame)).toMatchObject({ kind: FRAME.IGNORED, rows: [], fallback: 0 });
    const spot = {
      topic: "tickers.BTCUSDT",
      ts: 1795170605000,
      type: "snapshot",
      cs: 1,
      data: {
        symbol: "BTCUSDT",
        lastPrice: "84057.7",
        usdIndexPrice: "",
      },
    };
    const open = new Bench();
    expect(open.decode(JSON.stringify(spot)).kind).toBe(FRAME.IGNORED);
    expect(open.symbols.instruments).toEqual([]);
  });

  test('a dated contract\'s "" is absent: no funding row; zero is a value', () => {
    const dated = { topic: "tickers.BTCUSDT-27DEC24", type: "snapshot", ts: 1734000000000 };
    const data = { symbol: "BTCUSDT-27DEC24", markPrice: "101000.1", fundingRate: "", nextFundingTime: "" };
    const open = new Bench();
    const { rows } = open.decode(JSON.stringify({ ...dated, data }));
    expect(rows).toMatchObject([
      { stream: "mark_price", symbol: "BTCUSDT_241227", instrument: "BTCUSDT-27DEC24", mark_price: 101000.1 },
    ]);
    expect(rows.length).toBe(1);
    expect(decode(ticker({ nextFundingTime: "0", fundingRate: "" })).kind).toBe(FRAME.IGNORED);
  });

  test("unknown keys and keys twice go by JSON; broken values are undecodable", () => {
    expect(decode(ticker({ markPrice: "1.5", newField: { a: 1 } }))).toMatchObject({
      rows: [markRow(1.5, null)],
      fallback: 1,
    });
    const twice = JSON.stringify(ticker({ markPrice: "1.5" })).replace(
      '"markPrice"',
      '"markPrice":"2.5","markPrice"',
    );
    expect(decode(twice)).toMatchObject({ rows: [markRow(1.5, null)], fallback: 1 });
    expect(decode(ticker({ markPrice: 1.5 }))).toMatchObject({ rows: [markRow(1.5, null)], fallback: 1 });
    expect(decode(ticker({ markPrice: "high" })).reason).toBe("markPrice is not a decimal");
    expect(decode(ticker({ nextFundingTime: "soon" })).reason).toBe("nextFundingTime is not a whole number");
    expect(decode(ticker({ markPrice: "1", symbol: undefined })).reason).toBe(
      "symbol is missing or not text",
    );
    expect(decode({ topic: "tickers.BTCUSDT" }).reason).toBe("data is not an object");
    expect(decode(ticker({ symbol: "XRPUSDT", markPrice: "1" })).kind).toBe(FRAME.UNWANTED);
  });
});

describe("liquidations", () => {
  test("S is the position's side: Buy = a long went, so the order sold", () => {
    const frame = liquidations(liquidation(), liquidation({ S: "Sell", v: "3", T: 1795170610999 }));
    const short = { ...LIQUIDATION_ROW, side: "buy", amount: 3, timestamp: 1795170610999000 };
    expect(decode(frame)).toMatchObject({ kind: FRAME.EVENTS, rows: [LIQUIDATION_ROW, short], fallback: 0 });
  });

  test("a bad one takes the whole frame with it", () => {
    for (const [bad, reason] of [
      [{ S: "Long" }, "S is neither Buy nor Sell"],
      [{ S: undefined }, "liquidation without S"],
      [{ p: "?" }, "p is not a decimal"],
    ] as const) {
      const decoded = decode(liquidations(liquidation(), liquidation(bad)));
      expect(decoded).toMatchObject({ kind: FRAME.UNDECODABLE, rows: [], reason });
    }
    expect(decode(liquidations(liquidation({ s: "XRPUSDT" }))).kind).toBe(FRAME.UNWANTED);
  });
});

describe("names beyond ASCII", () => {
  test("come through the scanner whole", () => {
    const s = "币安人生USDT";
    const frames = [
      { ...trades(trade({ s })), topic: `publicTrade.${s}` },
      book({ s }, { topic: `orderbook.1.${s}` }),
      ticker({ symbol: s, markPrice: "1" }, { topic: `tickers.${s}` }),
      { ...liquidations(liquidation({ s })), topic: `allLiquidation.${s}` },
    ];
    for (const frame of frames) {
      expect(decode(frame)).toMatchObject({
        kind: FRAME.EVENTS,
        rows: [{ symbol: s, instrument: s }],
        fallback: 0,
      });
    }
  });
});

describe("what is not recorded", () => {
  test("known topics are ignored, answers are control, neither is a fallback", () => {
    const topics = [
      "orderbook.50.BTCUSDT",
      "orderbook.200.BTCUSDT",
      "orderbook.500.BTCUSDT",
      "orderbook.1000.BTCUSDT",
      "orderbook.rpi.BTCUSDT",
      "orderbook.full.BTCUSDT",
      "kline.5.BTCUSDT",
      "insurance.USDT",
      "adlAlert.USDT",
      "priceLimit.BTCUSDT",
      "system.status",
      "rfq.open.public.trades",
    ];
    for (const topic of topics) {
      expect(decode({ topic, type: "snapshot", ts: 1, data: {} })).toMatchObject({
        kind: FRAME.IGNORED,
        fallback: 0,
      });
    }
    const answers = [
      { success: true, ret_msg: "", conn_id: "c", req_id: "1", op: "subscribe" },
      { success: false, ret_msg: "error:handler not found,topic:tickers.NO", conn_id: "c", op: "subscribe" },
      { success: true, ret_msg: "pong", conn_id: "c", req_id: "", op: "ping" },
      { op: "pong", args: ["1795170605000"] },
      { success: true, conn_id: "c", data: { failTopics: [], successTopics: [] }, type: "COMMAND_RESP" },
    ];
    for (const answer of answers) expect(decode(answer)).toMatchObject({ kind: FRAME.CONTROL, fallback: 0 });
  });

  test("dead and unknown topics are undecodable and named, shortened; so is what is no frame", () => {
    const ended = "is of a protocol that Bybit has ended";
    for (const [frame, reason] of [
      [{ topic: "trade.BTCUSD", data: [] }, `topic "trade.BTCUSD" ${ended}`],
      [{ topic: "orderBookL2_25.BTCUSD", type: "delta", data: {} }, `topic "orderBookL2_25.BTCUSD" ${ended}`],
      [{ topic: "instrument_info.100ms.BTCUSD", data: {} }, `topic "instrument_info.100ms.BTCUSD" ${ended}`],
      [{ topic: "liquidation.BTCUSDT", data: {} }, `topic "liquidation.BTCUSDT" ${ended}`],
      [{ topic: "publicTrade.", data: [] }, 'unknown topic "publicTrade."'],
      [{ topic: "x".repeat(500) }, `unknown topic "${"x".repeat(80)}"`],
      [{ topic: 7 }, "topic is not text"],
      [{}, "neither a topic nor an answer"],
      [[], "not an object"],
    ] as const) {
      expect(decode(frame)).toMatchObject({ kind: FRAME.UNDECODABLE, rows: [], reason });
    }
    expect(decode("pong").reason).toBe("not JSON");
  });
});
