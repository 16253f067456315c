/**
 * A connection and its successors, over real sockets: the old one on one server, each new one on a server of its own,
 * so that what each side does is for the test to say. Receive time is the test's own.
 */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import type { Connection } from "../../src/exchanges/connection.ts";
import { Handover } from "../../src/ingest/handover.ts";
import { Replacement, type ReplacementReason } from "../../src/ingest/replacement.ts";
import { type BenchOptions, CHANNELS, connect, trade } from "../exchanges/connection-bench.ts";
import { ExchangeServer } from "../exchanges/exchange-server.ts";
import { until } from "../lib/until.ts";

const SECOND = 1_000_000;
const OVERLAP = 5 * SECOND;
const TIMEOUT = 60 * SECOND;

/** Receive time, µs. */
let now = 0;
let replacement: Replacement | null = null;
const running: Connection[] = [];
const servers: ExchangeServer[] = [];

/** A connection to a server of its own; what it tells goes to the replacement, as the lane does it. */
function bench(options: BenchOptions = {}) {
  const server = new ExchangeServer();
  server.acknowledge();
  servers.push(server);
  const made = connect(server.url, {
    now: () => now,
    // Time leaps here, and an attempt may wait for its turn on a busy machine.
    bounds: { pongTimeout: 1e9, handshakeTimeout: 10_000 },
    also: {
      lost: (connection) => {
        if (replacement?.next.includes(connection)) replacement.nextEnded(connection, now);
        else if (replacement?.old === connection) replacement.oldEnded(now);
      },
      accepted: (connection, channels) => {
        if (replacement?.next.includes(connection))
          for (const channel of channels) replacement.accepted.add(channel);
      },
    },
    ...options,
  });
  running.push(made.connection);
  let frames = 0;
  /** Brings a trade. */
  const bring = async () => {
    const { unwanted, undecodable } = made.connection.counters;
    const before = made.seen.decoded.length;
    server.send(trade(++frames));
    await until(() => made.seen.decoded.length > before, "the trade");
    expect([made.connection.counters.unwanted, made.connection.counters.undecodable]).toEqual([
      unwanted,
      undecodable,
    ]);
  };
  return { ...made, server, bring };
}

type Bench = ReturnType<typeof bench>;

/** What was accepted on the new connections when an old one was let go, one for each. */
let letGo: string[][] = [];

/** An old connection, open and acknowledged. */
async function openOld(options: BenchOptions = {}): Promise<Bench> {
  const old = bench(options);
  old.connection.start();
  await until(() => old.connection.settled, "the old connection");
  await old.bring();
  return old;
}

function replace(old: Bench, next: readonly Bench[], reason: ReplacementReason = "age"): Replacement {
  replacement = new Replacement({
    old: old.connection,
    next: next.map(({ connection }) => connection),
    handover: new Handover({ old: old.connection.number, lastTimes: new Map() }),
    reason,
    bounds: { overlap: OVERLAP, timeout: TIMEOUT },
    letGo: ({ accepted }) => letGo.push([...accepted]),
    now,
  });
  return replacement;
}

/** Lets time pass; true when the replacement was over by then. */
function pass(going: Replacement, microseconds: number): boolean {
  const end = now + microseconds;
  while (now < end) {
    now = Math.min(end, now + SECOND / 4);
    if (going.tick(now)) return true;
  }
  return false;
}

beforeEach(() => {
  now = 1_000 * SECOND;
});
afterEach(async () => {
  replacement = null;
  letGo = [];
  for (const connection of running.splice(0)) connection.stop();
  for (const server of servers.splice(0)) await server.stop();
});

