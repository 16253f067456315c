import { describe, expect, test } from "bun:test";
import { until } from "../client.ts";
import { ask, eventsOf, FACES, type Face, SEED, start, subscriber } from "./exchanges.ts";
import { Peer } from "./peer.ts";

console.log(`faults of connecting and subscribing: seed ${SEED}`);
const QUIET_MS = 150;

/** What becomes of an attempt to connect. */
async function attempt(url: string): Promise<string> {
  try {
    (await Peer.open(url)).terminate();
    return "open";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const paths: Readonly<Record<Face["name"], string>> = {
  binance: "/fapi/v1/time",
  bybit: "/v5/market/time",
  okx: "/api/v5/public/time",
};

describe.each(FACES.map((face) => [face.name, face] as const))("%s", (_, face) => {
  test.each([false, true])("refuse: the port itself is closed, and opens again (relay %p)", async (relay) => {
    const exchange = start(face, { relay });
    const url = exchange.url + face.path(face.book);
    const [first, second] = [
      await subscriber(face, exchange, face.book),
      await subscriber(face, exchange, face.book),
    ];
    const kept = exchange.faults.inject({ kind: "refuse", forMs: 60_000, cut: false });
    await until(() => kept.record.state === "active", "the fault");
    expect(await attempt(url)).toContain("ECONNREFUSED");
    await expect(fetch(exchange.restUrl + paths[face.name])).rejects.toThrow();
    await first.more(5);
    kept.end();
    await kept.ended;
    expect(await attempt(url)).toBe("open");
    await until(() => exchange.stats().connections === 2, "the attempt forgotten");
    const cut = exchange.faults.inject({ kind: "refuse", forMs: 100 });
    expect(await Promise.all([first.closed, second.closed])).toEqual([1006, 1006]);
    await cut.ended;
    expect(exchange.port).toBe(Number(new URL(url).port));
    await (await subscriber(face, exchange, face.book)).more(5);
    expect([cut.record.connections, cut.record.error]).toEqual([[1, 2], null]);
  });

  test("429, 418 and 503 with Retry-After, on upgrade and REST, or on one of them", async () => {
    const exchange = start(face);
    const url = exchange.url + face.path(face.book);
    const rest = exchange.restUrl + paths[face.name];
    for (const [kind, status] of [
      ["429", 429],
      ["418", 418],
      ["unavailable", 503],
    ] as const) {
      const open = await subscriber(face, exchange, face.book);
      const fault = exchange.faults.inject({ kind, retryAfterS: 7 });
      expect(await open.closed).toBe(1006);
      expect(await attempt(url)).toBe(`status ${status} retry-after 7`);
      const answer = await fetch(rest);
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([status, "7"]);
      expect((await fetch(`${exchange.restUrl}/sim/faults`)).status).toBe(200);
      fault.end();
      await fault.ended;
      expect([await attempt(url), (await fetch(rest)).status]).toEqual(["open", 200]);
    }
    exchange.faults.inject({ kind: "429", on: "rest", forMs: 60_000 });
    expect([await attempt(url), (await fetch(rest)).status]).toEqual(["open", 429]);
  });

  test("hang: an upgrade is neither granted nor refused", async () => {
    const exchange = start(face);
    const fault = exchange.faults.inject({ kind: "hang" });
    let outcome: string | undefined;
    const trying = attempt(exchange.url + face.path(face.book)).then((text) => {
      outcome = text;
    });
    await Bun.sleep(QUIET_MS);
    expect(outcome).toBeUndefined();
    fault.end();
    await trying;
    expect(outcome).toContain("status 503");
    expect(await attempt(exchange.url + face.path(face.book))).toBe("open");
  });

  test("accept-then-close: 1000 or without a word, and never data", async () => {
    const exchange = start(face);
    for (const [code, afterOpenMs] of [
      [1000, 0],
      [1006, 0],
      [1012, 60],
    ] as const) {
      const fault = exchange.faults.inject({ kind: "accept-then-close", code, afterOpenMs, reason: "bye" });
      const peer = await Peer.open(exchange.url + face.path(face.book));
      if (afterOpenMs > 0) ask(face, peer, "subscribe", face.book, [face.btc]);
      expect([await peer.closed, peer.texts]).toEqual([code, []]);
      fault.end();
    }
    await (await subscriber(face, exchange, face.book)).more(3);
  });

  test("close: with 1000, or cut off; all, those named, or one by the seed; what was sent arrives", async () => {
    const exchange = start(face, { rate: 5000 });
    const peers: Peer[] = [];
    for (let i = 0; i < 4; i++) peers.push(await subscriber(face, exchange, face.book));
    await peers[3]?.more(20);
    exchange.faults.inject({ kind: "close", connections: 2, code: 1006 });
    exchange.faults.inject({ kind: "close", connections: "one" });
    await until(() => peers.filter(({ code }) => code !== undefined).length === 2, "two closed");
    const [one] = exchange.faults.list().at(-1)?.connections ?? [];
    const chosen = (one ?? 0) - 1;
    expect([peers[1]?.code, peers[chosen]?.code]).toEqual([1006, 1000]);
    exchange.faults.inject({ kind: "close", code: 1001, reason: "all" });
    await Promise.all(peers.map(({ closed }) => closed));
    await exchange.pause();
    for (const [i, peer] of peers.entries()) {
      const sent = [...(exchange.account?.events({ kind: face.book, connection: i + 1 }) ?? [])];
      expect(eventsOf(face, peer).flatMap((text) => face.ids(text))).toEqual(sent.map(({ id }) => id));
    }
    expect(() => exchange.faults.inject({ kind: "close", connections: [9] })).toThrow("connections: 9");
  });

  test("missing ack: the data comes and the ack does not, or the request is lost", async () => {
    const exchange = start(face);
    const acked = (texts: readonly string[]): boolean =>
      texts.some((text) => face.answer(text) !== undefined);
    exchange.faults.inject({ kind: "missing-ack", count: 1 });
    const first = await subscriber(face, exchange, face.book, [face.btc], false);
    await until(() => eventsOf(face, first).length > 3, "data");
    expect(acked(first.texts)).toBe(false);
    expect(exchange.faults.list()[0]).toMatchObject({ state: "past", connections: [1] });

    const fault = exchange.faults.inject({ kind: "missing-ack", lost: "request" });
    const second = await subscriber(face, exchange, face.book, [face.btc], false);
    await Bun.sleep(QUIET_MS);
    expect(second.texts).toEqual([]);
    fault.end();
    ask(face, second, "subscribe", face.book, [face.btc]);
    await until(() => acked(second.texts) && eventsOf(face, second).length > 3, "both");
  });

  test("missing ack of one symbol: where there is one ack per arg the other comes", async () => {
    const exchange = start(face);
    exchange.faults.inject({ kind: "missing-ack", symbol: face.btc });
    const peer = await subscriber(face, exchange, face.book, undefined, false);
    await until(() => eventsOf(face, peer, face.btc).length > 0, "data");
    await until(() => eventsOf(face, peer, face.eth).length > 0, "the other's data");
    const answers = peer.texts.filter((text) => face.answer(text) !== undefined);
    expect(answers.map((text) => text.includes(face.eth))).toEqual(face.name === "okx" ? [true] : []);
  });

  test("bad topic: refused in the exchange's own way", async () => {
    const exchange = start(face);
    const fault = exchange.faults.inject({ kind: "bad-topic", symbol: face.btc });
    const peer = await subscriber(face, exchange, face.book);
    if (face.name === "okx") await until(() => eventsOf(face, peer, face.eth).length > 0, "the other topic");
    await Bun.sleep(QUIET_MS);
    const answers = peer.texts.filter((text) => face.answer(text) !== undefined).map(face.answer);
    const [bad] = peer.texts.filter((text) => face.answer(text) === "bad");
    // OKX has an answer for each arg; on the others one bad topic fails the whole request.
    expect(answers.toSorted()).toEqual(face.name === "okx" ? ["bad", "good"] : ["bad"]);
    expect(bad?.toLowerCase()).toContain(face.btc.toLowerCase());
    expect(eventsOf(face, peer, face.eth).length > 0).toBe(face.name === "okx");
    expect(eventsOf(face, peer, face.btc)).toEqual([]);
    fault.end();
    ask(face, peer, "subscribe", face.book, [face.btc]);
    await until(() => eventsOf(face, peer, face.btc).length > 0, "the topic");
  });
});
