/** `tapedeck simulate`: generated exchanges on loopback. */
import { z } from "zod";
import { parseDuration } from "../config/units.ts";
import {
  SIMULATED_EXCHANGES,
  SIMULATED_NAMES,
  type SimulatedExchange,
  type SimulationStats,
} from "../simulator/exchanges.ts";
import type { Injected } from "../simulator/faults/faults.ts";
import { readFaults, writeFault } from "../simulator/faults/grammar.ts";
import { type Fault, FaultError } from "../simulator/faults/model.ts";
import { untilSignal } from "../simulator/until-signal.ts";
import { type Command, Failure, UsageError } from "./command.ts";

const PORT_DEFAULT = "9443";
const INSTRUMENTS_MAX = 4000;
const RATE_MAX = 10_000_000;
const LIVE_LINE_MS = 1000;
const FAULT_FLAG = "fault";

const whole = (min: number, max: number): z.ZodType<number, string> =>
  z
    .string()
    .refine((text) => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max, {
      error: `a whole number from ${min} to ${max} is wanted`,
    })
    .transform(Number);

const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  context.addIssue({ code: "custom", message: "a duration such as 500ms, 30s or 5m is wanted" });
  return z.NEVER;
});

const faults = z.string().transform((text, context): Fault[] => {
  try {
    return readFaults(text);
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
    return z.NEVER;
  }
});

const OPTIONS = z.object({
  exchange: z
    .enum(SIMULATED_NAMES, { error: `one of ${SIMULATED_NAMES.join(", ")} is wanted` })
    .default("binance"),
  port: z.string().default(PORT_DEFAULT).pipe(whole(0, 65_535)),
  seed: z.string().default("1"),
  instruments: z.string().default("200").pipe(whole(1, INSTRUMENTS_MAX)),
  rate: z
    .string()
    .default("10000")
    .pipe(
      z.union([z.literal("max"), whole(1, RATE_MAX)], {
        error: `"max" or a whole number of events/s is wanted`,
      }),
    ),
  burstFactor: z
    .string()
    .default("1")
    .refine((text) => Number(text) >= 1 && Number(text) <= 1000, {
      error: "a number from 1 to 1000 is wanted",
    })
    .transform(Number),
  burstEvery: z.string().default("60s").pipe(duration),
  burstLength: z.string().default("1s").pipe(duration),
  fault: faults.default([]),
  faultEvery: duration.optional(),
  lifetime: duration.optional(),
  account: z.boolean().default(false),
  relay: z.boolean().default(false),
  quietLog: z.boolean().default(false),
});

/** The command. */
export const command: Command<z.infer<typeof OPTIONS>> = {
  name: "simulate",
  summary: "Serves a simulated exchange over WebSocket and HTTP.",
  description:
    "Serves an exchange with generated markets: the same routes, subscriptions, limits and frames, from a " +
    "seed. GET /sim/stats tells what was sent, GET /sim/faults what went wrong on purpose. Ends on Ctrl-C. " +
    "Several exchanges are several of these. docs/simulator.md lists the faults.",
  flags: [
    { name: "exchange", value: "NAME", meaning: `One of ${SIMULATED_NAMES.join(", ")} (default binance).` },
    { name: "port", value: "N", meaning: `Port on 127.0.0.1; 0 = any free one (default ${PORT_DEFAULT}).` },
    { name: "seed", value: "TEXT", meaning: "Same seed, same prices and ids (default 1)." },
    { name: "instruments", value: "N", meaning: "USDT perpetuals that trade (default 200)." },
    {
      name: "rate",
      value: "N|max",
      meaning: "Quotes and trades per second, or as fast as they are taken (default 10000).",
    },
    {
      name: "burst-factor",
      value: "N",
      meaning: "A burst multiplies the rate by this (default 1: no bursts).",
    },
    { name: "burst-every", value: "60s", meaning: "Time from one burst to the next (default 60s)." },
    { name: "burst-length", value: "1s", meaning: "Length of a burst (default 1s)." },
    {
      name: FAULT_FLAG,
      value: "FAULT",
      meaning: 'What goes wrong and when, such as "silence for=5s at=10s"; several separated by ";".',
    },
    { name: "fault-every", value: "20s", meaning: "A random fault, from the seed, every so often." },
    {
      name: "lifetime",
      value: "24h",
      meaning: "Age at which a connection is closed (default: 24h on binance, never on others).",
    },
    { name: "account", meaning: "Keep an account of every event for GET /sim/account." },
    {
      name: "relay",
      meaning:
        "A TCP relay in front, for faults over HTTP that need one; --fault and --fault-every bring it.",
    },
    { name: "quiet-log", meaning: "No live line on the terminal." },
  ],
  common: [],
  options: OPTIONS,
  async run({ options }) {
    const {
      exchange: name,
      port,
      seed,
      instruments,
      rate,
      burstFactor,
      burstEvery,
      burstLength,
      fault,
      faultEvery,
      lifetime,
      account,
      relay,
      quietLog,
    } = options;
    onlyOnce(process.argv);
    const exchange = orFailure(port, () =>
      SIMULATED_EXCHANGES[name]({
        port,
        seed,
        instruments,
        rate,
        burstFactor,
        burstEveryMs: burstEvery,
        burstLengthMs: burstLength,
        account,
        relay: relay || fault.length > 0 || faultEvery !== undefined,
        ...(lifetime === undefined ? {} : { lifetimeMs: lifetime }),
      }),
    );
    const ended = untilSignal();
    console.log(`simulate: ${name} with ${instruments} instruments, seed ${seed}, ready at ${exchange.url}`);
    console.log(
      `record it: tapedeck record --exchanges ${name} --set exchanges.${name}.ws_url=${exchange.url} --set exchanges.${name}.rest_url=${exchange.restUrl}`,
    );
    try {
      for (const one of fault) report(exchange.faults.inject(one), seed);
    } catch (error) {
      await exchange.stop();
      if (error instanceof FaultError) throw new Failure(`--${FAULT_FLAG}: ${error.message}`);
      throw error;
    }
    if (faultEvery !== undefined) randomFaults(exchange, faultEvery, seed);
    const live = !quietLog && process.stderr.isTTY ? liveLine(() => exchange.stats()) : undefined;
    await ended;
    live?.();
    const stats = exchange.stats();
    await exchange.stop();
    console.log(`simulate: sent ${sentText(stats)} to ${stats.connectionsTotal} connections`);
    return 0;
  },
};

