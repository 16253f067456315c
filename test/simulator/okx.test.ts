import { afterEach, describe, expect, test } from "bun:test";
import { z } from "zod";
import { FRAME } from "../../src/exchanges/decoding/decoder.ts";
import { okx } from "../../src/exchanges/okx.ts";
import {
  OKX_KINDS,
  type OkxKind,
  type OkxOptions,
  type SimulatedOkx,
  startOkx,
} from "../../src/simulator/okx.ts";
import { Bench } from "../exchanges/okx/bench.ts";
import { asking } from "../lib/rest.ts";
import { Client, deafClient, until } from "./client.ts";

const SEED = 20_261_120;
console.log(`OKX simulator tests: seed ${SEED}`);

const open: SimulatedOkx[] = [];
function start(options: OkxOptions = {}): SimulatedOkx {
  const exchange = startOkx({ seed: SEED, instruments: 8, rate: 2000, ...options });
  open.push(exchange);
  return exchange;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((exchange) => exchange.stop()));
});

const NO_EVENTS = { events: 0 };
const PUBLIC = "/ws/v5/public";
const arg = (channel: string, instId = "BTC-USDT-SWAP") => ({ channel, instId });
const send = (client: Client, op: string, args: readonly object[], id?: string) =>
  client.send(JSON.stringify({ id, op, args }));
const isEvent = (text: string) => text.startsWith('{"event"') || text.startsWith('{"id"');
const dataOf = (client: Client) => client.frames.filter((text) => !isEvent(text) && text !== "pong");
const total = (counts: Readonly<Record<string, number>>) =>
  Object.values(counts).reduce((sum, one) => sum + one, 0);

/** Subscribes by the exchange's own messages, and waits for every ack. */
async function subscribe(client: Client, channels: readonly string[], id = 1): Promise<void> {
  client.send(okx.subscribeMessage(channels, id));
  const acks = () =>
    client.frames.filter((text) => text.startsWith(`{"id":"${id}","event":"subscribe"`)).length;
  await until(() => acks() === channels.length, `${channels.length} acks`);
}

