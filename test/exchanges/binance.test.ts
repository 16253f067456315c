import { describe, expect, test } from "bun:test";
import type { Stream } from "../../src/events/streams.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";

const channelsOf = (streams: readonly Stream[], instruments: readonly string[]) =>
  binance
    .subscriptions(
      streams,
      instruments.map((instrument) => ({ instrument })),
    )
    .filter(({ channel }) => channel !== "!contractInfo");

describe("subscriptions", () => {
  test("each stream on the route that serves it: on the other one it would be silent for ever", () => {
    expect(channelsOf(["bbo"], ["BTCUSDT"])).toEqual([
      { route: "/public/stream", channel: "btcusdt@bookTicker", streams: ["bbo"], instrument: "BTCUSDT" },
    ]);
    expect(channelsOf(["trade"], ["BTCUSDT"])).toEqual([
      { route: "/market/stream", channel: "btcusdt@aggTrade", streams: ["trade"], instrument: "BTCUSDT" },
    ]);
    expect(channelsOf(["liquidation"], ["BTCUSDT", "ETHUSDT"])).toEqual([
      { route: "/market/stream", channel: "!forceOrder@arr", streams: ["liquidation"], instrument: null },
    ]);
  });

  test("mark price and funding share one channel, asked for once, that brings what was wanted of both", () => {
    const channel = { route: "/market/stream", channel: "btcusdt@markPrice@1s", instrument: "BTCUSDT" };
    for (const streams of [["mark_price"], ["funding"], ["mark_price", "funding"]] as const) {
      expect(channelsOf(streams, ["BTCUSDT"])).toEqual([{ ...channel, streams }]);
    }
  });

  test("announcements of instruments come with anything, and bring no events", () => {
    expect(binance.subscriptions(["trade"], []).filter(({ streams }) => streams.length === 0)).toEqual([
      { route: "/market/stream", channel: "!contractInfo", streams: [], instrument: null },
    ]);
  });

  test("names are lower case, beyond ASCII too", () => {
    expect(channelsOf(["bbo"], ["1000PEPEUSDT", "币安人生USDT"]).map(({ channel }) => channel)).toEqual([
      "1000pepeusdt@bookTicker",
      "币安人生usdt@bookTicker",
    ]);
  });

  test("what Binance does not push is not subscribed", () => {
    expect(channelsOf(["open_interest"], ["BTCUSDT"])).toEqual([]);
    expect(binance.streams).not.toContain("open_interest");
  });

  test("address and messages", () => {
    expect(binance.connectionUrl("wss://fstream.binance.com", "/public/stream")).toBe(
      "wss://fstream.binance.com/public/stream",
    );
    expect(JSON.parse(binance.subscribeMessage(["btcusdt@aggTrade", "ethusdt@aggTrade"], 7))).toEqual({
      method: "SUBSCRIBE",
      params: ["btcusdt@aggTrade", "ethusdt@aggTrade"],
      id: 7,
    });
    // Ten messages a second are allowed, pongs included.
    expect(binance.limits.messagesPerSecond).toBeLessThan(10);
    // A connection is closed after 24 hours.
    expect(binance.limits.lifetime).toBe(24 * 3_600_000);
  });
});

describe("answers", () => {
  const answerOf = (frame: object) => binance.answerOf(Buffer.from(JSON.stringify(frame)));

  test("acks and errors of either shape", () => {
    expect(answerOf({ result: null, id: 3 })).toMatchObject({ id: 3, error: null });
    expect(answerOf({ error: { code: 2, msg: "Invalid request" }, id: 4 })).toMatchObject({
      id: 4,
      error: "Invalid request (code 2)",
    });
    expect(answerOf({ code: -1121, msg: "Invalid symbol." })).toMatchObject({
      id: null,
      error: "Invalid symbol. (code -1121)",
    });
    expect(answerOf({ code: 5 })).toMatchObject({ id: null, error: "no message (code 5)" });
  });
});

test("exchanges are found by name", () => {
  expect(exchangeByName("binance")).toBe(binance);
  expect(() => exchangeByName("binanse")).toThrow("no exchange is called binanse");
});