/** The command line keeps the last of a repeated flag: what would be lost without a word is an error. */
function onlyOnce(argv: readonly string[]): void {
  const given = argv.filter((text) => text === `--${FAULT_FLAG}` || text.startsWith(`--${FAULT_FLAG}=`));
  if (given.length > 1) {
    throw new UsageError([
      `--${FAULT_FLAG}: stands there ${given.length} times; write one, faults separated by ";"`,
    ]);
  }
}

function randomFaults({ faults }: SimulatedExchange, everyMs: number, seed: string): void {
  faults.every(everyMs, (injected) => report(injected, seed), {
    skipped: (fault, why) => console.log(`simulate: no fault now: ${writeFault(fault)}: ${why}`),
  });
}

/** A line when it is injected and one when it is over. */
function report({ record, ended }: Injected, seed: string): void {
  const { id, fault, injectedUs } = record;
  console.log(`simulate: fault ${id} at ${timeText(injectedUs)}: ${writeFault(fault)} (seed ${seed})`);
  void ended.then(() => {
    const { startedUs, endedUs, connections, symbols, frames, error } = record;
    if (error !== null) console.log(`simulate: fault ${id} failed: ${error}`);
    else if (startedUs !== null && endedUs !== null) {
      const met = `${connections.length} connections, ${symbols.length} symbols, ${frames} frames`;
      console.log(`simulate: fault ${id} over, ${timeText(startedUs)} to ${timeText(endedUs)}: ${met}`);
    }
  });
}

function timeText(us: number): string {
  return new Date(us / 1000).toISOString();
}

/** Redraws one line a second on stderr; the returned function ends it. */
function liveLine(read: () => SimulationStats): () => void {
  let before = 0;
  const timer = setInterval(() => {
    const stats = read();
    const total = sum(stats);
    const rate = Math.round(((total - before) * 1000) / LIVE_LINE_MS).toLocaleString("en");
    before = total;
    process.stderr.write(
      `\r\x1b[K${rate} frames/s · ${total.toLocaleString("en")} sent · ${stats.connections} connections · ${stats.subscriptions} streams`,
    );
  }, LIVE_LINE_MS);
  return () => {
    clearInterval(timer);
    process.stderr.write("\r\x1b[K");
  };
}

function sum({ sent }: SimulationStats): number {
  return Object.values(sent).reduce((total, count) => total + count, 0);
}

function sentText(stats: SimulationStats): string {
  const kinds = Object.entries(stats.sent).map(([kind, count]) => `${kind} ${count}`);
  return `${sum(stats)} frames (${kinds.join(", ")})`;
}

function orFailure<T>(port: number, start: () => T): T {
  try {
    return start();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
      throw new Failure(`port ${port} on 127.0.0.1 is taken: choose another with --port`);
    }
    throw error;
  }
}
