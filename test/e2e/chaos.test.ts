/**
 * The account under random faults: three simulated exchanges, each with a random fault every few seconds from the
 * seed, and one recorder. Afterwards every event that was made is a row or lies in a gap that the recorder wrote
 * down, exactly so where ids follow each other; no row is there that was not sent, none twice; and the time that is
 * called a gap is bounded by the faults, so that a recorder that calls everything a gap does not pass.
 *
 * By default a short sample, with bounds scaled down so that faults are found in time (`connection.*`; the defaults
 * are 8 s for a silent connection, 5 s for a silent symbol, 3 s of lag). `bun run test:long` runs it for an hour with
 * a fault every 20 s on each exchange and the bounds as they are by default; TAPEDECK_CHAOS_MINUTES sets another time.
 */
import { expect, test } from "bun:test";
import { startBinance } from "../../src/simulator/binance.ts";
import { startBybit } from "../../src/simulator/bybit.ts";
import type { FaultRecord } from "../../src/simulator/faults/record.ts";
import { startOkx } from "../../src/simulator/okx.ts";
import type { SimulatedExchange } from "../../src/simulator/simulation.ts";
import { auditLake } from "../helpers/audit.ts";
import { type Sql, withSql } from "../helpers/lake.ts";
import { type Name, type Reckoned, reckon } from "../helpers/reckoning.ts";
import {
  couldNotBeKnown,
  coveredBy,
  type Patience,
  type Uncovered,
  uncovered,
} from "../helpers/reckoning-causes.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { still } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

const NAMES: readonly Name[] = ["binance", "bybit", "okx"];
const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const MINUTES = Number(process.env.TAPEDECK_CHAOS_MINUTES ?? 60);

/** How long faults go on, ms; how often they come on each exchange; and how long after the last one all is well. */
const [FAULTS_FOR, FAULT_EVERY, CALM] = LONG ? [MINUTES * 60_000, 20_000, 75_000] : [16_000, 3000, 4000];
/** Time that a gap may be longer than its fault, on average over all faults, s. */
const OVER_CLAIM = LONG ? 12 : 2;

/** The bounds of the product in ms; scaled where faults are short. */
const PATIENCE: Patience = LONG
  ? { silence: 8000, symbolSilence: 5000, firstDataQuiet: 60_000 }
  : { silence: 600, symbolSilence: 500, firstDataQuiet: 3000 };
const BOUNDS: Readonly<Record<string, string>> = LONG
  ? { "connection.max_age": "4m" }
  : {
      "connection.silence": `${PATIENCE.silence}ms`,
      "connection.symbol_silence": `${PATIENCE.symbolSilence}ms`,
      // Above the second in which mark prices come.
      "connection.first_data": "2500ms",
      "connection.first_data_quiet": `${PATIENCE.firstDataQuiet}ms`,
      "connection.ack_timeout": "500ms",
      "connection.refused_retry": "1s",
      "connection.ping_interval": "500ms",
      "connection.pong_timeout": "500ms",
      "connection.handshake_timeout": "1s",
      "connection.backoff_min": "50ms",
      "connection.backoff_max": "500ms",
      "connection.lag": "300ms",
      // Planned replacements amid the faults.
      "connection.max_age": "10s",
      "connection.overlap": "500ms",
      "connection.replace_timeout": "3s",
    };

const folder = scratchFolder("chaos");

function startAll(): Readonly<Record<Name, SimulatedExchange>> {
  const common = {
    instruments: 6,
    rate: 400,
    skew: 0.5,
    liquidationShare: 0.05,
    account: true,
    relay: true,
    accountEventsMax: 5_000_000,
  };
  // Each with faults of its own.
  const seed = (name: Name) => `${SEED}/${name}`;
  return {
    binance: startBinance({ ...common, seed: seed("binance") }),
    bybit: startBybit({ ...common, seed: seed("bybit"), preLaunch: 0 }),
    okx: startOkx({ ...common, seed: seed("okx"), waiting: 0, fundingEverySeconds: 5 }),
  };
}

/** Streams that come on one connection: there are two routes on Binance, and few enough symbols for one socket each. */
const channelOf = (name: Name, stream: string): string =>
  name === "binance" && stream === "bbo" ? "bbo" : "rest";

