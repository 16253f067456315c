import { describe, expect, test } from "bun:test";
import { still, until } from "../client.ts";
import { eventsOf, FACES, SEED, start, subscriber } from "./exchanges.ts";

console.log(`faults of frames: seed ${SEED}`);

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe.each(FACES.map((face) => [face.name, face] as const))("%s", (_, face) => {
  /** A paused exchange with one subscriber, which gets all that is made after `go`. */
  async function staged(relay = false) {
    const exchange = start(face, { relay, rate: 5000 });
    const peer = await subscriber(face, exchange, face.trade);
    await peer.more(3);
    await exchange.pause();
    const from = await still(() => peer.texts.length, "texts");
    const after = Math.max(-1, ...[...(exchange.account?.events() ?? [])].map(({ n }) => n));
    const account = () => [...(exchange.account?.events({ kind: face.trade, after }) ?? [])];
    const sends = () => account().reduce((sum, { sent }) => sum + sent.length, 0);
    const ids = () => eventsOf(face, peer, undefined, from).flatMap((text) => face.ids(text));
    /** Lets it run until so many frames were touched, ends the fault, and waits for all that was sent. */
    const run = async (fault: ReturnType<typeof exchange.faults.inject>, frames: number): Promise<void> => {
      exchange.resume();
      await until(() => fault.record.frames >= frames, `${frames} frames touched`);
      fault.end();
      await fault.ended;
      await exchange.pause();
      await until(() => ids().length >= sends(), "all that was sent");
    };
    return { exchange, peer, from, account, sends, ids, run };
  }

  test("duplicates: the same frame twice in a row, both accounted", async () => {
    const { exchange, account, ids, run } = await staged();
    await run(exchange.faults.inject({ kind: "duplicates", share: 0.3 }), 20);
    expect(ids().toSorted()).toEqual(
      account()
        .flatMap(({ id, sent }) => sent.map(() => id))
        .toSorted(),
    );
    expect(account().filter(({ sent }) => sent.length === 2).length).toBeGreaterThanOrEqual(20);
  });

  test("reorder: neighbours of a symbol change places, none is lost", async () => {
    const { exchange, account, ids, run } = await staged();
    await run(exchange.faults.inject({ kind: "reorder", share: 0.2, symbol: face.btc }), 10);
    const made = account().map(({ id }) => id);
    expect(ids().toSorted()).toEqual(made.toSorted());
    const of = (symbol: string): string[] =>
      account()
        .filter((event) => event.symbol === symbol)
        .map(({ id }) => id);
    const btc = of(face.btc);
    const came = ids().filter((id) => btc.includes(id));
    expect(came).not.toEqual(btc);
    // No event is further from its place than its neighbour's frame is long.
    for (const [at, id] of came.entries()) expect(Math.abs(btc.indexOf(id) - at)).toBeLessThanOrEqual(8);
    expect(ids().filter((id) => of(face.eth).includes(id))).toEqual(of(face.eth));
  });

  test.each(["cut", "damaged"] as const)("malformed, %s: no JSON, instead of the good frame", async (how) => {
    const { exchange, peer, from, account, run, ids } = await staged();
    const fault = exchange.faults.inject({ kind: "malformed", share: 0.3, how });
    await run(fault, 10);
    const bad = () => peer.texts.slice(from).filter((text) => !isJson(text)).length;
    await until(() => bad() === fault.record.frames, "all bad frames");
    expect(ids()).toEqual(
      account()
        .filter(({ sent }) => sent.length > 0)
        .map(({ id }) => id),
    );
    expect(account().filter(({ sent }) => sent.length === 0).length).toBeGreaterThanOrEqual(10);
  });

  test("malformed besides: every good frame is there", async () => {
    const { exchange, peer, from, account, run, ids } = await staged();
    const fault = exchange.faults.inject({ kind: "malformed", share: 0.3, instead: false });
    await run(fault, 10);
    const bad = () => peer.texts.slice(from).filter((text) => !isJson(text)).length;
    await until(() => bad() === fault.record.frames, "all bad frames");
    expect(ids()).toEqual(account().map(({ id }) => id));
  });

  test("huge: 10 MB of noise, or a good frame with 10 MB too many; once unless told otherwise", async () => {
    for (const how of ["noise", "padded"] as const) {
      const { exchange, peer, from, account, run, ids } = await staged();
      await run(exchange.faults.inject({ kind: "huge", how }), 1);
      await until(() => peer.texts.some((text) => text.length >= 10_000_000), "the huge frame");
      expect(ids()).toEqual(account().map(({ id }) => id));
      const huge = peer.texts.slice(from).filter((text) => text.length >= 10_000_000);
      expect(huge.map((text) => face.symbolOf(text) !== undefined)).toEqual([how === "padded"]);
    }
  });

  test("unknown fields: the same events, with more around them", async () => {
    const { exchange, peer, from, account, run, ids } = await staged();
    await run(exchange.faults.inject({ kind: "unknown-fields" }), 10);
    expect(ids()).toEqual(account().map(({ id }) => id));
    const fat = peer.texts.slice(from).filter((text) => text.includes('"simulated"'));
    expect(fat.length).toBeGreaterThanOrEqual(10);
    expect(fat.every(isJson)).toBe(true);
    expect(new Set(fat.map((text) => text.endsWith("true]}}"))).size, "both places").toBe(2);
  });

  test("invalid UTF-8 as a binary frame: the bytes arrive, the event does not", async () => {
    const { exchange, peer, account, run, ids } = await staged();
    await run(exchange.faults.inject({ kind: "invalid-utf8", share: 0.3 }), 5);
    await until(() => peer.binary.length >= 5, "the bytes");
    for (const bytes of peer.binary) {
      expect(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)).toThrow();
    }
    expect(ids()).toEqual(account().flatMap(({ id, sent }) => (sent.length > 0 ? [id] : [])));
  });

  test("invalid UTF-8 as a text frame: a client has to close, RFC 6455", async () => {
    const { exchange, peer } = await staged(true);
    exchange.faults.inject({ kind: "invalid-utf8", as: "text", share: 1, count: 1 });
    exchange.resume();
    expect([1006, 1007]).toContain(await peer.closed);
    expect(peer.binary).toEqual([]);
    const plain = start(face);
    expect(() => plain.faults.inject({ kind: "invalid-utf8", as: "text" })).toThrow("as: ");
  });

  test("narrowed to a symbol and a kind, only those are met; connections that come later too", async () => {
    const exchange = start(face);
    const { record } = exchange.faults.inject({
      kind: "malformed",
      share: 1,
      symbol: face.btc,
      stream: face.trade,
    });
    const trades = await subscriber(face, exchange, face.trade);
    const books = await subscriber(face, exchange, face.book);
    await until(
      () =>
        record.frames > 10 &&
        eventsOf(face, books, face.btc).length > 10 &&
        eventsOf(face, trades, face.eth).length > 0,
      "frames",
    );
    expect(eventsOf(face, trades, face.btc)).toEqual([]);
    expect([record.symbols, record.connections]).toEqual([[face.btc], [1]]);
  });

  test("clock step: the exchange's times jump, and back", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.book);
    /** Waits for an event made since `from` by a clock that is off by `byMs`; then all that come are such. */
    const off = async (byMs: number, from: number): Promise<void> => {
      const isOff = (text: string | undefined): boolean => {
        const time = face.timeOf(text ?? "") - byMs;
        return time > from - 1000 && time < Date.now() + 1000;
      };
      await until(() => isOff(eventsOf(face, peer).at(-1)), `a clock that is off by ${byMs} ms`);
      const at = peer.texts.length;
      await peer.more(30);
      expect(eventsOf(face, peer, undefined, at).filter((text) => !isOff(text))).toEqual([]);
    };
    await peer.more(1);
    for (const byMs of [-20_000, 60_000]) {
      const before = Date.now();
      const fault = exchange.faults.inject({ kind: "clock-step", byMs });
      await off(byMs, before);
      const after = Date.now();
      fault.end();
      await off(0, after);
    }
  });

  test("delist: the symbol ends, the others go on", async () => {
    const exchange = start(face);
    const peer = await subscriber(face, exchange, face.trade);
    const { record } = exchange.faults.inject({ kind: "delist", symbol: face.btc });
    expect(record).toMatchObject({ state: "past", symbols: [face.btc] });
    await still(() => eventsOf(face, peer, face.btc).length, "events of the symbol");
    const from = peer.texts.length;
    await until(() => eventsOf(face, peer, face.eth, from).length > 5, "the other symbol");
    expect(eventsOf(face, peer, face.btc, from)).toEqual([]);
    expect(() => exchange.faults.inject({ kind: "delist", symbol: face.btc })).toThrow("symbol: ");
  });

  test("list: the next that waits trades; when none waits that is said, at once or when its time comes", async () => {
    const exchange = start(face, { waiting: 1, preLaunch: 1 } as object);
    const { record } = exchange.faults.inject({ kind: "list" });
    expect([record.state, record.symbols.length]).toEqual(["past", 1]);
    const peer = await subscriber(face, exchange, face.trade, record.symbols);
    await until(() => eventsOf(face, peer, record.symbols[0]).length > 0, "its trades");
    expect(() => exchange.faults.inject({ kind: "list" })).toThrow("kind: ");
    const late = exchange.faults.inject({ kind: "list", afterMs: 20 });
    await late.ended;
    expect([late.record.state, late.record.error?.includes("waits to be listed")]).toEqual(["failed", true]);
  });
});
