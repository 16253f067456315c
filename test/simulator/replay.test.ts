import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type Replay, type ReplayOptions, startReplay } from "../../src/simulator/replay.ts";
import { Client, deafClient, until } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "tapedeck-replay-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open: Replay[] = [];
async function start(lines: readonly string[], options: Partial<ReplayOptions> = {}): Promise<Replay> {
  const file = join(folder, `${crypto.randomUUID()}.jsonl`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  const replay = await startReplay({ files: [file], quietMs: 50, routeWaitMs: 100, ...options });
  open.push(replay);
  return replay;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((replay) => replay.stop()));
});

const QUOTE = (symbol: string, u: number): string =>
  `{"stream":"${symbol.toLowerCase()}@bookTicker","data":{"e":"bookTicker","u":${u},"s":"${symbol}","ps":"${symbol}","b":"84120.4","B":"4.11","a":"84120.5","A":"0.90","T":1795170600871,"E":1795170600871,"st":1}}`;
const TRADE_DATA = (symbol: string, a: number): string =>
  `{"e":"aggTrade","E":1795170601034,"a":${a},"s":"${symbol}","p":"84120.50","q":"0.027","nq":"0.027","f":${a},"l":${a},"T":1795170600911,"m":true,"st":1}`;
const TRADE = (symbol: string, a: number): string =>
  `{"stream":"${symbol.toLowerCase()}@aggTrade","data":${TRADE_DATA(symbol, a)}}`;
const MARK_DATA =
  '{"e":"markPriceUpdate","E":1795170605000,"s":"BTCUSDT","p":"84118.21000000","i":"84131.06500000","r":"0.00010000","T":1795190400000}';
const FORCED =
  '{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":1795170611055,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.214","p":"83702.10","ap":"84007.60","X":"FILLED","l":"0.133","z":"0.214","T":1795170610418,"ps":"BTCUSDT","st":1}}}';
const captured = (raw: string, ts: number | null = null, dir = "in"): string =>
  JSON.stringify({ ts, dir, raw });

test("each frame is sent once, in order, byte for byte, to the route that subscribed it", async () => {
  const chinese = "币安人生USDT";
  // Spaces, an escape and another key order must survive.
  const odd = `{ "stream":"btcusdt@aggTrade" , "data": {"s":"BTCUSDT", "e":"aggTrade","note":"\\u20ac €"} }`;
  const frames = Array.from({ length: 600 }, (_, i) =>
    i % 3 === 0 ? TRADE("BTCUSDT", i) : QUOTE(i % 3 === 1 ? chinese : "BTCUSDT", i),
  ).concat(odd, FORCED);
  const replay = await start(
    frames.flatMap((raw) => [
      captured('{"method":"SUBSCRIBE","params":[],"id":1}', 5, "out"),
      captured(raw, 7),
      captured('{"result":null,"id":1}', 8),
      captured('{"bids":[]}', 9, "rest"),
    ]),
    { routeWaitMs: 60_000 },
  );
  const streams = [`${chinese.toLowerCase()}@bookTicker`, "btcusdt@bookTicker"];
  const quotes = await Client.open(`${replay.url}/public/stream`);
  await quotes.subscribe(streams);
  const trades = await Client.open(`${replay.url}/market/stream?streams=btcusdt@aggTrade/!forceOrder@arr`);
  const stats = await replay.done;
  await until(() => quotes.frames.length + trades.frames.length >= stats.total, "all frames");
  expect(quotes.frames).toEqual(frames.filter((frame) => frame.includes("@bookTicker")));
  expect(trades.frames).toEqual(frames.filter((frame) => !frame.includes("@bookTicker")));
  expect(stats).toMatchObject({
    state: "done",
    total: 602,
    sent: {
      "btcusdt@aggTrade": 201,
      "btcusdt@bookTicker": 200,
      [`${chinese.toLowerCase()}@bookTicker`]: 200,
      "!forceOrder@arr": 1,
    },
    notSubscribed: {},
    skippedControls: 602,
    unknown: 0,
    lost: 0,
  });
});

