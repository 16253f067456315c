/** Frames written from the protocol page, each with what it must become. */
import { describe, expect, test } from "bun:test";
import { Collector } from "../../../src/exchanges/decoding/collector.ts";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";
import { okx } from "../../../src/exchanges/okx.ts";
import { type BenchOptions, decodeBoth } from "../decoder-bench.ts";
import { Bench, LOCAL } from "./bench.ts";

const KNOWN = ["BTC-USDT-SWAP", "BTC-USDT", "ETH-USDT-SWAP", "币安人生-USDT-SWAP"];

/** Decodes on both ways, checks that they agree, and answers with the one that scans. */
const decode = (frame: object | string, options: BenchOptions = {}) =>
  decodeBoth(Bench, frame, { known: KNOWN, ...options });

/** A frame of a channel of BTC-USDT-SWAP, or of another instrument. */
const frame = (channel: string, data: readonly object[], instId = "BTC-USDT-SWAP") => ({
  arg: { channel, instId },
  data,
});

const BOOK = {
  asks: [["84120.5", "61.3", "0", "7"]],
  bids: [["84120.4", "411.8", "0", "2"]],
  ts: "1795170600871",
  seqId: 371004512,
};
const TRADE = {
  instId: "BTC-USDT-SWAP",
  tradeId: "8200613",
  px: "84120.5",
  sz: "2.7",
  side: "sell",
  ts: "1795170600911",
  count: "3",
  source: "0",
  seqId: 371004513,
};
const MARK = { instId: "BTC-USDT-SWAP", instType: "SWAP", markPx: "84118.2", ts: "1795170605000" };
const INDEX = {
  instId: "BTC-USDT",
  idxPx: "84131.1",
  open24h: "83000",
  high24h: "84500",
  low24h: "82900.5",
  sodUtc0: "83500",
  sodUtc8: "83400",
  ts: "1795170605100",
};
const INTEREST = {
  instId: "BTC-USDT-SWAP",
  instType: "SWAP",
  oi: "2216113.01",
  oiCcy: "22161.1301",
  oiUsd: "1864204102.61",
  ts: "1795170606000",
};
const FUNDING = {
  formulaType: "withRate",
  fundingRate: "-0.0000125000000000",
  fundingTime: "1795190400000",
  instId: "BTC-USDT-SWAP",
  instType: "SWAP",
  method: "current_period",
  nextFundingRate: "",
  nextFundingTime: "1795219200000",
  settFundingRate: "0.0000310000000000",
  settState: "settled",
  ts: "1795170607000",
};
const DETAIL = {
  bkLoss: "0",
  bkPx: "83702.1",
  ccy: "",
  posSide: "long",
  side: "sell",
  sz: "21.4",
  ts: "1795170600418",
};

function liquidations(...details: object[]) {
  return {
    arg: { channel: "liquidation-orders", instType: "SWAP" },
    data: [{ details, instFamily: "BTC-USDT", instId: "BTC-USDT-SWAP", instType: "SWAP", uly: "BTC-USDT" }],
  };
}

const without = (fields: object, ...names: string[]) =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));

