/**
 * What one connection sends in a second, counted at a real server: subscribing, taking up and giving up, asking again
 * and pings together stay within what each exchange documents.
 */
import { expect, test } from "bun:test";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import { seeded } from "../lib/seed.ts";
import { until } from "../lib/until.ts";
import { connect } from "./connection-bench.ts";
import { ExchangeServer } from "./exchange-server.ts";

/** Messages a second on one connection, and characters of one message or of all topics; null = none documented. */
const DOCUMENTED: Readonly<
  Record<string, { messages: number | null; messageBytes: number | null; characters: number | null }>
> = {
  binance: { messages: 10, messageBytes: null, characters: null },
  bybit: { messages: null, messageBytes: null, characters: 21_000 },
  // 480 requests in an hour; three a second is its limit on logins and attempts.
  okx: { messages: 3, messageBytes: 65_536, characters: null },
};
const INSTRUMENTS = 150;
/** Requests made of the connection while it is still subscribing, one after the other. */
const CHANGES = process.env.TAPEDECK_TEST_LONG === "1" ? 15 : 8;
const BETWEEN_MS = 150;

/** Answers as each of them does. */
function acknowledge(server: ExchangeServer, sent: { at: number; text: string }[]): void {
  server.onMessage = (socket, text) => {
    sent.push({ at: performance.now(), text });
    if (text === "ping") {
      socket.send("pong");
      return;
    }
    const {
      id,
      op,
      args = [],
      req_id,
    } = JSON.parse(text) as {
      id?: unknown;
      op?: string;
      args?: unknown[];
      req_id?: string;
    };
    if (op === undefined) socket.send(JSON.stringify({ result: null, id }));
    else if (req_id !== undefined || op === "ping")
      socket.send(JSON.stringify({ success: true, ret_msg: op, conn_id: "c", req_id, op }));
    else for (const arg of args) socket.send(JSON.stringify({ id, event: op, arg, connId: "c" }));
  };
}

/** Everything of one route, as many as a connection may have. */
function channelsOf(exchange: Exchange): string[] {
  const instruments = Array.from({ length: INSTRUMENTS }, (_, i) => ({
    instrument: exchange.instrumentOf(`C${i}USDT`) ?? `C${i}USDT`,
  }));
  const all = exchange.subscriptions(exchange.streams, instruments);
  const routes = Map.groupBy(all, ({ route }) => route);
  const [largest = []] = [...routes.values()].sort((a, b) => b.length - a.length);
  return largest.map(({ channel }) => channel);
}

/** The most of these times within a second. */
function mostInSecond(times: readonly number[]): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 1000).length));
}

test.concurrent.each(
  Object.keys(DOCUMENTED),
)("%s: no second with more messages than it allows, however much changes meanwhile", async (name) => {
  const random = seeded(`message rate ${name}`);
  const exchange = exchangeByName(name);
  await using stack = new AsyncDisposableStack();
  const server = stack.adopt(new ExchangeServer(), (one) => one.stop());
  const sent: { at: number; text: string }[] = [];
  acknowledge(server, sent);
  const all = channelsOf(exchange);
  const channels = all.slice(0, Math.floor(all.length * 0.8));
  const spare = all.slice(channels.length);
  const { connection, seen } = connect(server.url, {
    exchange,
    channels,
    bounds: { pongTimeout: 1e9, pingInterval: 300 },
  });
  stack.defer(() => connection.stop());
  connection.start();
  await until(() => seen.opened.length === 1, "the socket");
  for (let i = 0; i < CHANGES; i++) {
    await Bun.sleep(BETWEEN_MS);
    const carried = [...connection.channels];
    const some = (from: string[]) => from.filter(() => random.below(from.length) < 3);
    switch (random.below(3)) {
      case 0:
        connection.renew(some(carried));
        break;
      case 1:
        connection.update(some(spare), some(carried));
        break;
      case 2:
        // Everything at once, as after a silence of many.
        connection.renew(carried.slice(0, carried.length / 2));
        break;
    }
  }
  await until(() => connection.settled, "all answers", 60_000);
  const asked = sent.filter(({ text }) => /subscribe/i.test(text));
  const most = mostInSecond(sent.map(({ at }) => at));
  const longest = Math.max(...sent.map(({ text }) => text.length));
  console.log(
    `${name}: ${sent.length} messages, ${asked.length} that subscribe, at most ${most} in a second`,
  );
  const { messages, messageBytes, characters } = DOCUMENTED[name] ?? {};
  // Our own pace; one more where the second has both of its ends, or a ping.
  expect(mostInSecond(asked.map(({ at }) => at))).toBeLessThanOrEqual(exchange.limits.messagesPerSecond + 2);
  expect(most).toBeLessThanOrEqual(messages ?? Number.POSITIVE_INFINITY);
  expect(longest).toBeLessThanOrEqual(messageBytes ?? Number.POSITIVE_INFINITY);
  expect(exchange.limits.charactersPerConnection).toBe(characters ?? null);
  // What is carried in the end is what was asked for in the end, in the order of asking.
  const standing = new Set<string>();
  for (const { text } of asked) {
    const off = /unsubscribe/i.test(text);
    for (const channel of connection.channels) {
      if (!mentions(exchange, text, channel)) continue;
      if (off) standing.delete(channel);
      else standing.add(channel);
    }
  }
  expect([...connection.channels].filter((channel) => !standing.has(channel))).toEqual([]);
}, 180_000);

/** Whether a message is about a channel. */
function mentions(exchange: Exchange, text: string, channel: string): boolean {
  const one = JSON.parse(exchange.subscribeMessage([channel], 1)) as { params?: string[]; args?: unknown[] };
  const wanted = JSON.stringify((one.params ?? one.args ?? [])[0]);
  return text.includes(wanted);
}
