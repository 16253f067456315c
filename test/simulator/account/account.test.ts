import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { Account } from "../../../src/simulator/account/account.ts";
import { Random } from "../../../src/simulator/random.ts";
import { deafClient, until } from "../client.ts";
import { eventsOf, FACES, SEED, start, subscriber } from "../faults/exchanges.ts";

console.log(`account: seed ${SEED}`);

const KINDS = ["book", "trade"];
const make = (eventsMax: number) => new Account({ symbols: ["A", "B"], kinds: KINDS, eventsMax });

test("what was made, sent, sent twice and thrown away again is told as it was", () => {
  const account = make(100);
  account.frame().add(account.series(0, "book"), 7, 1000);
  const twice = account.frame().add(account.series(1, "trade"), 8, 1001, 3).add(3, 9, 1001);
  twice.sent(4);
  twice.sent(4);
  twice.sent(5);
  const lost = account.frame(true).add(0, 10, 1002);
  lost.sent(6);
  lost.lost(6);
  lost.lost(6);
  for (const { sent, madeUs, takenUs } of account.events()) {
    if (sent.length === 0) expect(takenUs).toBeNull();
    else expect(takenUs).toBeGreaterThanOrEqual(madeUs);
  }
  expect([...account.events()].map(({ madeUs: _, takenUs: __, ...event }) => event)).toEqual([
    { n: 0, kind: "book", symbol: "A", id: "7", count: 1, timeMs: 1000, first: false, sent: [] },
    { n: 1, kind: "trade", symbol: "B", id: "8", count: 3, timeMs: 1001, first: false, sent: [4, 4, 5] },
    { n: 2, kind: "trade", symbol: "B", id: "9", count: 1, timeMs: 1001, first: false, sent: [4, 4, 5] },
    { n: 3, kind: "book", symbol: "A", id: "10", count: 1, timeMs: 1002, first: true, sent: [] },
  ]);
  expect(account.counts()).toEqual({
    A: { book: { made: 2, sent: 0, sends: 0 } },
    B: { trade: { made: 2, sent: 2, sends: 6 } },
  });
  const numbers = (query: Parameters<Account["events"]>[0]) => [...account.events(query)].map(({ n }) => n);
  expect(numbers({ symbol: "B", kind: "trade" })).toEqual([1, 2]);
  expect(numbers({ sent: false })).toEqual([0, 3]);
  expect(numbers({ connection: 5, limit: 1 })).toEqual([1]);
  expect(numbers({ after: 1, kind: "book" })).toEqual([3]);
  expect(() => account.series(0, "candle")).toThrow("candle");
});

test("a bounded number of events is remembered, counts are kept of all", () => {
  const random = new Random(SEED);
  const account = make(10_000);
  const sent: number[] = [];
  for (let n = 0; n < 35_000; n++) {
    const made = account.frame().add(random.below(4), n, n);
    sent[n] = random.below(3);
    for (let i = 0; i < (sent[n] ?? 0); i++) made.sent(i + 1);
  }
  expect(account.forgotten).toBe(25_000);
  const events = [...account.events()];
  expect(events.length).toBe(10_000);
  for (const { n, id, sent: takers } of events) {
    expect([id, takers.length]).toEqual([String(n), sent[n] ?? 0]);
  }
  const counts = Object.values(account.counts()).flatMap((kinds) => Object.values(kinds));
  expect(counts.reduce((sum, { made }) => sum + made, 0)).toBe(35_000);
  expect(counts.reduce((sum, { sends }) => sum + sends, 0)).toBe(sent.reduce((sum, count) => sum + count, 0));
  expect(counts.reduce((sum, each) => sum + each.sent, 0)).toBe(sent.filter((count) => count > 0).length);
});

const LINE = z.strictObject({
  n: z.int(),
  kind: z.string(),
  symbol: z.string(),
  id: z.string(),
  count: z.int(),
  timeMs: z.int(),
  madeUs: z.int(),
  takenUs: z.int().nullable(),
  first: z.boolean(),
  sent: z.array(z.int()),
});

