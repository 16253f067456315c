import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { okx } from "../../src/exchanges/okx.ts";
import { type Replay, type ReplayOptions, startReplay } from "../../src/simulator/replay.ts";
import { FIXTURES, FIXTURES_NOTE, HAVE_FIXTURES } from "../lib/fixtures.ts";
import { asking } from "../lib/rest.ts";
import { Client, until } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "tapedeck-okx-replay-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open: Replay[] = [];
async function serve(files: readonly string[], options: Partial<ReplayOptions> = {}): Promise<Replay> {
  const replay = await startReplay({ exchange: "okx", files, quietMs: 50, routeWaitMs: 100, ...options });
  open.push(replay);
  return replay;
}
function start(lines: readonly string[], options: Partial<ReplayOptions> = {}): Promise<Replay> {
  const file = join(folder, `${crypto.randomUUID()}.jsonl`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  return serve([file], options);
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((replay) => replay.stop()));
});

const framed = (channel: string, instId: string, entry: string): string =>
  `{"arg":{"channel":"${channel}","instId":"${instId}"},"data":[${entry}]}`;
const trade = (instId: string, id: number): string =>
  framed(
    "trades",
    instId,
    `{"instId":"${instId}","tradeId":"${id}","px":"84120.5","sz":"2.75","side":"buy","ts":"1795170600911","count":"1","source":"0","seqId":${id}}`,
  );
const quote = (instId: string, seqId: number): string =>
  framed(
    "bbo-tbt",
    instId,
    `{"asks":[["84120.5","61.3","0","7"]],"bids":[["84120.4","411.8","0","2"]],"ts":"1795170600871","seqId":${seqId}}`,
  );
const LIQUIDATION =
  '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"83702.1","ccy":"","posSide":"long","side":"sell","sz":"21.4","ts":"1795170600418"}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}]}';
const INDEX = framed(
  "index-tickers",
  "BTC-USDT",
  '{"instId":"BTC-USDT","idxPx":"84131","ts":"1795170605100"}',
);
const captured = (raw: string, dir = "in"): string => JSON.stringify({ ts: 1, dir, raw });

/** Subscribes and waits for the acks, which it takes out of `frames`. */
async function subscribe(client: Client, channels: readonly string[]): Promise<void> {
  client.send(okx.subscribeMessage(channels, 1));
  const isAck = (text: string) => text.includes('"event":"subscribe"');
  await until(() => client.frames.filter(isAck).length === channels.length, "acks");
  client.frames.splice(0, client.frames.length, ...client.frames.filter((text) => !isAck(text)));
}

test("each frame is sent once, in order, byte for byte, to the connection that subscribed its channel", async () => {
  const chinese = "币安人生-USDT-SWAP";
  // Spaces, an escape and another key order must survive.
  const odd =
    '{ "data":[{"px":"1","sz":"1","note":"\\u20ac €"}] , "arg": {"instId":"BTC-USDT-SWAP", "channel":"trades"} }';
  const frames = Array.from({ length: 300 }, (_, i) =>
    i % 3 === 0 ? trade("BTC-USDT-SWAP", i) : quote(i % 3 === 1 ? chinese : "BTC-USDT-SWAP", i),
  ).concat(odd, LIQUIDATION, INDEX);
  const replay = await start(
    frames.flatMap((raw) => [
      captured("ping", "out"),
      captured("pong"),
      captured(raw),
      captured(
        '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"connId":"d604ccd0"}',
      ),
    ]),
  );
  const quotes = await Client.open(`${replay.url}/ws/v5/public`);
  await subscribe(quotes, ["bbo-tbt:BTC-USDT-SWAP", `bbo-tbt:${chinese}`]);
  const others = await Client.open(`${replay.url}/ws/v5/public`);
  await subscribe(others, ["trades:BTC-USDT-SWAP", "liquidation-orders:SWAP", "index-tickers:BTC-USDT"]);
  const stats = await replay.done;
  await until(() => quotes.frames.length + others.frames.length >= stats.total, "all frames");
  const isQuote = (text: string) => text.includes("bbo-tbt");
  expect(quotes.frames).toEqual(frames.filter(isQuote));
  expect(others.frames).toEqual(frames.filter((text) => !isQuote(text)));
  expect(stats).toMatchObject({
    state: "done",
    total: 303,
    sent: { "trades:BTC-USDT-SWAP": 101, "liquidation-orders:SWAP": 1, "index-tickers:BTC-USDT": 1 },
    notSubscribed: {},
    skippedControls: 606,
    unknown: 0,
    lost: 0,
  });
});

