/**
 * The cut after 24 hours in fast motion: exchanges close every connection at a certain age, the recorder replaces
 * it before that, old and new side by side. Not one event is lost or recorded twice, and nobody is alarmed.
 */
import { expect, test } from "bun:test";
import { z } from "zod";
import { compareWithAccount, gapRows, onceEach, unplanned } from "../helpers/account-rows.ts";
import { endFaulty, endRecording, recordFaulty, startFaulty } from "../helpers/faulty.ts";
import { streamFrom } from "../helpers/lake.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";

const folder = scratchFolder("planned-cut");
endFaulty();

/** Age at which the exchanges close a connection, ms: 24 h on the real one. */
const LIFETIME = 20_000;
/** Age before which the recorder replaces it (default: what the exchange documents). */
const MAX_AGE = 4000;
/** Replacements of each set of channels. */
const REPLACEMENTS = 3;
/** Connections that carry events: Binance has two routes. */
const SETS = { binance: 2, bybit: 1, okx: 1 } as const;
/** Events a second of each exchange. */
const RATE = 1000;

const status = z.looseObject({ state: z.string() });
const metrics = z.looseObject({
  ws_reconnect_total: z.record(z.string(), z.int()),
  total_events: z.int(),
  balance: z.looseObject({ received: z.int(), holds: z.boolean() }),
  connections: z.record(z.string(), z.looseObject({ planned_replacements: z.int(), duplicates: z.int() })),
});
const replacedLine = z.looseObject({
  exchange: z.enum(["binance", "bybit", "okx"]),
  connection: z.int(),
  by: z.array(z.int()),
  why: z.string(),
  failed: z.boolean(),
  duplicates: z.int(),
  unmatched: z.int(),
});

test(`three planned replacements of every connection of three exchanges, under load: nothing lost, nothing twice`, async () => {
  console.log(`planned cut: TAPEDECK_TEST_SEED=${SEED}`);
  const faulty = startFaulty(["binance", "bybit", "okx"], {
    seed: SEED,
    instruments: 8,
    rate: RATE,
    lifetimeMs: LIFETIME,
  });
  const recorder = await recordFaulty(folder, "all", faulty, {
    set: {
      "connection.max_age": `${MAX_AGE}ms`,
      "connection.overlap": "500ms",
    },
  });
  const replaced = () =>
    recorder.process.events("connection_replaced").map((line) => replacedLine.parse(line));
  // By the chain of connections: each replacement continues the one before.
  const longestChains = () => {
    const depth = new Map<number, number>();
    const heads: Record<string, number[]> = { binance: [], bybit: [], okx: [] };
    for (const { connection, by } of replaced())
      for (const next of by)
        depth.set(next, Math.max(depth.get(next) ?? 0, (depth.get(connection) ?? 0) + 1));
    const old = new Set(replaced().map(({ connection }) => connection));
    for (const { exchange, by } of replaced())
      for (const next of by) if (!old.has(next)) heads[exchange]?.push(depth.get(next) ?? 0);
    return heads;
  };
  const states = new Set<string>();
  await waitFor(
    `${REPLACEMENTS} replacements of each connection`,
    async () => {
      const { state } = status.parse(await recorder.get("/status"));
      states.add(state);
      const { balance } = metrics.parse(await recorder.get("/metrics"));
      expect(balance.holds).toBe(true);
      const heads = longestChains();
      return Object.entries(SETS).every(
        ([name, sets]) => (heads[name] ?? []).filter((depth) => depth >= REPLACEMENTS).length >= sets,
      );
    },
    {
      every: 100,
      timeout: 90_000,
      state: () => `${JSON.stringify(longestChains())}\n${recorder.process.words}`,
    },
  );
  // Statistics come from the workers four times a second, log lines at once.
  await waitFor("the statistics of these replacements", async () => {
    const { connections } = metrics.parse(await recorder.get("/metrics"));
    return Object.entries(SETS).every(
      ([name, sets]) => (connections[name]?.planned_replacements ?? 0) >= REPLACEMENTS * sets,
    );
  });
  const { ws_reconnect_total: reconnects, connections } = metrics.parse(await recorder.get("/metrics"));
  expect(reconnects).toEqual({ binance: 0, bybit: 0, okx: 0 });
  // Second copies are counted beside what is received, see the end.
  for (const [name, sets] of Object.entries(SETS)) {
    expect(connections[name]?.planned_replacements, name).toBeGreaterThanOrEqual(REPLACEMENTS * sets);
    expect(connections[name]?.duplicates, name).toBeGreaterThan(100);
  }
  expect([...states]).toEqual(["READY"]);
  for (const line of replaced()) expect(line).toMatchObject({ why: "age", failed: false, unmatched: 0 });
  await endRecording(recorder, faulty, async (sql, data) => {
    for (const { name, exchange } of faulty) {
      const { expected, byStream, mismatches } = await compareWithAccount(sql, data, {
        exchange: name,
        account: exchange.account,
        wanted: onceEach,
      });
      const chains = longestChains()[name];
      console.log(
        `${name}: ${expected} events ${JSON.stringify(byStream)}, replacements ${JSON.stringify(chains)}`,
      );
      expect(mismatches.slice(0, 20), `${mismatches.length} of ${expected} events of ${name}`).toEqual([]);
      expect(expected).toBeGreaterThan(RATE);
    }
    const gaps = await gapRows(sql, data);
    expect(unplanned(gaps)).toEqual([]);
    expect(new Set(gaps.map(({ reason }) => reason))).toEqual(new Set(["start", "stop"]));
    // Every socket that ended was closed by us, before the exchange did.
    const codes = await sql.rows(
      `SELECT DISTINCT close_code, close_reason FROM ${streamFrom(data, "connections")} ORDER BY ALL`,
    );
    expect(codes).toEqual([
      { close_code: 1000, close_reason: "replaced (age)" },
      { close_code: 1000, close_reason: "stopped by us" },
    ]);
  });
}, 180_000);