describe("as planned", () => {
  test("both run for an overlap, the old one is let go, what is under way is awaited, then it is over", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    const going = replace(old, [next], "announced by the exchange");
    const ended = spyOn(going.handover, "oldEnded");
    await until(() => next.connection.settled, "the new connection");
    expect([...going.accepted]).toEqual(CHANNELS);
    expect(pass(going, SECOND)).toBe(false);
    await Promise.all([old.bring(), next.bring()]);
    // A quarter of a second was needed to see that it is complete.
    expect(pass(going, OVERLAP - SECOND)).toBe(false);
    expect([going.oldCarries, old.connection.isOpen, ended.mock.calls.length]).toEqual([true, true, 0]);
    await old.bring();
    expect(pass(going, SECOND / 2)).toBe(false);
    expect([going.oldCarries, old.connection.isOpen, old.connection.isStopped]).toEqual([false, false, true]);
    expect(old.seen.closed).toEqual([
      { number: 100, code: 1000, reason: "replaced (announced by the exchange)", retryIn: null },
    ]);
    // Only now may rows of the new one that restate the past be kept.
    expect(ended.mock.calls.length).toBeGreaterThan(0);
    expect(pass(going, OVERLAP - SECOND)).toBe(false);
    await next.bring();
    expect(pass(going, SECOND)).toBe(true);
    expect([going.outcome, next.connection.isOpen, next.seen.closed]).toEqual(["done", true, []]);
    expect(letGo).toEqual([CHANNELS]);
    // Nothing was lost on the way.
    expect([old.seen.lost, next.seen.lost]).toEqual([[], []]);
  });

  test("the old one stays until every new one has had all its answers", async () => {
    const old = await openOld();
    const [quick, slow] = [
      bench({ firstNumber: 200 }),
      bench({ firstNumber: 300, channels: ["ethusdt@aggTrade"] }),
    ];
    slow.server.onMessage = () => undefined;
    const going = replace(old, [quick, slow], "lag");
    await until(() => quick.connection.settled && slow.server.received.length === 1, "both new ones");
    expect(pass(going, TIMEOUT - SECOND)).toBe(false);
    expect([going.outcome, going.oldCarries, [...going.accepted]]).toEqual(["done", true, CHANNELS]);
    const { id } = JSON.parse(slow.server.received[0]) as { id: number };
    slow.server.send(JSON.stringify({ result: null, id }));
    await until(() => slow.connection.settled, "the last answer");
    // The time to give up is over, but now they are complete.
    expect(pass(going, OVERLAP + SECOND / 4)).toBe(false);
    expect(old.connection.isStopped).toBe(true);
    expect(pass(going, OVERLAP)).toBe(true);
    expect([going.outcome, quick.connection.isOpen, slow.connection.isOpen]).toEqual(["done", true, true]);
  });

  test("where nobody trades, a new one that brings nothing is no worse than the old one", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    const going = replace(old, [next]);
    await until(() => next.connection.settled, "the new connection");
    expect(pass(going, 2 * OVERLAP + SECOND / 2)).toBe(true);
    expect([going.outcome, old.connection.isStopped]).toEqual(["done", true]);
  });
});

describe("the old connection stays", () => {
  /** It is as before: open, and reconnecting for ever. */
  async function goesOn(old: Bench, next: readonly Bench[], going: Replacement): Promise<void> {
    expect([going.outcome, old.connection.isOpen, old.connection.isStopped]).toEqual([
      "given up",
      true,
      false,
    ]);
    for (const { connection, seen } of next) {
      expect([connection.isStopped, connection.isOpen]).toEqual([true, false]);
      expect(seen.closed.at(-1)).toMatchObject({
        reason: "given up: the old connection stays",
        retryIn: null,
      });
    }
    // Whatever they had accepted does not cover a loss of the old one any more.
    expect(going.accepted.size).toBe(0);
    await old.bring();
    for (const socket of old.server.sockets) socket.close(1000);
    await until(() => old.seen.opened.length === 2, "the old connection's next socket");
    expect(old.seen.lost.map(({ reason }) => reason)).toEqual(["disconnect"]);
    expect(pass(going, OVERLAP)).toBe(true);
  }

  test("when the new one is not acknowledged in time", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    next.server.onMessage = () => undefined;
    const going = replace(old, [next]);
    await until(() => next.server.received.length === 1, "the new connection");
    expect(pass(going, TIMEOUT)).toBe(false);
    expect([going.outcome, next.connection.isStopped]).toEqual(["done", false]);
    expect(pass(going, SECOND / 4)).toBe(false);
    await goesOn(old, [next], going);
  });

  test("when the new one cannot be opened", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    next.server.reactions = [{ kind: "refuse", status: 503 }];
    const going = replace(old, [next]);
    await until(() => next.seen.closed.length > 2, "attempts");
    expect(pass(going, TIMEOUT + SECOND / 4)).toBe(false);
    expect([going.outcome, next.connection.isStopped, next.seen.opened]).toEqual(["given up", true, []]);
    // One attempt may have been on its way to the server: what ended is counted, not what arrived there.
    const { length } = next.seen.closed;
    await Bun.sleep(150);
    expect([next.seen.closed.length, old.connection.isOpen]).toEqual([length, true]);
    expect(next.server.attempts.length).toBeLessThanOrEqual(length);
  });

  test("when one of two new ones is complete and the other is not", async () => {
    const old = await openOld();
    const [one, other] = [bench({ firstNumber: 200 }), bench({ firstNumber: 300, channels: ["x@aggTrade"] })];
    other.server.onMessage = () => undefined;
    const going = replace(old, [one, other], "lag");
    await until(() => one.connection.settled && other.server.received.length === 1, "both");
    expect(pass(going, TIMEOUT + SECOND / 4)).toBe(false);
    await goesOn(old, [one, other], going);
  });

  test("when the new one is acknowledged and silent while the old one brings data", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    const going = replace(old, [next], "silent symbols");
    await until(() => next.connection.settled, "the new connection");
    expect(pass(going, SECOND)).toBe(false);
    await old.bring();
    expect(pass(going, OVERLAP)).toBe(false);
    await goesOn(old, [next], going);
  });
});

