/**
 * Gaps and connections of a real recorder against a simulated exchange: what was missing between runs is in the
 * lake, whether the recorder was stopped or killed, and the queries of docs/gaps.md find it.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { auditLake } from "../helpers/audit.ts";
import { type LakeRow, type Sql, streamFrom, withSql } from "../helpers/lake.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const folder = scratchFolder("gaps");
const STREAMS = ["bbo", "trade"] as const;
const ARGS = ["--streams", STREAMS.join(",")];
const DAY = 86_400_000_000;

function subfolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

/** A simulated exchange in this process. */
function simulated() {
  const exchange = startBinance({ instruments: 5, rate: 2000 });
  return Object.assign(exchange, {
    [Symbol.dispose]: () => {
      void exchange.stop();
    },
  });
}

const runOf = (recorder: RunningRecorder) => String(recorder.process.events("collector_start")[0]?.run);
/** When a run began, µs: it stands in its name. */
const beginOf = (run: string) => Number(/-(\d{16})-/.exec(run)?.[1]);

/** Rows of gaps of a stream for which there is no symbol, times in µs, in order. */
async function gapsOf(sql: Sql, data: string, stream: string): Promise<LakeRow[]> {
  return await sql.rows(
    `SELECT run, reason, certainty, symbol, epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to"
     FROM ${streamFrom(data, "gaps")} WHERE affected_stream = '${stream}' ORDER BY local_timestamp, from_timestamp`,
  );
}

/** First and last receive time of a run's rows of a stream, µs. */
async function spanOf(sql: Sql, data: string, stream: string, run: string) {
  const row = await sql.row(
    `SELECT epoch_us(min(local_timestamp)) AS first, epoch_us(max(local_timestamp)) AS last
     FROM ${streamFrom(data, stream)} WHERE run = '${run}'`,
  );
  return { first: Number(row.first), last: Number(row.last) };
}

/** Receive and main thread's clock agree to this, µs. */
const CLOCKS = 100_000;

/** Records until there are events, and until the gap of its start has been told. */
async function record(
  cwd: string,
  exchange: { url: string; restUrl: string },
  set: Record<string, string> = {},
) {
  const recorder = await startRecorder({ cwd, exchange, args: ARGS, set });
  await recorder.until("1000 events", ({ total_events }) => total_events >= 1000);
  await waitFor(
    "the gap of the start of every stream",
    () => {
      const told = recorder.process.events("gap").map(({ stream }) => stream);
      return STREAMS.every((stream) => told.includes(stream));
    },
    { state: () => recorder.process.words },
  );
  return recorder;
}

