/** What OKX is beside its frames: instruments, channels, messages, answers. */
import { describe, expect, test } from "bun:test";
import { STREAM_NAMES } from "../../../src/events/streams.ts";
import type { Skipped } from "../../../src/exchanges/decoding/entries.ts";
import { parseFrame } from "../../../src/exchanges/decoding/json.ts";
import { okx } from "../../../src/exchanges/okx.ts";
import { FIXTURES_NOTE, fixtureLines, HAVE_FIXTURES } from "../../lib/fixtures.ts";
import { answered } from "../../lib/rest.ts";

const encoder = new TextEncoder();
const answer = (text: string) => okx.answerOf(encoder.encode(text));

/** An entry of the list of instruments. */
const SWAP = {
  alias: "",
  baseCcy: "",
  ctMult: "1",
  ctType: "linear",
  ctVal: "0.01",
  ctValCcy: "BTC",
  expTime: "",
  instFamily: "BTC-USDT",
  instId: "BTC-USDT-SWAP",
  instIdCode: 10459,
  instType: "SWAP",
  listTime: "1573557408000",
  lotSz: "0.01",
  minSz: "0.01",
  quoteCcy: "",
  settleCcy: "USDT",
  state: "live",
  tickSz: "0.1",
  tradeQuoteCcyList: [],
  uly: "BTC-USDT",
};
/** A listing to come, as it is announced: ids and a state, all else empty. */
const EMPTY = { ...Object.fromEntries(Object.keys(SWAP).map((key) => [key, ""])), instId: "NEW-USDT-SWAP" };

const fetched = (data: readonly object[], code = "0", msg = "", skipped?: Skipped) =>
  okx.fetchInstruments(async (path) => {
    expect(path).toBe("/api/v5/public/instruments?instType=SWAP");
    return answered({ code, data, msg });
  }, skipped);

