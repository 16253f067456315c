/**
 * The system's clock is stepped under a recording: real sockets to a simulated exchange, the real ingest, gap log and
 * drain, and a system clock of the test's own, which runs ten times as fast. It is `Date.now` of this whole file, so
 * that whoever asks what time it is, is stepped as well.
 */
import { afterEach, expect, spyOn, test } from "bun:test";
import { mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { settingsSchema } from "../../src/config/schema.ts";
import { DIRECT } from "../../src/exchanges/dialer.ts";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import { Clock } from "../../src/ingest/clock.ts";
import { Ingest } from "../../src/ingest/ingest.ts";
import type { FromIngest, IngestNotice } from "../../src/ingest/messages.ts";
import { gapRow } from "../../src/recorder/datasets.ts";
import { named } from "../../src/recorder/gap-lines.ts";
import { laneBounds } from "../../src/recorder/lane-bounds.ts";
import { createRings } from "../../src/recorder/rings.ts";
import { readRing } from "../../src/ring/memory.ts";
import { type SimulatedBinance, startBinance } from "../../src/simulator/binance.ts";
import { balanceOf } from "../../src/status/balance.ts";
import { Drain, type DrainOptions } from "../../src/storage/drain.ts";
import { RecoveredCounters } from "../../src/storage/recovered.ts";
import { compareWithAccount, gapRows, onceEach } from "../helpers/account-rows.ts";
import { auditLake } from "../helpers/audit.ts";
import { type Sql, streamFrom, withSql } from "../helpers/lake.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { still, waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

const folder = scratchFolder("clock-step");
const SECOND = 1_000_000;
const DAY_MS = 86_400_000;
/** Seconds of the test's clock in a real one. */
const SPEED = 10;
/** How often the ingest worker looks after everything, ms of the test's clock. */
const TICK = 250;
const STREAMS = ["bbo", "trade", "mark_price", "funding"] as const;

/** Longest time between two readings that counts, ms: the test's clock stands while this process is paused. */
const STRIDE = 50;

/** The test's clock, ms. */
class SystemClock {
  #last = performance.now();
  #passed = 0;
  #wall: number;

  constructor(start: number) {
    this.#wall = start;
  }

  /** Since the start. */
  readonly monotonic = (): number => {
    const now = performance.now();
    this.#passed += Math.min(STRIDE, now - this.#last);
    this.#last = now;
    return this.#passed * SPEED;
  };
  readonly wall = (): number => Math.floor(this.#wall + this.monotonic());

  step(by: number): void {
    this.#wall += by;
  }
}

let dateNow: { mockRestore(): void } | undefined;
const exchanges: SimulatedBinance[] = [];
afterEach(async () => {
  dateNow?.mockRestore();
  await Promise.all(exchanges.splice(0).map((exchange) => exchange.stop()));
});

/** A recording of a simulated exchange, all in this thread. */
async function record(name: string, system: SystemClock, options: Parameters<typeof startBinance>[0]) {
  dateNow = spyOn(Date, "now").mockImplementation(system.wall);
  const data = join(folder, name);
  const outbox = join(data, "outbox");
  mkdirSync(outbox, { recursive: true });
  const exchange = startBinance({ seed: SEED, account: true, ...options });
  exchanges.push(exchange);
  const settings = settingsSchema.parse({
    record: { exchanges: "binance", streams: STREAMS.join(",") },
    exchanges: { binance: { ws_url: exchange.url, rest_url: exchange.restUrl } },
    // Pongs come by the real clock, of which a second is ten of the test's.
    connection: { pong_timeout: "1m" },
  });
  const rings = createRings(settings);
  const bounds = { rows: 250_000, bytes: 64 << 20, interval: 300_000 };
  let published = 0;
  const recovered = new RecoveredCounters();
  const drain = await Drain.open(
    {
      run: `test-${system.wall() * 1000}-abcd`,
      version: (await import("../../src/recorder/version.ts")).VERSION,
      rings,
      outbox,
      quarantine: join(data, "quarantine"),
      layout: "flat",
      journal: { folder: join(data, "journal"), fsync: "interval", fsyncInterval: 1000, maxBytes: 2 ** 40 },
      recovered: [],
      recoveredCounters: recovered.buffer,
      seal: Object.fromEntries(STREAMS.map((stream) => [stream, bounds])) as DrainOptions["seal"],
      datasetSeal: bounds,
      firstDatasetRing: rings.length,
      minGap: 0,
      memoryLimit: 192 << 20,
      threads: 2,
      retryMax: 1000,
    },
    {
      fileFinished: ({ key, path, ring, rows }) => {
        const target = join(data, "lake", key);
        mkdirSync(dirname(target), { recursive: true });
        renameSync(path, target);
        if (ring !== null) published += rows;
      },
      copyFailed: (_segment, error) => expect.unreachable(error),
      copyRecovered: () => undefined,
      rowsSpoiled: ({ why }) => expect.unreachable(why),
      journalFault: (why) => expect(why).toBeNull(),
    },
  );
  const known = exchange.instruments
    .filter(({ status, symbol }) => status === "TRADING" && /^[^_]+USDT$/.test(symbol))
    .map(({ symbol }, number) => ({ instrument: symbol, symbol, number }));
  drain.addSymbols("binance", known);
  const clock = new Clock(system.wall, system.monotonic);
  const notices: IngestNotice[] = [];
  const sockets: Extract<FromIngest, { type: "connection" }>["ended"][] = [];
  let gaps: Extract<FromIngest, { type: "gaps" }>["gaps"][number][] = [];
  let untold: Extract<FromIngest, { type: "gaps" }>["untold"][number]["holes"] = [];
  const ingest = new Ingest({
    clock,
    connectionsChanged: () => undefined,
    connectionCounter: new SharedArrayBuffer(4),
    publishBatch: 64,
    quarantineInFlight: 1 << 20,
    clockStep: settings.ingest.clock_step,
    post(message) {
      if (message.type === "notice") notices.push(message.notice);
      else if (message.type === "connection") sockets.push(message.ended);
      else if (message.type === "gaps") {
        gaps = [...gaps, ...message.gaps];
        for (const { holes } of message.untold) untold = holes;
      } else expect.unreachable(message.type);
    },
  });
  const binance = exchangeByName("binance");
  ingest.apply({
    exchange: "binance",
    wsUrl: exchange.url,
    subscriptions: binance.subscriptions(STREAMS, known),
    limits: { channels: 200, characters: null },
    instruments: known,
    rings,
    // The defaults: what happens within seconds is what is to be shown.
    bounds: laneBounds(settings, "binance"),
    dialing: DIRECT,
    since: clock.now(),
  });
  const timer = setInterval(() => ingest.tick(TICK), TICK / SPEED);
  let ended = false;
  const draining = (async () => {
    while (!ended) {
      const rows = gaps.map((gap) => gapRow(gap, named(gap).symbol));
      gaps = [];
      if (rows.length > 0) await drain.addRows("binance", "gaps", rows, clock.now());
      await drain.step();
      await Bun.sleep(2);
    }
  })();
  const readings = () => rings.map(({ handle, views }) => readRing(handle, views));
  return {
    data,
    exchange,
    ingest,
    clock,
    notices,
    sockets,
    /** Reasons of the open holes that kill -9 would leave to the next run. */
    noted: () => new Set(untold.filter(({ to }) => to === null).map(({ reason }) => reason)),
    /** Waits until so much time has passed by the test's clock, ms. */
    pass(ms: number) {
      const until = system.monotonic() + ms;
      return waitFor(`${ms} ms of the test's clock`, () => system.monotonic() >= until, { every: 2 });
    },
    /** Ends it, and shows the lake, after the checks that each lake has to pass. */
    async end(check: (sql: Sql) => Promise<void>): Promise<void> {
      await exchange.pause();
      await still("what comes in", () => readings().reduce((sum, { offered }) => sum + offered, 0), {
        every: 20,
      });
      clearInterval(timer);
      ingest.stop();
      await waitFor("the last gaps", () => gaps.length === 0);
      ended = true;
      await draining;
      const deadline = performance.now() + 60_000;
      expect(await drain.finish(deadline)).toEqual([]);
      expect(await drain.stop(deadline)).toBe(0);
      dateNow?.mockRestore();
      const balance = balanceOf(readings(), recovered.read(), published, 0);
      expect(balance).toMatchObject({ holds: true, dropped: 0, received: published });
      await withSql(async (sql) => {
        expect(await auditLake(sql, data)).toMatchObject({ rows: published, holes: 0 });
        const { expected, mismatches } = await compareWithAccount(sql, data, {
          exchange: "binance",
          account: exchange.account,
          wanted: onceEach,
        });
        expect(mismatches.slice(0, 20), `${mismatches.length} of ${expected} events`).toEqual([]);
        expect(expected).toBeGreaterThan(500);
        await expectNeverBack(sql, data);
        await check(sql);
      });
    },
  };
}

/** In the order of each ring time never goes back, across all its files, and days follow each other. */
async function expectNeverBack(sql: Sql, data: string): Promise<void> {
  for (const stream of STREAMS) {
    const back = await sql.number(
      `SELECT count(*) FROM (
         SELECT local_timestamp < lag(local_timestamp) OVER w AS earlier, date < lag(date) OVER w AS another_day
         FROM ${streamFrom(data, stream)} WINDOW w AS (PARTITION BY ring ORDER BY seq))
       WHERE earlier OR another_day`,
    );
    expect(back, stream).toBe(0);
    const misplaced = await sql.number(
      `SELECT count(*) FROM ${streamFrom(data, stream)}
       WHERE strftime(local_timestamp AT TIME ZONE 'UTC', '%Y-%m-%d') <> date::VARCHAR`,
    );
    expect(misplaced, `${stream}, rows of another day`).toBe(0);
  }
}

/** The first midnight (UTC) after now, ms. */
const nextMidnight = (): number => Math.ceil(Date.now() / DAY_MS) * DAY_MS;

test("stepped back by 2 s just after midnight: time never goes back, the day that is over stays closed, a clock gap tells", async () => {
  console.log(`clock step: TAPEDECK_TEST_SEED=${SEED}`);
  const midnight = nextMidnight();
  // Time enough to begin, on a machine that has other things to do.
  const system = new SystemClock(midnight - 30_000);
  const recording = await record("back", system, { instruments: 4, rate: 600 });
  const { clock, notices, sockets, noted, pass } = recording;
  await waitFor("midnight", () => system.wall() >= midnight + 500, { every: 1 });
  const stepped = clock.now();
  system.step(-2000);
  expect(system.wall()).toBeLessThan(midnight);
  await waitFor("midnight again", () => system.wall() >= midnight, { every: 1 });
  const again = clock.now();
  await waitFor("a note of the open gap", () => noted().has("clock"), { every: 1 });
  expect(Math.abs(clock.offset())).toBeGreaterThan(1000);
  // A tenth slower: 2 s are made up for in 20.
  await waitFor("both clocks to agree", () => Math.abs(clock.offset()) < 1000, { every: 5 });
  const agreed = clock.now();
  await pass(2000);
  expect(noted()).toEqual(new Set());
  await recording.end(async (sql) => {
    const { data } = recording;
    const day = new Date(midnight).toISOString().slice(0, 10);
    const eve = new Date(midnight - DAY_MS).toISOString().slice(0, 10);
    for (const stream of STREAMS) {
      const days = await sql.rows(
        `SELECT date::VARCHAR AS date, count(*) > 0 AS rows FROM ${streamFrom(data, stream)} GROUP BY date ORDER BY date`,
      );
      expect(days, stream).toEqual([
        { date: eve, rows: true },
        { date: day, rows: true },
      ]);
    }
    // What came while it was yesterday once more, by the system's clock, stands in today.
    const within = await sql.rows(
      `SELECT DISTINCT date::VARCHAR AS date FROM ${streamFrom(data, "bbo")}
       WHERE epoch_us(local_timestamp) > ${stepped} AND epoch_us(local_timestamp) < ${again}`,
    );
    expect(within).toEqual([{ date: day }]);
    const gaps = await gapRows(sql, data);
    const clocks = gaps.filter(({ reason }) => reason === "clock");
    expect(clocks.map(({ stream }) => stream).sort()).toEqual([...STREAMS].sort());
    for (const { certainty, symbol, from, to } of clocks) {
      expect([certainty, symbol]).toEqual(["possible", null]);
      // Seen at the next tick.
      expect(from).toBeGreaterThanOrEqual(stepped);
      expect(from).toBeLessThan(stepped + 2 * SECOND);
      expect(Math.abs(Number(to) - agreed)).toBeLessThan(2 * SECOND);
      expect((Number(to) - from) / SECOND).toBeGreaterThan(10);
    }
    expect(new Set(gaps.map(({ reason }) => reason))).toEqual(new Set(["start", "clock"]));
  });
  expect(notices.filter(({ event }) => event !== "ws_connect" && event !== "ws_disconnect")).toEqual([]);
  expect(sockets.map(({ reason }) => reason)).toEqual(["stopped by us", "stopped by us"]);
}, 180_000);

test("stepped forward by a minute: followed at once, nobody is called silent or late for it, and who is, is found", async () => {
  const system = new SystemClock(nextMidnight() + DAY_MS / 2);
  const recording = await record("ahead", system, { instruments: 20, skew: 0, rate: 600 });
  const { clock, notices, sockets, pass, exchange } = recording;
  // Long enough for every symbol to have a rhythm, with pauses longer than a tick.
  await pass(45_000);
  const before = clock.now();
  system.step(60_000);
  await waitFor("the clock to follow", () => clock.now() >= before + 60 * SECOND, { every: 1 });
  const after = clock.now();
  await pass(20_000);
  expect(notices.filter(({ event }) => event !== "ws_connect")).toEqual([]);
  expect(sockets).toEqual([]);
  const connects = () => notices.filter(({ event }) => event === "ws_connect").length;
  // What was learned before still holds: a connection that falls silent now is found within 10 s.
  const silence = clock.now();
  exchange.faults.inject({ kind: "silence" });
  await waitFor("both connections to be opened anew", () => sockets.length >= 2 && connects() >= 4);
  await pass(10_000);
  await recording.end(async (sql) => {
    const gaps = await gapRows(sql, recording.data);
    const clocks = gaps.filter(({ reason }) => reason === "clock");
    expect(clocks.map(({ stream }) => stream).sort()).toEqual([...STREAMS].sort());
    for (const { from, to } of clocks) {
      expect(from).toBeGreaterThanOrEqual(before);
      expect(Number(to)).toBeLessThanOrEqual(after + SECOND);
      expect(Number(to) - from).toBeGreaterThanOrEqual(59 * SECOND);
    }
    // Trades of the silent time are missing by their ids as well.
    expect(new Set(gaps.map(({ reason }) => reason))).toEqual(
      new Set(["start", "clock", "silence", "sequence"]),
    );
    for (const { reason, from, to } of gaps) {
      if (reason !== "silence") continue;
      expect(from).toBeGreaterThan(silence - 2 * SECOND);
      expect(Number(to)).toBeGreaterThan(silence);
    }
  });
  const silent = sockets.filter(({ reason }) => reason.startsWith("no data for"));
  expect(silent.length).toBe(2);
  // By the clock that runs ten times as fast, so time that the machine takes counts tenfold: far below the minute stepped.
  for (const { closed } of silent) expect((closed - silence) / SECOND).toBeLessThan(40);
}, 180_000);
