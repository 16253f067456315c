import { describe, expect, test } from "bun:test";
import { FaultError } from "../../../src/simulator/faults/model.ts";
import { still, until } from "../client.ts";
import { ask, eventsOf, FACES, SEED, start, subscriber } from "./exchanges.ts";

console.log(`faults that withhold: seed ${SEED}`);
/** Longer than any pause in the data of these exchanges. */
const QUIET_MS = 150;

describe.each(FACES.map((face) => [face.name, face] as const))("%s", (_, face) => {
  test("silence: nothing but answers, on open connections only; what is made goes on, with its ids", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.trade);
    await peer.more(20);
    const { end, ended, record } = exchange.faults.inject({ kind: "silence" });
    const before = await still(() => eventsOf(face, peer).length, "events");
    await Bun.sleep(QUIET_MS);
    expect(eventsOf(face, peer).length).toBe(before);
    const other = await subscriber(face, exchange, face.trade);
    await other.more(5);
    end();
    await ended;
    await peer.more(20);
    expect(record).toMatchObject({ state: "past", connections: [1] });
    await exchange.pause();
    const made = [...(exchange.account?.events({ kind: face.trade }) ?? [])];
    const missed = made
      .slice(made.findIndex(({ sent }) => sent.includes(1)))
      .filter(({ sent }) => !sent.includes(1));
    expect(missed.length).toBeGreaterThan(5);
    for (const { madeUs } of missed) {
      expect(madeUs).toBeGreaterThanOrEqual(record.startedUs ?? 0);
      expect(madeUs).toBeLessThanOrEqual(record.endedUs ?? 0);
    }
  });

  test("silence for a time ends by itself, and not before", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.trade);
    await peer.more(5);
    const { ended, record } = exchange.faults.inject({ kind: "silence", forMs: 200 });
    await ended;
    expect((record.endedUs ?? 0) - (record.startedUs ?? 0)).toBeGreaterThanOrEqual(199_000);
    await peer.more(5);
  });

  test("silence of one symbol: its siblings live, a new subscription revives it unless it is sticky", async () => {
    const exchange = start(face, { rate: 3000 });
    for (const sticky of [false, true]) {
      const peer = await subscriber(face, exchange, face.book);
      await until(() => eventsOf(face, peer, face.btc).length > 3, "the symbol");
      const fault = exchange.faults.inject({ kind: "silence", symbol: face.btc, sticky });
      await still(() => eventsOf(face, peer, face.btc).length, "events of the symbol");
      const at = peer.texts.length;
      await until(() => eventsOf(face, peer, face.eth, at).length > 10, "its sibling");
      expect(eventsOf(face, peer, face.btc, at)).toEqual([]);
      ask(face, peer, "unsubscribe", face.book, [face.btc]);
      ask(face, peer, "subscribe", face.book, [face.btc]);
      if (sticky) {
        await Bun.sleep(QUIET_MS);
        expect(eventsOf(face, peer, face.btc, at)).toEqual([]);
      } else {
        await until(
          () => eventsOf(face, peer, face.btc, at).length > 0,
          "the symbol that was asked for again",
        );
      }
      fault.end();
      await until(() => eventsOf(face, peer, face.btc, at).length > 0, "the symbol again");
      peer.terminate();
    }
  });

  test("pings-only: pings and pongs, no data", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.book);
    await peer.more(5);
    const { end, ended } = exchange.faults.inject({ kind: "pings-only", pingEveryMs: 40 });
    const length = await still(() => eventsOf(face, peer).length, "events");
    const before = peer.pings;
    peer.ping();
    await until(() => peer.pings >= before + 3 && peer.pongs === 1, "pings and a pong");
    expect(eventsOf(face, peer).length).toBe(length);
    end();
    await ended;
    await until(() => eventsOf(face, peer).length > length, "data again");
  });

  test("half-open: nothing at all comes, no pong, no close; at its end the connection is reset", async () => {
    const exchange = start(face, { relay: true });
    const [dead, alive] = [
      await subscriber(face, exchange, face.book),
      await subscriber(face, exchange, face.book),
    ];
    await dead.more(20);
    dead.ping();
    await until(() => dead.pongs === 1, "a pong before");
    const { end, ended, record } = exchange.faults.inject({ kind: "half-open", connections: [1] });
    const length = await still(() => dead.texts.length, "texts");
    dead.ping();
    ask(face, dead, "subscribe", face.trade, [face.btc]);
    await alive.more(20);
    await Bun.sleep(QUIET_MS);
    expect([dead.texts.length, dead.pongs, dead.code]).toEqual([length, 1, undefined]);
    expect(record.connections).toEqual([1]);
    end();
    await ended;
    expect(await dead.closed).toBe(1006);
    await until(() => exchange.stats().connections === 1, "its end at the exchange");
    await exchange.pause();
    await until(() => settled(), "all that was sent to arrive");
    function settled(): boolean {
      const got = eventsOf(face, dead).flatMap((text) => face.ids(text));
      const sent = [...(exchange.account?.events({ kind: face.book, connection: 1 }) ?? [])];
      return JSON.stringify(got) === JSON.stringify(sent.map(({ id }) => id));
    }
  });

  test("half-open: the client that gives up is gone for the exchange too", async () => {
    const exchange = start(face, { relay: true });
    const peer = await subscriber(face, exchange, face.book);
    const { record } = exchange.faults.inject({ kind: "half-open" });
    await Bun.sleep(60);
    peer.terminate();
    await until(() => exchange.stats().connections === 0, "no connection");
    expect(record.state).toBe("active");
    await (await subscriber(face, exchange, face.book)).more(5);
  });

  test("half-open without the relay is refused, with its mend", () => {
    expect(() => start(face).faults.inject({ kind: "half-open" })).toThrow(FaultError);
    expect(() => start(face).faults.inject({ kind: "half-open" })).toThrow("--relay");
  });

  test("wrong route: acknowledged and silent for ever, though the fault is long over", async () => {
    const exchange = start(face);
    const fault = exchange.faults.inject({ kind: "wrong-route", symbol: face.btc, stream: face.book });
    const peer = await subscriber(face, exchange, face.book);
    await until(() => eventsOf(face, peer, face.eth).length > 5, "the other symbol");
    fault.end();
    await peer.more(50);
    expect(eventsOf(face, peer, face.btc)).toEqual([]);
    ask(face, peer, "unsubscribe", face.book, [face.btc]);
    ask(face, peer, "subscribe", face.book, [face.btc]);
    await until(() => eventsOf(face, peer, face.btc).length > 0, "the right route");
  });

  test("maintenance: a notice where the exchange gives one, then nothing, old or new, and REST says 503", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.book);
    await peer.more(5);
    const { end, ended } = exchange.faults.inject({ kind: "maintenance", noticeMs: 100, forMs: 60_000 });
    if (face.name === "okx") await peer.until((text) => text.includes('"code":"64008"'), "the notice");
    const length = await still(() => peer.texts.length, "texts");
    const late = await subscriber(face, exchange, face.book, undefined, false);
    expect((await fetch(`${exchange.restUrl}/`)).status).toBe(503);
    expect((await fetch(`${exchange.restUrl}/sim/stats`)).status).toBe(200);
    await Bun.sleep(QUIET_MS);
    expect([peer.texts.length, late.texts.length]).toEqual([length, 0]);
    end();
    await ended;
    await peer.more(5);
    expect((await fetch(`${exchange.restUrl}/`)).status).toBe(404);
  });

  test("drip: all of it, in order, at a share of real time; only what was open", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.trade);
    await peer.more(5);
    const at = peer.texts.length;
    const { end, record } = exchange.faults.inject({ kind: "drip", share: 0.25 });
    const fresh = await subscriber(face, exchange, face.trade);
    await Bun.sleep(600);
    await until(() => eventsOf(face, peer, undefined, at).length > 0, "something of it");
    const lag = (text: string | undefined): number => Date.now() - face.timeOf(text ?? "");
    // After t at a quarter of real time the last that came is 3/4 t old; never less than that.
    expect(lag(eventsOf(face, peer, undefined, at).at(-1))).toBeGreaterThan(400);
    await until(() => lag(eventsOf(face, fresh).at(-1)) < 200, "the new connection in time");
    end();
    await exchange.pause();
    const made = [...(exchange.account?.events({ kind: face.trade }) ?? [])];
    const count = (): string[] => eventsOf(face, peer).flatMap((text) => face.ids(text));
    await until(() => count().length === made.length, "all of it");
    expect(count()).toEqual(made.map(({ id }) => id));
    expect(record.frames).toBeGreaterThan(10);
  });
});
