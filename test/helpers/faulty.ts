/** Simulated exchanges of this process with faults on demand, and a recorder of them in a process of its own. */
import { afterAll, expect } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { startBybit } from "../../src/simulator/bybit.ts";
import type { SimulatedExchange, SimulatedName, SimulationOptions } from "../../src/simulator/exchanges.ts";
import { startOkx } from "../../src/simulator/okx.ts";
import { auditLake } from "./audit.ts";
import { type Sql, withSql } from "./lake.ts";
import { type RunningRecorder, startRecorder } from "./recorder.ts";
import { still, waitFor } from "./wait.ts";

/** A simulated exchange and its name. */
export interface Faulty {
  readonly name: SimulatedName;
  readonly exchange: SimulatedExchange;
}

const running = new Set<SimulatedExchange>();

/** Ends, after the tests of the calling file, every exchange that is still there. */
export function endFaulty(): void {
  afterAll(async () => {
    await Promise.all([...running].map((exchange) => exchange.stop()));
    running.clear();
  });
}

/** Starts exchanges that keep an account, each with an instrument that waits to be listed. */
export function startFaulty(names: readonly SimulatedName[], options: SimulationOptions): Faulty[] {
  return names.map((name) => {
    const all = { account: true, ...options };
    const exchange =
      name === "binance"
        ? startBinance({ ...all, waiting: 1 })
        : name === "okx"
          ? startOkx({ ...all, waiting: 1 })
          : startBybit({ ...all, preLaunch: 1 });
    running.add(exchange);
    return { name, exchange };
  });
}

/** Records these exchanges in a folder of its own below `folder`, until all is subscribed and `events` came. */
export async function recordFaulty(
  folder: string,
  name: string,
  faulty: readonly Faulty[],
  {
    set = {},
    streams = [],
    events = 1000,
  }: { set?: Readonly<Record<string, string>>; streams?: readonly string[]; events?: number } = {},
): Promise<RunningRecorder> {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  const [first] = faulty;
  if (first === undefined) throw new Error("no exchange");
  const places = faulty.flatMap(({ name: exchange, exchange: { url, restUrl } }) => [
    [`exchanges.${exchange}.ws_url`, url],
    [`exchanges.${exchange}.rest_url`, restUrl],
  ]);
  const recorder = await startRecorder({
    cwd,
    exchange: first.exchange,
    set: { ...Object.fromEntries(places), ...set },
    args: [
      "--exchanges",
      faulty.map((one) => one.name).join(","),
      ...(streams.length === 0 ? [] : ["--streams", streams.join(",")]),
    ],
  });
  await recorder.until(`${events} events`, ({ total_events }) => total_events >= events);
  await waitFor(
    "the gap of the start of every exchange",
    () =>
      faulty.every((one) =>
        recorder.process.events("gap").some((line) => line.reason === "start" && line.exchange === one.name),
      ),
    { state: () => recorder.process.words },
  );
  return recorder;
}

/**
 * Ends it all: the markets stop, what is on its way arrives, the recorder ends well, its lake is audited, and what
 * was received is what is there. `check` sees the lake.
 */
export async function endRecording(
  recorder: RunningRecorder,
  faulty: readonly Faulty[],
  check: (sql: Sql, data: string) => Promise<void>,
): Promise<void> {
  await Promise.all(faulty.map(({ exchange }) => exchange.pause()));
  await still("what comes in", async () => (await recorder.metrics()).total_events);
  const { code, end } = await recorder.stop();
  expect(code, recorder.process.words).toBe(0);
  expect(end).toMatchObject({ dropped: 0, lost: 0, holds: true, published: end.received });
  expect(recorder.process.events("thread_died")).toEqual([]);
  expect(recorder.process.events("gaps_not_named")).toEqual([]);
  await withSql(async (sql) => {
    expect(await auditLake(sql, recorder.data)).toMatchObject({ rows: end.received, holes: 0 });
    await check(sql, recorder.data);
  });
  for (const { exchange } of faulty) {
    running.delete(exchange);
    await exchange.stop();
  }
}
