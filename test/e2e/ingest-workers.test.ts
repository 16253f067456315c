/**
 * Three exchanges on one, two and five ingest workers: whatever the number, every event that was sent is one row, and
 * the raw frames of all workers together are the same rows again.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { z } from "zod";
import { auditLake } from "../helpers/audit.ts";
import { decodeInto, expectSameAsDecoded } from "../helpers/decoded.ts";
import { type Sql, streamFrom, withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { type RunningRecorder, recordArguments, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { endSimulated, type Simulated, type SimulatedStats, startSimulated } from "../helpers/simulated.ts";
import { still, waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

const INSTRUMENTS = 30;
/** Quotes and trades per second of each exchange. */
const RATE = 1500;
/** Events that are recorded, at the least. */
const EVENTS = 12_000;

const NAMES = ["binance", "bybit", "okx"] as const;
type Name = (typeof NAMES)[number];

/** What the simulated exchanges call the events of each stream. */
const KINDS: Readonly<Record<Name, Readonly<Record<string, readonly string[]>>>> = {
  binance: {
    bbo: ["bookTicker"],
    trade: ["aggTrade"],
    mark_price: ["markPrice"],
    funding: ["markPrice"],
    liquidation: ["forceOrder"],
  },
  bybit: {
    bbo: ["orderbook"],
    trade: ["publicTrade"],
    mark_price: ["markPrice"],
    funding: ["funding"],
    open_interest: ["openInterest"],
    liquidation: ["allLiquidation"],
  },
  okx: {
    bbo: ["bbo-tbt"],
    trade: ["trades"],
    mark_price: ["mark-price", "index-tickers"],
    funding: ["funding-rate"],
    open_interest: ["open-interest"],
    liquidation: ["liquidation-orders"],
  },
};
/** Subscriptions that deliver, for so many instruments. */
const SUBSCRIPTIONS: Readonly<Record<Name, (instruments: number) => number>> = {
  binance: (instruments) => 3 * instruments + 1,
  bybit: (instruments) => 4 * instruments,
  okx: (instruments) => 6 * instruments + 1,
};
/** Streams that come on one channel for all instruments, and so to one worker. */
const ON_ONE_CHANNEL: readonly string[] = ["binance liquidation", "okx liquidation"];
/** Markets stand still here before and after they are recorded: that is no reason to connect anew. */
const PATIENCE: Readonly<Record<string, string>> = {
  "connection.first_data": "10m",
  "connection.first_data_quiet": "10m",
  "connection.silence": "10m",
  "connection.symbol_silence": "10m",
};
/** Liquidations of all contracts come on one channel: also of those that nobody asked for. */
const WANTED =
  "NOT (stream = 'liquidation' AND (contains(instrument, '_') OR NOT contains(instrument, 'USDT')))";

const folder = scratchFolder("ingest-workers");
endSimulated();

/** The symbol by which the lake's rows of an instrument are counted; an index counts for its swap. */
const symbolOf = (exchange: Name, instrument: string): string =>
  exchange === "okx" ? instrument.replace(/-SWAP$/, "").replace("-", "") : instrument;

/** Rows that a stream must have, by symbol: the events that its instruments were sent. */
function rowsOf(exchange: Name, stream: string, { symbols }: SimulatedStats): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const [instrument, counts] of Object.entries(symbols)) {
    const count = (KINDS[exchange][stream] ?? []).reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);
    const wanted = exchange !== "binance" || /^[^_]+USDT$/.test(instrument);
    if (count > 0 && wanted) rows[symbolOf(exchange, instrument)] = count;
  }
  return rows;
}

async function startAll(): Promise<Simulated[]> {
  const simulated = await Promise.all(
    NAMES.map((exchange) =>
      startSimulated({
        exchange,
        options: { seed: SEED, instruments: INSTRUMENTS, rate: RATE, liquidationShare: 0.1 },
      }),
    ),
  );
  for (const one of simulated) await one.pause();
  return simulated;
}

/** Settings that lead to these exchanges. */
function settingsFor(simulated: readonly Simulated[]): Record<string, string> {
  const places = Object.fromEntries(
    simulated.flatMap(({ exchange, url, restUrl }) => [
      [`exchanges.${exchange}.ws_url`, url],
      [`exchanges.${exchange}.rest_url`, restUrl],
      // Several connections on each worker.
      [`exchanges.${exchange}.streams_per_connection`, "40"],
    ]),
  );
  return { ...PATIENCE, ...places };
}