describe("what ends in the middle", () => {
  test("the old one before the new one is complete: the new one carries on alone", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    next.server.onMessage = () => undefined;
    const going = replace(old, [next]);
    const ended = spyOn(going.handover, "oldEnded");
    await until(() => next.server.received.length === 1, "the new connection");
    expect([pass(going, SECOND), going.oldCarries]).toEqual([false, true]);
    for (const socket of old.server.sockets) socket.terminate();
    await until(() => old.seen.closed.length === 1, "the end of the old one");
    expect([going.oldCarries, going.outcome, ended.mock.calls.length]).toEqual([false, "broken", 1]);
    // Whoever comes after it is there already.
    expect(old.seen.closed[0].retryIn).toBeNull();
    expect(pass(going, OVERLAP - SECOND / 4)).toBe(false);
    expect(pass(going, SECOND / 2)).toBe(true);
    expect([next.connection.isStopped, next.connection.isOpen]).toEqual([false, true]);
    await Bun.sleep(100);
    expect(old.server.attempts.length).toBe(1);
    // It is not given up, however long its answers take: there is nobody else.
    const { id } = JSON.parse(next.server.received[0]) as { id: number };
    next.server.send(JSON.stringify({ result: null, id }));
    await until(() => next.connection.settled, "the answer at last");
  });

  test("the old one during the overlap: at once the new one is relied upon", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    const going = replace(old, [next]);
    const ended = spyOn(going.handover, "oldEnded");
    await until(() => next.connection.settled, "the new connection");
    expect(pass(going, 2 * SECOND)).toBe(false);
    for (const socket of old.server.sockets) socket.close(1001);
    await until(() => old.seen.closed.length === 1, "the end of the old one");
    expect([going.oldCarries, ended.mock.calls.length, [...going.accepted]]).toEqual([false, 1, CHANNELS]);
    expect(pass(going, OVERLAP)).toBe(true);
    expect([next.connection.isOpen, old.seen.closed.length, old.seen.closed[0].retryIn]).toEqual([
      true,
      1,
      null,
    ]);
  });

  test("the new one during the overlap: it has to be complete again, and the overlap begins anew", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    const going = replace(old, [next]);
    await until(() => next.connection.settled, "the new connection");
    expect(pass(going, OVERLAP - SECOND)).toBe(false);
    next.server.onMessage = () => undefined;
    for (const socket of next.server.sockets) socket.terminate();
    await until(() => next.seen.opened.length === 2 && next.server.received.length === 2, "its next socket");
    expect([...going.accepted]).toEqual([]);
    expect(pass(going, 2 * OVERLAP)).toBe(false);
    expect([going.oldCarries, old.connection.isOpen]).toEqual([true, true]);
    const { id } = JSON.parse(next.server.received[1]) as { id: number };
    next.server.send(JSON.stringify({ result: null, id }));
    await until(() => next.connection.settled, "the answer");
    expect([...going.accepted]).toEqual(CHANNELS);
    expect(pass(going, OVERLAP - SECOND)).toBe(false);
    expect(old.connection.isOpen).toBe(true);
    expect(pass(going, OVERLAP + 2 * SECOND)).toBe(true);
    expect([going.outcome, old.connection.isStopped, next.connection.isOpen]).toEqual(["done", true, true]);
    // A socket that the old one stood in for has lost nothing.
    expect([old.seen.lost, next.seen.lost.length]).toEqual([[], 1]);
  });

  test("the new one after the old one was let go: it reconnects by itself", async () => {
    const old = await openOld();
    const next = bench({ firstNumber: 200 });
    const going = replace(old, [next]);
    await until(() => next.connection.settled, "the new connection");
    expect(pass(going, OVERLAP + SECOND / 2)).toBe(false);
    expect(old.connection.isStopped).toBe(true);
    for (const socket of next.server.sockets) socket.terminate();
    await until(() => next.seen.opened.length === 2 && next.connection.settled, "its next socket");
    // The lane asks this: nobody stood in.
    expect(going.oldCarries).toBe(false);
    expect(pass(going, OVERLAP)).toBe(true);
    expect(old.seen.closed.length).toBe(1);
  });
});
