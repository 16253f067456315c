import { afterEach, expect, test } from "bun:test";
import { z } from "zod";
import { type BinanceOptions, type SimulatedBinance, startBinance } from "../../src/simulator/binance.ts";
import { Client, deafClient, until } from "./client.ts";

const SEED = 20_261_120;
console.log(`simulator tests: seed ${SEED}`);

const open: SimulatedBinance[] = [];
function start(options: BinanceOptions = {}): SimulatedBinance {
  const exchange = startBinance({ seed: SEED, instruments: 8, rate: 2000, ...options });
  open.push(exchange);
  return exchange;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((exchange) => exchange.stop()));
});

const FRAME = z.object({ stream: z.string(), data: z.record(z.string(), z.unknown()) });
const read = (text: string): z.infer<typeof FRAME> => FRAME.parse(JSON.parse(text));
/** Not every instrument is ASCII. */
const CHINESE = "币安人生USDT";
const NO_EVENTS = { events: 0 };

test("SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS are acknowledged as the exchange spells it", async () => {
  const client = await Client.open(`${start(NO_EVENTS).url}/market/stream`);
  client.request("SUBSCRIBE", 1, ["btcusdt@aggTrade", "ethusdt@aggTrade"]);
  client.request("UNSUBSCRIBE", 2, ["btcusdt@aggTrade"]);
  client.request("LIST_SUBSCRIPTIONS", 3);
  await until(() => client.frames.length === 3, "three acks");
  expect(client.frames).toEqual([
    '{"result":null,"id":1}',
    '{"result":null,"id":2}',
    '{"result":["ethusdt@aggTrade"],"id":3}',
  ]);
});

test("bad JSON, a bad request, an unknown method and too many streams are errors; the connection stays", async () => {
  const client = await Client.open(`${start({ ...NO_EVENTS, streamsPerConnection: 2 }).url}/public/stream`);
  client.send("{nonsense");
  client.send('{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":"one"}');
  client.request("RECORD", 3);
  client.request("SUBSCRIBE", 4, ["a@bookTicker", "b@bookTicker", "c@bookTicker"]);
  client.request("LIST_SUBSCRIPTIONS", 5);
  await until(() => client.frames.length === 5, "five answers");
  const plain = z.strictObject({ code: z.int(), msg: z.string() });
  const wrapped = z.strictObject({ error: plain, id: z.int() });
  expect(plain.parse(JSON.parse(client.frames[0] ?? "")).msg).toContain("Invalid JSON");
  expect(plain.parse(JSON.parse(client.frames[1] ?? "")).msg).toContain("Invalid request");
  expect(wrapped.parse(JSON.parse(client.frames[2] ?? "")).error.msg).toContain("RECORD");
  expect(wrapped.parse(JSON.parse(client.frames[3] ?? "")).id).toBe(4);
  expect(client.frames[4]).toBe('{"result":[],"id":5}');
});

test("only the routes of 2026 take a WebSocket; too many streams in a URL are refused", async () => {
  const { url } = start({ ...NO_EVENTS, streamsPerConnection: 2 });
  for (const path of ["/stream", "/ws", "/ws/btcusdt@aggTrade", "/private/stream", "/", "/public"]) {
    expect(Client.open(url + path), path).rejects.toThrow("status 404");
  }
  expect(Client.open(`${url}/market/stream?streams=a@aggTrade/b@aggTrade/c@aggTrade`)).rejects.toThrow("400");
  for (const path of [
    "/public/ws/btcusdt@bookTicker",
    "/market/ws",
    "/market/stream?streams=btcusdt@aggTrade",
  ]) {
    (await Client.open(url + path)).close();
  }
});

test("a wrong route, an unknown symbol and an upper-case name are acknowledged and silent for ever", async () => {
  const exchange = start();
  const wrong = await Client.open(`${exchange.url}/public/stream`);
  await wrong.subscribe([
    "btcusdt@aggTrade",
    "nosuchusdt@bookTicker",
    "BTCUSDT@bookTicker",
    "btcusdt@markPrice@1s",
  ]);
  const right = await Client.open(`${exchange.url}/market/stream?streams=btcusdt@aggTrade`);
  await until(() => right.frames.length >= 20, "trades on the right route");
  expect(wrong.frames).toEqual([]);
  expect(exchange.stats()).toMatchObject({ subscriptions: 1, silentSubscriptions: 4 });
  wrong.close();
  await wrong.closed;
  await until(() => exchange.stats().silentSubscriptions === 0, "the closed connection's streams forgotten");
});

