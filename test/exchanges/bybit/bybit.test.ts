/** How Bybit is asked and what it answers: subscriptions, acks, instruments, symbols. */
import { describe, expect, test } from "bun:test";
import { STREAMS } from "../../../src/events/streams.ts";
import { priceMultiplier } from "../../../src/exchanges/bybit/instruments.ts";
import { bybit } from "../../../src/exchanges/bybit.ts";
import { RestError } from "../../../src/exchanges/rest.ts";
import { answered } from "../../lib/rest.ts";

const answerOf = (answer: object) => bybit.answerOf(Buffer.from(JSON.stringify(answer)));

test("subscriptions: one ticker for three streams, all on one route", () => {
  const found = bybit.subscriptions(
    ["trade", "bbo", "funding", "mark_price", "open_interest"],
    [{ instrument: "BTCUSDT" }, { instrument: "龙虾USDT" }],
  );
  expect(found.map(({ channel }) => channel)).toEqual([
    "publicTrade.BTCUSDT",
    "publicTrade.龙虾USDT",
    "orderbook.1.BTCUSDT",
    "orderbook.1.龙虾USDT",
    "tickers.BTCUSDT",
    "tickers.龙虾USDT",
  ]);
  expect(new Set(found.map(({ route }) => bybit.connectionUrl("ws://host:1", route)))).toEqual(
    new Set(["ws://host:1/v5/public/linear"]),
  );
  expect(bybit.subscriptions(bybit.streams, [{ instrument: "BTCUSDT" }]).length).toBe(4);
});

test("messages", () => {
  expect(bybit.subscribeMessage(["tickers.BTCUSDT"], 7)).toBe(
    '{"op":"subscribe","req_id":"7","args":["tickers.BTCUSDT"]}',
  );
  expect(bybit.unsubscribeMessage(["tickers.BTCUSDT"], 8)).toBe(
    '{"op":"unsubscribe","req_id":"8","args":["tickers.BTCUSDT"]}',
  );
  expect(bybit.keepalive).toEqual({ interval: 20_000, message: '{"op":"ping"}' });
});

test("answers", () => {
  const ack = { success: true, ret_msg: "", conn_id: "c", req_id: "12", op: "subscribe" };
  expect(answerOf(ack)).toEqual({ id: 12, channels: [], error: null });
  expect(answerOf({ ...ack, ret_msg: "subscribe", req_id: "" })).toEqual({
    id: null,
    channels: [],
    error: null,
  });
  const bad = "error:handler not found,topic:allLiquidation.NOPEUSDT";
  const named = { channels: ["allLiquidation.NOPEUSDT"], error: bad };
  expect(answerOf({ ...ack, success: false, ret_msg: bad })).toEqual({ id: 12, ...named });
  // Without a number, as it was seen too.
  expect(answerOf({ success: false, ret_msg: bad, op: "subscribe" })).toEqual({ id: null, ...named });
  expect(answerOf({ ...ack, success: false, ret_msg: "error:invalid op" })).toEqual({
    id: 12,
    channels: [],
    error: "error:invalid op",
  });
  // A pong is no answer to a subscription, whatever number it carries.
  for (const op of ["ping", "pong"]) {
    expect(answerOf({ ...ack, op, ret_msg: "pong" })).toEqual({ id: null, channels: [], error: null });
  }
  const option = (data: object) => ({ success: true, conn_id: "c", data, type: "COMMAND_RESP" });
  expect(answerOf(option({ failTopics: [], successTopics: ["a"] }))).toEqual({
    id: null,
    channels: ["a"],
    error: null,
  });
  expect(answerOf(option({ failTopics: ["b"], successTopics: ["a"] }))).toMatchObject({ channels: ["b"] });
  expect(answerOf(option([]))).toEqual({ id: null, channels: [], error: null });
  expect(answerOf([])).toMatchObject({ id: null, channels: [] });
});