describe("bbo-tbt", () => {
  const row = {
    exchange: "okx",
    stream: "bbo",
    symbol: "BTCUSDT",
    instrument: "BTC-USDT-SWAP",
    timestamp: 1795170600871000,
    published_timestamp: null,
    bid_price: 84120.4,
    bid_amount: 411.8,
    ask_price: 84120.5,
    ask_amount: 61.3,
    update_id: null,
    sequence: 371004512,
  };

  test("gives a bbo row, by the scanner", () => {
    expect(decode(frame("bbo-tbt", [BOOK]))).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 0 });
  });

  test("an empty side is NULL, an absent seqId too; still by the scanner", () => {
    expect(decode(frame("bbo-tbt", [{ ...BOOK, asks: [] }]))).toMatchObject({
      rows: [{ ...row, ask_price: null, ask_amount: null }],
      fallback: 0,
    });
    const bare = without({ ...BOOK, bids: [] }, "seqId");
    expect(decode(frame("bbo-tbt", [bare]))).toMatchObject({
      rows: [{ ...row, bid_price: null, bid_amount: null, sequence: null }],
      fallback: 0,
    });
    expect(decode(frame("bbo-tbt", [{ ...BOOK, asks: [], bids: [] }])).rows).toMatchObject([
      { bid_price: null, ask_price: null },
    ]);
  });

  test("another key order, more levels, several entries: by JSON, in their order", () => {
    const { asks, bids, ts, seqId } = BOOK;
    const deeper = { bids: [...bids, ["84120.3", "1", "0", "1"]], asks, seqId, ts };
    expect(decode(frame("bbo-tbt", [deeper]))).toMatchObject({ rows: [row], fallback: 1 });
    const two = decode(frame("bbo-tbt", [BOOK, { ...BOOK, seqId: 9 }]));
    expect(two.rows.map(({ sequence }) => sequence)).toEqual([371004512, 9]);
  });

  test("a seqId above 2^53 is NULL and counted", () => {
    const text = JSON.stringify(frame("bbo-tbt", [BOOK])).replace("371004512", "9007199254740993");
    expect(decode(text)).toMatchObject({ rows: [{ ...row, sequence: null }], oversized: 1 });
  });

  test("neither side, or sides of another shape, cannot be decoded", () => {
    expect(decode(frame("bbo-tbt", [without(BOOK, "asks", "bids")]))).toMatchObject({
      kind: FRAME.UNDECODABLE,
      reason: "no asks, bids",
    });
    expect(decode(frame("bbo-tbt", [{ ...BOOK, asks: ["84120.5"] }])).reason).toBe(
      "asks is not a list of levels",
    );
    expect(decode(frame("bbo-tbt", [{ ...BOOK, bids: [["x", "1"]] }])).reason).toBe("price is not a decimal");
  });
});