test("ten messages within a second are taken, the eleventh ends the connection with 1008", async () => {
  const exchange = start(NO_EVENTS);
  const client = await Client.open(`${exchange.url}/public/stream`);
  for (let id = 1; id <= 11; id++) client.request("LIST_SUBSCRIPTIONS", id);
  expect(await client.closed).toBe(1008);
  expect(client.frames.length).toBe(10);
  expect(exchange.stats().rateLimitedTotal).toBe(1);
});

test("the server pings; who answers stays, who does not is closed", async () => {
  const exchange = start({ ...NO_EVENTS, pingIntervalMs: 150, pongTimeoutMs: 3000 });
  const client = await Client.open(`${exchange.url}/public/stream`);
  const deaf = await deafClient(exchange.port, "/public/stream");
  await until(() => exchange.stats().pongTimeoutsTotal === 1, "the deaf client closed");
  expect(client.pings).toBeGreaterThan(0);
  expect(exchange.stats()).toMatchObject({ connections: 1, rateLimitedTotal: 0 });
  deaf.destroy();
});

test("a connection is closed at the end of its lifetime", async () => {
  const client = await Client.open(`${start({ ...NO_EVENTS, lifetimeMs: 50 }).url}/public/stream`);
  expect(await client.closed).toBe(1001);
});

test("every counted frame arrives, once per subscriber, on the stream it is counted for", async () => {
  const exchange = start({ rate: "max", events: 20_000, liquidationShare: 0.05 });
  await exchange.pause();
  const symbols = exchange.instruments
    .filter(({ status }) => status === "TRADING")
    .map(({ symbol }) => symbol);
  const books = symbols.map((symbol) => `${symbol.toLowerCase()}@bookTicker`);
  const market = [
    "!forceOrder@arr",
    ...symbols.flatMap((symbol) => [
      `${symbol.toLowerCase()}@aggTrade`,
      `${symbol.toLowerCase()}@markPrice@1s`,
    ]),
  ];
  const clients = await Promise.all([
    Client.open(`${exchange.url}/public/stream?streams=${books.map(encodeURIComponent).join("/")}`),
    Client.open(`${exchange.url}/public/ws/${encodeURIComponent("币安人生usdt@bookTicker")}`),
    Client.open(`${exchange.url}/market/stream`),
    Client.open(`${exchange.url}/market/stream`),
  ]);
  const [first, raw, second, third] = clients as [Client, Client, Client, Client];
  await second.subscribe(market);
  await third.subscribe(["btcusdt@aggTrade"]);
  exchange.resume();
  await exchange.finished;
  await exchange.pause();
  const { sent, symbols: bySymbol } = exchange.stats();
  const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
  await until(() => clients.reduce((sum, { frames }) => sum + frames.length, 0) >= total, "all frames");

  const seen = { bookTicker: 0, aggTrade: 0, markPrice: 0, forceOrder: 0 };
  const kinds = {
    bookTicker: "bookTicker",
    aggTrade: "aggTrade",
    markPriceUpdate: "markPrice",
    forceOrder: "forceOrder",
  };
  for (const frame of [first, second, third].flatMap(({ frames }) => frames.map(read))) {
    seen[kinds[frame.data.e as keyof typeof kinds] as keyof typeof seen]++;
    expect(frame.stream.split("@")[1]).toBe(
      frame.data.e === "forceOrder" ? "arr" : kinds[frame.data.e as keyof typeof kinds],
    );
  }
  seen.bookTicker += raw.frames.length;
  expect(seen).toEqual(sent);
  expect(sent.forceOrder).toBeGreaterThan(0);
  expect(bySymbol[CHINESE]?.bookTicker).toBe(raw.frames.length * 2);
  expect(bySymbol.BTCUSDT?.aggTrade).toBe(third.frames.length * 2);
  const wrapped = first.frames.filter((frame) => frame.startsWith('{"stream":"币安人生usdt@bookTicker"'));
  expect(wrapped).toEqual(raw.frames.map((data) => `{"stream":"币安人生usdt@bookTicker","data":${data}}`));
  expect(third.frames).toEqual(second.frames.filter((frame) => frame.includes('"btcusdt@aggTrade"')));
});