test.concurrent("two runs: start, stop and start again are rows that follow each other; so are connections", async () => {
  const cwd = subfolder("stopped");
  using exchange = simulated();
  const first = await record(cwd, exchange);
  expect((await first.stop()).code).toBe(0);
  const second = await record(cwd, exchange);
  expect((await second.stop()).code).toBe(0);
  const { data } = first;
  const [one, two] = [runOf(first), runOf(second)];
  await withSql(async (sql) => {
    await auditLake(sql, data);
    for (const stream of STREAMS) {
      const rows = await gapsOf(sql, data, stream);
      const own = rows.filter(({ reason }) => reason === "start" || reason === "stop");
      expect(own, stream).toMatchObject([
        { run: one, reason: "start", certainty: "planned", symbol: null, from: beginOf(one) },
        { run: one, reason: "stop", certainty: "planned", symbol: null, to: null },
        { run: two, reason: "start", certainty: "planned", symbol: null },
        { run: two, reason: "stop", certainty: "planned", symbol: null, to: null },
      ]);
      const [start1, stop1, start2, stop2] = own.map(({ from, to }) => ({
        from: Number(from),
        to: Number(to),
      }));
      if (start1 === undefined || stop1 === undefined || start2 === undefined || stop2 === undefined) return;
      const rows1 = await spanOf(sql, data, stream, one);
      const rows2 = await spanOf(sql, data, stream, two);
      expect(start1.to).toBeGreaterThan(start1.from);
      expect(start1.to).toBeLessThan(rows1.last);
      expect(stop1.from).toBeGreaterThan(rows1.last - CLOCKS * 10);
      // The second start begins where the first run stopped, to the microsecond.
      expect(start2.from).toBe(stop1.from);
      expect(start2.to).toBeGreaterThan(beginOf(two));
      expect(start2.to).toBeLessThan(rows2.last);
      expect(stop2.from).toBeGreaterThan(start2.to);
    }
    // Each row was brought by a connection that there is.
    for (const stream of STREAMS) {
      const orphans = await sql.number(
        `SELECT count(*) FROM ${streamFrom(data, stream)} t LEFT JOIN ${streamFrom(data, "connections")} c
           ON c.run = t.run AND c.connection = t.connection
             AND t.local_timestamp BETWEEN c.first_data AND c.closed
         WHERE c.run IS NULL`,
      );
      expect(orphans, stream).toBe(0);
    }
    const connections = await sql.rows(
      `SELECT url, subscriptions, opened <= first_data AND first_data <= closed AS ordered
       FROM ${streamFrom(data, "connections")}`,
    );
    expect(connections.length).toBeGreaterThanOrEqual(2);
    for (const { url, subscriptions, ordered } of connections) {
      expect(String(url)).toStartWith(exchange.url);
      expect(Number(subscriptions)).toBeGreaterThan(0);
      expect(ordered).toBe(true);
    }
    await expectDocs(sql, data, beginOf(one));
  });
  const lines = second.process.events("gap").filter(({ reason }) => reason === "start" || reason === "stop");
  expect(lines.length).toBe(2 * STREAMS.length);
  for (const line of lines)
    expect(line).toMatchObject({ level: "info", exchange: "binance", symbols: "all" });
}, 180_000);