/** What is wrong with an exchange, in words; and what is worth knowing. */
interface Verdict {
  readonly wrong: string[];
  readonly notes: string[];
}

/** Holds an exchange's account against the lake. @param began when the run began, µs */
async function judge(
  sql: Sql,
  {
    data,
    began,
    name,
    exchange,
    faulty,
  }: {
    data: string;
    began: number;
    name: Name;
    exchange: SimulatedExchange;
    /** Begin of the first fault and end of what comes after the last, µs. */
    faulty: readonly [number, number];
  },
): Promise<Verdict> {
  const { account } = exchange;
  if (account === undefined) throw new Error("no account was kept");
  const faults = exchange.faults.list();
  const at = (us: number): string => (Number.isFinite(us) ? ((us - began) / 1e6).toFixed(3) : String(us));
  const wrong: string[] = [];
  const all: Reckoned[] = [];
  for await (const one of reckon(sql, data, name, account)) all.push(one);
  const channels = Map.groupBy(all, ({ stream }) => channelOf(name, stream));
  const received = new Map(
    [...channels].map(([channel, list]) => [
      channel,
      list.flatMap(({ rows }) => rows.map(({ local }) => local)).sort((a, b) => a - b),
    ]),
  );
  const gapsOfChannel = new Map(
    [...channels].map(([channel, list]) => [
      channel,
      list
        .flatMap(({ gaps }) => gaps)
        .filter(({ reason }) => reason === "disconnect" || reason === "silence"),
    ]),
  );
  const sums = { made: 0, rows: 0, missing: 0, unsent: 0, notKnowable: 0 };
  let worst = { covered: 0, of: "" };
  const faultSeconds = faults.reduce((sum, one) => sum + secondsOf(one), 0);
  const length = (faulty[1] - faulty[0]) / 1e6;
  for (const one of all) {
    const of = `${name} ${one.stream} ${one.symbol}`;
    const channel = channelOf(name, one.stream);
    const { ids } = one;
    if (ids !== null && ids.made !== ids.rows + ids.missed)
      wrong.push(`${of}: ${ids.made} ids were made, ${ids.rows} are in rows and ${ids.missed} in gaps`);
    for (const row of one.invented.slice(0, 3))
      wrong.push(
        `${of}: a row that was not sent, or not as often: ${row.key} at ${at(row.local)} on ${row.connection}`,
      );
    const open = uncovered(one);
    const unexplained = open.filter(
      (event) =>
        !couldNotBeKnown(
          event,
          one,
          received.get(channel) ?? [],
          gapsOfChannel.get(channel) ?? [],
          faults,
          PATIENCE,
        ),
    );
    if (unexplained.length > 0) wrong.push(describe(of, one, unexplained, faults, at));
    sums.made += one.made;
    sums.rows += one.rows.length;
    sums.missing += one.missing.length;
    sums.unsent += one.missing.filter(({ copies }) => copies === 0).length;
    sums.notKnowable += open.length - unexplained.length;
    const gaps = one.gaps.filter(({ reason }) => reason !== "start" && reason !== "stop");
    const covered = coveredBy(gaps, faulty[0], faulty[1]);
    if (covered > worst.covered) worst = { covered, of };
    if (covered > faultSeconds + OVER_CLAIM * faults.length)
      wrong.push(`${of}: gaps of ${covered.toFixed(1)} s for faults of ${faultSeconds.toFixed(1)} s`);
    // Nothing was wrong before the first fault.
    const early = gaps.filter(({ from }) => from < faulty[0] - 5e6);
    if (early.length > 0) wrong.push(`${of}: a gap before the first fault: ${JSON.stringify(early[0])}`);
  }
  const mean =
    all.reduce(
      (sum, { gaps }) =>
        sum +
        coveredBy(
          gaps.filter(({ reason }) => reason !== "start" && reason !== "stop"),
          faulty[0],
          faulty[1],
        ),
      0,
    ) / all.length;
  const notes = [
    `${name}: ${JSON.stringify(sums)}`,
    `${name}: faults in force ${((100 * faultSeconds) / length).toFixed(1)} % of ${length.toFixed(0)} s, called a gap ` +
      `${((100 * mean) / length).toFixed(1)} % on average, at most ${((100 * worst.covered) / length).toFixed(1)} % (${worst.of})`,
    ...faults.map(
      (one) =>
        `${name} ${one.id} ${at(one.startedUs ?? 0)} to ${at(one.endedUs ?? 0)}: ${JSON.stringify(one.fault)}${one.error === null ? "" : ` failed: ${one.error}`}`,
    ),
  ];
  return { wrong, notes };
}

