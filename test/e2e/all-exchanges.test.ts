/**
 * All three exchanges at once, each simulated in a process of its own: 600 instruments, listings and delistings in
 * flight, every frame kept beside. Every event that was sent is a row, and the frames decoded or replayed are the same rows
 * again. TAPEDECK_TEST_LONG=1 records 1,500 instruments at 50,000 events/s for a minute.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { DATASETS } from "../../src/events/streams.ts";
import { allViews, createView } from "../../src/storage/views.ts";
import { auditLake } from "../helpers/audit.ts";
import { countDecoded, decodeInto, expectSameAsDecoded } from "../helpers/decoded.ts";
import { quoted, type Sql, streamFrom, withSql } from "../helpers/lake.ts";
import { tapedeck } from "../helpers/process.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { endSimulated, type Simulated, type SimulatedStats, startSimulated } from "../helpers/simulated.ts";
import { waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";
import { aggTrade, START_MS } from "./frames.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
/** How long all markets move at their rate before the recording is ended, s. */
const SECONDS = LONG ? 60 : 1;
/** Of each exchange. */
const INSTRUMENTS = LONG ? 500 : 200;
/** Quotes and trades per second over all three exchanges. */
const RATE = LONG ? 50_000 : 9000;

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
  // Liquidations come on one channel.
  binance: (instruments) => 3 * instruments + 1,
  bybit: (instruments) => 4 * instruments,
  okx: (instruments) => 6 * instruments + 1,
};
/** ms */
const REPLAY_TIMEOUT = LONG ? 300_000 : 90_000;
/** An instrument that is busy everywhere. */
const LEAVING: Readonly<Record<Name, string>> = {
  binance: "ADAUSDT",
  bybit: "ADAUSDT",
  okx: "ADA-USDT-SWAP",
};
/** How an instrument is called once it is off the market; Bybit no longer lists it. */
const GONE: Readonly<Record<Name, string>> = { binance: "SETTLING", bybit: "absent", okx: "suspend" };
const TRADES: Readonly<Record<Name, string>> = { binance: "TRADING", bybit: "Trading", okx: "live" };

const folder = scratchFolder("all-exchanges");
endSimulated();

function cwdOf(name: string): string {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  return cwd;
}

/** Where an exchange is served. */
type Served = Pick<Simulated, "exchange" | "url" | "restUrl">;

/** Settings that lead a recorder to these exchanges. */
function endpoints(served: readonly Served[]): Record<string, string> {
  return Object.fromEntries(
    served.flatMap(({ exchange, url, restUrl }) => [
      [`exchanges.${exchange}.ws_url`, url],
      [`exchanges.${exchange}.rest_url`, restUrl],
    ]),
  );
}

/** Starts a recorder of these exchanges. */
function record(
  cwd: string,
  served: readonly Served[],
  { set = {}, args = [] }: { set?: Record<string, string>; args?: readonly string[] } = {},
): Promise<RunningRecorder> {
  const [first] = served;
  if (first === undefined) throw new Error("no exchange");
  return startRecorder({
    cwd,
    exchange: first,
    set: { ...endpoints(served), ...set },
    args: ["--exchanges", served.map(({ exchange }) => exchange).join(","), ...args],
  });
}

/** Waits until each exchange has exactly so many subscriptions that deliver. */
async function subscribed(simulated: readonly Simulated[], instruments: number): Promise<void> {
  for (const one of simulated) {
    const wanted = SUBSCRIPTIONS[one.exchange](instruments);
    let last: SimulatedStats | undefined;
    await waitFor(
      `${wanted} subscriptions of ${one.exchange}`,
      async () => {
        last = await one.stats();
        return last.subscriptions === wanted;
      },
      { every: 20, timeout: 90_000, state: () => `there are ${last?.subscriptions}` },
    );
  }
}

