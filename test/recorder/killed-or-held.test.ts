/**
 * kill -9 of a real recorder while something is known to be missing: the hole is in the lake of the next run, from its
 * beginning, and what was lost with the run follows it without a seam. And a recorder that is held (SIGSTOP) for longer
 * than any silence may be: it goes on where it was, loses nothing that TCP has kept, and calls nobody silent.
 * TAPEDECK_TEST_LONG=1 holds one with the default settings for 15 s as well.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import type { FaultInput } from "../../src/simulator/faults/model.ts";
import { compareWithAccount, gapRows, onceEach } from "../helpers/account-rows.ts";
import { auditLake } from "../helpers/audit.ts";
import { endFaulty, endRecording, recordFaulty, startFaulty } from "../helpers/faulty.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

console.log(`killed or held: TAPEDECK_TEST_SEED=${SEED}`);
const folder = scratchFolder("killed-or-held");
const STREAMS = ["bbo", "trade"] as const;
/** Receive time and this test's clock agree to this; what detects a hole is older by as much at most, µs. */
const AGREE = 1_000_000;
const nowUs = () => Date.now() * 1000;

/** Rows of holes that stand in a ledger. */
function notedHoles(data: string): { stream: string; symbol: string | null; reason: string }[] {
  const db = new Database(join(data, "ledger.db"), { readonly: true });
  try {
    return db
      .query<{ stream: string; symbol: string | null; reason: string }, []>(
        `SELECT row ->> 'affected_stream' AS stream, row ->> 'symbol' AS symbol, row ->> 'reason' AS reason
         FROM holes`,
      )
      .all();
  } finally {
    db.close();
  }
}

interface Gap {
  readonly symbol: string | null;
  readonly reason: string;
  readonly certainty: string;
  readonly from: number;
  readonly to: number | null;
}

/** Records, is struck, is killed while it is, and records again: when it was struck and killed, and what the lake has. */
async function killedDuring(
  name: string,
  fault: (symbols: readonly string[]) => FaultInput,
  isNoted: (holes: ReturnType<typeof notedHoles>) => boolean,
  set: Readonly<Record<string, string>> = {},
) {
  const exchange = startBinance({ instruments: 5, rate: 2000, seed: SEED });
  const cwd = join(folder, name);
  mkdirSync(cwd);
  const start = async (): Promise<RunningRecorder> => {
    const recorder = await startRecorder({
      cwd,
      exchange,
      args: ["--streams", STREAMS.join(",")],
      set: { "connection.backoff_max": "500ms", ...set },
    });
    await recorder.until("events", ({ total_events }) => total_events >= 2000);
    for (const stream of STREAMS) await recorder.process.event("gap", (line) => line.stream === stream);
    return recorder;
  };
  try {
    const first = await start();
    const traded = exchange.instruments.filter(
      ({ status, symbol }) => status === "TRADING" && /^[^_]+USDT$/.test(symbol),
    );
    // The exchange runs, so that what it is struck by begins where its events end.
    const { events } = exchange.stats();
    await waitFor("events", () => exchange.stats().events > events + 100, { every: 1 });
    const struck = nowUs();
    const injected = exchange.faults.inject(fault(traded.map(({ symbol }) => symbol)));
    await waitFor("the hole in the ledger", () => isNoted(notedHoles(first.data)), {
      timeout: 90_000,
      state: () => `${JSON.stringify(notedHoles(first.data))}\n${first.process.words}`,
    });
    const noted = nowUs();
    first.process.signal("SIGKILL");
    expect(await first.process.exit()).toBe("SIGKILL");
    const gone = nowUs();
    injected.end();
    const second = await start();
    const { code, end } = await second.stop();
    expect(code, second.process.words).toBe(0);
    expect(end).toMatchObject({ holds: true, lost: 0, dropped: 0 });
    expect(notedHoles(second.data)).toEqual([]);
    const gaps = await withSql(async (sql) => {
      await auditLake(sql, second.data);
      const of = async (stream: string) =>
        (await sql.rows(
          `SELECT symbol, reason, certainty, epoch_us(from_timestamp) AS "from", epoch_us(to_timestamp) AS "to"
           FROM ${streamFrom(second.data, "gaps")} WHERE affected_stream = '${stream}' ORDER BY from_timestamp`,
        )) as unknown as Gap[];
      return { bbo: await of("bbo"), trade: await of("trade") };
    });
    return { struck, noted, gone, gaps, symbols: traded.map(({ symbol }) => symbol) };
  } finally {
    await exchange.stop();
  }
}