describe("trades", () => {
  const row = {
    stream: "trade",
    symbol: "BTCUSDT",
    instrument: "BTC-USDT-SWAP",
    timestamp: 1795170600911000,
    published_timestamp: null,
    id: "8200613",
    side: "sell",
    price: 84120.5,
    amount: 2.7,
    count: 3,
    first_id: null,
    sequence: 371004513,
    is_block: null,
    is_rpi: false,
  };

  test("gives a trade row, by the scanner; source 1 is RPI, what is absent is NULL", () => {
    expect(decode(frame("trades", [TRADE]))).toMatchObject({ kind: FRAME.EVENTS, rows: [row], fallback: 0 });
    expect(decode(frame("trades", [{ ...TRADE, source: "1", side: "buy" }]))).toMatchObject({
      rows: [{ ...row, is_rpi: true, side: "buy" }],
      fallback: 0,
    });
    expect(decode(frame("trades", [without(TRADE, "count", "source", "seqId")]))).toMatchObject({
      rows: [{ ...row, count: null, is_rpi: null, sequence: null }],
      fallback: 0,
    });
    // Words that do not exist yet lose no trade.
    expect(decode(frame("trades", [{ ...TRADE, source: "2" }])).rows).toMatchObject([
      { ...row, is_rpi: null },
    ]);
    expect(decode(frame("trades", [{ ...TRADE, count: "", source: "", side: "" }])).rows).toMatchObject([
      { ...row, count: null, is_rpi: null, side: null },
    ]);
  });

  test("several entries keep their order, by the scanner", () => {
    const many = Array.from({ length: 5 }, (_, i) => ({
      ...TRADE,
      tradeId: String(8200613 + 3 * i),
      px: `${84120 - i}`,
    }));
    const { rows, fallback } = decode(frame("trades", many));
    expect(rows.map(({ id, price }) => [id, price])).toEqual(
      many.map(({ tradeId, px }) => [tradeId, Number(px)]),
    );
    expect(fallback).toBe(0);
  });

  test("one bad entry takes the whole frame back", () => {
    for (const bad of [
      { ...TRADE, px: "none" },
      without(TRADE, "sz"),
      { ...TRADE, side: "SELL" },
      { ...TRADE, ts: "-1" },
    ]) {
      const decoded = decode(frame("trades", [TRADE, TRADE, bad]));
      expect(decoded).toMatchObject({ kind: FRAME.UNDECODABLE, rows: [] });
      expect(decoded.reason).toMatch(
        /^(px is not a decimal|trade without px or sz|side is neither|ts is not a time)/,
      );
    }
    const { rows, fallback } = decode(frame("trades", [TRADE, { ...TRADE, count: "" }]));
    expect([rows.length, fallback]).toEqual([2, 1]);
  });

  test("where trades are not wanted, a frame that only JSON reads takes back no row of the frames before it", () => {
    const symbols = new SymbolTable({ open: true });
    const collector = new Collector(okx, symbols);
    const { bbo } = collector.writers;
    const counters = { fallback: 0, inexact: 0, oversized: 0 };
    const decoder = okx.createDecoder({ symbols, writers: { ...(bbo && { bbo }) }, counters });
    const kindOf = (one: object) => decoder.decode(new TextEncoder().encode(JSON.stringify(one)), LOCAL, 7);
    const quote = frame("bbo-tbt", [BOOK]);
    expect([kindOf(quote), kindOf(quote)]).toEqual([FRAME.EVENTS, FRAME.EVENTS]);
    expect(kindOf(frame("trades", [TRADE, { ...TRADE, count: "" }]))).toBe(FRAME.UNWANTED);
    expect(collector.take()).toHaveLength(2);
  });

  test("ids stay whole: 9007199254740993 of a spot trade, and ones with 48 characters", () => {
    const long = "123456789012345678901234567890123456789012345678";
    for (const tradeId of ["9007199254740993", long, "0012", "a-b"]) {
      const { rows } = decode(frame("trades", [{ ...TRADE, instId: "BTC-USDT", tradeId }], "BTC-USDT"));
      expect(rows).toMatchObject([{ id: tradeId, instrument: "BTC-USDT", symbol: "BTCUSDT" }]);
    }
    const longer = decode(frame("trades", [TRADE, { ...TRADE, tradeId: `${long}9` }]));
    expect(longer).toMatchObject({ kind: FRAME.UNDECODABLE, reason: "tradeId is too long", rows: [] });
  });

  test("trades-all is the same, of one fill each", () => {
    const fill = without(TRADE, "count", "source", "seqId");
    const decoded = decode(frame("trades-all", [fill]));
    expect(decoded).toMatchObject({
      kind: FRAME.EVENTS,
      rows: [{ ...row, count: null, is_rpi: null, sequence: null }],
    });
    expect(decoded.fallback).toBe(0);
  });

  test("a jump by id and count is a gap with the missing ids; an aggregated trade is none", () => {
    for (const scanners of [true, false]) {
      const bench = new Bench({ known: KNOWN, scanners });
      const send = (local: number, ...trades: (readonly [id: number, count?: number])[]) =>
        bench.decode(
          JSON.stringify(
            frame(
              "trades",
              trades.map(([id, count]) => ({ ...TRADE, tradeId: String(id), count: count?.toString() })),
            ),
          ),
          { local },
        );
      send(1000, [100, 1]);
      send(2000, [126, 26]);
      send(3000, [127, 1], [130, 3]);
      expect(bench.gaps).toEqual([]);
      // 131 to 134 are missing: 140 stands for 135 to 140.
      send(4000, [140, 6]);
      expect(bench.gaps).toEqual([
        { kind: "missing", symbol: 0, from: 3000, to: 4000, firstId: 131, lastId: 134 },
      ]);
      // A resend, and a trade that does not say for how many it stands.
      send(5000, [126, 26]);
      send(6000, [150]);
      expect(bench.gaps.length).toBe(1);
      // A frame that is taken back was not followed.
      bench.decode(
        JSON.stringify(
          frame("trades", [
            { ...TRADE, tradeId: "200", count: "1" },
            { ...TRADE, px: "" },
          ]),
        ),
      );
      send(7000, [141, 1]);
      expect(bench.gaps.length).toBe(1);
    }
  });
});

