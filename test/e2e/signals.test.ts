/** A recorder that is told to stop loses nothing: every event received is in the lake or a counted drop. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DATASETS } from "../../src/events/streams.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { auditLake, lakeFiles } from "../helpers/audit.ts";
import { quoted, streamFrom, withSql } from "../helpers/lake.ts";
import { endSchema, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { startSimulate } from "./exchange.ts";

const folder = scratchFolder("signals");

function subfolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

/** Which kind of frame gives the rows of a stream. */
const KINDS = {
  bbo: "bookTicker",
  trade: "aggTrade",
  mark_price: "markPrice",
  funding: "markPrice",
} as const;

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
/** As fast as the machine can with TAPEDECK_TEST_LONG=1. */
const FULL = LONG ? 100_000 : 30_000;

for (const { signal, rate, seconds, least } of [
  { signal: "SIGTERM", rate: FULL, seconds: LONG ? 2 : 1, least: FULL },
  { signal: "SIGINT", rate: 20_000, seconds: 1, least: 2000 },
] as const) {
  test(`${signal} in mid flow, ${rate} events/s asked for: received = rows in the lake + drops, to the event`, async () => {
    const cwd = subfolder(signal);
    const exchange = await startSimulate(cwd, "--rate", String(rate), "--instruments", "200");
    // Sealed by rows, bytes and age all through the run.
    const set = { "flush.interval": "1s", "flush.min_gap": "100ms", "flush.rows": String(1.5 * FULL) };
    const recorder = await startRecorder({ cwd, exchange, set });
    await recorder.until("the first events", ({ total_events }) => total_events > 0);
    await Bun.sleep(seconds * 1000);
    await recorder.until(
      `${least} events of all streams`,
      ({ total_events, events_per_sec }) =>
        total_events >= least &&
        ["bbo", "trade", "mark_price", "funding"].every((one) => (events_per_sec[one] ?? 0) > 0),
    );
    const { code, end } = await recorder.stop(signal);
    expect(code).toBe(0);
    expect(end).toMatchObject({ holds: true, lost: 0, inRing: 0, inTable: 0, inOutbox: 0, uploading: 0 });
    expect(recorder.process.events("signal").length).toBe(1);

    console.log(`${signal}: received ${end.received}, dropped ${end.dropped}`);
    const { symbols: sent } = await exchange.stats();
    await withSql(async (sql) => {
      const content = await auditLake(sql, recorder.data);
      expect(content.rows).toBe(end.published);
      expect(content.rows + end.dropped).toBe(end.received);
      // A hole is a drop; only drops after the last row of a ring leave none.
      expect(content.holes).toBeLessThanOrEqual(end.dropped);
      for (const stream of ["bbo", "trade", "mark_price", "funding"] as const) {
        expect(content.byStream[stream]).toBeGreaterThan(0);
        const rows = await sql.rows(
          `SELECT symbol, count(*) AS rows FROM ${streamFrom(recorder.data, stream)} GROUP BY symbol`,
        );
        for (const { symbol, rows: count } of rows) {
          const most = sent[String(symbol)]?.[KINDS[stream]] ?? 0;
          expect(count, `${stream} ${symbol}`).toBeLessThanOrEqual(most);
        }
      }
      if (end.dropped === 0) await expectNoJumps(recorder.data, sql);
    });
    exchange.process.signal("SIGTERM");
    expect(await exchange.process.exit()).toBe(0);
  }, 180_000);
}

/** Without drops the ids of each symbol's trades follow each other, as the exchange numbered them. */
async function expectNoJumps(data: string, sql: { number(query: string): Promise<number> }): Promise<void> {
  const jumps = await sql.number(
    `SELECT count(*) FROM (
       SELECT id::BIGINT <> lag(id::BIGINT) OVER (PARTITION BY symbol ORDER BY seq) + 1 AS jump
       FROM ${streamFrom(data, "trade")}
     ) WHERE jump`,
  );
  expect(jumps).toBe(0);
}

