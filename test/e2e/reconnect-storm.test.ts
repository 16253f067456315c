/**
 * An exchange closes everything at once, and bans who asks too often: attempts stay within the rate that it documents,
 * whatever the number of ingest workers, and nobody comes before Retry-After is over.
 *
 * Attempts are counted where the exchange sees them: at a TCP front of the simulated one.
 */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import type { SimulatedExchange } from "../../src/simulator/exchanges.ts";
import { startOkx } from "../../src/simulator/okx.ts";
import { auditLake } from "../helpers/audit.ts";
import { Front, mostWithin } from "../helpers/front.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

/** Connections that are closed at once, those with announcements besides. */
const CONNECTIONS = 12;
const PER_CONNECTION = 2;
const RATE = 400;

const folder = scratchFolder("storm");

const START = { binance: startBinance, okx: startOkx } as const;
type Name = keyof typeof START;

interface Storm extends AsyncDisposable {
  readonly exchange: SimulatedExchange;
  readonly front: Front;
  readonly recorder: RunningRecorder;
}

/** A recorder with at least {@link CONNECTIONS} open connections, through a front. */
async function start(name: string, of: Name, workers: number): Promise<Storm> {
  console.log(`storm, ${name}: TAPEDECK_TEST_SEED=${SEED}`);
  const cwd = join(folder, name);
  mkdirSync(cwd);
  const exchange = START[of]({
    seed: SEED,
    instruments: CONNECTIONS * PER_CONNECTION,
    rate: RATE,
    skew: 0,
    account: true,
  });
  const front = await new Front(exchange.port).listen();
  const recorder = await startRecorder({
    cwd,
    exchange: front,
    set: {
      [`exchanges.${of}.ws_url`]: front.url,
      [`exchanges.${of}.rest_url`]: front.restUrl,
      [`exchanges.${of}.streams_per_connection`]: String(PER_CONNECTION),
      "ingest.workers": String(workers),
      "discovery.interval": "500ms",
    },
    args: ["--exchanges", of, "--streams", "bbo"],
  });
  await allOpen(recorder, of);
  return {
    exchange,
    front,
    recorder,
    [Symbol.asyncDispose]: async () => {
      await front[Symbol.asyncDispose]();
      await exchange.stop();
    },
  };
}

const connectionsSchema = z.looseObject({
  connections: z.record(
    z.string(),
    z.looseObject({ wanted: z.int(), open: z.int(), subscriptions: z.int() }),
  ),
});

/** Waits until all connections are open; resolves to how many there are. */
function allOpen(recorder: RunningRecorder, of: Name): Promise<number> {
  return waitFor(
    "all connections",
    async () => {
      const { connections } = connectionsSchema.parse(await recorder.get("/metrics"));
      const { wanted = 0, open = -1, subscriptions = 0 } = connections[of] ?? {};
      const all = subscriptions >= CONNECTIONS * PER_CONNECTION && open === wanted;
      return all && wanted >= CONNECTIONS ? wanted : undefined;
    },
    { every: 50, timeout: 90_000, state: () => recorder.process.words },
  );
}

const disconnectLine = z.looseObject({ retry_in_ms: z.number().nullable(), reason: z.string() });

/** Ends the recording: every event that the simulator handed over is a row, once, and the balance holds. */
async function finish({ exchange, recorder }: Storm, of: Name): Promise<void> {
  await exchange.pause();
  await Bun.sleep(1000);
  const sent = exchange.stats().sent[of === "okx" ? "bbo-tbt" : "bookTicker"] ?? 0;
  const { code, end } = await recorder.stop();
  expect({ code, ...end }).toMatchObject({ code: 0, dropped: 0, lost: 0, holds: true });
  expect(end.published).toBe(end.received);
  // What a closing socket took with it is all that may be missing.
  expect(end.received).toBeLessThanOrEqual(sent);
  await withSql(async (sql) => {
    expect(await auditLake(sql, recorder.data)).toMatchObject({ rows: end.received, holes: 0 });
  });
}