describe("the protocol", () => {
  test("one ack per arg, with the id of the request if it has one; twice is once", async () => {
    const exchange = start(NO_EVENTS);
    const client = await Client.open(exchange.url + PUBLIC);
    const swaps = { channel: "liquidation-orders", instType: "SWAP" };
    send(client, "subscribe", [arg("trades"), swaps], "a1");
    send(client, "subscribe", [arg("trades")]);
    send(client, "unsubscribe", [arg("trades")]);
    await until(() => client.frames.filter(isEvent).length === 4, "four acks");
    const connId = '"connId":"9e3779b1"';
    expect(client.frames.filter(isEvent)).toEqual([
      `{"id":"a1","event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},${connId}}`,
      `{"id":"a1","event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"},${connId}}`,
      `{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},${connId}}`,
      `{"event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},${connId}}`,
    ]);
    expect(exchange.stats()).toMatchObject({ subscriptions: 1, silentSubscriptions: 0 });
  });

  test("a bad arg is an error without an arg, the others hold", async () => {
    const exchange = start(NO_EVENTS);
    const client = await Client.open(exchange.url + PUBLIC);
    const bad = [
      arg("trades", "NMR-USDT-SWAP"),
      arg("trade"),
      // Of the other path, and of a channel that takes a type.
      arg("trades-all"),
      arg("liquidation-orders"),
      { channel: "bbo-tbt" },
    ];
    send(client, "subscribe", [...bad, arg("trades"), arg("books")]);
    await until(() => client.frames.length === 7, "seven answers");
    const error = z.strictObject({
      event: z.literal("error"),
      msg: z.string(),
      code: z.literal("60018"),
      connId: z.string(),
    });
    const said = client.frames.slice(0, 5).map((text) => error.parse(JSON.parse(text)).msg);
    const tail =
      "doesn't exist. Please use the correct URL, channel and parameters referring to API document.";
    expect(said).toEqual([
      `Wrong URL or channel:trades,instId:NMR-USDT-SWAP ${tail}`,
      `Wrong URL or channel:trade,instId:BTC-USDT-SWAP ${tail}`,
      `Wrong URL or channel:trades-all,instId:BTC-USDT-SWAP ${tail}`,
      `Wrong URL or channel:liquidation-orders,instId:BTC-USDT-SWAP ${tail}`,
      `Wrong URL or channel:bbo-tbt ${tail}`,
    ]);
    expect(okx.answerOf(new TextEncoder().encode(client.frames[0]))).toMatchObject({
      channels: ["trades:NMR-USDT-SWAP"],
      error: expect.stringContaining("60018"),
    });
    expect(client.frames[5]).toContain('"event":"subscribe"');
    // A book is acknowledged and stays silent: it is not generated.
    expect(exchange.stats()).toMatchObject({ subscriptions: 1, silentSubscriptions: 1 });
  });

  test("what is no request, too many args and too many operations are errors; the connection stays", async () => {
    const client = await Client.open(start({ ...NO_EVENTS, operationsPerHour: 2 }).url + PUBLIC);
    client.send("{nonsense");
    send(client, "record", [arg("trades")]);
    send(client, "subscribe", []);
    send(client, "subscribe", [arg("trades")], "no spaces allowed");
    send(
      client,
      "subscribe",
      Array.from({ length: 1500 }, (_, i) => arg("trades", `COIN${i}-USDT-SWAP`)),
    );
    for (let i = 0; i < 3; i++) send(client, "subscribe", [arg("trades")]);
    await until(() => client.frames.length === 8, "eight answers");
    const codes = client.frames.map((text) => /"code":"(\d+)"/.exec(text)?.[1]);
    expect(codes).toEqual(["60012", "60012", "60012", "60012", "60012", undefined, undefined, "60014"]);
    client.send("ping");
    await until(() => client.frames.at(-1) === "pong", "a pong");
  });

  test("only the two public paths take a WebSocket, and not more in a second than set", async () => {
    const { url } = start({ ...NO_EVENTS, connectsPerSecond: 2 });
    for (const path of ["/", "/ws", "/ws/v5/private", "/ws/v5/public/x"]) {
      await expect(Client.open(url + path)).rejects.toThrow("status 404");
    }
    for (;;) {
      const began = performance.now();
      const three = [PUBLIC, "/ws/v5/business", PUBLIC].map((path) => Client.open(url + path));
      const all = await Promise.allSettled(three);
      const refused = all.filter(({ status }) => status === "rejected");
      // On a machine that takes a second for this, others are asked for.
      if (refused.length === 0 && performance.now() - began >= 1000) continue;
      expect(refused).toMatchObject([{ reason: { message: "status 429" } }]);
      break;
    }
  });

  test("ping is answered; a connection without traffic is closed with 4004, one that pings or listens is not", async () => {
    const exchange = start({ idleTimeoutMs: 2500, rate: 200 });
    const silent = await Client.open(exchange.url + PUBLIC);
    const pinging = await Client.open(exchange.url + PUBLIC);
    const listening = await Client.open(exchange.url + PUBLIC);
    await subscribe(
      listening,
      exchange.instruments.slice(0, 8).map(({ instId }) => `bbo-tbt:${instId}`),
    );
    const timer = setInterval(() => pinging.send("ping"), 100);
    expect(await silent.closed).toBe(4004);
    await Bun.sleep(700);
    clearInterval(timer);
    expect(exchange.stats()).toMatchObject({ connections: 2, idleTotal: 1 });
    expect(new Set(pinging.frames)).toEqual(new Set(["pong"]));
    expect(silent.frames).toEqual([]);
  });
});