/** Names of `listed` or `delisted` in the log of an exchange. */
function changes(recorder: RunningRecorder, exchange: string, which: "listed" | "delisted"): unknown[] {
  return recorder.process
    .events("instruments_changed")
    .filter((line) => line.exchange === exchange)
    .flatMap((line) => line[which]);
}

/** The symbol by which the lake's rows of an instrument are counted; an index counts for its swap. */
const symbolOf = (exchange: Name, instrument: string): string =>
  exchange === "okx" ? instrument.replace(/-SWAP$/, "").replace("-", "") : instrument;

/** Whether a simulated instrument is a USDT perpetual: others get liquidations that nobody asked for. */
const isWanted = (exchange: Name, instrument: string): boolean =>
  exchange !== "binance" || /^[^_]+USDT$/.test(instrument);

/** Rows that a stream of an exchange must have, by symbol: the events that its instruments were sent. */
function rowsOf(exchange: Name, stream: string, { symbols }: SimulatedStats): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const [instrument, counts] of Object.entries(symbols)) {
    const count = (KINDS[exchange][stream] ?? []).reduce((sum, kind) => sum + (counts[kind] ?? 0), 0);
    if (count > 0 && isWanted(exchange, instrument)) rows[symbolOf(exchange, instrument)] = count;
  }
  return rows;
}

/** Stops the markets and waits until all that was sent of the symbols asked for has been received. */
async function pauseAll(
  recorder: RunningRecorder,
  simulated: readonly Simulated[],
  asked: (symbol: string) => boolean = () => true,
): Promise<Map<Name, SimulatedStats>> {
  const sent = new Map<Name, SimulatedStats>();
  for (const one of simulated) sent.set(one.exchange, await one.pause());
  const total = [...sent]
    .flatMap(([exchange, stats]) =>
      Object.keys(KINDS[exchange]).flatMap((stream) => Object.entries(rowsOf(exchange, stream, stats))),
    )
    .reduce((sum, [symbol, count]) => sum + (asked(symbol) ? count : 0), 0);
  let before = -1;
  let same = 0;
  await waitFor(
    "the end of what comes in",
    async () => {
      const { total_events } = await recorder.metrics();
      same = total_events === before ? same + 1 : 0;
      before = total_events;
      // Liquidations that came before their listing was read are no rows: then nothing more comes.
      return total_events >= total || same >= 60;
    },
    { every: 50, timeout: 90_000 },
  );
  // Whatever came beyond that gets the time to show.
  await Bun.sleep(200);
  return sent;
}

/** Expects as many rows of each exchange, stream and symbol as events were sent. Resolves to the sums. */
async function expectAllSent(
  sql: Sql,
  data: string,
  sent: ReadonlyMap<Name, SimulatedStats>,
  listed: ReadonlyMap<Name, string>,
): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
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
      sums[`${exchange}/${stream}`] = Object.values(found).reduce((a, b) => a + b, 0);
      const fresh = symbolOf(exchange, listed.get(exchange) ?? "");
      if (stream === "liquidation") {
        // All liquidations come on one channel: also those of a listing that has not been read yet.
        expect(found[fresh] ?? 0).toBeLessThanOrEqual(expected[fresh] ?? 0);
        delete found[fresh];
        delete expected[fresh];
      }
      expect(found, `rows and events sent, ${exchange} ${stream}`).toEqual(expected);
      expect(Object.keys(found).length, `${exchange} ${stream}`).toBeGreaterThan(0);
    }
  }
  return sums;
}