describe("prices, funding, open interest", () => {
  test("mark-price and index-tickers give a row each with only their own price, by the scanner", () => {
    const nothing = { published_timestamp: null, settlement_price: null, average_price: null };
    expect(decode(frame("mark-price", [MARK]))).toMatchObject({
      rows: [
        {
          ...nothing,
          stream: "mark_price",
          symbol: "BTCUSDT",
          instrument: "BTC-USDT-SWAP",
          timestamp: 1795170605000000,
          mark_price: 84118.2,
          index_price: null,
        },
      ],
      fallback: 0,
    });
    expect(decode(frame("index-tickers", [INDEX], "BTC-USDT"))).toMatchObject({
      rows: [
        {
          ...nothing,
          stream: "mark_price",
          symbol: "BTCUSDT",
          instrument: "BTC-USDT",
          timestamp: 1795170605100000,
          mark_price: null,
          index_price: 84131.1,
        },
      ],
      fallback: 0,
    });
  });

  test("open-interest, with and without oiUsd, by the scanner", () => {
    const row = {
      stream: "open_interest",
      timestamp: 1795170606000000,
      open_interest: 2216113.01,
      open_interest_base: 22161.1301,
      open_interest_value: 1864204102.61,
      open_interest_single: null,
    };
    expect(decode(frame("open-interest", [INTEREST]))).toMatchObject({ rows: [row], fallback: 0 });
    expect(decode(frame("open-interest", [without(INTEREST, "oiUsd")]))).toMatchObject({
      rows: [{ ...row, open_interest_value: null }],
      fallback: 0,
    });
  });

  test("funding-rate: the settlement that comes is fundingTime; what is empty is NULL", () => {
    const row = {
      stream: "funding",
      timestamp: 1795170607000000,
      funding_rate: -0.0000125,
      next_funding_timestamp: 1795190400000000,
      funding_interval_hours: null,
      predicted_funding_rate: null,
      settled_funding_rate: 0.000031,
    };
    // No scanner, so no fallback either.
    expect(decode(frame("funding-rate", [FUNDING]))).toMatchObject({ rows: [row], fallback: 0 });
    const old = without({ ...FUNDING, nextFundingRate: "0.0001" }, "ts", "fundingRate", "settFundingRate");
    expect(decode(frame("funding-rate", [old])).rows).toMatchObject([
      {
        ...row,
        timestamp: null,
        funding_rate: null,
        predicted_funding_rate: 0.0001,
        settled_funding_rate: null,
      },
    ]);
  });

  test("a frame whose values are all empty has no row; one of another shape cannot be decoded", () => {
    const cases = [
      ["mark-price", MARK, ["markPx"]],
      ["index-tickers", INDEX, ["idxPx"]],
      ["open-interest", INTEREST, ["oi", "oiCcy", "oiUsd"]],
      ["funding-rate", FUNDING, ["fundingRate", "fundingTime", "nextFundingRate", "settFundingRate"]],
    ] as const;
    for (const [channel, fields, names] of cases) {
      const empty = { ...fields, ...Object.fromEntries(names.map((name) => [name, ""])) };
      expect(decode(frame(channel, [empty], fields.instId))).toMatchObject({ kind: FRAME.IGNORED, rows: [] });
      expect(decode(frame(channel, [without(fields, ...names)], fields.instId))).toMatchObject({
        kind: FRAME.UNDECODABLE,
        reason: `no ${names.join(", ")}`,
      });
    }
  });

  test("digits that a double does not hold are counted", () => {
    const decoded = decode(frame("open-interest", [{ ...INTEREST, oi: "2216113.01000000309" }]));
    expect(decoded).toMatchObject({
      rows: [{ open_interest: Number("2216113.01000000309") }],
      inexact: 1,
      fallback: 0,
    });
    const ignored = decode(
      frame("index-tickers", [{ ...INDEX, open24h: "2216113.01000000309" }], "BTC-USDT"),
    );
    expect(ignored).toMatchObject({ kind: FRAME.EVENTS, inexact: 0, fallback: 0 });
  });
});