test("frames are spelled key for key as on the wire", async () => {
  const exchange = start({ liquidationShare: 1 });
  const client = await Client.open(`${exchange.url}/market/stream`);
  await client.subscribe([
    "btcusdt@aggTrade",
    "btcusdt@markPrice@1s",
    "btcusdt@forceOrder",
    ...exchange.instruments
      .filter(({ contractType }) => contractType === "CURRENT_QUARTER")
      .map(({ symbol }) => `${symbol.toLowerCase()}@markPrice@1s`),
  ]);
  const books = await Client.open(`${exchange.url}/public/stream?streams=btcusdt@bookTicker`);
  const patterns = {
    aggTrade:
      /^\{"stream":"btcusdt@aggTrade","data":\{"e":"aggTrade","E":\d{13},"a":\d+,"s":"BTCUSDT","p":"\d+\.\d0","q":"\d+\.\d{3}","nq":"\d+\.\d{3}","f":\d+,"l":\d+,"T":\d{13},"m":(true|false),"st":1\}\}$/,
    markPrice:
      /^\{"stream":"btcusdt@markPrice@1s","data":\{"e":"markPriceUpdate","E":\d{10}000,"s":"BTCUSDT","p":"\d+\.\d{8}","ap":"\d+\.\d{8}","P":"\d+\.\d{8}","i":"\d+\.\d{8}","r":"-?0\.\d{8}","T":\d{8}00000,"st":1\}\}$/,
    dated:
      /^\{"stream":"btcusdt_\d{6}@markPrice@1s","data":\{"e":"markPriceUpdate",.*"i":"\d+\.\d{8}","r":"","T":0,"st":1\}\}$/,
    forceOrder:
      /^\{"stream":"btcusdt@forceOrder","data":\{"e":"forceOrder","E":\d{13},"o":\{"s":"BTCUSDT","S":"(BUY|SELL)","o":"LIMIT","f":"IOC","q":"\d+\.\d{3}","p":"\d+\.\d0","ap":"\d+\.\d0","X":"FILLED","l":"\d+\.\d{3}","z":"\d+\.\d{3}","T":\d{13},"ps":"BTCUSDT","st":1\}\}\}$/,
  };
  const book =
    /^\{"stream":"btcusdt@bookTicker","data":\{"e":"bookTicker","u":\d+,"s":"BTCUSDT","ps":"BTCUSDT","b":"\d+\.\d0","B":"\d+\.\d{3}","a":"\d+\.\d0","A":"\d+\.\d{3}","T":\d{13},"E":\d{13},"st":1\}\}$/;
  const all = Object.values(patterns);
  await until(
    () => all.every((pattern) => client.frames.some((frame) => pattern.test(frame))),
    "each kind once",
  );
  await until(() => books.frames.length > 50, "book tickers");
  for (const frame of client.frames)
    expect(
      all.some((pattern) => pattern.test(frame)),
      frame,
    ).toBe(true);
  for (const frame of books.frames) expect(frame).toMatch(book);
});

test("ids are consecutive or grow, quotes do not cross, and nothing is sent before it happened", async () => {
  const exchange = start({ rate: "max", events: 10_000 });
  const trades = await Client.open(`${exchange.url}/market/stream?streams=ethusdt@aggTrade`);
  const books = await Client.open(`${exchange.url}/public/stream?streams=ethusdt@bookTicker`);
  await exchange.finished;
  const { sent } = exchange.stats();
  await until(
    () => trades.frames.length + books.frames.length >= sent.aggTrade + sent.bookTicker,
    "all frames",
  );
  const trade = z.object({
    E: z.int(),
    T: z.int(),
    a: z.int(),
    f: z.int(),
    l: z.int(),
    q: z.string(),
    nq: z.string(),
  });
  let before: z.infer<typeof trade> | undefined;
  for (const frame of trades.frames) {
    const now = trade.parse(read(frame).data);
    expect(now.E).toBeGreaterThanOrEqual(now.T);
    expect(now.l).toBeGreaterThanOrEqual(now.f);
    expect(Number(now.q)).toBeGreaterThanOrEqual(Number(now.nq));
    if (before !== undefined) {
      expect([now.a, now.f]).toEqual([before.a + 1, before.l + 1]);
      expect(now.T).toBeGreaterThanOrEqual(before.T);
    }
    before = now;
  }
  const quote = z.object({ E: z.int(), T: z.int(), u: z.int(), b: z.string(), a: z.string() });
  let last = 0;
  for (const frame of books.frames) {
    const now = quote.parse(read(frame).data);
    expect(now.u).toBeGreaterThan(last);
    expect(Number(now.b)).toBeLessThan(Number(now.a));
    expect(now.E).toBeGreaterThanOrEqual(now.T);
    last = now.u;
  }
  expect(before).toBeDefined();
  expect(last).toBeGreaterThan(0);
});