async function subscribed(simulated: readonly Simulated[], instruments: number): Promise<void> {
  for (const one of simulated) {
    const wanted = SUBSCRIPTIONS[one.exchange](instruments);
    let last = -1;
    await waitFor(
      `${wanted} subscriptions of ${one.exchange}`,
      async () => {
        last = (await one.stats()).subscriptions;
        return last === wanted;
      },
      { every: 20, timeout: 90_000, state: () => `there are ${last}` },
    );
  }
}

/** Stops the markets; resolves to what was sent when nothing more comes in. */
async function pauseAll(
  recorder: RunningRecorder,
  simulated: readonly Simulated[],
): Promise<Map<Name, SimulatedStats>> {
  const sent = new Map<Name, SimulatedStats>();
  for (const one of simulated) sent.set(one.exchange, await one.pause());
  await still("what comes in", async () => (await recorder.metrics()).total_events, { looks: 20 });
  return sent;
}

const status = z.looseObject({ state: z.string(), reason: z.string() });
const metrics = z.looseObject({
  queue_maxsize: z.int(),
  silence_intervals_total: z.int(),
  ws_reconnect_total: z.record(z.string(), z.int()),
  frames: z.record(z.string(), z.looseObject({ received: z.int() })),
});
const rawSummary = z.looseObject({ frames: z.int(), written: z.int(), unaccounted: z.int() });
const connectLine = z.looseObject({ exchange: z.string(), connection: z.int(), subscriptions: z.int() });

/** Captures of an exchange in the order of their first frames, and the workers they name. */
function captures(data: string, exchange: string): { paths: string[]; workers: number[] } {
  const root = join(data, "raw", `exchange=${exchange}`);
  const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".jsonl.zst"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return { paths, workers: [...new Set(paths.map(workerOf))].sort((a, b) => a - b) };
}

/** The ingest worker that a capture is called after. */
const workerOf = (path: string): number => Number(/_(\d+)_\d+\.jsonl\.zst$/.exec(path)?.[1]);

/** Lines that are frames: marks stand between them. */
const framesIn = (text: string): number =>
  text.split("\n").filter((line) => line.includes('"dir":"in"')).length;

/** Expects each stream of each symbol to be in one ring, and so many rings to each stream of an exchange. */
async function expectRings(sql: Sql, data: string, exchange: Name, parts: number): Promise<void> {
  for (const stream of Object.keys(KINDS[exchange])) {
    const from = `${streamFrom(data, stream)} WHERE exchange = '${exchange}'`;
    const spread = await sql.rows(
      `SELECT symbol, count(DISTINCT ring) AS rings FROM ${from} GROUP BY symbol HAVING rings <> 1`,
    );
    expect(spread, `symbols of ${exchange} ${stream} in more than one ring`).toEqual([]);
    const rings = await sql.number(`SELECT count(DISTINCT ring) FROM ${from}`);
    expect(rings, `${exchange} ${stream}`).toBe(ON_ONE_CHANNEL.includes(`${exchange} ${stream}`) ? 1 : parts);
  }
  // Whatever carries anything of a symbol is on the worker that has its quotes.
  const carried = Object.keys(KINDS[exchange])
    .filter((stream) => !ON_ONE_CHANNEL.includes(`${exchange} ${stream}`))
    .map(
      (stream) => `SELECT symbol, connection FROM ${streamFrom(data, stream)} WHERE exchange = '${exchange}'`,
    );
  const astray = await sql.rows(
    `SELECT connection, count(DISTINCT home.ring) AS workers FROM (${carried.join(" UNION ")})
     JOIN (SELECT DISTINCT symbol, ring FROM ${streamFrom(data, "bbo")} WHERE exchange = '${exchange}') AS home
       USING (symbol)
     GROUP BY connection HAVING workers <> 1`,
  );
  expect(astray, `connections of ${exchange} that carry symbols of several workers`).toEqual([]);
}

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
/** Number of workers, on which each exchange is, and whether it is run without TAPEDECK_TEST_LONG=1. */
const PLACES: readonly [number, Readonly<Record<Name, readonly number[]>>, boolean][] = [
  [1, { binance: [0], bybit: [0], okx: [0] }, false],
  [2, { binance: [0], bybit: [1], okx: [1] }, false],
  [5, { binance: [0, 3], bybit: [1, 4], okx: [2] }, true],
];