/** The queries of docs/gaps.md, on this lake: not recorded, start, between the runs, and after the last stop. */
async function expectDocs(sql: Sql, data: string, begin: number): Promise<void> {
  const page = await Bun.file(new URL("../../docs/gaps.md", import.meta.url)).text();
  const day = Math.floor(begin / DAY) * DAY;
  const queries = [...page.matchAll(/```sql\n([^`]+)```/g)].map(([, query = ""]) =>
    query
      .replaceAll("data/lake", join(data, "lake"))
      // Two days, should the test run over midnight.
      .replace("'2026-11-20 00:00:00+00'", `'${new Date(day / 1000).toISOString()}'`)
      .replace("'2026-11-21 00:00:00+00'", `'${new Date((day + 2 * DAY) / 1000).toISOString()}'`),
  );
  expect(queries.length).toBe(4);
  const [view = "", list = "", seconds = "", connections = ""] = queries;
  await sql.rows(view);
  const holes = (await sql.rows(list)).filter(({ reason }) => reason !== "clock");
  // The stop and the start that closes it begin together.
  holes.sort((a, b) => Number(a.from_timestamp) - Number(b.from_timestamp) || (a.reason === "stop" ? -1 : 1));
  expect(holes.map(({ reason, certainty }) => [reason, certainty])).toEqual([
    ["not recorded", "lost"],
    ["start", "planned"],
    ["stop", "planned"],
    ["start", "planned"],
    ["stop", "planned"],
  ]);
  expect(holes[0]).toMatchObject({ from_timestamp: day, to_timestamp: begin });
  // The stop between the runs is over when the second has subscribed; the last one is open.
  expect(holes[2]?.to_timestamp).toBe(holes[3]?.to_timestamp ?? null);
  expect(holes[4]?.to_timestamp).toBe(day + 2 * DAY);
  const recorded = await sql.row(
    `SELECT sum(epoch_us(until) - epoch_us(since)) AS us FROM (
       SELECT min(local_timestamp) AS since, max(local_timestamp) AS until FROM ${streamFrom(data, "bbo")} GROUP BY run)`,
  );
  const uncovered = await sql.number(seconds);
  // But for the seconds in which a busy machine brings the first rows and the last.
  expect(Math.abs(2 * 86_400 - Number(recorded.us) / 1e6 - uncovered)).toBeLessThan(15);
  const brought = await sql.rows(connections);
  const trades = await sql.number(`SELECT count(*) FROM ${streamFrom(data, "trade")}`);
  expect(brought.reduce((sum, row) => sum + Number(row.trades), 0)).toBe(trades);
}

test.concurrent("kill -9: the next run writes a crash from the last row in a file to its first subscription; no gap row is lost", async () => {
  const cwd = subfolder("killed");
  using exchange = simulated();
  const often = { "flush.interval": "300ms", "flush.min_gap": "0ms" };
  const first = await record(cwd, exchange, often);
  await first.process.event("file_published", ({ stream }) => stream === "bbo");
  await first.process.event("file_published", ({ stream }) => stream === "trade");
  // A run that is killed before it has told its start is a part of the next one's hole. What is in the log is in the
  // ledger when the main thread answers again.
  for (const stream of STREAMS) await first.process.event("gap", (line) => line.stream === stream);
  await first.get("/status");
  first.process.signal("SIGKILL");
  expect(await first.process.exit()).toBe("SIGKILL");
  const { data } = first;
  const one = runOf(first);
  // The gaps of its start were in no file yet.
  expect(readdirSync(join(data, "lake/v1/exchange=binance"))).not.toContain("stream=gaps");

  const second = await record(cwd, exchange, often);
  expect(second.process.events("gaps_recovered")).toMatchObject([{ exchange: "binance" }]);
  expect((await second.stop()).code).toBe(0);
  const two = runOf(second);
  await withSql(async (sql) => {
    await auditLake(sql, data);
    for (const stream of STREAMS) {
      const rows = await gapsOf(sql, data, stream);
      const own = rows.filter(({ reason }) => ["start", "crash", "stop"].includes(String(reason)));
      expect(own, stream).toMatchObject([
        { run: two, reason: "start", certainty: "planned", from: beginOf(one) },
        { run: two, reason: "crash", certainty: "lost", symbol: null },
        { run: two, reason: "stop", certainty: "planned", to: null },
      ]);
      const crash = own[1];
      // A file may have been finished in the instant between its name and the ledger: then it is the one before.
      const ends = await sql.rows(
        `SELECT epoch_us(max(local_timestamp)) AS "end" FROM ${streamFrom(data, stream)}
         WHERE run = '${one}' GROUP BY filename ORDER BY 1`,
      );
      expect(ends.slice(-2).map(({ end }) => end)).toContain(crash?.from ?? null);
      const after = await spanOf(sql, data, stream, two);
      expect(Number(crash?.to)).toBeGreaterThan(beginOf(two));
      expect(Number(crash?.to)).toBeLessThan(after.last);
    }
  });
  const crashes = second.process.events("gap").filter(({ reason }) => reason === "crash");
  expect(crashes.map(({ level, stream }) => [level, stream]).sort()).toEqual([
    ["warn", "bbo"],
    ["warn", "trade"],
  ]);
}, 180_000);

test.concurrent("a damaged ledger goes to quarantine, and recording begins with a start of its own", async () => {
  const cwd = subfolder("damaged");
  using exchange = simulated();
  const first = await record(cwd, exchange);
  expect((await first.stop()).code).toBe(0);
  const { data } = first;
  writeFileSync(join(data, "ledger.db"), "no ledger; ".repeat(1000));
  const second = await record(cwd, exchange);
  expect(second.process.events("file_quarantined")).toMatchObject([{ path: join(data, "ledger.db") }]);
  expect((await second.stop()).code).toBe(0);
  const third = await record(cwd, exchange);
  expect(third.process.events("file_quarantined")).toEqual([]);
  expect((await third.stop()).code).toBe(0);
  expect(readdirSync(join(data, "quarantine")).filter((name) => name.endsWith("-ledger.db")).length).toBe(1);
  await withSql(async (sql) => {
    const starts = (await gapsOf(sql, data, "bbo")).filter(({ reason }) => reason === "start");
    const stops = (await gapsOf(sql, data, "bbo")).filter(({ reason }) => reason === "stop");
    const runs = [first, second, third].map(runOf);
    expect(starts).toMatchObject([
      { run: runs[0], from: beginOf(String(runs[0])) },
      { run: runs[1], from: beginOf(String(runs[1])) },
      { run: runs[2], from: stops[1]?.from ?? null },
    ]);
  });
}, 180_000);

test.concurrent("a folder that cannot be written at a stop costs nothing: the rows are in their journals, and come with the next run", async () => {
  const cwd = subfolder("outbox");
  using exchange = simulated();
  const first = await record(cwd, exchange, { "stop.timeout": "8s" });
  const { data } = first;
  const outbox = join(data, "outbox");
  rmSync(outbox, { recursive: true });
  writeFileSync(outbox, "in the way");
  const { code, end } = await first.stop();
  expect(code).toBe(0);
  expect(end).toMatchObject({ lost: 0, published: 0, inJournal: end.received });
  rmSync(outbox);
  const second = await record(cwd, exchange);
  const { code: code2, end: end2 } = await second.stop();
  expect(code2).toBe(0);
  expect(end2).toMatchObject({ recovered: end.received, holds: true });
  await withSql(async (sql) => {
    const { rows } = await auditLake(sql, data);
    expect(rows).toBe(end.received + end2.received);
    const reasons = (await gapsOf(sql, data, "bbo")).map(({ reason }) => reason);
    expect(reasons.sort()).toEqual(["start", "start", "stop", "stop"]);
  });
}, 180_000);

test.concurrent("rows that find no journal at a stop are storage gaps: to the row, in the lake after the next run", async () => {
  const cwd = subfolder("storage");
  using exchange = simulated();
  // The stop goes on trying until this is over; until then its threads must have answered.
  const set = { "stop.timeout": "8s", "journal.max_bytes": "1MiB" };
  const first = await record(cwd, exchange, set);
  const { data } = first;
  const outbox = join(data, "outbox");
  rmSync(outbox, { recursive: true });
  writeFileSync(outbox, "in the way");
  // From the first file that fails on none is finished: what a slow start has published before, and room that this
  // made in the journals, is over.
  await first.process.event("copy_failed");
  await waitFor(
    "journals at their bound",
    () => {
      const { log } = first.process;
      const last = log.findLast(({ event }) => event === "journal_failed" || event === "journal_recovered");
      return last?.event === "journal_failed" && String(last.why).includes("journal.max_bytes");
    },
    { state: () => first.process.words },
  );
  await waitFor(
    "ERROR",
    async () => z.looseObject({ state: z.string() }).parse(await first.get("/status")).state === "ERROR",
    { every: 50, state: () => first.process.words },
  );
  await first.until("events in the rings", ({ queue_size }) => queue_size > 1000);
  const { code, end } = await first.stop();
  expect(code).toBe(1);
  const lost = Number(end.lost);
  expect(lost).toBe(end.inRing);
  expect(lost).toBeGreaterThan(1000);
  rmSync(outbox);

  const second = await record(cwd, exchange);
  const { end: end2 } = await second.stop();
  expect(end2.recovered).toBe(end.received - lost - end.published);
  const [one, two] = [runOf(first), runOf(second)];
  await withSql(async (sql) => {
    const stored = await sql.rows(
      `SELECT affected_stream, certainty, missed, epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to"
       FROM ${streamFrom(data, "gaps")} WHERE reason = 'storage' ORDER BY 1`,
    );
    expect(stored).toMatchObject(STREAMS.map((affected_stream) => ({ affected_stream, certainty: "lost" })));
    expect(stored.reduce((sum, { missed }) => sum + Number(missed), 0)).toBe(lost);
    for (const { from, to } of stored) {
      expect(Number(from)).toBeGreaterThan(beginOf(one));
      expect(Number(to)).toBeGreaterThan(Number(from));
      expect(Number(to)).toBeLessThan(beginOf(two));
    }
    // What came after is told as usual.
    const reasons = (await gapsOf(sql, data, "bbo")).map(({ reason }) => reason);
    for (const reason of ["start", "stop"])
      expect(reasons.filter((found) => found === reason).length, reason).toBe(2);
    expect(reasons).not.toContain("crash");
    const { rows } = await auditLake(sql, data);
    expect(rows).toBe(end.received - lost + end2.received);
  });
}, 180_000);