const secondsOf = ({ startedUs, endedUs }: FaultRecord): number => ((endedUs ?? 0) - (startedUs ?? 0)) / 1e6;

/** The first missing events that no gap covers, with the faults and gaps around them. */
function describe(
  of: string,
  { gaps }: Reckoned,
  events: readonly Uncovered[],
  faults: readonly FaultRecord[],
  at: (us: number) => string,
): string {
  const lines = [`${of}: ${events.length} events are neither rows nor in a gap`];
  for (const { event, copies, rows, before, after } of events.slice(0, 3)) {
    const near = (from: number, to: number): boolean =>
      from <= event.madeUs + 2e6 && to >= event.madeUs - 2e6;
    const around = faults
      .filter(({ startedUs, endedUs }) => near(startedUs ?? 0, endedUs ?? 0))
      .map(({ id, fault }) => `${id} ${fault.kind}`);
    lines.push(
      `  made ${at(event.madeUs)} key ${event.id} sent to [${event.sent}]: ${rows} rows of ${copies}; ` +
        `rows ${at(before)} .. ${at(after)}; faults: ${around.join(", ")}`,
      ...gaps
        .filter(({ from, to }) => near(from, to))
        .map(
          ({ reason, symbol, from, to }) => `    gap ${reason} ${symbol ?? "all"} ${at(from)} .. ${at(to)}`,
        ),
    );
  }
  return lines.join("\n");
}

test(
  "random faults on three exchanges: what was made is rows and gaps, and nothing else",
  async () => {
    console.log(`chaos: TAPEDECK_TEST_SEED=${SEED}`);
    const exchanges = startAll();
    const places = Object.fromEntries(
      NAMES.flatMap((name) => [
        [`exchanges.${name}.ws_url`, exchanges[name].url],
        [`exchanges.${name}.rest_url`, exchanges[name].restUrl],
      ]),
    );
    const recorder = await startRecorder({
      cwd: folder,
      exchange: exchanges.binance,
      set: { ...BOUNDS, ...places },
      args: ["--exchanges", NAMES.join(",")],
    });
    // A while without faults: rhythms are learned, and nothing is called a gap.
    await recorder.until("4,000 events", ({ total_events }) => total_events > 4000);
    await Bun.sleep(FAULT_EVERY);
    const from = Date.now() * 1000;
    const stops: (() => void)[] = [];
    for (const name of NAMES) {
      stops.push(exchanges[name].faults.every(FAULT_EVERY));
      await Bun.sleep(FAULT_EVERY / NAMES.length);
    }
    await Bun.sleep(FAULTS_FOR);
    for (const stop of stops) stop();
    for (const name of NAMES) await exchanges[name].faults.endAll();
    await Bun.sleep(CALM);
    const to = Date.now() * 1000;
    for (const name of NAMES) await exchanges[name].pause();
    await still("what comes in", async () => (await recorder.metrics()).total_events, { looks: 20 });
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    expect(end).toMatchObject({ holds: true, lost: 0, dropped: 0, published: end.received });
    const began = Number(/-(\d{16})-/.exec(end.run)?.[1]);

    const wrong: string[] = [];
    await withSql(async (sql) => {
      expect(await auditLake(sql, recorder.data)).toMatchObject({ rows: end.received, holes: 0 });
      for (const name of NAMES) {
        const one = await judge(sql, {
          data: recorder.data,
          began,
          name,
          exchange: exchanges[name],
          faulty: [from, to],
        });
        for (const note of one.notes) console.log(note);
        wrong.push(...one.wrong);
      }
    });
    await Promise.all(NAMES.map((name) => exchanges[name].stop()));
    expect(wrong.join("\n")).toBe("");
  },
  LONG ? MINUTES * 60_000 + 1_200_000 : 240_000,
);