describe.each(PLACES)("three exchanges on %d ingest workers", (workers, places, always) => {
  const skipped = always || LONG ? "" : " (SKIPPED, TAPEDECK_TEST_LONG=1 runs it)";
  test.skipIf(skipped !== "")(
    `every event is one row, and raw frames are the same rows${skipped}`,
    async () => {
      console.log(`ingest workers: TAPEDECK_TEST_SEED=${SEED}`);
      const cwd = join(folder, `on-${workers}`);
      mkdirSync(cwd);
      const simulated = await startAll();
      const [first] = simulated;
      if (first === undefined) throw new Error("no exchange");
      const recorder = await startRecorder({
        cwd,
        exchange: first,
        set: {
          ...settingsFor(simulated),
          "ingest.workers": String(workers),
          "discovery.interval": "500ms",
          "silence.threshold": "3s",
        },
        args: ["--exchanges", NAMES.join(","), "--raw"],
      });
      const { process: recording, data } = recorder;
      await subscribed(simulated, INSTRUMENTS);
      const connected = () => recording.events("ws_connect").map((line) => connectLine.parse(line));
      // The log comes by a pipe, and may be behind the sockets.
      await waitFor("the log lines of all connections", async () =>
        simulated.every(({ exchange }) => {
          const own = connected().filter((line) => line.exchange === exchange);
          return own.reduce((sum, one) => sum + one.subscriptions, 0) >= SUBSCRIPTIONS[exchange](INSTRUMENTS);
        }),
      );
      const connects = connected();
      for (const one of simulated) await one.resume();

      // A listing goes to one worker and moves nothing on the others.
      const listed = new Map<Name, string>();
      for (const one of simulated) listed.set(one.exchange, await one.list());
      await subscribed(simulated, INSTRUMENTS + 1);
      await recorder.until(`${EVENTS} events`, ({ total_events, balance }) => {
        expect(balance.holds).toBe(true);
        return total_events >= EVENTS;
      });
      expect(status.parse(await recorder.get("/status"))).toMatchObject({ state: "READY" });
      const { silence_intervals_total: silent } = metrics.parse(await recorder.get("/metrics"));
      const sent = await pauseAll(recorder, simulated);
      const seen = metrics.parse(await recorder.get("/metrics"));
      expect(seen.ws_reconnect_total).toEqual({ binance: 0, bybit: 0, okx: 0 });
      expect(Object.keys(seen.frames).sort()).toEqual([...NAMES]);
      // What is set is shared by three exchanges, a power of two each: half of it. However many workers there are it is
      // the same: all streams of two exchanges, five of Binance.
      const capacity = (3 * (262_144 + 131_072 + 65_536 + 65_536 + 16_384) + 2 * 32_768) / 2;
      expect(seen.queue_maxsize).toBe(capacity);

      for (const fault of ["ws_disconnect", "frame_quarantined", "subscription_refused", "thread_died"]) {
        expect(recording.events(fault), fault).toEqual([]);
      }
      // A stream is silent when it is on all workers, and then once: those of Binance come every second at most.
      await waitFor("silence of two streams of Binance and three of Bybit", async () => {
        const { silence_intervals_total: now } = metrics.parse(await recorder.get("/metrics"));
        return now >= silent + 5;
      });

      const { code, end } = await recorder.stop();
      expect(code).toBe(0);
      expect(end).toMatchObject({ dropped: 0, lost: 0, holds: true, published: end.received });
      const raw = rawSummary.parse(end.raw);
      expect(raw).toMatchObject({ written: raw.frames, unaccounted: 0 });
      const received = Object.values(seen.frames).reduce((sum, one) => sum + one.received, 0);
      expect(raw.frames).toBeGreaterThanOrEqual(received);
      // Connections of all workers are numbered in common, and none carries what another does.
      const numbers = connects.map(({ connection }) => connection);
      expect(new Set(numbers).size).toBe(numbers.length);
      for (const { exchange } of simulated) {
        const own = connects.filter((line) => line.exchange === exchange);
        const channels = own.reduce((sum, { subscriptions }) => sum + subscriptions, 0);
        // Announcements of new instruments besides, where the exchange has them.
        const wanted = SUBSCRIPTIONS[exchange](INSTRUMENTS);
        expect(channels - wanted, exchange).toBe(exchange === "bybit" ? 0 : 1);
        expect(own.length, exchange).toBeGreaterThanOrEqual(places[exchange].length);
      }
      await withSql(async (sql) => {
        for (const [exchange, stats] of sent) {
          for (const stream of Object.keys(KINDS[exchange])) {
            const expected = rowsOf(exchange, stream, stats);
            const found: Record<string, number> = {};
            for (const { symbol, rows } of await sql.rows(
              `SELECT symbol, count(*) AS rows FROM ${streamFrom(data, stream)}
               WHERE exchange = '${exchange}' GROUP BY symbol`,
            )) {
              found[String(symbol)] = Number(rows);
            }
            if (ON_ONE_CHANNEL.includes(`${exchange} ${stream}`)) {
              // Also those of a listing come there before it has been read.
              const fresh = symbolOf(exchange, listed.get(exchange) ?? "");
              expect(found[fresh] ?? 0).toBeLessThanOrEqual(expected[fresh] ?? 0);
              delete found[fresh];
              delete expected[fresh];
            }
            expect(found, `rows and events sent, ${exchange} ${stream}`).toEqual(expected);
            expect(Object.keys(found).length, `${exchange} ${stream}`).toBeGreaterThan(0);
          }
          await expectRings(sql, data, exchange, places[exchange].length);
        }
        expect(await auditLake(sql, data)).toMatchObject({ rows: end.received, holes: 0 });
      });

      for (const exchange of NAMES) {
        const { paths, workers: found } = captures(data, exchange);
        expect(found, `workers of the captures of ${exchange}`).toEqual([...places[exchange]]);
        const decoded = join(cwd, `${exchange}.jsonl`);
        expect(await decodeInto(decoded, paths, exchange)).toEqual({ code: 0, stderr: "" });
        const where = `${WANTED} AND NOT (stream = 'liquidation' AND instrument = '${listed.get(exchange)}')`;
        await withSql((sql) =>
          expectSameAsDecoded(sql, { data, exchange, decoded, order: "instrument", where }),
        );
      }
      await Promise.all(simulated.map((one) => one[Symbol.asyncDispose]()));
      rmSync(cwd, { recursive: true });
    },
    180_000,
  );
});