test.concurrent("a second signal within a second is the same one; what cannot be published waits for the next start", async () => {
  const cwd = subfolder("echo");
  using exchange = simulated({ instruments: 5, rate: 2000 });
  const recorder = await startRecorder({ cwd, exchange, set: { "stop.timeout": "6s" } });
  await recorder.until("1000 events", ({ total_events }) => total_events >= 1000);
  const lake = join(recorder.data, "lake");
  rmSync(lake, { recursive: true });
  writeFileSync(lake, "in the way");
  // Of two kinds, so that they do not become one on their way.
  recorder.process.signal("SIGINT");
  const { code, end } = await recorder.stop("SIGTERM");
  expect(code).toBe(0);
  expect(end).toMatchObject({ holds: true, lost: 0, published: 0, inOutbox: end.received - end.dropped });
  expect(end.received).toBeGreaterThanOrEqual(1000);
  expect(recorder.process.events("signal").length).toBe(1);
  expect(recorder.process.events("publish_failed").length).toBeGreaterThan(0);

  // The next start publishes what is finished and puts aside what is not.
  rmSync(lake);
  const outbox = join(recorder.data, "outbox");
  const left = readdirSync(outbox).filter((name) => name.endsWith(".parquet"));
  expect(left.length).toBeGreaterThanOrEqual(3);
  const unfinished = `.${left[0]}.0.tmp`;
  writeFileSync(join(outbox, unfinished), "PAR1 and then the power went");
  writeFileSync(join(outbox, "notes.txt"), "not ours");
  const next = await startRecorder({ cwd, exchange, args: ["--streams", "funding"] });
  for (const name of left) {
    const key = name.replaceAll("~", "/");
    await next.process.event("file_published", (line) => line.key === key && line.recovered === true);
  }
  const after = await next.stop();
  expect(after.code).toBe(0);
  const quarantined = readdirSync(join(recorder.data, "quarantine"));
  expect(quarantined.length).toBe(2);
  expect(quarantined.some((name) => name.endsWith(unfinished.slice(1)))).toBe(true);
  expect(quarantined.some((name) => name.endsWith("-notes.txt"))).toBe(true);
  expect(readdirSync(outbox).filter((name) => name.endsWith(".parquet"))).toEqual([]);
  await withSql(async (sql) => {
    await auditLake(sql, recorder.data);
    const ofRun = lakeFiles(recorder.data).filter(
      ({ run, stream }) => run === end.run && !(stream in DATASETS),
    );
    const paths = ofRun.map(({ path }) => quoted(path)).join(", ");
    const rows = await sql.number(`SELECT count(*) FROM read_parquet([${paths}], union_by_name = true)`);
    expect(rows + end.dropped).toBe(end.received);
  });
}, 180_000);

test.concurrent("a second signal after a second ends at once, exit 1; the next start goes on from what stands in files", async () => {
  const cwd = subfolder("at-once");
  using exchange = simulated({ instruments: 5, rate: 2000 });
  const recorder = await startRecorder({ cwd, exchange, set: { "stop.timeout": "1m" } });
  await recorder.until("500 events", ({ total_events }) => total_events >= 500);
  const lake = join(recorder.data, "lake");
  renameSync(lake, `${lake}-aside`);
  writeFileSync(lake, "in the way");
  recorder.process.signal("SIGINT");
  await recorder.process.event("publish_failed");
  await Bun.sleep(1200);
  expect(recorder.process.ended).toBe(false);
  const before = performance.now();
  recorder.process.signal("SIGINT");
  expect(await recorder.process.exit()).toBe(1);
  // Far less than the minute that publishing had.
  expect(performance.now() - before).toBeLessThan(50_000);
  expect(recorder.process.events("signal").map(({ level }) => level)).toEqual(["info", "error"]);
  expect(recorder.process.events("collector_stop")).toEqual([]);

  rmSync(lake);
  const next = await startRecorder({ cwd, exchange, args: ["--streams", "funding"] });
  const { code } = await next.stop();
  expect(code).toBe(0);
  await withSql(async (sql) => {
    const { byStream } = await auditLake(sql, recorder.data);
    expect(byStream.bbo ?? 0).toBeGreaterThan(0);
  });
}, 180_000);