test("what nobody subscribed, or is of the other path, is counted and not sent", async () => {
  const fill = trade("BTC-USDT-SWAP", 3).replace("trades", "trades-all");
  const replay = await start([trade("BTC-USDT-SWAP", 1), trade("ETH-USDT-SWAP", 2), fill, '{"what":1}']);
  const client = await Client.open(`${replay.url}/ws/v5/public`);
  await subscribe(client, ["trades:BTC-USDT-SWAP"]);
  expect(await replay.done).toMatchObject({
    total: 2,
    unknown: 1,
    notSubscribed: { "trades:ETH-USDT-SWAP": 1, "trades-all:BTC-USDT-SWAP": 1 },
  });
  await until(() => client.frames.length === 2, "both frames");
});

test("instruments come from the ids in the file, or from captured entries of the list", async () => {
  const listed = { instId: "ETH-USDT-SWAP", instType: "SWAP", ctType: "linear", ctVal: "0.1", ctMult: "1" };
  const entry = {
    ...listed,
    settleCcy: "USDT",
    state: "live",
    uly: "ETH-USDT",
    tickSz: "0.01",
    lotSz: "0.01",
  };
  const replay = await start([
    trade("BTC-USDT-SWAP", 1),
    trade("BTC-USD-SWAP", 2),
    trade("币安人生-USDT-SWAP", 3),
    trade("BTC-USDT", 4),
    trade("BTC-USDT-261225", 5),
    // An index is no instrument.
    framed("index-tickers", "DOGE-USDT", '{"instId":"DOGE-USDT","idxPx":"1","ts":"1795170605100"}'),
    quote("SOL-USDT-SWAP", 6),
    `{"arg":{"channel":"instruments","instType":"SWAP"},"data":[${JSON.stringify(entry)}]}`,
  ]);
  const get = async (path: string): Promise<unknown> => (await asking(replay.restUrl)(path)).body;
  const list = await okx.fetchInstruments(asking(replay.restUrl));
  expect(
    list.map(({ instrument, recordable, contractSize }) => [instrument, recordable, contractSize]),
  ).toEqual([
    // What a contract is worth is in no frame but that of the list.
    ["BTC-USDT-SWAP", true, null],
    ["BTC-USD-SWAP", false, null],
    ["币安人生-USDT-SWAP", true, null],
    ["SOL-USDT-SWAP", true, null],
    ["ETH-USDT-SWAP", true, 0.1],
  ]);
  expect(list[0]).toMatchObject({ tickSize: 0.1, lotSize: 0.01, settle: "USDT", listed: 1795170600911000 });
  expect(await get("/api/v5/public/instruments?instType=SPOT")).toMatchObject({
    data: [{ instId: "BTC-USDT" }],
  });
  expect(await get("/api/v5/public/instruments?instType=FUTURES")).toMatchObject({
    data: [{ instId: "BTC-USDT-261225" }],
  });
});

test.skipIf(!HAVE_FIXTURES)(`a recorded session is served again${FIXTURES_NOTE}`, async () => {
  const replay = await serve([`${FIXTURES}/streams/okx.jsonl`]);
  const client = await Client.open(`${replay.url}/ws/v5/public`);
  await subscribe(client, ["trades:BTC-USDT", "trades:UNI-USD-SWAP"]);
  expect(await replay.done).toMatchObject({
    sent: { "trades:BTC-USDT": 69, "trades:UNI-USD-SWAP": 1 },
    notSubscribed: { "tickers:BTC-USDT": 25, "books:BTC-USDT": 98, "books:UNI-USD-SWAP": 93 },
    unknown: 0,
  });
  await until(() => client.frames.length === 70, "all trades");
});
