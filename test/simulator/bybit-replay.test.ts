import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BybitReplay } from "../../src/simulator/bybit/replay.ts";
import type { Connection } from "../../src/simulator/connection.ts";
import { REPLAY_EXCHANGES, startReplay } from "../../src/simulator/replay.ts";
import type { Captured } from "../../src/simulator/replay-protocol.ts";
import { Client, until } from "./client.ts";

const trade = (symbol: string, p = "84120.50", v = "0.027") =>
  `{"topic":"publicTrade.${symbol}","type":"snapshot","ts":1795170600913,"data":[{"T":1795170600911,"s":"${symbol}","S":"Sell","v":"${v}","p":"${p}","i":"a","BT":false}]}`;
const book = (symbol: string) =>
  `{"topic":"orderbook.1.${symbol}","ts":1795170600000,"type":"snapshot","data":{"s":"${symbol}","b":[["84120.4","1.5"]],"a":[],"u":1,"seq":2},"cts":3}`;

const streamsOf = (captured: Captured) => (captured.kind === "frame" ? captured.streams : captured.kind);

test("a frame belongs to its topic and is sent as it was captured", () => {
  const replay = new BybitReplay();
  const raw = trade("币安人生USDT");
  const captured = replay.read(raw);
  expect(streamsOf(captured)).toEqual(["publicTrade.币安人生USDT"]);
  if (captured.kind === "frame") expect(captured.text(captured.streams[0], {} as Connection)).toBe(raw);
  expect(replay.routeOf("publicTrade.BTCUSDT")).toBe("linear");
  expect(replay.routeOf("orderbook.1.BTCUSDT")).toBe("linear");
  expect(replay.routeOf("trade.BTCUSD")).toBeUndefined();
});

test("answers of the captured session are control; what has no topic is unknown", () => {
  const replay = new BybitReplay();
  for (const raw of [
    '{"success":true,"ret_msg":"","conn_id":"c","req_id":"1","op":"subscribe"}',
    '{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}',
    '{"op":"pong","args":["1"]}',
    '{"success":true,"conn_id":"c","data":{},"type":"COMMAND_RESP"}',
  ]) {
    expect(streamsOf(replay.read(raw))).toBe("control");
  }
  for (const raw of ["not json", "[]", "null", '{"data":[]}', '{"topic":7}']) {
    expect(streamsOf(replay.read(raw))).toBe("unknown");
  }
});

test("instruments are learned from symbols, prices and amounts", () => {
  const replay = new BybitReplay();
  const symbols = ["BTCUSDT", "BTCUSDT-27DEC24", "ETHPERP", "BTCUSD"];
  for (const symbol of symbols) replay.learn(trade(symbol));
  replay.learn(book("BTCUSDT"));
  replay.learn(trade("BTCUSDT", "84120.525", "0.0275"));
  replay.learn("not json");
  const instruments = replay.instruments();
  expect([...instruments.keys()]).toEqual(symbols);
  expect(instruments.get("BTCUSDT")).toMatchObject({
    base: "BTC",
    settle: "USDT",
    contractType: "LinearPerpetual",
    status: "Trading",
    priceDecimals: 3,
    amountDecimals: 4,
    launchMs: 1795170600913,
    deliveryMs: 0,
  });
  expect(instruments.get("BTCUSDT-27DEC24")).toMatchObject({
    contractType: "LinearFutures",
    deliveryMs: Date.UTC(2024, 11, 27, 8),
    fundingHours: 0,
  });
  expect(instruments.get("ETHPERP")).toMatchObject({ base: "ETH", settle: "USDC" });
  expect(instruments.get("BTCUSD")).toMatchObject({ base: "BTC", settle: "BTC" });
});

test.skipIf(REPLAY_EXCHANGES.bybit === undefined)(
  "a capture is served to who subscribes it, answers left out",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "tapedeck-bybit-replay-"));
    const file = join(folder, "capture.jsonl");
    const pong = '{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"","op":"ping"}';
    const frames = [trade("BTCUSDT"), book("BTCUSDT"), trade("ETHUSDT"), trade("BTCUSDT")];
    writeFileSync(file, [pong, ...frames].join("\n"));
    const replay = await startReplay({ exchange: "bybit", files: [file], quietMs: 50, routeWaitMs: 50 });
    const client = await Client.open(`${replay.url}/v5/public/linear`);
    const args = ["publicTrade.BTCUSDT", "orderbook.1.BTCUSDT", "allLiquidation.BTCUSDT"];
    client.send(JSON.stringify({ op: "subscribe", req_id: "1", args }));
    const { sent, notSubscribed, skippedControls } = await replay.done;
    const wanted = frames.filter((frame) => frame.includes("BTCUSDT"));
    await until(() => client.frames.length === 1 + wanted.length, "the ack and the frames");
    expect(client.frames.slice(1)).toEqual(wanted);
    expect(sent).toEqual({ "publicTrade.BTCUSDT": 2, "orderbook.1.BTCUSDT": 1 });
    expect(notSubscribed).toEqual({ "publicTrade.ETHUSDT": 1 });
    expect(skippedControls).toBe(1);
    const list = await fetch(`${replay.restUrl}/v5/market/instruments-info?category=linear`);
    expect(await list.text()).toContain('"symbol":"ETHUSDT"');
    await replay.stop();
    rmSync(folder, { recursive: true, force: true });
  },
);