test.concurrent.each([
  ["binance", 1, 4],
  // Three a second are documented; ours are two.
  ["okx", 3, 3],
] as const)(
  "%s, %d ingest workers: connections closed at once come back at the documented rate, spread at random, for ever",
  async (of, workers, documented) => {
    const { limits } = exchangeByName(of);
    await using storm = await start(`close-${of}`, of, workers);
    const { exchange, front, recorder } = storm;
    // The start opens as many at once.
    const first = front.since(0, true);
    expect(first.length).toBeGreaterThanOrEqual(CONNECTIONS);
    const total = await allOpen(recorder, of);
    const seen = recorder.process.events("ws_disconnect").length;
    const at = performance.now();
    exchange.faults.inject({ kind: "close", code: 1006 });
    const lines = await waitFor("the end of all", () => {
      const found = recorder.process.events("ws_disconnect").slice(seen);
      return found.length >= total ? found : undefined;
    });
    // The API answers with what the workers told last: it may still show them open.
    await waitFor("an attempt of each", () => front.since(at, true).length >= total || undefined, {
      timeout: 90_000,
    });
    await allOpen(recorder, of);
    const again = front.since(at, true);
    // None was in vain: each connection came back with one attempt.
    expect(again.length).toBe(total);
    for (const attempts of [first, again]) {
      const spans = attempts.map((one) => Math.round(one.at - (attempts[0]?.at ?? 0)));
      console.log(`attempts of ${of} on ${workers} workers, ms: ${spans.join(" ")}`);
      // A timer may be late and the next one not: one more than our own limit, never more than the documented one.
      expect(mostWithin(attempts, 950)).toBeLessThanOrEqual(
        Math.max(limits.connectsPerSecond + 1, documented),
      );
    }
    // Full jitter: anything from nothing to the whole step, no two alike.
    const waits = lines.map((line) => disconnectLine.parse(line).retry_in_ms ?? -1);
    console.log(`back-off, ms: ${waits.toSorted((a, b) => a - b).join(" ")}`);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...waits)).toBeLessThanOrEqual(500);
    expect(new Set(waits).size).toBeGreaterThan(total / 2);
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(150);
    await finish(storm, of);
    await withSql(async (sql) => {
      const gaps = await sql.rows(
        `SELECT DISTINCT certainty, affected_stream FROM ${streamFrom(recorder.data, "gaps")}
         WHERE reason = 'disconnect'`,
      );
      expect(gaps).toEqual([{ certainty: "possible", affected_stream: "bbo" }]);
    });
  },
  180_000,
);

test.concurrent.each([
  "429",
  "418",
] as const)("%s of upgrades and of REST, three ingest workers: what one is told goes for all, nobody comes before Retry-After", async (kind) => {
  const wait = 4;
  await using storm = await start(`status-${kind}`, "binance", 3);
  const { exchange, front, recorder } = storm;
  const at = performance.now();
  const fault = exchange.faults.inject({ kind, on: "both", retryAfterS: wait, cut: true });
  const refusals = () =>
    recorder.process.events("ws_disconnect").filter(({ reason }) => String(reason).includes(kind));
  await waitFor(
    "a refusal of both",
    () => refusals().length > 0 && recorder.process.events("discovery_failed").length > 0,
    { state: () => recorder.process.words },
  );
  fault.end();
  await fault.ended;
  await allOpen(recorder, "binance");
  /** When attempts were read, and when the first of them was not there yet: the front may have been held up. */
  const since = (upgrade: boolean) => front.since(at, upgrade).map((one) => one.at - at);
  const firstAfter = (upgrade: boolean, index = 0) => (front.since(at, upgrade)[index]?.after ?? at) - at;
  const [upgrades, rest] = [since(true), since(false)];
  console.log(`upgrades after the ${kind}, ms: ${upgrades.map(Math.round).join(" ")}`);
  console.log(`REST after the ${kind}, ms: ${rest.map(Math.round).join(" ")}`);
  // Those that were on their way when the first was refused; all others have waited for the time it was told.
  const told = firstAfter(true);
  const during = upgrades.filter((ms) => ms < told + wait * 1000 - 20);
  // As many as the rate lets go until the first refusal was read, which takes its time on a busy machine.
  const read = Date.parse(String(refusals()[0]?.time)) - performance.timeOrigin - at;
  const rate = exchangeByName("binance").limits.connectsPerSecond;
  expect(during.length).toBeLessThanOrEqual(2 + Math.max(0, Math.floor(((read - told) / 1000) * rate)));
  // A reading of the list makes two requests, of which the first may have been let through.
  const early = rest.filter((ms) => ms < firstAfter(false) + wait * 1000 - 20);
  expect(early.length).toBeLessThanOrEqual(2);
  const pause = (rest[early.length] ?? 0) - firstAfter(false, early.length - 1);
  expect(pause).toBeGreaterThanOrEqual(wait * 1000 - 20);
  const failed = recorder.process.events("discovery_failed");
  expect(failed.length).toBe(1);
  expect(String(failed[0]?.error)).toContain(kind);
  const words = recorder.process
    .events("ws_disconnect")
    .map((line) => disconnectLine.parse(line).reason)
    .filter((reason) => reason.includes(kind));
  // One that was on its way may have come when nothing was refused any more.
  const until = performance.timeOrigin + at + told + wait * 1000 - 20;
  const letIn = recorder.process
    .events("ws_connect")
    .map(({ time }) => Date.parse(String(time)))
    .filter((time) => time > performance.timeOrigin + at && time < until);
  expect(words.length + letIn.length).toBe(during.length);
  expect(words.length).toBeGreaterThan(0);
  await finish(storm, "binance");
}, 180_000);