test("the same seed gives the same events, another seed others; who listens changes nothing", async () => {
  const record = async (seed: number, extra: readonly string[]): Promise<string[]> => {
    const exchange = start({ seed, rate: "max", events: 5000 });
    await exchange.pause();
    if (extra.length > 0) await Client.open(`${exchange.url}/market/stream?streams=${extra.join("/")}`);
    const client = await Client.open(
      `${exchange.url}/public/stream?streams=btcusdt@bookTicker/solusdt@bookTicker`,
    );
    exchange.resume();
    await exchange.finished;
    const wanted = exchange.stats().sent.bookTicker;
    await until(() => client.frames.length >= wanted, "all quotes");
    return client.frames.map((frame) => frame.replace(/"T":\d+,"E":\d+/, ""));
  };
  const first = await record(SEED, []);
  expect(first.length).toBeGreaterThan(500);
  const again = await record(SEED, ["btcusdt@aggTrade"]);
  expect(again.findIndex((frame, index) => frame !== first[index])).toBe(-1);
  expect(again.length).toBe(first.length);
  expect(await record(SEED + 1, [])).not.toEqual(first);
});

test("exchangeInfo lists what discovery reads, with what it must skip", async () => {
  const exchange = start({ ...NO_EVENTS, instruments: 60 });
  const response = await fetch(`${exchange.restUrl}/fapi/v1/exchangeInfo`);
  expect(Number(response.headers.get("x-mbx-used-weight-1m"))).toBeGreaterThan(0);
  const decimal = z.string().regex(/^\d+(\.\d+)?$/);
  const info = z.object({
    serverTime: z.int(),
    symbols: z.array(
      z.object({
        symbol: z.string(),
        pair: z.string(),
        contractType: z.enum(["PERPETUAL", "CURRENT_QUARTER"]),
        status: z.enum(["PENDING_TRADING", "TRADING", "SETTLING"]),
        baseAsset: z.string().min(1),
        quoteAsset: z.enum(["USDT", "USDC"]),
        marginAsset: z.enum(["USDT", "USDC"]),
        onboardDate: z.int().positive(),
        deliveryDate: z.int().positive(),
        underlyingType: z.literal("COIN"),
        pricePrecision: z.int(),
        quantityPrecision: z.int(),
        filters: z.tuple([
          z.object({ filterType: z.literal("PRICE_FILTER"), tickSize: decimal }),
          z.object({ filterType: z.literal("LOT_SIZE"), stepSize: decimal }),
        ]),
      }),
    ),
  });
  const { symbols } = info.parse(await response.json());
  const wanted = symbols.filter(
    (entry) =>
      entry.contractType === "PERPETUAL" && entry.quoteAsset === "USDT" && entry.status === "TRADING",
  );
  expect(wanted.length).toBe(60);
  expect(new Set(symbols.map(({ symbol }) => symbol)).size).toBe(64);
  expect(wanted.map(({ symbol }) => symbol)).toContain(CHINESE);
  expect(symbols.some(({ status }) => status === "SETTLING")).toBe(true);
  expect(symbols.some(({ status }) => status === "PENDING_TRADING")).toBe(true);
  expect(symbols.some(({ quoteAsset }) => quoteAsset === "USDC")).toBe(true);
  const quarterly = symbols.find(({ contractType }) => contractType === "CURRENT_QUARTER");
  expect(quarterly?.symbol).toMatch(/^BTCUSDT_\d{6}$/);
  expect(quarterly?.deliveryDate).toBeGreaterThan(Date.now());
  expect(symbols[0]).toMatchObject({
    symbol: "BTCUSDT",
    filters: [{ tickSize: "0.10" }, { stepSize: "0.001" }],
  });
});

test("GET /fapi/v1/time, /sim/stats, and 404 for what is not there", async () => {
  const { restUrl } = start(NO_EVENTS);
  const time = z.object({ serverTime: z.int() }).parse(await (await fetch(`${restUrl}/fapi/v1/time`)).json());
  expect(Math.abs(time.serverTime - Date.now())).toBeLessThan(60_000);
  const stats = z.looseObject({ sent: z.record(z.string(), z.int()), connections: z.int() });
  expect(stats.parse(await (await fetch(`${restUrl}/sim/stats`)).json()).connections).toBe(0);
  expect((await fetch(`${restUrl}/fapi/v1/nothing`)).status).toBe(404);
});

test("a client that does not read is cut: at a set rate by its backlog, at max by its stall", async () => {
  const streams = "btcusdt@bookTicker/ethusdt@bookTicker/solusdt@bookTicker";
  for (const options of [
    { rate: 200_000, slowConsumerBytes: 1 << 16, maxCatchUpMs: 50 },
    { rate: "max" as const, backPressureBytes: 1 << 16, stallTimeoutMs: 50 },
  ]) {
    const exchange = start(options);
    const deaf = await deafClient(exchange.port, `/public/stream?streams=${streams}`);
    await until(() => exchange.stats().slowConsumersTotal === 1, "the deaf client cut");
    await until(() => exchange.stats().connections === 0, "its connection gone");
    deaf.destroy();
  }
}, 180_000);

test("a taken port is an error with its code", () => {
  const { port } = start(NO_EVENTS);
  expect(() => startBinance({ port })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
});