describe.each(FACES.map((face) => [face.name, face] as const))("%s", (_, face) => {
  test("two sockets of one channel get the same bytes in the same order", async () => {
    const exchange = start(face, { rate: 5000, liquidationShare: 0.05 } as object);
    const kinds: readonly (readonly [string, readonly string[]])[] = [
      [face.book, [face.btc, face.eth]],
      [face.trade, [face.btc, face.eth]],
      [{ binance: "markPrice@1s", bybit: "tickers", okx: "mark-price" }[face.name], [face.btc, face.eth]],
      [
        { binance: "forceOrder", bybit: "allLiquidation", okx: "liquidation-orders" }[face.name],
        face.name === "okx" ? [] : [face.btc, face.eth],
      ],
    ];
    for (const [kind, symbols] of kinds) {
      if (symbols.length === 0) continue;
      const one = await subscriber(face, exchange, kind, symbols);
      const other = await subscriber(face, exchange, kind, symbols);
      await until(() => other.texts.filter((text) => face.answer(text) === undefined).length > 4, kind);
      await exchange.pause();
      const frames = (peer: typeof one): string[] =>
        peer.texts.filter((text) => face.answer(text) === undefined);
      // The last ones may still be on their way.
      await until(() => frames(one).at(-1) === frames(other).at(-1), `the same last frame of ${kind}`);
      // The state with which a subscription begins is each one's own.
      const changes = frames(other).slice(2);
      expect(changes.length).toBeGreaterThan(1);
      expect(frames(one).slice(-changes.length)).toEqual(changes);
      exchange.resume();
      one.terminate();
      other.terminate();
    }
  }, 180_000);

  test("made while nobody is connected: ids go on, and the account has what was missed", async () => {
    const exchange = start(face);
    const first = await subscriber(face, exchange, face.trade);
    await first.more(20);
    first.terminate();
    await until(() => exchange.stats().connections === 0, "nobody");
    const made = exchange.stats().events;
    await until(() => exchange.stats().events > made + 400, "events without anybody");
    const second = await subscriber(face, exchange, face.trade);
    await second.more(20);
    await exchange.pause();
    const trades = [...(exchange.account?.events({ kind: face.trade, symbol: face.btc }) ?? [])];
    const missed = trades.filter(({ sent }) => sent.length === 0);
    expect(missed.length).toBeGreaterThan(5);
    const number = (id: string): number =>
      face.name === "bybit" ? Number.parseInt(id.slice(-12), 16) : Number(id);
    for (const [i, { id, count }] of trades.entries()) {
      const before = trades[i - 1];
      if (before !== undefined) expect(number(id)).toBe(number(before.id) + count);
    }
    const seen = eventsOf(face, second, face.btc).flatMap((text) => face.ids(text));
    const sent = trades.filter((event) => event.sent.includes(2)).map(({ id }) => id);
    await until(
      () => eventsOf(face, second, face.btc).flatMap((text) => face.ids(text)).length === sent.length,
      "all",
    );
    expect(sent.slice(0, seen.length)).toEqual(seen);
  });

  test("over HTTP: JSON lines, narrowed by what is asked, and counts; 404 where none is kept", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.book);
    await peer.more(50);
    await exchange.pause();
    const get = (path: string) => fetch(`${exchange.restUrl}/sim/account${path}`);
    const lines = async (query: string) =>
      (await (await get(query)).text())
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => LINE.parse(JSON.parse(line)));
    const all = await lines("");
    expect(all).toEqual(
      [...(exchange.account?.events() ?? [])].map((event) => ({ ...event, sent: [...event.sent] })),
    );
    const btc = await lines(`?symbol=${face.btc}&kind=${face.book}&sent=yes&limit=5`);
    expect(btc).toEqual(all.filter(({ symbol }) => symbol === face.btc).slice(0, 5));
    expect(await lines("?sent=no")).toEqual([]);
    expect(await (await get("/counts")).json()).toEqual({ forgotten: 0, counts: exchange.account?.counts() });
    const wrong = await get("?symbols=x");
    expect([wrong.status, (await wrong.text()).includes("symbols")]).toEqual([400, true]);
    expect((await fetch(`${start(face, { account: false }).restUrl}/sim/account`)).status).toBe(404);
  });

  test("what a socket took and threw away when its client was cut is not called sent", async () => {
    const exchange = start(face, { rate: 200_000, slowConsumerBytes: 1 << 20, maxCatchUpMs: 50 });
    const deaf = await deafClient(
      exchange.port,
      `${face.path(face.book)}${face.name === "binance" ? "?streams=btcusdt@bookTicker/ethusdt@bookTicker" : ""}`,
    );
    if (face.name !== "binance") {
      deaf.write(masked(face.request("subscribe", [face.topic(face.book, face.btc)], 1)));
    }
    await until(() => exchange.stats().slowConsumersTotal === 1, "the deaf client cut");
    await exchange.pause();
    const events = [...(exchange.account?.events({ kind: face.book }) ?? [])];
    const sent = events.filter((event) => event.sent.length > 0);
    expect(sent.length).toBeGreaterThan(0);
    // What the kernel took comes before what it did not: the tail alone is unsent.
    const last = sent.at(-1)?.n ?? 0;
    expect(events.filter(({ n, sent: takers }) => n < last && takers.length === 0)).toEqual([]);
    let received = 0;
    let tail = Buffer.alloc(0);
    deaf.on("data", (bytes: Buffer) => {
      tail = Buffer.concat([tail, bytes]);
      for (let at = tail.indexOf(face.name === "okx" ? '"seqId"' : '"u":'); at >= 0; ) {
        received++;
        tail = tail.subarray(at + 4);
        at = tail.indexOf(face.name === "okx" ? '"seqId"' : '"u":');
      }
    });
    deaf.resume();
    await new Promise((resolve) => deaf.on("close", resolve));
    // The last frame may be torn in the middle.
    expect(Math.abs(received - sent.length)).toBeLessThanOrEqual(1);
  }, 180_000);
});

/** A text frame of a client: masked by zeros. */
function masked(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, payload]);
}