/** Expects the `instruments` dataset to tell of a listing and a delisting, with what REST said of them. */
async function expectInstrumentsTold(
  sql: Sql,
  data: string,
  simulated: Simulated,
  { listed, delisted }: { listed: string; delisted: string },
): Promise<void> {
  const { exchange } = simulated;
  const told = (instrument: string) =>
    sql.rows(
      `SELECT status, raw::VARCHAR AS raw, epoch_us(observed_at) AS observed_at,
         epoch_us(delisting) AS delisting, symbol
       FROM ${streamFrom(data, "instruments")}
       WHERE exchange = '${exchange}' AND instrument = '${instrument}' ORDER BY observed_at`,
    );
  const appeared = (await told(listed)).at(-1);
  expect(appeared).toMatchObject({ status: TRADES[exchange], symbol: symbolOf(exchange, listed) });
  expect(JSON.parse(String(appeared?.raw))).toEqual(await simulated.listed(listed));
  const [before, ...after] = await told(delisted);
  expect(before?.status).toBe(TRADES[exchange]);
  const gone = after.at(-1);
  expect(gone?.status).toBe(GONE[exchange]);
  expect(Number(gone?.observed_at)).toBeGreaterThan(Number(before?.observed_at));
  expect(JSON.parse(String(gone?.raw))).toEqual((await simulated.listed(delisted)) ?? null);
}

