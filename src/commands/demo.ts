import { z } from "zod";
import type { Settings } from "../config/schema.ts";
import { redactorOf } from "../config/secrets.ts";
import { formatDuration } from "../config/units.ts";
import type { Recorder } from "../recorder/recorder.ts";
import { runSession } from "../recorder/session.ts";
import { SIMULATED_NAMES, type SimulatedName } from "../simulator/exchanges.ts";
import type { FromSimulator, SimulatedEndpoint, ToSimulator } from "../simulator/worker.ts";
import { createLogger } from "../status/log.ts";
import { paletteFor } from "../status/palette.ts";
import { AddressError, type StatusServer } from "../status/server.ts";
import { queueOf, type Snapshot } from "../status/snapshot.ts";
import { FolderError } from "../storage/folder.ts";
import { PreflightError } from "../storage/upload/preflight.ts";
import { type Command, Failure } from "./command.ts";

/** What the demo does differently from `record`, unless it was set: short, and several files to look at. */
const DEMO_DEFAULTS = { data: "./data-demo", duration: 30_000, interval: 10_000, minGap: 500 } as const;
/** How often the live line is drawn on a terminal, and how often a line is printed elsewhere, ms. */
const LIVE_INTERVAL = { terminal: 200, plain: 5000 } as const;

interface Options {
  rate: number | "max";
  instruments: number;
  seed: string;
}

const whole = (max: number) =>
  z
    .string()
    .regex(/^[1-9]\d*$/, "is not a whole number above 0")
    .transform(Number)
    .refine((value) => value <= max, `is more than ${max}`);

/** `tapedeck demo` */
export const command: Command<Options> = {
  name: "demo",
  summary: "Records the built-in simulated exchanges and shows what came of it.",
  description:
    "Starts simulated exchanges on this machine, records them as `record` would, and then asks the fresh lake " +
    `what is in it. Nothing leaves this machine. Without --data it writes to ${DEMO_DEFAULTS.data}, without ` +
    `--duration it takes ${formatDuration(DEMO_DEFAULTS.duration)}.`,
  flags: [
    {
      name: "rate",
      value: "N|max",
      meaning: "Quotes and trades a second over all exchanges (default 20000).",
    },
    { name: "instruments", value: "N", meaning: "Instruments each of them trades (default 200)." },
    { name: "seed", value: "TEXT", meaning: "Seed of its markets (default: demo)." },
  ],
  common: "all",
  options: z.strictObject({
    rate: z
      .union([z.literal("max"), whole(10_000_000)], { error: '"max" or a whole number above 0 is wanted' })
      .default(20_000),
    instruments: whole(4000).default(200),
    seed: z.string().min(1).default("demo"),
  }),
  async run({ options, settings: given, sources }) {
    const names = SIMULATED_NAMES.filter((name) => given.record.exchanges.includes(name));
    const simulator = await startSimulator(names, options);
    const isDefault = (path: string) => sources.get(path) === "default";
    const settings: Settings = {
      ...given,
      data: isDefault("data") ? DEMO_DEFAULTS.data : given.data,
      record: {
        ...given.record,
        exchanges: names,
        duration: given.record.duration ?? DEMO_DEFAULTS.duration,
      },
      exchanges: pointedAt(given.exchanges, simulator.endpoints),
      // Whatever the environment says: what is made up here has no place in a bucket.
      storage: { ...given.storage, backend: "local", fallback: "none" },
      // Nor does it wake anybody.
      notify: { ...given.notify, webhook_url: undefined, telegram_token: undefined },
      flush: {
        ...given.flush,
        interval: isDefault("flush.interval") ? DEMO_DEFAULTS.interval : given.flush.interval,
        slow_interval: isDefault("flush.slow_interval") ? DEMO_DEFAULTS.interval : given.flush.slow_interval,
        min_gap: isDefault("flush.min_gap") ? DEMO_DEFAULTS.minGap : given.flush.min_gap,
      },
    };
    const live = new LiveLine();
    const log = createLogger({
      format: "pretty",
      level: "warn",
      redact: redactorOf(settings),
      palette: paletteFor(process.stdout.isTTY === true),
      write: (line) => live.print(line.trimEnd()),
    });
    let timer: ReturnType<typeof setInterval> | undefined;
    const onStart = (recorder: Recorder, status: StatusServer) => {
      live.print(
        `tapedeck demo: simulated ${names.join(", ")} with ${options.instruments} perpetuals each at ` +
          `${options.rate === "max" ? "full speed" : `${options.rate.toLocaleString("en-US")} events/s`}, recorded for ` +
          `${formatDuration(settings.record.duration ?? 0)} to ${settings.data}\nwatch it: ${status.url}\n`,
      );
      const interval = process.stdout.isTTY ? LIVE_INTERVAL.terminal : LIVE_INTERVAL.plain;
      timer = setInterval(
        () =>
          live.draw(
            recorder.stopping ? "stopping: draining, writing, publishing" : liveText(recorder.snapshot()),
          ),
        interval,
      );
    };
    try {
      const startedAt = performance.now();
      const cpu = process.cpuUsage();
      const end = await runSession(settings, log, onStart).catch((error: unknown) => {
        // The usual port may be taken by a real recorder: a demo does not need that very one.
        if (!(error instanceof AddressError) || !isDefault("status.port")) throw error;
        return runSession({ ...settings, status: { ...settings.status, port: 0 } }, log, onStart);
      });
      clearInterval(timer);
      live.end();
      const sent = await simulator.stop();
      const seconds = (performance.now() - startedAt) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      // Loads DuckDB, which `--help` need not.
      const { summarize } = await import("./demo-summary.ts");
      live.print(
        await summarize({
          lake: `${settings.data}/lake`,
          run: end.run,
          snapshot: end.snapshot,
          sent,
          seconds,
          cpuSeconds: (user + system) / 1e6,
        }),
      );
      return end.exitCode;
    } catch (error) {
      const known =
        error instanceof FolderError || error instanceof AddressError || error instanceof PreflightError;
      if (known) throw new Failure(error.message);
      throw error;
    } finally {
      clearInterval(timer);
    }
  },
};