describe("the feed", () => {
  const everything = (exchange: SimulatedOkx, of = 8) =>
    okx
      .subscriptions(
        okx.streams,
        exchange.instruments.slice(0, of).map(({ instId, index }) => ({ instrument: instId, index })),
      )
      .map(({ channel }) => channel);

  test("every counted frame arrives, once per subscriber, and is decoded by the scanners to one row", async () => {
    const exchange = start({ rate: "max", events: 20_000, liquidationShare: 0.05, fundingEverySeconds: 1 });
    await exchange.pause();
    const all = await Client.open(exchange.url + PUBLIC);
    const one = await Client.open(exchange.url + PUBLIC);
    await subscribe(all, everything(exchange));
    await subscribe(one, ["trades:BTC-USDT-SWAP", "bbo-tbt:币安人生-USDT-SWAP"]);
    exchange.resume();
    await exchange.finished;
    await exchange.pause();
    const { sent, symbols } = exchange.stats();
    await until(() => dataOf(all).length + dataOf(one).length >= total(sent), "all frames");
    expect(dataOf(all).length + dataOf(one).length).toBe(total(sent));

    const bench = new Bench({ known: exchange.instruments.flatMap(({ instId, index }) => [instId, index]) });
    const seen: Record<string, number> = Object.fromEntries(OKX_KINDS.map((kind) => [kind, 0]));
    for (const text of [...dataOf(all), ...dataOf(one)]) {
      const kind = /"channel":"([^"]+)"/.exec(text)?.[1] ?? "";
      seen[kind] = (seen[kind] ?? 0) + 1;
      const { kind: decoded, rows } = bench.decode(text);
      if (decoded !== FRAME.EVENTS || rows.length !== 1)
        throw new Error(`not decoded: ${text} ${bench.reason}`);
    }
    expect(seen).toEqual(sent);
    expect(bench.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
    for (const kind of OKX_KINDS) expect([kind, sent[kind] > 0]).toEqual([kind, true]);
    const of = (client: Client, start: string) => dataOf(client).filter((text) => text.startsWith(start));
    const btc = '{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"}';
    expect(of(one, btc)).toEqual(of(all, btc));
    expect(symbols["BTC-USDT-SWAP"]?.trades).toBe(2 * of(one, btc).length);
    const chinese = '{"arg":{"channel":"bbo-tbt","instId":"币安人生-USDT-SWAP"}';
    expect(symbols["币安人生-USDT-SWAP"]?.["bbo-tbt"]).toBe(
      of(one, chinese).length + of(all, chinese).length,
    );
  });

  test("ids jump by count, quotes do not cross, times are of now, and nothing has a gap", async () => {
    const exchange = start({ rate: "max", events: 10_000, liquidationShare: 0.1 });
    await exchange.pause();
    const client = await Client.open(exchange.url + PUBLIC);
    await subscribe(client, everything(exchange));
    const from = Date.now() * 1000;
    exchange.resume();
    await exchange.finished;
    await until(() => dataOf(client).length >= total(exchange.stats().sent), "all frames");
    const bench = new Bench({ known: exchange.instruments.flatMap(({ instId, index }) => [instId, index]) });
    const last = new Map<string, number>();
    let aggregated = 0;
    let improved = 0;
    for (const text of dataOf(client)) {
      const [row] = bench.decode(text, { local: Date.now() * 1000 }).rows;
      if (row === undefined) throw new Error(`no row: ${text}`);
      if (row.is_history === true) continue;
      expect(Math.abs(Number(row.timestamp) - from)).toBeLessThan(60_000_000);
      if (row.stream === "bbo") {
        expect(Number(row.bid_price)).toBeLessThan(Number(row.ask_price));
        const key = `bbo ${row.instrument}`;
        expect(Number(row.sequence)).toBeGreaterThanOrEqual(last.get(key) ?? 0);
        last.set(key, Number(row.sequence));
      }
      if (row.stream !== "trade") continue;
      const before = last.get(String(row.instrument));
      if (before !== undefined) expect(Number(row.id) - Number(row.count)).toBe(before);
      last.set(String(row.instrument), Number(row.id));
      if (Number(row.count) > 1) aggregated++;
      if (row.is_rpi === true) improved++;
    }
    expect(bench.gaps).toEqual([]);
    expect(aggregated).toBeGreaterThan(100);
    expect(improved).toBeGreaterThan(10);
  });

  test("frames are spelled key for key as on the wire, decimals without zeros at the end", async () => {
    const exchange = start({ liquidationShare: 1, fundingEverySeconds: 1, interestEverySeconds: 1 });
    const client = await Client.open(exchange.url + PUBLIC);
    await subscribe(client, everything(exchange, 1));
    const swap = '"instId":"BTC-USDT-SWAP"';
    // <d> decimal, <r> rate, <t> time in ms, <n> number, <w> word.
    const templates: Record<OkxKind, string> = {
      "bbo-tbt": `${swap}},"data":[{"asks":[["<d>","<d>","0","<n>"]],"bids":[["<d>","<d>","0","<n>"]],"ts":"<t>","seqId":<n>}`,
      trades: `${swap}},"data":[{${swap},"tradeId":"<n>","px":"<d>","sz":"<d>","side":"<w>","ts":"<t>","count":"<n>","source":"<n>","seqId":<n>}`,
      "mark-price": `${swap}},"data":[{${swap},"instType":"SWAP","markPx":"<d>","ts":"<t>"}`,
      "index-tickers": `"instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"<d>","open24h":"<d>","high24h":"<d>","low24h":"<d>","sodUtc0":"<d>","sodUtc8":"<d>","ts":"<t>"}`,
      "funding-rate": `${swap}},"data":[{"formulaType":"withRate","fundingRate":"<r>","fundingTime":"<t>","impactValue":"20000.0000000000000000",${swap},"instType":"SWAP","interestRate":"0.0001000000000000","maxFundingRate":"0.00375","method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"<t>","premium":"<r>","prevFundingTime":"<t>","settFundingRate":"<r>","settState":"settled","ts":"<t>"}`,
      "open-interest": `${swap}},"data":[{${swap},"instType":"SWAP","oi":"<d>","oiCcy":"<d>","oiUsd":"<n>.<n>","ts":"<t>"}`,
      "liquidation-orders": `"instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"<d>","ccy":"","posSide":"<w>","side":"<w>","sz":"<d>","ts":"<t>"}],"instFamily":"<w>-USDT","instId":"<w>-USDT-SWAP","instType":"SWAP","uly":"<w>-USDT"}`,
    };
    const values: Record<string, string> = {
      "<d>": "(?:0|[1-9]\\d*)(?:\\.\\d*[1-9])?",
      "<r>": "-?0\\.\\d{16}",
      "<t>": "\\d{13}",
      "<n>": "\\d+",
      "<w>": "\\p{L}+",
    };
    const compiled = OKX_KINDS.map((kind) => {
      const whole = `{"arg":{"channel":"${kind}",${templates[kind]}]}`;
      const source = whole.replace(/[.[\]{}]/g, "\\$&").replace(/<.>/g, (name) => values[name] ?? name);
      return new RegExp(`^${source}$`, "u");
    });
    await until(
      () => compiled.every((pattern) => dataOf(client).some((text) => pattern.test(text))),
      "each kind once",
    );
    for (const text of dataOf(client))
      expect([text, compiled.some((pattern) => pattern.test(text))]).toEqual([text, true]);
  });

  test("a subscription begins with what is known: prices at once, a liquidation of long ago", async () => {
    const exchange = start(NO_EVENTS);
    await exchange.pause();
    const client = await Client.open(exchange.url + PUBLIC);
    await subscribe(client, everything(exchange, 1));
    const bench = new Bench();
    await until(() => dataOf(client).length === 6, "six frames");
    const rows = dataOf(client).flatMap((text) => bench.decode(text, { local: Date.now() * 1000 }).rows);
    expect(rows.map(({ stream }) => stream).sort()).toEqual([
      "bbo",
      "funding",
      "liquidation",
      "mark_price",
      "mark_price",
      "open_interest",
    ]);
    expect(rows.find(({ stream }) => stream === "liquidation")).toMatchObject({ is_history: true });
    expect(total(exchange.stats().sent)).toBe(6);
  });

  test("the same seed gives the same events, another seed others; who listens changes nothing", async () => {
    const record = async (seed: number, extra: readonly string[]): Promise<string[]> => {
      const exchange = start({ seed, rate: "max", events: 5000 });
      await exchange.pause();
      if (extra.length > 0) await subscribe(await Client.open(exchange.url + PUBLIC), extra);
      const client = await Client.open(exchange.url + PUBLIC);
      const channels = ["bbo-tbt:BTC-USDT-SWAP", "trades:SOL-USDT-SWAP"];
      await subscribe(client, channels);
      exchange.resume();
      await exchange.finished;
      const { symbols } = exchange.stats();
      const wanted = (symbols["BTC-USDT-SWAP"]?.["bbo-tbt"] ?? 0) + (symbols["SOL-USDT-SWAP"]?.trades ?? 0);
      await until(() => dataOf(client).length >= wanted, "all frames");
      return dataOf(client).map((text) => text.replace(/"ts":"\d+"/, ""));
    };
    const first = await record(1, []);
    expect(first.length).toBeGreaterThan(500);
    expect(
      await record(1, ["bbo-tbt:ETH-USDT-SWAP", "trades:ETH-USDT-SWAP", "liquidation-orders:SWAP"]),
    ).toEqual(first);
    expect(await record(2, [])).not.toEqual(first);
  });

  test("a client that does not read is cut: at a set rate by its backlog, at max by its stall", async () => {
    for (const options of [
      { rate: 200_000, slowConsumerBytes: 1 << 16, maxCatchUpMs: 50 },
      { rate: "max" as const, backPressureBytes: 1 << 16, stallTimeoutMs: 50 },
    ]) {
      const exchange = start(options);
      const deaf = await deafClient(exchange.port, PUBLIC);
      const request = Buffer.from(okx.subscribeMessage(everything(exchange), 1));
      // A masked text frame, by hand: its key is zero.
      const length = Buffer.from([request.length >> 8, request.length & 0xff]);
      deaf.write(Buffer.concat([Buffer.from([0x81, 0x80 | 126]), length, Buffer.alloc(4), request]));
      await until(() => exchange.stats().slowConsumersTotal === 1, "the deaf client cut");
      await until(() => exchange.stats().connections === 0, "its connection gone");
      deaf.destroy();
    }
  }, 180_000);
});

