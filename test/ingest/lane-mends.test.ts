/**
 * What a lane does when the list of its instruments changes at a bad moment, and when a stream is dead from the start:
 * a real lane and real sockets against the simulated Binance. Then, with times of the test's own, the parts that keep
 * a silence, a lag or a stall of ours from being told or learned wrongly.
 */
import { describe, expect, test } from "bun:test";
import { RawTap } from "../../src/capture/tap.ts";
import type { Stream } from "../../src/events/streams.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { Connection } from "../../src/exchanges/connection.ts";
import { Collector, type DecodedEvent } from "../../src/exchanges/decoding/collector.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import { DIRECT } from "../../src/exchanges/dialer.ts";
import { okx } from "../../src/exchanges/okx.ts";
import { CONNECTION_WATCH, ConnectionWatch } from "../../src/exchanges/watchdog/connection-watch.ts";
import { LagWatch } from "../../src/exchanges/watchdog/lag-watch.ts";
import { SYMBOL_WATCH, SymbolWatch } from "../../src/exchanges/watchdog/symbol-watch.ts";
import { Clock } from "../../src/ingest/clock.ts";
import { Holes } from "../../src/ingest/holes.ts";
import { Kin } from "../../src/ingest/kin.ts";
import { Lane } from "../../src/ingest/lane.ts";
import type { ExchangeJob, GapNotice, IngestNotice, LaneBounds } from "../../src/ingest/messages.ts";
import { Replacements } from "../../src/ingest/replacements.ts";
import { Silences } from "../../src/ingest/silences.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { TEST_BOUNDS } from "../helpers/connection.ts";
import { waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

console.log(`lane mends: TAPEDECK_TEST_SEED=${SEED}`);

const SECOND = 1_000_000;
const TICK = 50;

/** A lane on a simulated Binance of its own. */
class Bench implements AsyncDisposable {
  readonly exchange;
  readonly names: readonly string[];
  readonly clock = new Clock();
  readonly notices: IngestNotice[] = [];
  readonly gaps: GapNotice[] = [];
  readonly events: DecodedEvent[] = [];
  onNotice: (notice: IngestNotice) => void = () => undefined;
  readonly lane: Lane;
  readonly #streams: readonly Stream[];
  readonly #bounds: LaneBounds;
  readonly #since = this.clock.now();
  readonly #rows: Collector;
  readonly #tap = new RawTap(1 << 20, () => undefined);
  #ticking: ReturnType<typeof setInterval> | undefined;
  #number = 0;

  constructor(streams: readonly Stream[], instruments: number, bounds: Partial<LaneBounds> = {}) {
    this.#streams = streams;
    this.#bounds = { ...TEST_BOUNDS, ...bounds };
    this.exchange = startBinance({ seed: SEED, instruments, rate: 400 });
    // One that is announced and waits brings nothing yet.
    this.names = this.exchange.instruments
      .filter(
        ({ contractType, quote, status }) =>
          contractType === "PERPETUAL" && quote === "USDT" && status === "TRADING",
      )
      .map(({ symbol }) => symbol);
    expect(this.names.length).toBe(instruments);
    const symbols = new SymbolTable();
    for (const [number, name] of this.names.entries()) symbols.add(name, number);
    this.#rows = new Collector(binance, symbols);
    this.lane = new Lane({
      job: this.job(this.names),
      raw: { tap: this.#tap, writers: this.#rows.writers },
      events: {
        now: () => this.clock.now(),
        nextNumber: () => this.#number++,
        notice: (notice) => {
          this.notices.push(notice);
          this.onNotice(notice);
        },
        gaps: (some) => this.gaps.push(...some),
        ended: () => undefined,
        instrumentsChanged: () => undefined,
        quarantine: () => true,
        staged: () => this.events.push(...this.#rows.take()),
        connectionsChanged: () => undefined,
      },
    });
  }

  job(names: readonly string[], more: Partial<ExchangeJob> = {}): ExchangeJob {
    return {
      exchange: "binance",
      wsUrl: `ws://127.0.0.1:${this.exchange.port}`,
      subscriptions: binance
        .subscriptions(
          this.#streams,
          names.map((instrument) => ({ instrument })),
        )
        .filter(({ streams }) => streams.length > 0),
      limits: { channels: 200, characters: null },
      instruments: this.names.map((instrument, number) => ({ instrument, number })),
      rings: [],
      bounds: this.#bounds,
      dialing: DIRECT,
      since: this.#since,
      ...more,
    };
  }

  /**
   * Subscribes these, and waits until the first hole, that of the start, has been told.
   *
   * @param acknowledged called as soon as the exchange has accepted them
   */
  async start(names: readonly string[], acknowledged: () => void = () => undefined): Promise<void> {
    this.lane.apply(this.job(names));
    await this.until("the answer", () => this.lane.stats().control > 0);
    acknowledged();
    this.#ticking = setInterval(() => this.lane.tick(this.clock.now(), false), TICK);
    await this.until("the start", () => this.gaps.some(({ reason }) => reason === "start"));
  }

  async until(what: string, probe: () => boolean): Promise<void> {
    const state = () =>
      JSON.stringify({ notices: this.notices, gaps: this.gaps, stats: this.lane.stats() }, null, 1);
    await waitFor(what, probe, { state });
  }

  /** Events of an instrument from the place `from` on. */
  eventsOf(name: string, stream: Stream, from = 0): DecodedEvent[] {
    return this.events.slice(from).filter((one) => one.instrument === name && one.stream === stream);
  }

  /** Gaps of one instrument by itself. */
  gapsOf(name: string): GapNotice[] {
    return this.gaps.filter(({ instrument }) => instrument === name);
  }

  noticed(event: IngestNotice["event"]): IngestNotice[] {
    return this.notices.filter((one) => one.event === event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticking);
    this.lane.stop();
    this.#tap.end();
    await this.exchange.stop();
  }
}

describe("a replacement that is given up", () => {
  for (const when of ["while it opens", "once it is given up"] as const) {
    test.concurrent(`what is listed ${when} is recorded after it, and its hole told from the earlier list`, async () => {
      await using bench = new Bench(["bbo"], 5, {
        maxAge: 3000,
        ackTimeout: 60_000,
        overlap: 2000,
        replaceTimeout: 3000,
      });
      const { exchange, names, lane, clock } = bench;
      const listed = names[4];
      const readBefore = clock.now();
      // Requests of the new connection are never answered; those that the old one sends afterwards are.
      let fault: { end(): void } | undefined;
      await bench.start(names.slice(0, 4), () => {
        fault = exchange.faults.inject({ kind: "missing-ack" });
      });
      bench.onNotice = ({ event }) => {
        if (event === "connection_replaced") fault?.end();
      };
      const connects = () => bench.noticed("ws_connect").length;
      await bench.until("the new connection", () => connects() === 2);
      // "Given up" shows in the new socket's end; the replacement goes on for the overlap.
      if (when === "once it is given up")
        await bench.until("its end", () => bench.noticed("ws_disconnect").length === 1);
      expect(bench.noticed("connection_replaced")).toEqual([]);
      lane.apply(bench.job(names, { readBefore }));
      await bench.until("the replacement's end", () => bench.noticed("connection_replaced").length === 1);
      expect(bench.noticed("connection_replaced")).toMatchObject([
        { connection: 0, by: [1], why: "age", failed: true },
      ]);
      const from = bench.events.length;
      const over = clock.now();
      await bench.until("its hole", () => bench.gapsOf(listed).length > 0);
      await bench.until("its events", () => bench.eventsOf(listed, "bbo", from).length > 0);
      expect(bench.gapsOf(listed)).toMatchObject([{ stream: "bbo", reason: "start", from: readBefore }]);
      expect(Number(bench.gapsOf(listed)[0].to)).toBeGreaterThanOrEqual(over - SECOND);
      // The four others were whole all the time, on the socket that they were on.
      expect(bench.gaps.filter(({ reason }) => reason !== "start")).toEqual([]);
      expect(lane.stats()).toMatchObject({ connections: 1, open: 1, subscriptions: 5, reconnects: 0 });
      expect(connects()).toBe(2);
    }, 180_000);
  }
});

test.concurrent("a listing and a delisting while old and new connection run side by side: neither loses nor doubles anything", async () => {
  await using bench = new Bench(["trade"], 5, { maxAge: 3000, overlap: 4000 });
  const { names, lane, clock } = bench;
  const [, goes = ""] = names;
  const listed = names.at(-1) ?? "";
  const before = names.slice(0, -1);
  await bench.start(before);
  // The successor is open: what is wanted changes amid the overlap.
  await bench.until("the successor", () => bench.noticed("ws_connect").length > 1 && lane.stats().open === 2);
  const at = clock.now();
  const after = names.filter((name) => name !== goes);
  lane.apply(bench.job(after, { readBefore: at }));
  await bench.until("the replacement", () => bench.noticed("connection_replaced").length > 0);
  const [replaced] = bench.noticed("connection_replaced");
  expect(replaced).toMatchObject({ connection: 0, why: "age", failed: false });
  await bench.until("the listed one's hole", () => bench.gapsOf(listed).length > 0);
  const seen = bench.events.length;
  await bench.until("trades after it", () =>
    after.every((name) => bench.eventsOf(name, "trade", seen).length > 0),
  );
  // Those that were carried all the time: each id once, none left out.
  for (const name of after.filter((one) => one !== listed)) {
    const ids = bench.eventsOf(name, "trade").map(({ id }) => Number(id));
    expect(ids.length, name).toBeGreaterThan(0);
    const [first = 0] = ids.sort((a, b) => a - b);
    expect(ids, name).toEqual(ids.map((_, i) => first + i));
  }
  expect(bench.eventsOf(goes, "trade", seen)).toEqual([]);
  expect(bench.gapsOf(listed)).toMatchObject([{ reason: "start", certainty: "planned", from: at }]);
  expect(bench.gaps.filter(({ instrument }) => instrument !== listed && instrument !== null)).toEqual([]);
  expect(bench.noticed("ws_disconnect").filter((one) => "retryIn" in one && one.retryIn !== null)).toEqual(
    [],
  );
}, 180_000);

test.concurrent("a channel that leaves and comes back has its hole from when it left", async () => {
  await using bench = new Bench(["bbo"], 3);
  const { names, lane, clock } = bench;
  const back = names[2];
  await bench.start(names);
  const before = clock.now();
  lane.apply(bench.job(names.slice(0, 2)));
  const left = clock.now();
  await Bun.sleep(500);
  // A listing's own time, or the earlier list's, says nothing of one that was known.
  const asked = clock.now();
  lane.apply(bench.job(names, { readBefore: asked }));
  await bench.until("its hole", () => bench.gapsOf(back).length > 0);
  const [gap, ...more] = bench.gapsOf(back);
  expect(gap).toMatchObject({ stream: "bbo", reason: "start", certainty: "planned" });
  expect(more).toEqual([]);
  expect(Number(gap.from)).toBeGreaterThanOrEqual(before);
  expect(Number(gap.from)).toBeLessThanOrEqual(left);
  expect(Number(gap.to)).toBeGreaterThanOrEqual(asked);
  const from = bench.events.length;
  await bench.until("its events", () => bench.eventsOf(back, "bbo", from).length > 0);
}, 180_000);

test.concurrent("what is delisted during an outage has its hole all the same, up to then", async () => {
  await using bench = new Bench(["bbo"], 3, { backoffMax: 200 });
  const { exchange, names, lane, clock } = bench;
  const gone = names[2];
  await bench.start(names);
  const came = bench.events.length;
  await bench.until("an event just before", () => bench.events.length > came);
  const cut = clock.now();
  const fault = exchange.faults.inject({ kind: "refuse", forMs: 600_000 });
  await bench.until("the cut", () => bench.noticed("ws_disconnect").length > 0);
  const before = clock.now();
  lane.apply(bench.job(names.slice(0, 2)));
  const left = clock.now();
  await bench.until("its hole", () => bench.gapsOf(gone).length > 0);
  const [gap, ...more] = bench.gapsOf(gone);
  expect(gap).toMatchObject({ stream: "bbo", reason: "disconnect", certainty: "possible" });
  expect(more).toEqual([]);
  // From the last sign of life before the cut, at most the pause between two frames earlier.
  expect(Number(gap.from)).toBeGreaterThanOrEqual(cut - SECOND);
  expect(Number(gap.from)).toBeLessThanOrEqual(before);
  expect(Number(gap.to)).toBeGreaterThanOrEqual(before);
  expect(Number(gap.to)).toBeLessThanOrEqual(left);
  fault.end();
  await bench.until("the others' hole", () =>
    bench.gaps.some(({ instrument, reason }) => instrument !== gone && reason === "disconnect"),
  );
  expect(lane.stats()).toMatchObject({ connections: 1, open: 1, subscriptions: 2 });
}, 180_000);

test.concurrent("a stream that is accepted and dead from the start is found beside a living one, and its connection replaced", async () => {
  await using bench = new Bench(["trade", "mark_price"], 22, {
    watch: { ...CONNECTION_WATCH, firstData: 1200, firstDataQuiet: 1500 },
    overlap: 1500,
  });
  const { exchange, names, clock } = bench;
  const fault = exchange.faults.inject({ kind: "wrong-route", stream: "aggTrade" });
  let found = Number.POSITIVE_INFINITY;
  let tradesBefore = Number.NaN;
  bench.onNotice = ({ event }) => {
    if (event !== "stream_silent") return;
    found = clock.now();
    tradesBefore = bench.events.filter(({ stream }) => stream === "trade").length;
    // From now on the old connection may bring trades as well.
    fault.end();
  };
  const begun = clock.now();
  await bench.start(names);
  const started = clock.now();
  await bench.until("the notice", () => bench.noticed("stream_silent").length > 0);
  expect(tradesBefore).toBe(0);
  await bench.until("the replacement", () => bench.noticed("connection_replaced").length > 0);
  await bench.until("the hole", () => bench.gaps.some(({ reason }) => reason === "silence"));
  expect(bench.noticed("stream_silent")).toMatchObject([{ connection: 0, stream: "trade", channels: 22 }]);
  expect(bench.noticed("connection_replaced")).toMatchObject([
    { connection: 0, by: [1], why: "silent stream", failed: false },
  ]);
  // Trades alone, from the opening of the socket until the new one's subscriptions were accepted.
  const silent = bench.gaps.filter(({ reason }) => reason !== "start");
  expect(silent).toMatchObject([
    { stream: "trade", instrument: null, reason: "silence", certainty: "possible" },
  ]);
  expect(Number(silent[0].from)).toBeGreaterThanOrEqual(begun);
  expect(Number(silent[0].from)).toBeLessThanOrEqual(started);
  expect(Number(silent[0].to)).toBeGreaterThanOrEqual(found);
  expect(bench.events.some(({ stream }) => stream === "trade")).toBe(true);
}, 180_000);

describe("one symbol that is accepted and dead from the start, of which nothing is known yet", () => {
  const bounds = {
    symbols: { ...SYMBOL_WATCH, firstData: 1000, firstDataQuiet: 2000 },
    quotesWithoutTrade: 100,
  };
  /** Streams recorded, the stream that is dead as the exchange calls it, and as we do. */
  const cases: [Stream[], string, Stream][] = [
    [["bbo"], "bookTicker", "bbo"],
    [["bbo", "trade"], "aggTrade", "trade"],
  ];
  test.concurrent.each(cases)(
    "of %p, %s: is found beside living ones, and asked for again",
    async (streams, kind, stream) => {
      await using bench = new Bench(streams, 4, bounds);
      const { exchange, names, clock } = bench;
      const [dead = ""] = names;
      const fault = exchange.faults.inject({ kind: "wrong-route", stream: kind, symbol: dead });
      let found = Number.POSITIVE_INFINITY;
      bench.onNotice = ({ event }) => {
        if (event !== "symbol_silent" || found < Number.POSITIVE_INFINITY) return;
        found = clock.now();
        expect(bench.eventsOf(dead, stream)).toEqual([]);
        // What is asked for from now on lives.
        fault.end();
      };
      await bench.start(names);
      const started = clock.now();
      await bench.until("the notice", () => bench.noticed("symbol_silent").length > 0);
      expect(bench.noticed("symbol_silent")).toMatchObject([{ stream, instrument: dead }]);
      await bench.until("its events", () => bench.eventsOf(dead, stream).length > 0);
      await bench.until("its hole", () => bench.gapsOf(dead).length > 0);
      expect(bench.gapsOf(dead)).toMatchObject([{ stream, reason: "silence", certainty: "possible" }]);
      const [{ from, to }] = bench.gapsOf(dead);
      expect(Number(from)).toBeLessThanOrEqual(started);
      expect(Number(to)).toBeGreaterThanOrEqual(found);
      // Its siblings were left alone.
      expect(
        bench.gaps.filter(({ reason, instrument }) => reason !== "start" && instrument !== dead),
      ).toEqual([]);
      expect([...bench.noticed("connection_replaced"), ...bench.noticed("ws_disconnect")]).toEqual([]);
    },
    180_000,
  );
});

/** A connection as far as its watchers look at it. */
function watched(
  channels: readonly string[],
  dataAt: () => number,
): { connection: Connection; renewed: string[][] } {
  const renewed: string[][] = [];
  const connection: Connection = Object.create(Connection.prototype, {
    channels: { value: new Set(channels) },
    number: { value: 7 },
    isOpen: { value: true },
    lag: { value: new LagWatch() },
    dataAt: { get: dataAt },
    renew: { value: (some: readonly string[]) => renewed.push([...some]) },
  });
  return { connection, renewed };
}

describe("silent symbols of one connection", () => {
  /** `silent` of `total` symbols have been due since `DUE` and do not come. */
  const DUE = SECOND;
  function silences(options: { silent: number; total: number; replaced: boolean }) {
    let now = DUE;
    const watch = new SymbolWatch();
    const channels = Array.from({ length: options.total }, (_, symbol) => `c${symbol}`);
    const { connection, renewed } = watched(channels, () => now);
    const holes: string[] = [];
    let persists = 0;
    const all = new Silences({
      exchange: "binance",
      watches: new Map([["bbo", watch]]),
      instrumentOf: (symbol) => `c${symbol}`,
      kinOf: (symbol) => [symbol],
      sourceOf: (_, channel) => ({ channel, streams: ["bbo"], connection }),
      notice: () => undefined,
      renewed: (channel) => holes.push(channel),
      persists: () => {
        persists++;
        return options.replaced;
      },
      siblingsAlive: 2 * SECOND,
      unjudged: [],
    });
    for (let symbol = 0; symbol < options.silent; symbol++) watch.expect(symbol, DUE);
    const tick = (at: number) => {
      now = at;
      return all.tick(at);
    };
    return { watch, renewed, holes, persists: () => persists, tick, channels };
  }

  test("are asked for again with one call", () => {
    const { renewed, holes, persists, tick, channels } = silences({ silent: 19, total: 30, replaced: true });
    tick(DUE + 11 * SECOND);
    expect(renewed).toEqual([channels.slice(0, 19)]);
    expect([holes, persists()]).toEqual([channels.slice(0, 19), 0]);
  });

  test("many, and half of all: the connection is replaced instead", () => {
    const many = silences({ silent: 20, total: 40, replaced: true });
    many.tick(DUE + 11 * SECOND);
    expect([many.renewed, many.holes, many.persists()]).toEqual([[], [], 1]);
  });

  test("many, but less than half, or of a connection that was replaced lately: asked for again", () => {
    for (const [total, replaced, asked] of [
      [41, true, 0],
      [40, false, 1],
    ] as const) {
      const { renewed, persists, tick, channels } = silences({ silent: 20, total, replaced });
      tick(DUE + 11 * SECOND);
      expect([renewed, persists()]).toEqual([[channels.slice(0, 20)], asked]);
    }
  });

  test("one that nobody ever heard is a reason to replace its connection once, one that was heard also later", () => {
    const at = [11, 23, 47, 95, 191, 383].map((second) => DUE + second * SECOND);
    const unheard = silences({ silent: 1, total: 30, replaced: true });
    for (const now of at) unheard.tick(now);
    expect([unheard.renewed.length, unheard.persists()]).toEqual([2, 1]);
    const heard = silences({ silent: 1, total: 30, replaced: true });
    heard.watch.observe(0, 0);
    heard.watch.expect(0, DUE);
    for (const now of at) heard.tick(now);
    expect([heard.renewed.length, heard.persists()]).toEqual([2, 4]);
    // One that is not replaced, since it was lately, is one the next time.
    const lately = silences({ silent: 1, total: 30, replaced: false });
    for (const now of at) lately.tick(now);
    expect([lately.renewed.length, lately.persists()]).toEqual([2, 4]);
  });

  test("a row begins at the first silence noted, though its symbol was asked for again since", () => {
    const { watch, tick } = silences({ silent: 1, total: 30, replaced: true });
    expect(tick(DUE + 11 * SECOND)).toEqual([]);
    watch.renewed(0, DUE + 12 * SECOND);
    watch.observe(0, DUE + 13 * SECOND);
    expect(tick(DUE + 14 * SECOND)).toMatchObject([
      { stream: "bbo", instrument: "c0", reason: "silence", from: DUE, to: DUE + 13 * SECOND },
    ]);
  });
});

describe("a silent symbol beside others", () => {
  /** One symbol with a busy best bid and offer, and a trade now and then; `dataAt` is that of its connection. */
  function bench(siblingsAlive: number) {
    let dataAt = 0;
    const watches = new Map(
      ["bbo", "trade"].map((stream) => [stream as Stream, new SymbolWatch({ floor: 1000 })]),
    );
    const { connection, renewed } = watched(["bbo:c", "trade:c"], () => dataAt);
    const holes: [string, number][] = [];
    const all = new Silences({
      exchange: "okx",
      watches,
      instrumentOf: () => "c",
      kinOf: (symbol) => [symbol],
      sourceOf: (stream) => ({ channel: `${stream}:c`, streams: [stream], connection }),
      notice: () => undefined,
      renewed: (channel, from) => holes.push([channel, from]),
      persists: () => false,
      siblingsAlive,
      unjudged: [],
    });
    const [bbo, trade] = [watches.get("bbo"), watches.get("trade")];
    let now = 0;
    for (; now < 60 * SECOND; now += SECOND / 20) {
      bbo?.observe(0, now);
      if (now === 50 * SECOND) trade?.observe(0, now);
    }
    dataAt = now;
    return {
      bbo,
      trade,
      renewed,
      holes,
      last: now - SECOND / 20,
      tick: (at: number, heard = at) => {
        dataAt = heard;
        return all.tick(at);
      },
    };
  }

  test("that lives once it is asked for again: its other channels, silent since, are asked for as well", () => {
    const { bbo, renewed, holes, last, tick } = bench(SECOND / 2);
    const found = last + 6 * SECOND;
    tick(found);
    expect([renewed, holes]).toEqual([[["bbo:c"]], [["bbo:c", found]]]);
    bbo?.renewed(0, found);
    bbo?.observe(0, found + SECOND);
    expect(tick(found + SECOND)).toMatchObject([{ stream: "bbo", from: last, to: found + SECOND }]);
    expect(renewed.slice(1)).toEqual([["trade:c"]]);
    expect(holes.slice(1)).toEqual([["trade:c", last]]);
    tick(found + 2 * SECOND);
    expect(renewed.length).toBe(2);
  });

  test("whose other channels have brought something since: those live", () => {
    const { bbo, trade, renewed, last, tick } = bench(SECOND / 2);
    tick(last + 6 * SECOND);
    trade?.observe(0, last + 6 * SECOND);
    bbo?.observe(0, last + 7 * SECOND);
    tick(last + 7 * SECOND);
    expect(renewed).toEqual([["bbo:c"]]);
  });

  test("under whatever id: the index of a swap that lives again is asked for as well, though its price came later", () => {
    const names = ["BTC-USDT-SWAP", "BTC-USDT", "ETH-USDT"];
    const kin = new Kin(okx);
    for (const [number, name] of names.entries()) kin.add(name, number);
    const bbo = new SymbolWatch({ floor: 1000 });
    const prices = new SymbolWatch({ floor: 60_000 });
    const channelOf = (stream: Stream, instrument: string) => `${stream}:${instrument}`;
    const { connection, renewed } = watched(
      ["bbo:BTC-USDT-SWAP", "mark_price:BTC-USDT", "mark_price:ETH-USDT"],
      () => now,
    );
    const holes: [string, number][] = [];
    const all = new Silences({
      exchange: "okx",
      watches: new Map([
        ["bbo", bbo],
        ["mark_price", prices],
      ]),
      instrumentOf: (symbol) => names[symbol] ?? null,
      kinOf: (symbol) => kin.of(symbol),
      sourceOf: (stream, instrument) => ({
        channel: channelOf(stream, instrument),
        streams: [stream],
        connection,
      }),
      notice: () => undefined,
      renewed: (channel, from) => holes.push([channel, from]),
      persists: () => false,
      siblingsAlive: SECOND,
      unjudged: [],
    });
    let now = 0;
    for (; now < 60 * SECOND; now += SECOND / 20) {
      bbo.observe(0, now);
      if (now % SECOND === 0) for (const index of [1, 2]) prices.observe(index, now);
    }
    const died = now;
    // The last price of both indices comes after the last of the swap's.
    for (const index of [1, 2]) prices.observe(index, died + SECOND / 10);
    for (; now < died + 6 * SECOND; now += SECOND) all.tick(now);
    expect(renewed).toEqual([["bbo:BTC-USDT-SWAP"]]);
    bbo.renewed(0, now);
    bbo.observe(0, now + SECOND / 10);
    all.tick(now + SECOND / 10);
    // Another symbol's index, as silent, is none of its business.
    expect(renewed.slice(1)).toEqual([["mark_price:BTC-USDT"]]);
    expect(holes.slice(1)).toEqual([["mark_price:BTC-USDT", died + SECOND / 10]]);
  });

  test("liquidations that end with a cascade are not silent, and are asked for again along with what is", () => {
    const watches = new Map(
      ["bbo", "liquidation"].map((stream) => [stream as Stream, new SymbolWatch({ floor: 1000 })]),
    );
    let now = 0;
    const { connection, renewed } = watched(["bbo:c", "liquidation:c"], () => now);
    const all = new Silences({
      exchange: "bybit",
      watches,
      instrumentOf: () => "c",
      kinOf: (symbol) => [symbol],
      sourceOf: (stream) => ({ channel: `${stream}:c`, streams: [stream], connection }),
      notice: () => undefined,
      renewed: () => undefined,
      persists: () => false,
      siblingsAlive: SECOND,
      unjudged: ["liquidation"],
    });
    const [bbo, liquidation] = [watches.get("bbo"), watches.get("liquidation")];
    for (; now < 600 * SECOND; now += SECOND / 20) {
      bbo?.observe(0, now);
      if (now < 60 * SECOND) liquidation?.observe(0, now);
      if (now % SECOND === 0) expect(all.tick(now)).toEqual([]);
    }
    expect(renewed).toEqual([]);
    expect(liquidation?.isFlagged(0)).toBe(false);
    now += 6 * SECOND;
    all.tick(now);
    expect(renewed).toEqual([["bbo:c"]]);
    bbo?.observe(0, now);
    all.tick(now);
    expect(renewed).toEqual([["bbo:c"], ["liquidation:c"]]);
  });

  test("is not silent by itself where the whole connection has paused", () => {
    const { renewed, last, tick } = bench(SECOND / 2);
    tick(last + 6 * SECOND, last + 5 * SECOND);
    expect(renewed).toEqual([]);
    // It is looked at again when its silence has doubled.
    tick(last + 13 * SECOND);
    expect(renewed).toEqual([["bbo:c"]]);
  });
});

test("a new socket that dies within its first second is found, where something should come whatever the market does", () => {
  const found = (prompt: boolean) => {
    const watch = new ConnectionWatch();
    watch.opened(0, prompt);
    for (let now = 0; now < SECOND; now += SECOND / 20) watch.data(now);
    let now = SECOND;
    while (now < 3600 * SECOND && watch.verdict(now) === null) now += SECOND / 4;
    return now / SECOND;
  };
  expect(found(true)).toBeGreaterThan(CONNECTION_WATCH.earlyFloor / 1000);
  expect(found(true)).toBeLessThan(CONNECTION_WATCH.earlyFloor / 1000 + 2);
});

describe("a stall of our own", () => {
  const STALL = 18 * SECOND;

  /** Data every 20 ms for a minute, a stall, data for five seconds more; ms from the last data to a verdict. */
  function foundAfter(interrupted: boolean): number {
    const watch = new ConnectionWatch();
    watch.opened(0, true);
    let now = 0;
    const live = (until: number) => {
      for (; now < until; now += SECOND / 50) watch.data(now);
    };
    live(60 * SECOND);
    now += STALL;
    if (interrupted) {
      watch.interrupted(now);
      expect(watch.verdict(now)).toBeNull();
    }
    live(now + 5 * SECOND);
    const last = now;
    while (watch.verdict(now) === null) now += SECOND / 4;
    return (now - last) / 1000;
  }

  test("is no silence, and a connection that dies afterwards is found as soon as ever", () => {
    expect(foundAfter(true)).toBeLessThanOrEqual(10_000);
    // Learned, it would have hidden the next one.
    expect(foundAfter(false)).toBeGreaterThan(STALL / 1000);
  });

  test("before the first data: that is due anew from then on", () => {
    const watch = new ConnectionWatch();
    watch.opened(0, true);
    watch.interrupted(STALL);
    expect(watch.verdict(STALL + 9 * SECOND)).toBeNull();
    expect(watch.verdict(STALL + 11 * SECOND)).not.toBeNull();
  });

  test("does not change what is too long for a symbol, and makes none silent", () => {
    const watch = new SymbolWatch();
    let now = 0;
    const live = (until: number) => {
      for (; now < until; now += SECOND / 10) watch.observe(0, now);
    };
    live(300 * SECOND);
    const before = watch.threshold(0);
    expect(before).toBe(5 * SECOND);
    now += STALL;
    watch.interrupted(now);
    const overdue: number[] = [];
    watch.overdue(now, (symbol) => overdue.push(symbol));
    live(now + 5 * SECOND);
    expect([watch.threshold(0), overdue]).toEqual([before, []]);
    watch.overdue(now + 6 * SECOND, (symbol) => overdue.push(symbol));
    expect(overdue).toEqual([0]);
  });
});

test("a lag that is over before the replacement's turn is dropped", () => {
  const { connection } = watched(["c"], () => 0);
  const caughtUp: Connection[] = [];
  const replacements = new Replacements({
    exchange: "binance",
    bounds: TEST_BOUNDS,
    events: {
      create: () => {
        throw new Error("replaced although it is in time");
      },
      newHandover: () => {
        throw new Error("replaced although it is in time");
      },
      handover: () => undefined,
      rowsOf: () => 0,
      refused: () => undefined,
      stillBehind: () => undefined,
      caughtUp: (one) => caughtUp.push(one),
      givenUp: () => undefined,
      stillLate: () => undefined,
      dismissed: () => undefined,
      notice: () => undefined,
    },
  });
  replacements.watch(connection);
  expect(replacements.lagging(connection, 4 * SECOND)).toBe(true);
  expect(replacements.lagging(connection, 4 * SECOND)).toBe(false);
  for (let now = SECOND; now < 4 * SECOND; now += SECOND)
    expect(replacements.tick([connection], now)).toEqual([connection]);
  expect(caughtUp).toEqual([connection]);
  // A later one counts anew.
  expect(replacements.lagging(connection, 4 * SECOND)).toBe(true);
});

test("a lag that is over ends its own hole and no other", () => {
  const wanted = new Map(
    ["A", "B", "C"].map((instrument) => [
      instrument,
      { route: "/r", channel: instrument, streams: ["bbo"] as const, instrument },
    ]),
  );
  const holes = new Holes("binance", wanted);
  holes.begin("A", "lag", 1);
  holes.begin("B", "disconnect", 1);
  for (const channel of wanted.keys()) holes.endIf(channel, "lag", 2);
  expect([holes.isOpen("A"), holes.isOpen("B")]).toEqual([false, true]);
  expect(holes.take(2 + SECOND)).toMatchObject([{ instrument: "A", reason: "lag", from: 1, to: 2 }]);
});