test("nothing is sent before subscriptions are quiet, and a change begins the wait anew", async () => {
  const replay = await start([QUOTE("BTCUSDT", 1), TRADE("BTCUSDT", 2)], { quietMs: 2000 });
  const market = await Client.open(`${replay.url}/market/stream?streams=btcusdt@aggTrade`);
  const client = await Client.open(`${replay.url}/public/stream`);
  let changedAt = 0;
  for (const stream of ["a@bookTicker", "b@bookTicker", "btcusdt@bookTicker"]) {
    await client.subscribe([stream]);
    changedAt = performance.now();
    await Bun.sleep(100);
    expect(replay.stats().state).toBe("waiting");
    expect(client.frames.length + market.frames.length).toBe(0);
  }
  await replay.started;
  expect(performance.now() - changedAt).toBeGreaterThanOrEqual(1990);
  await until(() => client.frames.length + market.frames.length === 2, "both frames");
});

test("a route without a subscriber is waited for, and then its frames are counted, not sent", async () => {
  const lines = [QUOTE("BTCUSDT", 1), TRADE("BTCUSDT", 2), TRADE("ETHUSDT", 3)];
  const late = await start(lines, { routeWaitMs: 60_000 });
  await Client.open(`${late.url}/public/stream?streams=btcusdt@bookTicker`);
  await Bun.sleep(200);
  expect(late.stats().state).toBe("waiting");
  await Client.open(`${late.url}/market/stream?streams=btcusdt@aggTrade`);
  expect(await late.done).toMatchObject({ total: 2, notSubscribed: { "ethusdt@aggTrade": 1 } });

  const alone = await start(lines);
  await Client.open(`${alone.url}/public/stream?streams=btcusdt@bookTicker`);
  expect(await alone.done).toMatchObject({
    total: 1,
    notSubscribed: { "btcusdt@aggTrade": 1, "ethusdt@aggTrade": 1 },
  });
});

test("a stream asked for on the wrong route is acknowledged and gets nothing", async () => {
  const replay = await start([TRADE("BTCUSDT", 1)]);
  const client = await Client.open(`${replay.url}/public/stream`);
  await client.subscribe(["btcusdt@aggTrade", "btcusdt@bookTicker"]);
  expect(await replay.done).toMatchObject({ total: 0, notSubscribed: { "btcusdt@aggTrade": 1 } });
  expect(client.frames).toEqual([]);
});

test("raw payloads are wrapped for /stream and go as they are to /ws; wrapped ones are unwrapped for /ws", async () => {
  const lines = [TRADE_DATA("BTCUSDT", 1), MARK_DATA, TRADE("BTCUSDT", 2)];
  const wrapped = await start(lines);
  const client = await Client.open(`${wrapped.url}/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice`);
  await wrapped.done;
  await until(() => client.frames.length === 3, "three frames");
  expect(client.frames).toEqual([
    TRADE("BTCUSDT", 1),
    `{"stream":"btcusdt@markPrice","data":${MARK_DATA}}`,
    TRADE("BTCUSDT", 2),
  ]);
  const bare = await start(lines);
  const raw = await Client.open(`${bare.url}/market/ws/btcusdt@aggTrade/btcusdt@markPrice@1s`);
  await bare.done;
  await until(() => raw.frames.length === 3, "three frames");
  expect(raw.frames).toEqual([TRADE_DATA("BTCUSDT", 1), MARK_DATA, TRADE_DATA("BTCUSDT", 2)]);
});

test("what cannot be told to a stream goes to the oldest connection; errors of the capture are not sent", async () => {
  const nonsense = ["not json", '{"foo":1}', "[1,2]", '"text"'];
  const replay = await start([
    ...nonsense,
    '{"error":{"code":2,"msg":"no"},"id":1}',
    captured("{broken"),
    QUOTE("BTCUSDT", 1),
  ]);
  const client = await Client.open(`${replay.url}/public/stream?streams=btcusdt@bookTicker`);
  expect(await replay.done).toMatchObject({ total: 6, unknown: 5, skippedControls: 1 });
  await until(() => client.frames.length === 6, "six frames");
  expect(client.frames).toEqual([...nonsense, "{broken", QUOTE("BTCUSDT", 1)]);
});