describe("instruments", () => {
  const get =
    (exchange: SimulatedOkx) =>
    async (path: string): Promise<unknown> =>
      (await asking(exchange.restUrl)(path)).body;

  test("discovery finds the live USDT swaps and skips the rest, a listing without fields among it", async () => {
    const exchange = start({ ...NO_EVENTS, instruments: 40, waiting: 2 });
    const list = await okx.fetchInstruments(asking(exchange.restUrl));
    expect(list.length).toBe(45);
    expect(new Set(list.map(({ symbol }) => symbol)).size).toBe(45);
    const wanted = list.filter(({ recordable }) => recordable);
    expect(wanted.length).toBe(40);
    expect(wanted.map(({ symbol }) => symbol)).toContain("币安人生USDT");
    expect(wanted.every(({ contractSize, tickSize, lotSize }) => contractSize && tickSize && lotSize)).toBe(
      true,
    );
    expect(list.find(({ instrument }) => instrument === "BTC-USDT-SWAP")).toMatchObject({
      contractSize: 0.01,
      tickSize: 0.1,
      lotSize: 0.01,
      base: "BTC",
    });
    const skipped = list.filter(({ recordable }) => !recordable);
    expect(skipped.map(({ contractType, settle, status }) => [contractType, settle, status])).toEqual([
      [null, null, "preopen"],
      [null, null, "preopen"],
      ["inverse", "BTC", "live"],
      ["linear", "USDC", "live"],
      ["linear", "USDT", "suspend"],
    ]);
  });

  test("other paths: time, statistics, a type that is missing, and 404", async () => {
    const exchange = start(NO_EVENTS);
    const time = z.object({ code: z.literal("0"), data: z.array(z.object({ ts: z.string() })) });
    const [now] = time.parse(await get(exchange)("/api/v5/public/time")).data;
    expect(Math.abs(Number(now?.ts) - Date.now())).toBeLessThan(60_000);
    expect(await get(exchange)("/api/v5/public/instruments")).toMatchObject({ code: "50014", data: [] });
    expect(await get(exchange)("/api/v5/public/instruments?instType=SPOT")).toMatchObject({
      code: "0",
      data: [],
    });
    const stats = z.looseObject({ sent: z.record(z.string(), z.int()), connections: z.int() });
    expect(stats.parse(await get(exchange)("/sim/stats")).connections).toBe(0);
    expect((await fetch(`${exchange.restUrl}/api/v5/nothing`)).status).toBe(404);
  });

  test("a listing and a delisting are pushed, stand in the list, and begin and end the feed", async () => {
    const exchange = start({ rate: 20_000, skew: 0 });
    const client = await Client.open(exchange.url + PUBLIC);
    await subscribe(client, ["instruments:SWAP", "bbo-tbt:BTC-USDT-SWAP"]);
    const { instId } = exchange.list();
    const pushes = () => client.frames.filter((text) => text.startsWith('{"arg":{"channel":"instruments"'));
    await until(() => pushes().length === 1, "the announcement");
    expect(new Bench().decode(pushes()[0] ?? "").kind).toBe(FRAME.INSTRUMENTS);
    expect(pushes()[0]).toContain(`"instId":"${instId}"`);
    const recordable = async () =>
      (await okx.fetchInstruments(asking(exchange.restUrl)))
        .filter((one) => one.recordable)
        .map((one) => one.instrument);
    expect(await recordable()).toContain(instId);
    await subscribe(client, [`bbo-tbt:${instId}`], 2);
    const quotes = (of: string) =>
      client.frames.filter((text) => text.startsWith(`{"arg":{"channel":"bbo-tbt","instId":"${of}"`));
    await until(() => quotes(instId).length > 20, "quotes of the new listing");

    exchange.delist("BTC-USDT-SWAP");
    await until(() => pushes().length === 2, "the second announcement");
    expect(pushes()[1]).toContain('"state":"suspend"');
    expect(await recordable()).not.toContain("BTC-USDT-SWAP");
    const before = quotes("BTC-USDT-SWAP").length;
    const after = quotes(instId).length;
    await until(() => quotes(instId).length > after + 50, "more of the others");
    expect(quotes("BTC-USDT-SWAP").length).toBe(before);
    expect(exchange.stats().announcements).toBe(2);
    expect(() => exchange.delist("BTC-USDT-SWAP")).toThrow("BTC-USDT-SWAP is no live swap");
    expect(() => exchange.list()).toThrow("no swap waits");
  });
});

test("a taken port is an error with its code", () => {
  const { port } = start(NO_EVENTS);
  expect(() => startOkx({ port })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
});