test("capture: frames of an exchange on three workers are all there, in files of each", async () => {
  const cwd = join(folder, "capture");
  mkdirSync(cwd);
  const simulated = await startSimulated({
    exchange: "bybit",
    options: { seed: SEED, instruments: INSTRUMENTS, rate: 4 * RATE, liquidationShare: 0.1 },
  });
  const data = join(cwd, "data");
  const args = recordArguments({
    cwd,
    data,
    exchange: simulated,
    set: { ...settingsFor([simulated]), "ingest.workers": "3" },
    args: ["--exchanges", "bybit"],
  });
  const withoutPort = args.filter((arg, i) => arg !== "--port" && args[i - 1] !== "--port").slice(1);
  const capture = tapedeck(["capture", ...withoutPort], { cwd });
  await subscribed([simulated], INSTRUMENTS);
  const { events } = await simulated.stats();
  await waitFor("events", async () => (await simulated.stats()).events > events + 5000, { every: 20 });
  // In full flow: the last frames of each worker are on their way when the first has said its last word.
  capture.signal("SIGTERM");
  expect(await capture.exit()).toBe(0);
  const end = rawSummary.parse(capture.events("collector_stop")[0]);
  expect(end).toMatchObject({ unaccounted: 0, written: end.frames, received: end.frames });
  const { paths, workers } = captures(data, "bybit");
  expect(workers).toEqual([0, 1, 2]);
  const homes = new Map<string, number>();
  let frames = 0;
  for (const worker of workers) {
    const own = paths.filter((path) => workerOf(path) === worker);
    const decoded = join(cwd, `${worker}.jsonl`);
    expect(await decodeInto(decoded, own, "bybit")).toEqual({ code: 0, stderr: "" });
    for (const path of own) frames += framesIn(zstdDecompressSync(readFileSync(path)).toString());
    await withSql(async (sql) => {
      for (const { symbol } of await sql.rows(
        `SELECT DISTINCT symbol FROM read_json('${decoded}', format = 'newline_delimited',
           columns = {symbol: 'VARCHAR'})`,
      )) {
        expect(homes.get(String(symbol)) ?? worker, `worker of ${symbol}`).toBe(worker);
        homes.set(String(symbol), worker);
      }
    });
  }
  expect(homes.size).toBe(INSTRUMENTS);
  expect(frames).toBe(end.frames);
  await simulated[Symbol.asyncDispose]();
}, 180_000);