describe("instruments", () => {
  test("a swap with all that is said of it", async () => {
    expect(await fetched([SWAP])).toEqual([
      {
        instrument: "BTC-USDT-SWAP",
        symbol: "BTCUSDT",
        index: "BTC-USDT",
        base: "BTC",
        quote: "USDT",
        settle: "USDT",
        contractType: "linear",
        contractSize: 0.01,
        contractMultiplier: 1,
        priceMultiplier: 1,
        tickSize: 0.1,
        lotSize: 0.01,
        status: "live",
        listed: 1573557408000000,
        delisting: null,
        raw: JSON.stringify(SWAP),
        recordable: true,
      },
    ]);
  });

  test("only linear USDT swaps that are live are recorded; all are listed", async () => {
    const change = (fields: object) => ({ ...SWAP, ...fields });
    const list = await fetched([
      SWAP,
      change({ instId: "BTC-USD-SWAP", ctType: "inverse", ctVal: "100", ctValCcy: "USD", settleCcy: "BTC" }),
      change({ instId: "BTC-USDC-SWAP", settleCcy: "USDC" }),
      change({ instId: "OLD-USDT-SWAP", state: "suspend", expTime: "1795190400000" }),
      change({ instId: "SOON-USDT-SWAP", state: "preopen" }),
    ]);
    expect(list.filter(({ recordable }) => recordable).map(({ instrument }) => instrument)).toEqual([
      "BTC-USDT-SWAP",
    ]);
    expect(list.map(({ contractSize }) => contractSize)).toEqual([0.01, 100, 0.01, 0.01, 0.01]);
    expect(list[3]).toMatchObject({ status: "suspend", delisting: 1795190400000000 });
  });

  test("a new listing with empty or missing fields is listed and does no harm", async () => {
    const bare = { instId: "1000PEPE-USDT-SWAP", state: "preopen" };
    const list = await fetched([EMPTY, SWAP, bare, { ...EMPTY, instId: "" }]);
    expect(list.map(({ instrument, recordable }) => [instrument, recordable])).toEqual([
      ["NEW-USDT-SWAP", false],
      ["BTC-USDT-SWAP", true],
      ["1000PEPE-USDT-SWAP", false],
    ]);
    const nothing = { settle: null, contractType: null, contractSize: null, tickSize: null, listed: null };
    expect(list[0]).toMatchObject({
      ...nothing,
      base: "NEW",
      quote: "USDT",
      status: "",
      index: null,
      raw: JSON.stringify(EMPTY),
    });
    expect(list[2]).toMatchObject({
      ...nothing,
      symbol: "1000PEPEUSDT",
      base: "1000PEPE",
      priceMultiplier: 1000,
    });
  });

  test("an odd field is NULL and told, the swap is listed; one whose id, state, kind or coin is odd is not", async () => {
    const told: unknown[] = [];
    const odd = { ...SWAP, tickSz: 0.1, listTime: "soon", uly: ["BTC-USDT"], ctVal: {}, extra: { a: 1 } };
    const keys = ["instId", "state", "ctType", "settleCcy"].map((key) => ({ ...SWAP, [key]: 7 }));
    const list = await fetched([odd, ...keys], "0", "", (...args) => told.push(args));
    const nothing = { tickSize: null, listed: null, index: null, contractSize: null };
    expect(list).toMatchObject([
      { ...nothing, base: "BTC", lotSize: 0.01, status: "live", recordable: true },
    ]);
    expect(list[0]?.raw).toBe(JSON.stringify(odd));
    expect(okx.companions(list[0] ?? { instrument: "" })).toEqual(["BTC-USDT"]);
    expect(told).toEqual([
      ["entries", 4, expect.stringContaining("instId")],
      ["fields", 4, expect.stringMatching(/^BTC-USDT-SWAP: .*tickSz/)],
    ]);
  });

  test("an error is told in OKX's words, an unexpected shape by its place", async () => {
    await expect(fetched([], "50011", "Too Many Requests")).rejects.toThrow(
      /instruments.*Too Many Requests.*50011/,
    );
    await expect(fetched([{ ...SWAP, instId: 1 }])).rejects.toThrow(
      /instruments.*unexpected shape(?:.|\n)*instId/,
    );
    await expect(okx.fetchInstruments(async () => answered([]))).rejects.toThrow("unexpected shape");
    await expect(okx.fetchInstruments(async () => answered({ code: "0", msg: "" }))).rejects.toThrow(
      "unexpected shape",
    );
  });

  test.skipIf(!HAVE_FIXTURES)(`a recorded answer${FIXTURES_NOTE}`, async () => {
    const line = fixtureLines("okx/rest.jsonl").find((text) => text.includes("/public/instruments"));
    const { body } = JSON.parse(line ?? "{}") as { body: unknown };
    const list = await okx.fetchInstruments(async () => answered(body));
    expect(list.map(({ symbol, recordable }) => [symbol, recordable])).toEqual([
      ["BTCUSD", false],
      ["ETHUSDT", true],
      ["BTCUSDT", true],
    ]);
    expect(list[1]).toMatchObject({
      base: "ETH",
      quote: "USDT",
      contractSize: 0.1,
      lotSize: 0.01,
      tickSize: 0.01,
    });
    expect(list[0]).toMatchObject({ base: "BTC", quote: "USD", settle: "BTC", contractType: "inverse" });
  });

  test("unified symbols, and the ids of indices where nothing but an id is known", () => {
    const wanted = [
      ["BTC-USDT-SWAP", "BTCUSDT", ["BTC-USDT"]],
      ["BTC-USD-SWAP", "BTCUSD", ["BTC-USD"]],
      ["BTC-USDT", "BTCUSDT", []],
      ["BTC-USDT-240329", "BTCUSDT_240329", ["BTC-USDT"]],
      ["BTC-USD_UM-SWAP", "BTCUSD_UM", ["BTC-USD"]],
      ["BTC-USD_UM_XPERP-310404", "BTCUSD_UM_XPERP_310404", ["BTC-USD"]],
      ["BTC-USD-240329-50000-C", "BTCUSD_240329_50000_C", ["BTC-USD"]],
      ["1000PEPE-USDT-SWAP", "1000PEPEUSDT", ["1000PEPE-USDT"]],
      ["币安人生-USDT-SWAP", "币安人生USDT", ["币安人生-USDT"]],
    ] as const;
    for (const [instrument, symbol, companions] of wanted) {
      expect([instrument, okx.normalizeSymbol(instrument)]).toEqual([instrument, symbol]);
      expect([instrument, ...okx.companions({ instrument })]).toEqual([instrument, ...companions]);
      expect(okx.companions({ instrument, index: null })).toEqual([...companions]);
    }
  });

  test("the index of a swap is what OKX says it is, whatever the swap is called", async () => {
    const list = await fetched([
      { ...SWAP, instId: "NEWX-USDT-SWAP", uly: "NEW-USDT" },
      { ...SWAP, instId: "NEWY-USDT-SWAP", uly: "NEW-USDT" },
      { ...SWAP, instId: "NEWZ-USDT-SWAP", uly: "" },
    ]);
    expect(list.map((one) => okx.companions(one))).toEqual([["NEW-USDT"], ["NEW-USDT"], ["NEWZ-USDT"]]);
    const channels = okx.subscriptions(["mark_price"], list).map(({ channel }) => channel);
    expect(channels).toEqual([
      "instruments:SWAP",
      "mark-price:NEWX-USDT-SWAP",
      "mark-price:NEWY-USDT-SWAP",
      "mark-price:NEWZ-USDT-SWAP",
      "index-tickers:NEW-USDT",
      "index-tickers:NEWZ-USDT",
    ]);
  });

  test("the swap of a symbol", () => {
    for (const [symbol, instrument] of [
      ["BTCUSDT", "BTC-USDT-SWAP"],
      ["BTCUSDC", "BTC-USDC-SWAP"],
      ["BTCUSD", "BTC-USD-SWAP"],
      ["USDCUSDT", "USDC-USDT-SWAP"],
      ["USDTUSD", "USDT-USD-SWAP"],
      ["BTCUSD_UM", "BTC-USD_UM-SWAP"],
      ["BTCUSDT_240329", null],
      ["BTCUSD_UM_XPERP_310404", null],
      ["ETHBTC", null],
      ["USDT", null],
      ["BTC-USDT-SWAP", null],
    ] as const) {
      expect([symbol, okx.instrumentOf(symbol)]).toEqual([symbol, instrument]);
    }
  });
});