test("symbols", () => {
  for (const [instrument, symbol] of [
    ["BTCUSDT", "BTCUSDT"],
    ["1000PEPEUSDT", "1000PEPEUSDT"],
    ["BTCPERP", "BTCPERP"],
    ["BTCUSD", "BTCUSD"],
    ["币安人生USDT", "币安人生USDT"],
    ["BTCUSDT-27DEC24", "BTCUSDT_241227"],
    ["ETHUSDT-3JAN25", "ETHUSDT_250103"],
    ["BTC-6JAN23-17500-C", "BTC-6JAN23-17500-C"],
  ] as const) {
    expect(bybit.normalizeSymbol(instrument)).toBe(symbol);
  }
  for (const [instrument, multiplier] of [
    ["BTCUSDT", 1],
    ["1INCHUSDT", 1],
    ["1000PEPEUSDT", 1000],
    ["10000SATSUSDT", 10_000],
    ["1000000MOGUSDT", 1_000_000],
    ["SHIB1000USDT", 1000],
    ["BTCUSDT-27DEC24", 1],
    ["100USDT", 1],
  ] as const) {
    expect([instrument, priceMultiplier(instrument, "USDT")]).toEqual([instrument, multiplier]);
  }
  expect(priceMultiplier("1000PEPEPERP", "USDC")).toBe(1000);
});

test("a source for every column", () => {
  expect(Object.keys(bybit.sources).sort()).toEqual([...bybit.streams].sort());
  for (const stream of bybit.streams) {
    const wanted = ["timestamp", "published_timestamp", ...STREAMS[stream].map(({ name }) => name)];
    expect(Object.keys(bybit.sources[stream]?.columns ?? {})).toEqual(wanted);
  }
});

const entry = (change: object = {}) => ({
  symbol: "1000PEPEUSDT",
  contractType: "LinearPerpetual",
  status: "Trading",
  baseCoin: "1000PEPE",
  quoteCoin: "USDT",
  settleCoin: "USDT",
  launchTime: "1683216000000",
  deliveryTime: "0",
  priceFilter: { minPrice: "0.0000001", tickSize: "0.0000001" },
  lotSizeFilter: { qtyStep: "100" },
  fundingInterval: 480,
  ...change,
});
const answer = (list: unknown, nextPageCursor = "") => ({
  retCode: 0,
  retMsg: "OK",
  result: { category: "linear", list, nextPageCursor },
  retExtInfo: {},
  time: 1795170605000,
});