describe("liquidation-orders", () => {
  const row = {
    stream: "liquidation",
    symbol: "BTCUSDT",
    instrument: "BTC-USDT-SWAP",
    timestamp: 1795170600418000,
    side: "sell",
    price: 83702.1,
    amount: 21.4,
    average_price: null,
    filled_amount: null,
  };

  test("one row per detail, in their order; no scanner, so no fallback", () => {
    const decoded = decode(liquidations(DETAIL, { ...DETAIL, side: "buy", posSide: "short", sz: "3" }));
    expect(decoded).toMatchObject({
      kind: FRAME.EVENTS,
      rows: [row, { ...row, side: "buy", amount: 3 }],
      fallback: 0,
    });
  });

  test("without a side the position tells: a long is closed by a sell; net tells nothing", () => {
    const sides = [
      { side: "", posSide: "long" },
      { side: "", posSide: "short" },
      { side: "", posSide: "net" },
      { side: "buy", posSide: "net" },
    ].map((change) => ({ ...DETAIL, ...change }));
    expect(decode(liquidations(...sides)).rows.map(({ side }) => side)).toEqual(["sell", "buy", null, "buy"]);
  });

  /** What `is_history` says in the rows of a frame of a connection. */
  const told = (bench: Bench, connection: number, frame: object, local = LOCAL) =>
    bench.decode(JSON.stringify(frame), { connection, local }).rows.map(({ is_history }) => is_history);

  test("the first push of each connection is history, all of it, fresh or old, whenever it was received", () => {
    const old = { ...DETAIL, ts: "1700000000000" };
    const fresh = { ...DETAIL, ts: String(Math.floor(LOCAL / 1000)) };
    const ways = [LOCAL, LOCAL + 86_400_000_000, 0].map((local) => {
      const bench = new Bench({ known: KNOWN });
      return [
        told(bench, 1, liquidations(fresh, old, without(DETAIL, "ts")), local),
        told(bench, 1, liquidations(old, fresh), local),
        told(bench, 2, liquidations(fresh), local),
        told(bench, 1, liquidations(fresh), local),
        told(bench, 2, liquidations(old), local),
      ];
    });
    for (const way of ways)
      expect(way).toEqual([[true, true, true], [false, false], [true], [false], [false]]);
  });

  test("a push without details is not the history that is to come", () => {
    const bench = new Bench({ known: KNOWN });
    const { arg, data } = liquidations(DETAIL);
    expect(told(bench, 1, { arg, data: [] })).toEqual([]);
    expect(told(bench, 1, { arg, data: [{ ...data[0], details: [] }] })).toEqual([]);
    expect(told(bench, 1, { arg, data: [{ ...data[0], details: [] }, ...data] })).toEqual([true]);
    expect(told(bench, 1, { arg, data: [] })).toEqual([]);
    expect(told(bench, 1, liquidations(DETAIL))).toEqual([false]);
  });

  test("each kind of instrument is a subscription of its own", () => {
    const bench = new Bench({ known: KNOWN });
    const { data } = liquidations(DETAIL);
    const push = (instType: string) => ({ arg: { channel: "liquidation-orders", instType }, data });
    const seen = ["SWAP", "FUTURES", "SWAP", "FUTURES"].map((type) => told(bench, 1, push(type)));
    expect(seen).toEqual([[true], [true], [false], [false]]);
  });

  test("an ack begins a subscription: asked for again, or of a later run whose connections count from 0 again", () => {
    const bench = new Bench({ known: KNOWN });
    const answer = (event: string, channel: string, instType: string) => {
      const text = JSON.stringify({ id: "1", event, arg: { channel, instType }, connId: "a4d3ae55" });
      expect(bench.decode(text, { connection: 1 }).kind).toBe(FRAME.CONTROL);
    };
    answer("subscribe", "liquidation-orders", "SWAP");
    expect(told(bench, 1, liquidations(DETAIL))).toEqual([true]);
    // None of these is about it.
    answer("subscribe", "instruments", "SWAP");
    answer("subscribe", "liquidation-orders", "FUTURES");
    answer("unsubscribe", "liquidation-orders", "SWAP");
    expect(told(bench, 1, liquidations(DETAIL))).toEqual([false]);
    expect(told(bench, 2, liquidations(DETAIL))).toEqual([true]);
    answer("subscribe", "liquidation-orders", "SWAP");
    expect(told(bench, 2, liquidations(DETAIL))).toEqual([false]);
    expect(told(bench, 1, liquidations(DETAIL))).toEqual([true]);
    expect(told(bench, 1, liquidations(DETAIL))).toEqual([false]);
  });

  test("a first frame about what was not asked for is the first all the same", () => {
    const bench = new Bench({ known: KNOWN });
    const other = JSON.stringify(liquidations(DETAIL)).replaceAll("BTC-USDT", "NEW-USDT");
    expect(bench.decode(other).kind).toBe(FRAME.UNWANTED);
    expect(bench.decode(JSON.stringify(liquidations({ ...DETAIL, ts: "1700000000000" }))).rows).toMatchObject(
      [{ is_history: false }],
    );
  });

  test("the memory of connections is bounded, and those that are heard stay in it", () => {
    const bench = new Bench({ known: KNOWN });
    const old = JSON.stringify(liquidations({ ...DETAIL, ts: "1700000000000" }));
    const history = (connection: number) => bench.decode(old, { connection }).rows[0]?.is_history;
    expect(history(0)).toBe(true);
    for (let connection = 1; connection < 3000; connection++) {
      expect(history(connection)).toBe(true);
      if (connection % 500 === 0) expect(history(0)).toBe(false);
    }
    expect(history(1)).toBe(true);
    expect(history(0)).toBe(false);
  });

  test("of many instruments only the wanted ones", () => {
    const { arg, data } = liquidations(DETAIL);
    const other = { ...data[0], instId: "XRP-USD-SWAP" };
    expect(decode({ arg, data: [other, ...data, other] })).toMatchObject({ kind: FRAME.EVENTS, rows: [row] });
    expect(decode({ arg, data: [other] }).kind).toBe(FRAME.UNWANTED);
    expect(decode({ arg, data: [] }).kind).toBe(FRAME.IGNORED);
    expect(decode({ arg, data: [{ instId: "BTC-USDT-SWAP" }] }).reason).toBe("details is not a list");
  });
});