describe("subscriptions", () => {
  const ids = ["BTC-USDT-SWAP", "币安人生-USDT-SWAP"];
  const instruments = ids.map((instrument) => ({ instrument }));

  test("every stream, the index by its own id, announcements always; each channel once", () => {
    expect(okx.subscriptions([...okx.streams], instruments).map(({ channel }) => channel)).toEqual([
      "instruments:SWAP",
      ...ids.map((id) => `bbo-tbt:${id}`),
      ...ids.map((id) => `trades:${id}`),
      ...ids.map((id) => `mark-price:${id}`),
      "index-tickers:BTC-USDT",
      "index-tickers:币安人生-USDT",
      ...ids.map((id) => `funding-rate:${id}`),
      ...ids.map((id) => `open-interest:${id}`),
      "liquidation-orders:SWAP",
    ]);
    const shared = okx.subscriptions(
      ["mark_price"],
      [{ instrument: "BTC-USD-SWAP" }, { instrument: "BTC-USD-270326" }],
    );
    expect(shared.filter(({ channel }) => channel === "index-tickers:BTC-USD").length).toBe(1);
    const all = okx.subscriptions([...okx.streams], instruments);
    expect(new Set(all.map(({ route }) => okx.connectionUrl("wss://host:8443", route)))).toEqual(
      new Set(["wss://host:8443/ws/v5/public"]),
    );
    expect([...okx.streams].sort()).toEqual([...STREAM_NAMES].sort());
  });

  test("a message names each channel by its arg", () => {
    const channels = ["trades:币安人生-USDT-SWAP", "liquidation-orders:SWAP", "instruments:SWAP"];
    const args = [
      { channel: "trades", instId: "币安人生-USDT-SWAP" },
      { channel: "liquidation-orders", instType: "SWAP" },
      { channel: "instruments", instType: "SWAP" },
    ];
    expect(JSON.parse(okx.subscribeMessage(channels, 7))).toEqual({ id: "7", op: "subscribe", args });
    expect(JSON.parse(okx.unsubscribeMessage(channels, 8))).toEqual({ id: "8", op: "unsubscribe", args });
  });

  test("the longest message is within 64 KB, and the subscriptions of all swaps within 480 messages", () => {
    const longest = Array.from(
      { length: okx.limits.channelsPerMessage },
      (_, i) => `funding-rate:币安人生币安人生-USD_UM-${i}-SWAP`,
    );
    expect(encoder.encode(okx.subscribeMessage(longest, 2 ** 31)).length).toBeLessThan(64 * 1024);
    const swaps = Array.from({ length: 1000 }, (_, i) => ({ instrument: `COIN${i}-USDT-SWAP` }));
    const messages = okx.subscriptions([...okx.streams], swaps).length / okx.limits.channelsPerMessage;
    expect(messages).toBeLessThan(480);
    expect(okx.limits.failsWhole).toBe(false);
    expect(okx.keepalive).toEqual({ interval: 20_000, message: "ping" });
  });
});