describe("instruments", () => {
  test("are read with what is known of them, the raw answer untouched", async () => {
    const [found] = await bybit.fetchInstruments(async () => answered(answer([entry()])));
    expect(found).toEqual({
      instrument: "1000PEPEUSDT",
      symbol: "1000PEPEUSDT",
      index: null,
      base: "1000PEPE",
      quote: "USDT",
      settle: "USDT",
      contractType: "LinearPerpetual",
      contractSize: 1,
      contractMultiplier: 1,
      priceMultiplier: 1000,
      tickSize: 0.0000001,
      lotSize: 100,
      status: "Trading",
      listed: 1683216000000000,
      delisting: null,
      raw: JSON.stringify(entry()),
      recordable: true,
    });
  });

  test("recordable is a perpetual settled in USDT that trades", async () => {
    const others = [
      entry({ contractType: "LinearFutures", symbol: "BTCUSDT-27DEC24", deliveryTime: "1735286400000" }),
      entry({ settleCoin: "USDC", symbol: "BTCPERP" }),
      entry({ status: "PreLaunch" }),
      { symbol: "BARE", status: "Trading" },
    ];
    const found = await bybit.fetchInstruments(async () => answered(answer(others)));
    expect(found.map(({ recordable }) => recordable)).toEqual([false, false, false, false]);
    expect(found[0]).toMatchObject({ symbol: "BTCUSDT_241227", delisting: 1735286400000000 });
    expect(found[3]).toMatchObject({
      base: null,
      tickSize: null,
      lotSize: null,
      listed: null,
      delisting: null,
    });
  });

  test("an odd field is NULL and told, the instrument is listed; one whose id, kind, state or coin is odd is not", async () => {
    const told: unknown[] = [];
    const odd = entry({
      priceFilter: { tickSize: 0.1 },
      lotSizeFilter: [],
      launchTime: "soon",
      quoteCoin: null,
      extra: [{}],
    });
    const keys = ["symbol", "contractType", "status", "settleCoin"].map((key) => entry({ [key]: 7 }));
    const list = [odd, entry({ symbol: "BTCUSDT", baseCoin: {} }), ...keys];
    const found = await bybit.fetchInstruments(
      async () => answered(answer(list)),
      (...args) => told.push(args),
    );
    expect(found).toMatchObject([
      { tickSize: null, lotSize: null, listed: null, quote: null, priceMultiplier: 1000, recordable: true },
      { symbol: "BTCUSDT", base: null, tickSize: 0.0000001, lotSize: 100, recordable: true },
    ]);
    expect(found[0]?.raw).toBe(JSON.stringify(odd));
    expect(told).toEqual([
      ["entries", 4, expect.stringContaining("symbol")],
      ["fields", 4, expect.stringMatching(/^1000PEPEUSDT: .*launchTime/)],
    ]);
  });

  test("a page with nothing on it but an odd entry does not hide the other pages", async () => {
    const told: unknown[] = [];
    const pages = [answer([entry()], "next"), answer([{ symbol: 7 }])];
    const found = await bybit.fetchInstruments(
      async () => answered(pages.shift()),
      (...args) => told.push(args),
    );
    expect(found.map(({ symbol }) => symbol)).toEqual(["1000PEPEUSDT"]);
    expect(told).toEqual([["entries", 1, expect.any(String)]]);
  });

  test("page after page, each cursor as it was given", async () => {
    const asked: string[] = [];
    const pages = ["first%3DA%26last%3DB", "first=C&last=龙", ""];
    const found = await bybit.fetchInstruments(async (path) => {
      asked.push(path);
      return answered(answer([entry({ symbol: `P${asked.length}USDT` })], pages[asked.length - 1]));
    });
    expect(found.map(({ instrument }) => instrument)).toEqual(["P1USDT", "P2USDT", "P3USDT"]);
    const path = "/v5/market/instruments-info?category=linear&limit=1000";
    expect(asked).toEqual([
      path,
      `${path}&cursor=first%3DA%26last%3DB`,
      `${path}&cursor=${encodeURIComponent("first=C&last=龙")}`,
    ]);
  });

  test("a list without end, a refusal and a wrong shape are errors that say so", async () => {
    let page = 0;
    expect(bybit.fetchInstruments(async () => answered(answer([], `c${++page}`)))).rejects.toThrow(
      "more than 50 pages",
    );
    expect(bybit.fetchInstruments(async () => answered(answer([], "again")))).rejects.toThrow(
      "cursor of an earlier page",
    );
    const refused = { retCode: 10006, retMsg: "Too many visits!", result: {}, time: 1 };
    const error: unknown = await bybit
      .fetchInstruments(async () => answered(refused))
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RestError);
    expect(error).toMatchObject({
      message: expect.stringContaining("Too many visits! (retCode 10006)"),
      retryAfter: 5000,
    });
    const other = { ...refused, retCode: 10001, retMsg: "params error" };
    expect(bybit.fetchInstruments(async () => answered(other))).rejects.not.toBeInstanceOf(RestError);
    for (const wrong of [
      {},
      null,
      answer({}),
      answer([entry({ symbol: 7 })]),
      { retCode: 0, retMsg: "OK" },
    ]) {
      expect(bybit.fetchInstruments(async () => answered(wrong))).rejects.toThrow("unexpected shape");
    }
    expect(
      bybit.fetchInstruments(async () => {
        throw new Error("HTTP 403");
      }),
    ).rejects.toThrow("HTTP 403");
  });
});