test("instruments come from the symbols in the file", async () => {
  const coinMargined = FORCED.replaceAll("BTCUSDT", "BTCUSD_PERP").replace('"st":1', '"st":2');
  const replay = await start([
    QUOTE("BTCUSDT", 1),
    TRADE("BTCUSDT_261225", 2),
    coinMargined,
    TRADE_DATA("币安人生USDT", 3),
    captured(FORCED.replaceAll("BTCUSDT", "COTIUSDT")),
    TRADE("BTCUSDC", 4),
  ]);
  const entry = z.object({
    symbol: z.string(),
    contractType: z.string(),
    status: z.string(),
    quoteAsset: z.string(),
    filters: z.array(z.object({ tickSize: z.string().optional(), stepSize: z.string().optional() })),
  });
  const body: unknown = await (await fetch(`${replay.restUrl}/fapi/v1/exchangeInfo`)).json();
  const { symbols } = z.object({ symbols: z.array(entry) }).parse(body);
  expect(symbols.map(({ symbol, contractType, quoteAsset }) => [symbol, contractType, quoteAsset])).toEqual([
    ["BTCUSDT", "PERPETUAL", "USDT"],
    ["BTCUSDT_261225", "CURRENT_QUARTER", "USDT"],
    ["币安人生USDT", "PERPETUAL", "USDT"],
    ["COTIUSDT", "PERPETUAL", "USDT"],
    ["BTCUSDC", "PERPETUAL", "USDC"],
  ]);
  expect(symbols[0]).toMatchObject({
    status: "TRADING",
    filters: [{ tickSize: "0.1" }, { stepSize: "0.01" }],
  });
});

test("speed keeps the recorded distances, divided", async () => {
  const replay = await start(
    [
      captured(QUOTE("BTCUSDT", 1), 1_000_000),
      captured(QUOTE("BTCUSDT", 2)),
      captured(QUOTE("BTCUSDT", 3), 4_000_000),
    ],
    { speed: 10 },
  );
  const before = performance.now();
  const client = await Client.open(`${replay.url}/public/stream?streams=btcusdt@bookTicker`);
  await until(() => client.frames.length === 2, "the first two at once");
  await replay.done;
  // After 50 ms of quiet; timers may fire a trifle early.
  expect(performance.now() - before).toBeGreaterThanOrEqual(50 + 300 - 10);
  await until(() => client.frames.length === 3, "the third");
});

test("a slow reader holds the reading back instead of filling memory, and nothing is lost", async () => {
  // More than the system's own socket buffers take.
  const count = 8000;
  const padding = "x".repeat(8000);
  const replay = await start(
    Array.from({ length: count }, (_, i) => QUOTE("BTCUSDT", i).replace(/}}$/, `,"padding":"${padding}"}}`)),
    { backPressureBytes: 1 << 16 },
  );
  const slow = await deafClient(replay.port, "/public/ws/btcusdt@bookTicker");
  await replay.started;
  let before = -1;
  let since = performance.now();
  await until(() => {
    const { total } = replay.stats();
    if (total === 0 || total !== before) since = performance.now();
    before = total;
    return performance.now() - since > 200;
  }, "a standstill");
  expect(replay.stats()).toMatchObject({ state: "sending", connections: 1 });
  let bytes = 0;
  slow.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  slow.resume();
  expect(await replay.done).toMatchObject({ total: count, lost: 0 });
  await until(() => bytes > count * padding.length, "all bytes");
  slow.destroy();
}, 180_000);

test("a connection that closes midway loses its frames countedly; stop ends a waiting replay", async () => {
  const replay = await start([captured(QUOTE("BTCUSDT", 1), 0), captured(QUOTE("BTCUSDT", 2), 1_500_000)], {
    speed: 1,
  });
  const client = await Client.open(`${replay.url}/public/stream?streams=btcusdt@bookTicker`);
  await until(() => client.frames.length === 1, "the first frame");
  client.close();
  expect(await replay.done).toMatchObject({ total: 1, notSubscribed: { "btcusdt@bookTicker": 1 } });

  const waiting = await start([QUOTE("BTCUSDT", 1)], { quietMs: 60_000 });
  await waiting.stop();
  expect((await waiting.done).state).toBe("stopped");
});

test("a missing file and an unknown exchange are errors that name them", async () => {
  expect(startReplay({ files: [join(folder, "absent.jsonl")] })).rejects.toThrow("absent.jsonl");
  expect(startReplay({ files: [], exchange: "nowhere" })).rejects.toThrow("nowhere");
});