/** Captures of an exchange in the order of their frames. */
function captures(data: string, exchange: string): string[] {
  const root = join(data, "raw", `exchange=${exchange}`);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".zst"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** CPU time (s) and most memory (MiB) of a process so far, where Linux says it. */
function costOf(pid: number): { cpu: number; peak: number } | undefined {
  if (!existsSync(`/proc/${pid}/stat`)) return undefined;
  const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const fields = rest.split(" ");
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  // User and system time, in ticks of 10 ms.
  return { cpu: (Number(fields[11]) + Number(fields[12])) / 100, peak: Number(peak) / 1024 };
}

const rawSummary = z.looseObject({
  frames: z.int(),
  written: z.int(),
  not_captured: z.int(),
  unaccounted: z.int(),
  bytes: z.int(),
});

/** Records the replay of captures; ends when so many events have come. Resolves to the ended recorder. */
async function recordReplay(
  cwd: string,
  exchange: Name,
  { files, expected, args = [] }: { files: readonly string[]; expected: number; args?: readonly string[] },
): Promise<RunningRecorder> {
  const replay = tapedeck(["replay", ...files, "--exchange", exchange, "--port", "0", ...args], { cwd });
  // Captures are read once before they are served.
  const [url = ""] = await replay.text(/ws:\/\/127\.0\.0\.1:\d+/, REPLAY_TIMEOUT);
  const recorder = await record(cwd, [{ exchange, url, restUrl: url.replace("ws:", "http:") }]);
  await replay.text(/replay: done, /, REPLAY_TIMEOUT);
  await recorder.until("all events", ({ total_events }) => total_events >= expected);
  const { code, end } = await recorder.stop();
  expect(code).toBe(0);
  expect(end).toMatchObject({ received: expected, dropped: 0, lost: 0, holds: true });
  replay.signal("SIGINT");
  expect(await replay.exit()).toBe(0);
  return recorder;
}

test(
  `${NAMES.length * INSTRUMENTS} instruments of three exchanges at ${RATE} events/s for ${SECONDS} s: nothing is lost, listings and ` +
    "delistings are taken up, and the raw frames are the same rows again",
  async () => {
    console.log(`all exchanges: TAPEDECK_TEST_SEED=${SEED}`);
    const cwd = cwdOf("all");
    const simulated = await Promise.all(
      NAMES.map((exchange) =>
        startSimulated({
          exchange,
          options: { seed: SEED, instruments: INSTRUMENTS, rate: Math.ceil(RATE / NAMES.length) },
        }),
      ),
    );
    // A long run begins in full flow. A short one has no time for what would come before it is counted.
    if (!LONG) for (const one of simulated) await one.pause();
    const recorder = await record(cwd, simulated, {
      args: ["--raw"],
      // Raw frames wait for a thread that a busy machine holds up: none is to be lost.
      set: { "discovery.interval": LONG ? "1s" : "500ms", "raw.in_flight": "512MiB" },
    });
    const { process: recording, data } = recorder;
    await subscribed(simulated, INSTRUMENTS);
    for (const one of simulated) await one.resume();
    const started = { at: performance.now(), ...(await recorder.metrics()), cost: costOf(recording.pid) };
    const moves = new Map<Name, number>();
    for (const one of simulated) moves.set(one.exchange, (await one.stats()).events);

    // In full flow: one instrument comes, one goes, on each exchange.
    const listed = new Map<Name, string>();
    for (const one of simulated) listed.set(one.exchange, await one.list());
    await subscribed(simulated, INSTRUMENTS + 1);
    // Of each there are rows in the end, also of the one that goes and of the one that came.
    for (const one of simulated) {
      const book = KINDS[one.exchange].bbo?.[0] ?? "";
      await waitFor(
        `quotes of every instrument of ${one.exchange}`,
        async () => {
          const counts = Object.entries((await one.stats()).symbols).filter(([name]) =>
            isWanted(one.exchange, name),
          );
          return counts.filter(([, kinds]) => (kinds[book] ?? 0) > 0).length > INSTRUMENTS;
        },
        { every: 100 },
      );
    }
    for (const one of simulated) await one.delist(LEAVING[one.exchange]);
    await subscribed(simulated, INSTRUMENTS);
    for (const { exchange } of simulated) {
      await waitFor(
        `the changes of ${exchange} in the log`,
        () => changes(recorder, exchange, "delisted")[0],
      );
      expect(changes(recorder, exchange, "listed")).toEqual([listed.get(exchange)]);
      expect(changes(recorder, exchange, "delisted")).toEqual([LEAVING[exchange]]);
    }

    const each = Math.ceil((RATE / NAMES.length) * SECONDS);
    for (const one of simulated) {
      const until = (moves.get(one.exchange) ?? 0) + each;
      await waitFor(`${each} moves of ${one.exchange}`, async () => (await one.stats()).events >= until, {
        every: 50,
        timeout: SECONDS * 4000 + 90_000,
      });
    }
    const ended = { at: performance.now(), ...(await recorder.metrics()), cost: costOf(recording.pid) };
    expect(ended.balance).toMatchObject({ dropped: 0, holds: true });
    const sent = await pauseAll(recorder, simulated);
    for (const fault of ["ws_disconnect", "frame_quarantined", "symbol_silent", "subscription_refused"]) {
      expect(recording.events(fault), fault).toEqual([]);
    }
    // The start of a recording, and of an instrument, is a gap as well; nothing else is one here.
    for (const gap of recording.events("gap"))
      expect(gap).toMatchObject({ reason: "start", certainty: "planned" });
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    expect(end).toMatchObject({ dropped: 0, lost: 0, holds: true, published: end.received });
    const raw = rawSummary.parse(end.raw);
    expect(raw).toMatchObject({ written: raw.frames, not_captured: 0, unaccounted: 0 });
    for (const [exchange, stats] of sent) {
      expect(stats, exchange).toMatchObject({ slowConsumersTotal: 0, silentSubscriptions: 0 });
    }
    const seconds = (ended.at - started.at) / 1000;
    const events = ended.total_events - started.total_events;
    const cpu = (ended.cost?.cpu ?? Number.NaN) - (started.cost?.cpu ?? Number.NaN);
    console.log(
      `recorded ${end.received} events, ${raw.frames} frames, ${(raw.bytes / 2 ** 20).toFixed(1)} MiB raw; ` +
        `in ${seconds.toFixed(1)} s at full rate ${Math.round(events / seconds)} events/s, ${cpu.toFixed(1)} s CPU ` +
        `(${((1e6 * cpu) / events).toFixed(2)} µs an event), peak RSS ${Math.round(ended.cost?.peak ?? 0)} MiB; ` +
        `the markets stood still for ${[...sent.values()].map(({ skippedMs }) => skippedMs).join(", ")} ms`,
    );

    await withSql(async (sql) => {
      const sums = await expectAllSent(sql, data, sent, listed);
      expect(Object.values(sums).reduce((a, b) => a + b, 0)).toBe(end.received);
      const content = await auditLake(sql, data);
      expect(content).toMatchObject({ rows: end.received, holes: 0 });
      for (const { exchange } of simulated) {
        const symbols = `SELECT count(DISTINCT symbol) FROM ${streamFrom(data, "bbo")}`;
        expect(await sql.number(`${symbols} WHERE exchange = '${exchange}'`)).toBe(INSTRUMENTS + 1);
      }
      for (const one of simulated) {
        await expectInstrumentsTold(sql, data, one, {
          listed: listed.get(one.exchange) ?? "",
          delisted: LEAVING[one.exchange],
        });
      }
    });
    await Promise.all(simulated.map((one) => one[Symbol.asyncDispose]()));

    // The same rows out of the frames.
    const decoded = (exchange: Name) => join(cwd, `${exchange}.jsonl`);
    const outcomes = await Promise.all(
      NAMES.map((exchange) => decodeInto(decoded(exchange), captures(data, exchange), exchange)),
    );
    expect(outcomes).toEqual(NAMES.map(() => ({ code: 0, stderr: "" })));
    // Liquidations of all contracts come on one channel: also of those that were not asked for, or not yet.
    const wanted =
      "NOT (stream = 'liquidation' AND (contains(instrument, '_') OR NOT contains(instrument, 'USDT')))";
    const where = (exchange: Name): string =>
      `${wanted} AND NOT (stream = 'liquidation' AND instrument = '${listed.get(exchange)}')`;
    for (const exchange of NAMES) {
      await withSql(async (sql) => {
        const rows = await expectSameAsDecoded(sql, {
          data,
          exchange,
          decoded: decoded(exchange),
          order: "received",
          where: where(exchange),
        });
        expect(Object.keys(rows)).toEqual(Object.keys(KINDS[exchange]).sort());
      });
    }
    for (const exchange of LONG ? NAMES : (["okx"] as const)) {
      const again = cwdOf(`again-${exchange}`);
      const expected = await withSql((sql) => countDecoded(sql, decoded(exchange), wanted));
      const { data: second } = await recordReplay(again, exchange, {
        files: captures(data, exchange),
        expected,
      });
      await withSql((sql) =>
        expectSameAsDecoded(sql, {
          data: second,
          exchange,
          decoded: decoded(exchange),
          order: "instrument",
          where: where(exchange),
        }),
      );
      rmSync(again, { recursive: true });
    }
    rmSync(cwd, { recursive: true });
  },
  LONG ? 1_800_000 : 240_000,
);

/** A REST interface whose answers arrive late: what happens meanwhile does not stand in them. */
function lateRest(restUrl: string, delay: number) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const answer = await (await fetch(restUrl + pathname + search)).text();
      await Bun.sleep(delay);
      return new Response(answer, { headers: { "content-type": "application/json" } });
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

test.concurrent("Binance and OKX push listings and delistings: they are taken up at once, also two in a row", async () => {
  const cwd = cwdOf("push");
  const simulated = await Promise.all(
    (["binance", "okx"] as const).map((exchange) =>
      startSimulated({
        exchange,
        options: { seed: SEED, instruments: 20, rate: 2000, liquidationShare: 0.2 },
      }),
    ),
  );
  const late = simulated.map(({ restUrl }) => lateRest(restUrl, 250));
  const served = simulated.map(({ exchange, url }, i) => ({ exchange, url, restUrl: late[i]?.url ?? "" }));
  // Nobody asks in time.
  const recorder = await record(cwd, served, { set: { "discovery.interval": "1h" } });
  await subscribed(simulated, 20);
  const listed = new Map<Name, string>();
  for (const one of simulated) {
    listed.set(one.exchange, await one.list());
    // While the list is being read for the first announcement: its answer does not know of the second.
    await Bun.sleep(100);
    await one.delist(LEAVING[one.exchange]);
  }
  for (const { exchange } of simulated) {
    await waitFor(
      `both changes of ${exchange}`,
      () => changes(recorder, exchange, "listed")[0] && changes(recorder, exchange, "delisted")[0],
      { timeout: 90_000, state: () => recorder.process.words },
    );
    expect(changes(recorder, exchange, "listed")).toEqual([listed.get(exchange)]);
    expect(changes(recorder, exchange, "delisted")).toEqual([LEAVING[exchange]]);
  }
  await subscribed(simulated, 20);
  for (const one of simulated) {
    await waitFor(`quotes of ${listed.get(one.exchange)}`, async () => {
      const counts = (await one.stats()).symbols[listed.get(one.exchange) ?? ""];
      return (counts?.[KINDS[one.exchange].bbo?.[0] ?? ""] ?? 0) > 20;
    });
  }
  const sent = await pauseAll(recorder, simulated);
  const { code, end } = await recorder.stop();
  expect(code).toBe(0);
  expect(end).toMatchObject({ dropped: 0, lost: 0, holds: true });
  await withSql(async (sql) => {
    await expectAllSent(sql, recorder.data, sent, listed);
    for (const one of simulated) {
      await expectInstrumentsTold(sql, recorder.data, one, {
        listed: listed.get(one.exchange) ?? "",
        delisted: LEAVING[one.exchange],
      });
    }
  });
  for (const { stop } of late) await stop();
}, 180_000);

/** Writes frames as a capture, one every 20 ms. */
function capture(path: string, frames: readonly string[]): string {
  const lines = frames.map((raw, i) => JSON.stringify({ ts: (START_MS + 20 * i) * 1000, dir: "in", raw }));
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

/** `trades` of OKX: the id is that of the last of `count` fills. */
function okxTrade(instId: string, id: number, count: number, at: number): string {
  const trade = {
    instId,
    tradeId: String(id),
    px: (84_120 + (id % 9) / 10).toFixed(1),
    sz: "2.7",
    side: id % 2 === 0 ? "buy" : "sell",
    ts: String(at),
    count: String(count),
    source: "0",
    seqId: 371_004_000 + id,
  };
  return JSON.stringify({ arg: { channel: "trades", instId }, data: [trade] });
}

const at = (i: number): number => START_MS + 20 * i;
/** Trades with one hole each, and what is no hole: other symbols between, resends, aggregated fills. */
const HOLES = {
  binance: {
    frames: [
      aggTrade("BTCUSDT", 5000, at(0)),
      aggTrade("ETHUSDT", 70, at(1)),
      aggTrade("BTCUSDT", 5001, at(2)),
      aggTrade("BTCUSDT", 5005, at(3)),
      aggTrade("ETHUSDT", 71, at(4)),
      aggTrade("BTCUSDT", 5001, at(5)),
      aggTrade("BTCUSDT", 5006, at(6)),
    ],
    gap: { first_id: "5002", last_id: "5004", missed: 3 },
    before: "5001",
    after: "5005",
  },
  okx: {
    frames: [
      okxTrade("BTC-USDT-SWAP", 100, 1, at(0)),
      okxTrade("ETH-USDT-SWAP", 7000, 2, at(1)),
      okxTrade("BTC-USDT-SWAP", 101, 1, at(2)),
      // 102, 103 and 104.
      okxTrade("BTC-USDT-SWAP", 104, 3, at(3)),
      okxTrade("ETH-USDT-SWAP", 7004, 4, at(4)),
      okxTrade("BTC-USDT-SWAP", 110, 2, at(5)),
      okxTrade("BTC-USDT-SWAP", 104, 3, at(6)),
      okxTrade("BTC-USDT-SWAP", 111, 1, at(7)),
    ],
    gap: { first_id: "105", last_id: "108", missed: 4 },
    before: "104",
    after: "110",
  },
} as const;

for (const exchange of ["binance", "okx"] as const) {
  test.concurrent(`a jump in the trade ids of ${exchange} is one row of gaps and one line of the log`, async () => {
    const { frames, gap, before, after } = HOLES[exchange];
    const cwd = cwdOf(`gap-${exchange}`);
    const files = [capture(join(cwd, "hole.jsonl"), frames)];
    const { data, process } = await recordReplay(cwd, exchange, {
      files,
      expected: frames.length,
      args: ["--speed", "1", "--quiet", "1500ms"],
    });
    const told = { reason: "sequence", certainty: "lost", ...gap };
    expect(
      process.events("gap").filter(({ reason }) => reason !== "start" && reason !== "stop"),
    ).toMatchObject([{ exchange, stream: "trade", symbols: ["BTCUSDT"], level: "warn", ...told }]);
    await withSql(async (sql) => {
      await auditLake(sql, data);
      const rows = await sql.rows(
        `SELECT exchange, affected_stream, symbol, reason, certainty, first_id, last_id, missed,
           epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to"
         FROM ${streamFrom(data, "gaps")} WHERE reason NOT IN ('start', 'stop')`,
      );
      // From the last trade before the hole to the first one behind it, by receive time.
      const times = await sql.row(
        `SELECT epoch_us(min(local_timestamp) FILTER (id = '${before}')) AS "from",
           epoch_us(min(local_timestamp) FILTER (id = '${after}')) AS "to"
         FROM ${streamFrom(data, "trade")}`,
      );
      expect(rows).toEqual([{ exchange, affected_stream: "trade", symbol: "BTCUSDT", ...told, ...times }]);
      expect(Number(times.from)).toBeLessThan(Number(times.to));
    });
  }, 180_000);
}

test.concurrent("币安人生USDT goes from --symbols to the result of SQL; what does not exist is named", async () => {
  const symbol = "币安人生USDT";
  const cwd = cwdOf("cjk");
  const simulated = await Promise.all(
    NAMES.map((exchange) =>
      startSimulated({
        exchange,
        options: { seed: SEED, instruments: 10, rate: 3000, liquidationShare: 0.2 },
      }),
    ),
  );
  const recorder = await record(cwd, simulated, { args: ["--symbols", `NOPEUSDT,${symbol}`] });
  await subscribed(simulated, 1);
  for (const { exchange } of simulated) {
    const unknown = await recorder.process.event("symbols_unknown", (line) => line.exchange === exchange);
    expect(unknown).toMatchObject({ level: "warn", symbols: ["NOPEUSDT"] });
  }
  await recorder.until("1,000 events", ({ total_events }) => total_events > 1000);
  expect(await recorder.get("/streams")).toMatchObject({ symbols: [symbol] });
  const sent = await pauseAll(recorder, simulated, (name) => name === symbol);
  const { code, end } = await recorder.stop();
  expect(code).toBe(0);
  expect(end).toMatchObject({ dropped: 0, lost: 0, holds: true });
  await withSql(async (sql) => {
    const { byStream } = await auditLake(sql, recorder.data);
    for (const view of allViews(join(recorder.data, "lake"), new Set(Object.keys(byStream)))) {
      await sql.rows(createView(view));
    }
    for (const [stream, rows] of Object.entries(byStream)) {
      if (stream in DATASETS) continue;
      const found = await sql.rows(
        `SELECT exchange, instrument, count(*) AS rows FROM ${stream} WHERE symbol = '${symbol}' GROUP BY ALL`,
      );
      expect(found.reduce((sum, row) => sum + Number(row.rows), 0)).toBe(rows);
      const names = new Set(found.map(({ instrument }) => instrument));
      names.delete(symbol);
      // On OKX also under the id of the index.
      for (const name of names) expect(["币安人生-USDT-SWAP", "币安人生-USDT"]).toContain(String(name));
      for (const [exchange, stats] of sent) {
        const here = found.filter((row) => row.exchange === exchange);
        expect(
          here.reduce((sum, row) => sum + Number(row.rows), 0),
          `${exchange} ${stream}`,
        ).toBe(rowsOf(exchange, stream, stats)[symbol] ?? 0);
      }
    }
    expect(byStream.liquidation).toBeGreaterThan(0);
    const traded = await sql.rows(
      `SELECT exchange, count(*) AS rows, count(amount_base) AS converted FROM trade_base
       WHERE symbol = '${symbol}' GROUP BY exchange ORDER BY exchange`,
    );
    expect(traded.map(({ exchange }) => exchange)).toEqual([...NAMES]);
    for (const { rows, converted } of traded) expect(converted).toBe(rows);
    const listings = await sql.rows(
      `SELECT exchange, base, quote FROM instruments WHERE symbol = '${symbol}' ORDER BY exchange`,
    );
    expect(listings).toEqual(NAMES.map((exchange) => ({ exchange, base: "币安人生", quote: "USDT" })));
  });
}, 180_000);

/** A trade of `publicTrade`. */
function bybitTrade(id: string, amount: string, more: object = {}): object {
  return {
    T: START_MS - 1,
    s: "BTCUSDT",
    S: "Buy",
    v: amount,
    p: "84120.40",
    L: "ZeroPlusTick",
    i: id,
    BT: false,
    RPI: false,
    seq: 371_004_512,
    ...more,
  };
}

test.concurrent("Bybit: trades of one frame and time keep their order into Parquet; ids beyond 2^53 and UUIDs are whole", async () => {
  // The order of the ids and of the amounts is not that of the trades.
  const uuids = [
    "f3b1c0de-7a41-5c1e-9b0d-51a9e0c4d7f2",
    "0a6e4b88-19cf-5d27-8e13-c2f47b90a615",
    "9d20f7e1-c35a-52b4-a7c8-06e1d8b35f49",
  ] as const;
  const trades = [
    bybitTrade(uuids[0], "0.003", { S: "Sell" }),
    bybitTrade(uuids[1], "25.000", { BT: true }),
    bybitTrade(uuids[2], "0.001", { RPI: true }),
  ];
  const ids = ["9007199254740993", "9007199254740992", "9007199254740994"];
  const frame = (data: readonly object[]) =>
    JSON.stringify({ topic: "publicTrade.BTCUSDT", type: "snapshot", ts: START_MS, data });
  const cwd = cwdOf("bybit");
  const files = [
    capture(join(cwd, "trades.jsonl"), [frame(trades), frame(ids.map((id) => bybitTrade(id, "0.010")))]),
  ];
  const { data } = await recordReplay(cwd, "bybit", { files, expected: 6, args: ["--quiet", "1500ms"] });
  await withSql(async (sql) => {
    await auditLake(sql, data);
    const rows = await sql.rows(
      `SELECT id, side, amount, is_block, is_rpi, sequence, epoch_ms("timestamp") AS "timestamp", seq,
         epoch_us(local_timestamp) AS received
       FROM read_parquet(${quoted(join(data, "lake/v1/exchange=bybit/stream=trade/**/*.parquet"))},
         file_row_number = true) ORDER BY file_row_number`,
    );
    const common = {
      side: "buy",
      is_block: false,
      is_rpi: false,
      sequence: 371_004_512,
      timestamp: START_MS - 1,
    };
    expect(rows).toMatchObject([
      { ...common, id: uuids[0], side: "sell", amount: 0.003 },
      { ...common, id: uuids[1], amount: 25, is_block: true },
      { ...common, id: uuids[2], amount: 0.001, is_rpi: true },
      ...ids.map((id) => ({ ...common, id, amount: 0.01 })),
    ]);
    expect(rows.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(rows.slice(0, 3).map(({ received }) => received)).size).toBe(1);
  });
}, 180_000);