describe("answers", () => {
  test("an ack names the one channel that it is about, and its message", () => {
    for (const channel of [
      "trades:BTC-USDT-SWAP",
      "index-tickers:币安人生-USDT",
      "liquidation-orders:SWAP",
    ]) {
      const { args } = JSON.parse(okx.subscribeMessage([channel], 12)) as { args: object[] };
      const ack = { id: "12", event: "subscribe", arg: args[0], connId: "a4d3ae55" };
      expect(answer(JSON.stringify(ack))).toEqual({ id: 12, channels: [channel], error: null });
    }
    const bare = '{"event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"d604ccd0"}';
    expect(answer(bare)).toEqual({ id: null, channels: ["tickers:BTC-USDT"], error: null });
  });

  test("an error names its channel where its words do", () => {
    const words = (of: string) =>
      `Wrong URL or channel:${of} doesn't exist. Please use the correct URL, channel and parameters referring to API document.`;
    const error = (msg: string, code: string, id?: string) =>
      answer(JSON.stringify({ id, event: "error", msg, code, connId: "0d0c61a5" }));
    const first = words("trades,instId:NMR-USDT-SWAP");
    expect(error(first, "60018")).toEqual({
      id: null,
      channels: ["trades:NMR-USDT-SWAP"],
      error: `${first} (code 60018)`,
    });
    expect(error(words("index-tickers,instId:币安人生-USDT"), "60018", "3")).toMatchObject({
      id: 3,
      channels: ["index-tickers:币安人生-USDT"],
    });
    expect(error(words("liquidation-orders,instType:SWAP"), "60018").channels).toEqual([
      "liquidation-orders:SWAP",
    ]);
    expect(error("Invalid request: {", "60012", "4")).toEqual({
      id: 4,
      channels: [],
      error: "Invalid request: { (code 60012)",
    });
    expect(error("Requests too frequent", "60014").channels).toEqual([]);
    expect(answer('{"event":"error"}').error).toBe("no message (code none)");
  });

  test("a service upgrade is told in plain words; pongs, counts and ends of subscriptions ask for nothing", () => {
    const notice =
      '{"event":"notice","code":"64008","msg":"The connection will soon be closed.","connId":"a4d3ae55"}';
    expect(answer(notice)).toMatchObject({ id: null, channels: [] });
    expect(answer(notice).error).toMatch(/upgrades its service.*60 s.*64008/);
    const nothing = { id: null, channels: [], error: null };
    for (const text of [
      "pong",
      '{"id":"9","event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"d604ccd0"}',
      '{"event":"channel-conn-count","channel":"trades","connCount":"2","connId":"abcd1234"}',
      '{"event":"login","code":"0","msg":""}',
    ]) {
      expect(answer(text)).toEqual(nothing);
    }
    const many =
      '{"event":"channel-conn-count-error","channel":"trades","connCount":"31","connId":"abcd1234"}';
    expect(answer(many).error).toBe("too many connections for channel trades: 31");
    expect(answer("[]").error).not.toBeNull();
    expect(parseFrame(encoder.encode(notice))).toMatchObject({ event: "notice" });
  });

  test.skipIf(!HAVE_FIXTURES)(`recorded answers${FIXTURES_NOTE}`, () => {
    const answers = fixtureLines("okx/control.jsonl").map(answer);
    expect(answers.map(({ channels }) => channels)).toEqual([
      ["tickers:BTC-USDT"],
      ["tickers:NMR-USDT"],
      [],
      ["trades:ETH-USD-211224"],
      ["tickers:UNI-USD-SWAP"],
      ["tickers:BTC-USDT"],
    ]);
    expect(answers.map(({ error }) => error !== null)).toEqual([false, true, false, false, false, false]);
  });
});

test("the sources of all columns are named", () => {
  for (const stream of okx.streams) expect(okx.sources[stream]?.columns.timestamp).toContain("ts, ms");
  for (const [stream, column] of [
    ["bbo", "bid_amount"],
    ["trade", "amount"],
    ["open_interest", "open_interest"],
    ["liquidation", "amount"],
  ] as const) {
    expect(okx.sources[stream]?.columns[column]).toContain("contracts");
  }
});