test.concurrent("an outage: disconnected from its beginning, then lost until the next run", async () => {
  const { struck, noted, gone, gaps } = await killedDuring(
    "outage",
    () => ({ kind: "refuse", forMs: 60_000 }),
    (holes) =>
      STREAMS.every((stream) =>
        holes.some(
          ({ stream: one, symbol, reason }) => one === stream && symbol === null && reason === "disconnect",
        ),
      ),
  );
  for (const stream of STREAMS) {
    const rows = gaps[stream];
    expect(rows, stream).toMatchObject([
      { symbol: null, reason: "start", certainty: "planned" },
      { symbol: null, reason: "disconnect", certainty: "possible" },
      { symbol: null, reason: "crash", certainty: "lost" },
      { symbol: null, reason: "stop", certainty: "planned" },
    ]);
    const [, outage, crash] = rows;
    expect(outage?.from).toBeGreaterThanOrEqual(struck - AGREE);
    expect(outage?.from).toBeLessThanOrEqual(noted);
    expect(outage?.to).toBe(Number(crash?.from));
    expect(crash?.from).toBeLessThanOrEqual(gone);
    expect(crash?.to).toBeGreaterThan(noted);
  }
}, 180_000);

test.concurrent("a silent symbol: silent from its last event, then lost with all others", async () => {
  const { struck, noted, gaps, symbols } = await killedDuring(
    "silence",
    ([symbol = ""]) => ({ kind: "silence", symbol, stream: "bookTicker", sticky: true }),
    (holes) => holes.some(({ stream, reason }) => stream === "bbo" && reason === "silence"),
    // Longer than a busy machine holds up the exchange.
    { "connection.symbol_silence": "3s" },
  );
  const [silent] = symbols;
  expect(gaps.trade.map(({ reason }) => reason)).toEqual(["start", "crash", "stop"]);
  const rows = gaps.bbo.filter(({ reason }) => reason !== "start" && reason !== "stop");
  expect(rows).toMatchObject([
    { symbol: silent, reason: "silence", certainty: "possible" },
    { symbol: null, reason: "crash", certainty: "lost" },
  ]);
  const [silence, crash] = rows;
  expect(silence?.from).toBeGreaterThanOrEqual(struck - AGREE);
  expect(silence?.from).toBeLessThanOrEqual(noted);
  expect(silence?.to).toBe(Number(crash?.from));
}, 180_000);

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
endFaulty();

/** Holds a recorder for so many ms: what it does then. */
async function hold(name: string, ms: number, set: Readonly<Record<string, string>>): Promise<void> {
  const faulty = startFaulty(["binance"], { instruments: 10, rate: 1000, seed: SEED });
  const recorder = await recordFaulty(folder, name, faulty, { set });
  const { total_events: before } = await recorder.metrics();
  recorder.process.signal("SIGSTOP");
  await Bun.sleep(ms);
  recorder.process.signal("SIGCONT");
  // What was sent meanwhile, and more.
  const held = before + ms;
  await recorder.until("what came meanwhile", ({ total_events }) => total_events > held);
  await recorder.until("what comes now", ({ total_events }) => total_events > held + 500);
  expect((await recorder.metrics()).balance.holds).toBe(true);
  for (const event of ["ws_disconnect", "symbol_silent", "stream_silent", "connection_lagging"])
    expect(recorder.process.events(event), event).toEqual([]);
  await endRecording(recorder, faulty, async (sql, data) => {
    for (const { exchange } of faulty) {
      const { account } = exchange;
      const { expected, mismatches } = await compareWithAccount(sql, data, {
        exchange: "binance",
        account,
        wanted: onceEach,
      });
      expect(mismatches.slice(0, 10), `${mismatches.length} of ${expected} events`).toEqual([]);
    }
    expect(new Set((await gapRows(sql, data)).map(({ reason }) => reason))).toEqual(
      new Set(["start", "stop"]),
    );
  });
}

test.concurrent(
  "held for longer than any silence may be: nothing is lost, and nothing silent",
  () =>
    hold("held", 6000, {
      "connection.silence": "4s",
      "connection.symbol_silence": "4s",
      "connection.first_data": "4s",
    }),
  180_000,
);

test.skipIf(!LONG)(
  "held for 15 s with the default settings (TAPEDECK_TEST_LONG=1)",
  () => hold("held-long", 15_000, {}),
  180_000,
);