describe("what is not recorded", () => {
  test("answers, also the one that is not JSON", () => {
    const answers = [
      "pong",
      '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"connId":"a4d3ae55"}',
      '{"id":"1","event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"connId":"a4d3ae55"}',
      '{"event":"error","msg":"Requests too frequent","code":"60014","connId":"a4d3ae55"}',
      '{"event":"notice","code":"64008","msg":"The connection will soon be closed.","connId":"a4d3ae55"}',
      '{"event":"channel-conn-count","channel":"trades","connCount":"2","connId":"a4d3ae55"}',
      '{"event":"channel-conn-count-error","channel":"trades","connCount":"31","connId":"a4d3ae55"}',
      '{"event":"login","code":"0","msg":"","connId":"a4d3ae55"}',
    ];
    for (const answer of answers) expect(decode(answer)).toMatchObject({ kind: FRAME.CONTROL, rows: [] });
  });

  test("changes of instruments", () => {
    const change = {
      arg: { channel: "instruments", instType: "SWAP" },
      data: [{ instId: "NEW-USDT-SWAP", ctVal: "" }],
    };
    expect(decode(change).kind).toBe(FRAME.INSTRUMENTS);
  });

  test("channels that are known and not recorded", () => {
    const channels = [
      "books",
      "books5",
      "books50-l2-tbt",
      "books-l2-tbt",
      "books-rpi",
      "tickers",
      "candle1m",
    ];
    channels.push(
      "index-candle1D",
      "mark-price-candle3Mutc",
      "price-limit",
      "estimated-price",
      "opt-summary",
    );
    channels.push("status", "adl-warning", "economic-calendar");
    for (const channel of channels)
      expect([channel, decode(frame(channel, [BOOK])).kind]).toEqual([channel, FRAME.IGNORED]);
  });

  test("instruments and streams that were not asked for", () => {
    expect(decode(frame("trades", [{ ...TRADE, instId: "XRP-USDT-SWAP" }], "XRP-USDT-SWAP")).kind).toBe(
      FRAME.UNWANTED,
    );
    for (const [channel, entry] of [
      ["bbo-tbt", BOOK],
      ["trades", TRADE],
      ["mark-price", MARK],
      ["open-interest", INTEREST],
      ["funding-rate", FUNDING],
    ] as const) {
      expect(decode(frame(channel, [entry]), { streams: ["liquidation"] })).toMatchObject({
        kind: FRAME.UNWANTED,
        rows: [],
      });
    }
  });

  test("anything else cannot be decoded, and says why", () => {
    const cases: readonly (readonly [object | string, string])[] = [
      ["", "not JSON"],
      ["ping", "not JSON"],
      ["pongo", "not JSON"],
      ["[]", "not an object"],
      ["{}", "neither event nor arg"],
      [{ event: "explode" }, 'unknown event "explode"'],
      [{ event: 1 }, "unknown event 1"],
      [{ arg: {}, data: [] }, "channel is missing or not text"],
      [frame("trade", [TRADE]), 'unknown channel "trade"'],
      [{ arg: { channel: "trades", instId: "BTC-USDT-SWAP" } }, "data is not a list"],
      [{ arg: { channel: "trades", instId: "BTC-USDT-SWAP" }, data: ["x"] }, "an entry is not an object"],
      [{ arg: { channel: "bbo-tbt" }, data: [BOOK] }, "instId is missing or not text"],
      [frame("trades", [{ ...TRADE, count: "1.5" }]), "count is not a whole number"],
      // Bybit's retired v2 protocol.
      ['{"topic":"trade.BTCUSD","data":[{"price":8098}]}', "neither event nor arg"],
    ];
    for (const [text, reason] of cases)
      expect(decode(text)).toMatchObject({ kind: FRAME.UNDECODABLE, reason, rows: [] });
    const bad = new Bench({ known: KNOWN });
    const bytes = new TextEncoder().encode(JSON.stringify(frame("trades", [TRADE])));
    bytes[bytes.length - 20] = 0xff;
    expect(bad.decode(bytes).kind).toBe(FRAME.UNDECODABLE);
    expect(bad.reason).toBe("not valid UTF-8");
  });
});

test("instruments of every kind of contract, and in CJK characters, decode under their own id", () => {
  const symbols = {
    "币安人生-USDT-SWAP": "币安人生USDT",
    "BTC-USD-SWAP": "BTCUSD",
    "BTC-USDT-240329": "BTCUSDT_240329",
    "BTC-USD_UM_XPERP-310404": "BTCUSD_UM_XPERP_310404",
    "CRV-USDT": "CRVUSDT",
  };
  for (const [instrument, symbol] of Object.entries(symbols)) {
    const bench = new Bench();
    const text = JSON.stringify(frame("trades", [{ ...TRADE, instId: instrument }], instrument));
    for (const fallback of [1, 1]) {
      expect(bench.decode(text).rows).toMatchObject([{ instrument, symbol }]);
      expect(bench.counters.fallback).toBe(fallback);
    }
  }
});
