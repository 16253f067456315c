import { afterEach, expect, test } from "bun:test";
import { z } from "zod";
import { type BybitOptions, type SimulatedBybit, startBybit } from "../../src/simulator/bybit.ts";
import { Client, until } from "./client.ts";

const SEED = 20_261_121;
console.log(`simulated Bybit tests: seed ${SEED}`);

const open: SimulatedBybit[] = [];
function start(options: BybitOptions = {}): SimulatedBybit {
  const exchange = startBybit({ seed: SEED, instruments: 8, rate: 2000, ...options });
  open.push(exchange);
  return exchange;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((exchange) => exchange.stop()));
});

const NO_EVENTS = { events: 0 };
const CHINESE = "币安人生USDT";
const KINDS = ["orderbook.1", "publicTrade", "tickers", "allLiquidation"];
const ANSWER = z.object({
  success: z.boolean(),
  ret_msg: z.string(),
  conn_id: z.string(),
  req_id: z.string(),
  op: z.string(),
});
const FRAME = z.object({ topic: z.string(), type: z.string(), ts: z.int(), data: z.unknown() });
const TRADE = z.object({
  T: z.int(),
  s: z.string(),
  S: z.enum(["Buy", "Sell"]),
  v: z.string(),
  p: z.string(),
  i: z.string().regex(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
  BT: z.boolean(),
  RPI: z.boolean(),
  seq: z.int(),
});
const BOOK = z.object({ s: z.string(), u: z.int(), seq: z.int() });

async function connect(exchange: SimulatedBybit): Promise<Client> {
  return Client.open(`${exchange.url}/v5/public/linear`);
}

const ask = (client: Client, op: string, args?: readonly string[], req_id?: string): void =>
  client.send(JSON.stringify({ op, ...(req_id === undefined ? {} : { req_id }), ...(args && { args }) }));

/** Asks and waits for the answer. */
async function asked(client: Client, op: string, args?: readonly string[]): Promise<z.infer<typeof ANSWER>> {
  const id = `q${Math.floor(performance.now() * 1000)}`;
  ask(client, op, args, id);
  const own = () => client.frames.find((frame) => frame.includes(`"req_id":"${id}"`));
  await until(() => own() !== undefined, `answer to ${op}`);
  return ANSWER.parse(JSON.parse(own() ?? ""));
}

const dataFrames = (client: Client, topic = ""): string[] =>
  client.frames.filter((frame) => frame.startsWith(`{"topic":"${topic}`));

const KIND = ["orderbook", "publicTrade", "tickers", "allLiquidation"] as const;

/** What a client has seen, counted as the exchange counts what it sent. */
function tally(frames: readonly string[]) {
  const seen = {
    frames: { orderbook: 0, publicTrade: 0, tickers: 0, allLiquidation: 0 },
    sent: { orderbook: 0, publicTrade: 0, markPrice: 0, funding: 0, openInterest: 0, allLiquidation: 0 },
  };
  for (const text of frames) {
    const { topic, data } = FRAME.parse(JSON.parse(text));
    const kind = KIND.find((candidate) => topic.startsWith(candidate));
    if (kind === undefined) throw new Error(`a frame of ${topic}`);
    seen.frames[kind]++;
    if (kind === "orderbook") seen.sent.orderbook++;
    else if (kind !== "tickers") seen.sent[kind] += z.array(z.unknown()).parse(data).length;
    else {
      const fields = z.record(z.string(), z.string()).parse(data);
      const has = (...keys: string[]) => keys.some((key) => (fields[key] ?? "") !== "");
      if (has("markPrice", "indexPrice")) seen.sent.markPrice++;
      if (has("fundingRate", "nextFundingTime", "fundingIntervalHour")) seen.sent.funding++;
      if (has("openInterest", "openInterestValue", "singleOpenInterest")) seen.sent.openInterest++;
    }
  }
  return seen;
}

test("subscribe, unsubscribe and ping are answered as the exchange spells it", async () => {
  const exchange = start(NO_EVENTS);
  const client = await connect(exchange);
  ask(client, "subscribe", ["publicTrade.BTCUSDT", "allLiquidation.ETHUSDT"], "a1");
  ask(client, "unsubscribe", ["publicTrade.BTCUSDT"]);
  ask(client, "ping");
  ask(client, "ping", undefined, "p1");
  ask(client, "nope", [], "x");
  client.send("not json");
  await until(() => client.frames.length === 6, "six answers");
  expect(client.frames.map((frame) => frame.replace(/"conn_id":"[^"]+"/, '"conn_id":""'))).toEqual([
    '{"success":true,"ret_msg":"","conn_id":"","req_id":"a1","op":"subscribe"}',
    '{"success":true,"ret_msg":"","conn_id":"","req_id":"","op":"unsubscribe"}',
    '{"success":true,"ret_msg":"pong","conn_id":"","req_id":"","op":"ping"}',
    '{"success":true,"ret_msg":"pong","conn_id":"","req_id":"p1","op":"ping"}',
    '{"success":false,"ret_msg":"error:invalid op","conn_id":"","req_id":"x","op":"nope"}',
    '{"success":false,"ret_msg":"Failed to decode incoming data:not json","conn_id":"","req_id":"","op":""}',
  ]);
  expect(exchange.stats()).toMatchObject({ subscriptions: 1, pingsTotal: 2, refusedRequestsTotal: 0 });
});

test("one bad topic fails the whole request and is named; none of its topics deliver", async () => {
  const exchange = start({ withoutLiquidations: ["BTCUSDT"] });
  const client = await connect(exchange);
  const closed = exchange.instruments.find(({ status }) => status === "Closed")?.symbol ?? "";
  for (const bad of [
    "orderbook.1.NOPEUSDT",
    "orderbook.7.BTCUSDT",
    "publicTrade.btcusdt",
    "trade.BTCUSDT",
    "allLiquidation.BTCUSDT",
    `publicTrade.${closed}`,
  ]) {
    expect(await asked(client, "subscribe", ["publicTrade.ETHUSDT", bad, "tickers.NOPEUSDT"])).toMatchObject({
      success: false,
      ret_msg: `error:handler not found,topic:${bad}`,
    });
  }
  expect(await asked(client, "subscribe", [])).toMatchObject({ success: false });
  await Bun.sleep(50);
  expect(dataFrames(client)).toEqual([]);
  expect(exchange.stats()).toMatchObject({ subscriptions: 0, refusedRequestsTotal: 7 });
});

test("a topic twice fails the request, and the first subscription keeps delivering", async () => {
  const exchange = start();
  const client = await connect(exchange);
  expect(await asked(client, "subscribe", ["orderbook.1.ETHUSDT"])).toMatchObject({ success: true });
  const again = { success: false, ret_msg: "error:already subscribed,topic:orderbook.1.ETHUSDT" };
  expect(await asked(client, "subscribe", ["tickers.BTCUSDT", "orderbook.1.ETHUSDT"])).toMatchObject(again);
  const twice = await asked(client, "subscribe", ["tickers.BTCUSDT", "tickers.BTCUSDT"]);
  expect(twice.ret_msg).toBe("error:already subscribed,topic:tickers.BTCUSDT");
  const before = dataFrames(client).length;
  await until(() => dataFrames(client).length > before + 5, "more books");
  expect(dataFrames(client, "tickers")).toEqual([]);
  expect(await asked(client, "unsubscribe", ["orderbook.1.ETHUSDT", "tickers.BTCUSDT"])).toMatchObject({
    success: true,
  });
  expect(exchange.stats().subscriptions).toBe(0);
});

test("all args of a connection together are bounded, by characters and not by number", async () => {
  const client = await connect(start({ ...NO_EVENTS, argsCharsMax: 41 }));
  expect(await asked(client, "subscribe", ["tickers.BTCUSDT", "publicTrade.BTCUSDT"])).toMatchObject({
    success: true,
  });
  expect(await asked(client, "subscribe", ["tickers.ETHUSDT"])).toMatchObject({ success: false });
  await asked(client, "unsubscribe", ["tickers.BTCUSDT"]);
  expect(await asked(client, "subscribe", ["tickers.ETHUSDT"])).toMatchObject({ success: true });
});

test("books and tickers begin with a snapshot; trades and liquidations with nothing", async () => {
  const client = await connect(start(NO_EVENTS));
  const topics = KINDS.map((kind) => `${kind}.${CHINESE}`);
  await asked(client, "subscribe", topics);
  const frames = dataFrames(client).map((text) => FRAME.parse(JSON.parse(text)));
  expect(frames.map(({ topic, type }) => [topic, type])).toEqual([
    [`orderbook.1.${CHINESE}`, "snapshot"],
    [`tickers.${CHINESE}`, "snapshot"],
  ]);
  const fields = z.record(z.string(), z.string()).parse(frames[1]?.data);
  for (const key of [
    "markPrice",
    "indexPrice",
    "openInterest",
    "openInterestValue",
    "singleOpenInterest",
    "fundingRate",
  ]) {
    expect([key, Number.isFinite(Number(fields[key] || "none"))]).toEqual([key, true]);
  }
  expect(Number(fields.nextFundingTime)).toBeGreaterThan(Date.now());
  expect(fields.fundingIntervalHour).toBe("4");
});

test("every counted event arrives, whatever the frames it came in", async () => {
  const exchange = start({ rate: "max", events: 20_000, liquidationShare: 0.05 });
  await exchange.pause();
  const symbols = exchange.instruments
    .filter(({ status }) => status === "Trading")
    .map(({ symbol }) => symbol);
  const clients = await Promise.all([connect(exchange), connect(exchange)]);
  const [first, second] = clients as [Client, Client];
  for (const kind of KINDS)
    await asked(
      first,
      "subscribe",
      symbols.map((symbol) => `${kind}.${symbol}`),
    );
  await asked(
    second,
    "subscribe",
    KINDS.map((kind) => `${kind}.BTCUSDT`),
  );
  exchange.resume();
  await exchange.finished;
  await exchange.pause();
  const { sent, frames, symbols: bySymbol } = exchange.stats();
  const total = Object.values(frames).reduce((sum, count) => sum + count, 0);
  const all = () => clients.flatMap((client) => dataFrames(client));
  await until(() => all().length >= total, "all frames");
  expect(tally(all())).toEqual({ frames, sent });
  expect(sent.publicTrade).toBeGreaterThan(frames.publicTrade);
  expect(sent.allLiquidation).toBeGreaterThanOrEqual(frames.allLiquidation);
  expect(frames.allLiquidation).toBeGreaterThan(0);
  expect(tally(dataFrames(second)).sent.publicTrade * 2).toBe(bySymbol.BTCUSDT?.publicTrade ?? 0);
  // Without the snapshots, which each got at its own time.
  const own = (client: Client): string[] =>
    dataFrames(client)
      .filter((frame) => frame.includes('.BTCUSDT"') && !frame.includes('"topic":"tickers'))
      .slice(1);
  expect(own(second)).toEqual(own(first));
});

test("trades: ids are UUIDs that never repeat, one seq and time for the fills of an order", async () => {
  const exchange = start({ rate: "max", events: 10_000, instruments: 3 });
  await exchange.pause();
  const client = await connect(exchange);
  await asked(client, "subscribe", ["publicTrade.BTCUSDT", "publicTrade.ETHUSDT", "publicTrade.SOLUSDT"]);
  exchange.resume();
  await exchange.finished;
  const wanted = exchange.stats().frames.publicTrade;
  await until(() => dataFrames(client).length >= wanted, "all frames");
  const ids = new Set<string>();
  let count = 0;
  let blocks = 0;
  for (const text of dataFrames(client)) {
    const { ts, data } = FRAME.parse(JSON.parse(text));
    const trades = z.array(TRADE).min(1).max(8).parse(data);
    for (const { i, T, seq, v, BT } of trades) {
      ids.add(i);
      count++;
      if (BT) blocks++;
      expect([T, seq]).toEqual([trades[0]?.T ?? 0, trades[0]?.seq ?? 0]);
      expect(T).toBeLessThanOrEqual(ts);
      expect(Number(v)).toBeGreaterThan(0);
    }
  }
  expect(ids.size).toBe(count);
  expect(count).toBe(exchange.stats().sent.publicTrade);
  expect(blocks).toBeGreaterThan(0);
});

test("ticker deltas carry only what changed, now and then only markPrice", async () => {
  const exchange = start({ instruments: 300, preLaunch: 0 });
  const client = await connect(exchange);
  const topics = exchange.instruments
    .filter(({ status }) => status === "Trading")
    .map(({ symbol }) => `tickers.${symbol}`);
  await asked(client, "subscribe", topics);
  const deltas = () => dataFrames(client).filter((frame) => frame.includes('"type":"delta"'));
  await until(() => deltas().length > 200, "a round of deltas");
  const keys = (text: string) =>
    Object.keys(z.object({ data: z.record(z.string(), z.string()) }).parse(JSON.parse(text)).data).join();
  const shapes = new Set(deltas().map(keys));
  expect(shapes).toContain("symbol,markPrice");
  expect(shapes).toContain("symbol,indexPrice");
  expect(shapes).toContain("symbol,fundingRate");
  expect(shapes).toContain("symbol,markPrice,indexPrice,openInterestValue,singleOpenInterestValue");
  expect([...shapes].some((shape) => shape.includes("bid1Price") && !shape.includes("markPrice"))).toBe(true);
  expect(tally(dataFrames(client)).sent).toEqual(exchange.stats().sent);
});

test("frames are spelled key for key as on the wire", async () => {
  const exchange = start({ liquidationShare: 1 });
  const client = await connect(exchange);
  await asked(
    client,
    "subscribe",
    KINDS.map((kind) => `${kind}.BTCUSDT`),
  );
  const patterns = [
    /^\{"topic":"orderbook\.1\.BTCUSDT","ts":\d{13},"type":"snapshot","data":\{"s":"BTCUSDT","b":\[\["\d+\.\d0","\d+\.\d{3}"\]\],"a":\[\["\d+\.\d0","\d+\.\d{3}"\]\],"u":\d+,"seq":\d+\},"cts":\d{13}\}$/,
    /^\{"topic":"publicTrade\.BTCUSDT","type":"snapshot","ts":\d{13},"data":\[(,?\{"T":\d{13},"s":"BTCUSDT","S":"(Buy|Sell)","v":"\d+\.\d{3}","p":"\d+\.\d0","L":"(Zero)?(Plus|Minus)Tick","i":"[0-9a-f-]{36}","BT":(true|false),"RPI":(true|false),"seq":\d+\})+\]\}$/,
    /^\{"topic":"tickers\.BTCUSDT","type":"(snapshot|delta)","data":\{"symbol":"BTCUSDT"(,"\w+":"[^"]*")+\},"cs":\d+,"ts":\d{13}\}$/,
    /^\{"topic":"allLiquidation\.BTCUSDT","type":"snapshot","ts":\d{13},"data":\[(,?\{"T":\d{13},"s":"BTCUSDT","S":"(Buy|Sell)","v":"\d+\.\d{3}","p":"\d+\.\d0"\})+\]\}$/,
  ];
  await until(
    () => patterns.every((pattern) => dataFrames(client).some((frame) => pattern.test(frame))),
    "each kind",
  );
  for (const frame of dataFrames(client)) {
    expect(
      patterns.some((pattern) => pattern.test(frame)),
      frame,
    ).toBe(true);
  }
});

test("a book that does not change is pushed again with the same u", async () => {
  const exchange = start({ rate: 1, bookResendMs: 500 });
  const client = await connect(exchange);
  const dated =
    exchange.instruments.find(({ contractType }) => contractType === "LinearFutures")?.symbol ?? "";
  await asked(client, "subscribe", [`orderbook.1.${dated}`]);
  await until(() => dataFrames(client).length >= 3, "the book three times");
  const books = dataFrames(client).map((text) => FRAME.parse(JSON.parse(text)));
  const [one, , three] = books.map(({ data }) => BOOK.parse(data));
  expect([one?.u, one?.seq]).toEqual([three?.u, three?.seq]);
  expect(books[2]?.ts).toBeGreaterThan(books[0]?.ts ?? 0);
}, 180_000);

test("the same seed gives the same events; who listens changes nothing", async () => {
  const record = async (seed: number, extra: readonly string[]): Promise<string[]> => {
    const exchange = start({ seed, rate: "max", events: 5000 });
    await exchange.pause();
    if (extra.length > 0) await asked(await connect(exchange), "subscribe", extra);
    const client = await connect(exchange);
    await asked(client, "subscribe", ["orderbook.1.BTCUSDT", "publicTrade.SOLUSDT"]);
    exchange.resume();
    await exchange.finished;
    await asked(client, "ping");
    return dataFrames(client).map((frame) => frame.replace(/"(ts|cts|T)":\d+/g, ""));
  };
  const first = await record(SEED, []);
  expect(first.length).toBeGreaterThan(500);
  expect(await record(SEED, ["publicTrade.BTCUSDT", "tickers.SOLUSDT"])).toEqual(first);
  expect(await record(SEED + 1, [])).not.toEqual(first);
});

test("a listing and a delisting in flight", async () => {
  const exchange = start({ preLaunch: 1 });
  const symbol = exchange.instruments.find(({ status }) => status === "PreLaunch")?.symbol ?? "";
  const listed = async (): Promise<string[]> => {
    const response = await fetch(`${exchange.restUrl}/v5/market/instruments-info?category=linear`);
    const shape = z.object({ result: z.object({ list: z.array(z.object({ symbol: z.string() })) }) });
    return shape.parse(await response.json()).result.list.map((entry) => entry.symbol);
  };
  expect(await listed()).not.toContain(symbol);
  exchange.setStatus(symbol, "Trading");
  expect(await listed()).toContain(symbol);
  const client = await connect(exchange);
  expect(await asked(client, "subscribe", [`orderbook.1.${symbol}`])).toMatchObject({ success: true });
  await until(() => dataFrames(client).length > 3, "events of the new instrument");
  exchange.setStatus(symbol, "Closed");
  await asked(client, "ping");
  const before = dataFrames(client).length;
  expect(await listed()).not.toContain(symbol);
  expect(await asked(client, "subscribe", [`tickers.${symbol}`])).toMatchObject({ success: false });
  await Bun.sleep(50);
  expect(dataFrames(client).length).toBe(before);
  expect(() => exchange.setStatus("NOPEUSDT", "Closed")).toThrow("NOPEUSDT");
});

test("a connection that says nothing is cut, one that pings is not; only one path takes a WebSocket", async () => {
  const exchange = start({ ...NO_EVENTS, idleTimeoutMs: 2500 });
  const idle = await connect(exchange);
  const alive = await connect(exchange);
  const timer = setInterval(() => ask(alive, "ping"), 50);
  expect(await idle.closed).toBe(1001);
  await Bun.sleep(300);
  clearInterval(timer);
  expect(exchange.stats()).toMatchObject({ connections: 1, idleTotal: 1 });
  for (const path of ["/v5/public/spot", "/v5/private", "/", "/public/stream"]) {
    expect(Client.open(exchange.url + path), path).rejects.toThrow("status 404");
  }
});

const INFO = z.object({
  retCode: z.int(),
  retMsg: z.string(),
  result: z.object({
    list: z.array(
      z.object({
        symbol: z.string(),
        contractType: z.enum(["LinearPerpetual", "LinearFutures"]),
        status: z.enum(["Trading", "PreLaunch", "Closed"]),
        baseCoin: z.string(),
        settleCoin: z.enum(["USDT", "USDC"]),
        launchTime: z.string().regex(/^\d{13}$/),
        deliveryTime: z.string().regex(/^\d+$/),
        fundingInterval: z.int(),
        priceFilter: z.object({ tickSize: z.string() }),
        lotSizeFilter: z.object({ qtyStep: z.string() }),
      }),
    ),
    nextPageCursor: z.string(),
  }),
});

test("instruments-info comes in pages and lists what trades", async () => {
  const exchange = start({ ...NO_EVENTS, instruments: 60, pageSize: 25 });
  const page = async (query: string) => {
    const response = await fetch(`${exchange.restUrl}/v5/market/instruments-info?category=linear${query}`);
    return INFO.parse(await response.json()).result;
  };
  const symbols: string[] = [];
  const sizes: number[] = [];
  for (let cursor = ""; ; ) {
    const { list, nextPageCursor } = await page(`&limit=1000${cursor}`);
    sizes.push(list.length);
    symbols.push(...list.map(({ symbol }) => symbol));
    for (const { status } of list) expect(status).toBe("Trading");
    if (nextPageCursor === "") break;
    cursor = `&cursor=${nextPageCursor}`;
  }
  expect(sizes).toEqual([25, 25, 12]);
  expect(new Set(symbols).size).toBe(62);
  for (const symbol of [CHINESE, "1000PEPEUSDT", "SHIB1000USDT", "BTCPERP"])
    expect(symbols).toContain(symbol);
  expect(symbols.some((symbol) => /^BTCUSDT-\d{1,2}[A-Z]{3}\d{2}$/.test(symbol))).toBe(true);
  expect((await page("&symbol=BTCUSDT")).list).toMatchObject([
    { symbol: "BTCUSDT", deliveryTime: "0", fundingInterval: 480, priceFilter: { tickSize: "0.10" } },
  ]);
  expect((await page("&status=PreLaunch")).list.length).toBe(1);
  expect((await page("&limit=10")).list.length).toBe(10);
  for (const query of ["category=spot", "", "category=linear&limit=0", "category=linear&cursor=nonsense"]) {
    const answer = await fetch(`${exchange.restUrl}/v5/market/instruments-info?${query}`);
    expect(z.object({ retCode: z.int() }).parse(await answer.json()).retCode).toBe(10001);
  }
});

test("GET /v5/market/time, /sim/stats, and 404 for what is not there", async () => {
  const { restUrl } = start(NO_EVENTS);
  const time = z.object({ time: z.int() }).parse(await (await fetch(`${restUrl}/v5/market/time`)).json());
  expect(Math.abs(time.time - Date.now())).toBeLessThan(60_000);
  const stats = z.object({
    sent: z.object({ publicTrade: z.literal(0) }),
    frames: z.object({}),
    symbols: z.object({}),
  });
  stats.parse(await (await fetch(`${restUrl}/sim/stats`)).json());
  expect((await fetch(`${restUrl}/v5/market/nothing`)).status).toBe(404);
});