test.concurrent("kill -9 in mid flow: what is in the lake is whole, and the next start puts the rest in its place", async () => {
  const cwd = subfolder("killed");
  const exchange = await startSimulate(cwd, "--rate", "50000", "--instruments", "50");
  const set = { "flush.rows": "20000", "flush.interval": "300ms", "flush.min_gap": "0ms" };
  const recorder = await startRecorder({ cwd, exchange, set });
  await recorder.until("some files", ({ balance }) => balance.published > 40_000);
  // At different stages of files on their way.
  recorder.process.signal("SIGKILL");
  expect(await recorder.process.exit()).toBe("SIGKILL");
  const outbox = join(recorder.data, "outbox");
  const left = readdirSync(outbox, { withFileTypes: true }).filter((entry) => entry.isFile());
  const files = () => lakeFiles(recorder.data).filter(({ stream }) => stream !== "gaps");
  const there = files();
  const killed = there[0]?.run;
  const journals = readdirSync(join(recorder.data, "journal")).filter((name) => !name.includes("~gaps~"));
  const next = await startRecorder({ cwd, exchange, set });
  await next.until("events", ({ total_events }) => total_events > 0);
  // What stood in the outbox, and what is written anew from journals; rows of gaps come by way of the ledger. Not by
  // the lines of the log: more than twenty a minute are not written.
  const recovered = () => files().filter(({ run }) => run === killed).length - there.length;
  const removed = () =>
    next.process.events("journal_removed").filter(({ path }) => !String(path).includes("~gaps~")).length;
  const wanted = () =>
    left.filter(({ name }) => name.endsWith(".parquet") && !name.includes("~stream=gaps~")).length +
    journals.length -
    removed();
  await waitFor("what the killed run left", () => recovered() >= wanted(), {
    every: 100,
    state: () => `${recovered()} of ${wanted()}`,
  });
  const { code, end } = await next.stop();
  expect(code).toBe(0);
  expect(next.process.events("file_quarantined").length).toBe(
    left.filter(({ name }) => !name.endsWith(".parquet")).length,
  );
  expect(recovered()).toBe(wanted());
  await withSql(async (sql) => {
    const { rows, files } = await auditLake(sql, recorder.data);
    expect(rows).toBeGreaterThan(40_000 + end.published);
    expect(new Set(files.map(({ run }) => run)).size).toBe(2);
  });
}, 180_000);

test.concurrent("SIGTERM while the exchange cannot be reached, its echoes all the while: nothing lost, exit 0", async () => {
  const cwd = subfolder("early");
  const nowhere = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const exchange = { url: `ws://127.0.0.1:${nowhere.port}`, restUrl: `http://127.0.0.1:${nowhere.port}` };
  nowhere.stop(true);
  const recorder = await startRecorder({ cwd, exchange });
  const first = performance.now();
  // Well before the second is over after which it would be another one: on a busy machine they arrive late.
  while (!recorder.process.ended && performance.now() - first < 400) {
    recorder.process.signal("SIGTERM");
    await Bun.sleep(1);
  }
  expect(await recorder.process.exit()).toBe(0);
  const [end] = recorder.process.events("collector_stop");
  expect(endSchema.parse(end)).toMatchObject({ received: 0, published: 0, dropped: 0, lost: 0, holds: true });
}, 180_000);

/** A simulated exchange in this process. */
function simulated(options: Parameters<typeof startBinance>[0]) {
  const exchange = startBinance(options);
  return Object.assign(exchange, {
    [Symbol.dispose]: () => {
      void exchange.stop();
    },
  });
}