/** Settings of the exchanges with the addresses of their simulated twins. */
function pointedAt(
  exchanges: Settings["exchanges"],
  endpoints: readonly SimulatedEndpoint[],
): Settings["exchanges"] {
  const result = { ...exchanges };
  for (const { exchange, wsUrl, restUrl } of endpoints) {
    result[exchange] = { ...result[exchange], ws_url: wsUrl, rest_url: restUrl };
  }
  return result;
}

async function startSimulator(exchanges: readonly SimulatedName[], options: Options) {
  const worker = new Worker(new URL("../simulator/worker.ts", import.meta.url));
  const ready = Promise.withResolvers<readonly SimulatedEndpoint[]>();
  const stopped = Promise.withResolvers<number>();
  worker.addEventListener("message", ({ data }: MessageEvent<FromSimulator>) => {
    if (data.type === "ready") ready.resolve(data.endpoints);
    else stopped.resolve(data.sent);
  });
  worker.addEventListener("error", (event) => {
    const error = new Error(`the simulated exchange failed: ${event.message}`);
    ready.reject(error);
    stopped.reject(error);
  });
  stopped.promise.catch(() => undefined);
  const post = (message: ToSimulator) => worker.postMessage(message);
  const { seed, instruments, rate } = options;
  const each = rate === "max" ? rate : Math.max(1, Math.round(rate / exchanges.length));
  post({ type: "start", exchanges, options: { port: 0, seed, instruments, rate: each } });
  const endpoints = await ready.promise;
  return {
    endpoints,
    /** Ends them; resolves to the number of frames or events they sent. */
    stop: () => {
      post({ type: "stop" });
      return stopped.promise;
    },
  };
}

/** One line that is drawn over again on a terminal, and printed now and then elsewhere. */
class LiveLine {
  readonly #terminal = process.stdout.isTTY === true;
  #drawn = false;

  draw(text: string): void {
    const columns = process.stdout.columns || 100;
    process.stdout.write(this.#terminal ? `\r\x1b[K${text.slice(0, columns - 1)}` : `${text}\n`);
    this.#drawn = this.#terminal;
  }

  /** Prints lines above the live one. */
  print(text: string): void {
    process.stdout.write(this.#drawn ? `\r\x1b[K${text}\n` : `${text}\n`);
    this.#drawn = false;
  }

  end(): void {
    if (this.#drawn) process.stdout.write("\n");
    this.#drawn = false;
  }
}

function liveText(snapshot: Snapshot): string {
  const { balance, rings, eventsPerSecond, state, uptime, writer } = snapshot;
  const rate = Object.values(eventsPerSecond).reduce((sum, value) => sum + value, 0);
  const count = (value: number) => Math.round(value).toLocaleString("en-US");
  return [
    `${uptime.toFixed(0).padStart(3)} s`,
    state.padEnd(8),
    `${count(rate).padStart(9)} events/s`,
    `queue ${queueOf(rings).pct.toFixed(2).padStart(5)} %`,
    `${count(balance.published).padStart(10)} rows published`,
    `${writer.filesWritten} files`,
    `${count(balance.dropped)} dropped`,
  ].join("  ");
}
