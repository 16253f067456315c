/** `tapedeck record` in a process of its own, and its status API. */
import { join } from "node:path";
import { z } from "zod";
import { type Running, tapedeck } from "./process.ts";
import { waitFor } from "./wait.ts";

const count = z.int().nonnegative();

/** Where every received event is. */
export const balanceSchema = z.strictObject({
  received: count,
  recovered: count,
  published: count,
  uploading: count,
  inOutbox: count,
  inJournal: count,
  inTable: count,
  inRing: count,
  dropped: count,
  holds: z.boolean(),
});
/** See {@link balanceSchema}. */
export type BalanceAnswer = z.infer<typeof balanceSchema>;

const metricsAnswer = z.looseObject({
  total_events: count,
  events_per_sec: z.record(z.string(), z.number()),
  dropped_events_total: count,
  queue_size: count,
  balance: balanceSchema,
});

/** Where exchanges are reached. */
export interface Endpoints {
  readonly url: string;
  readonly restUrl: string;
}

/** How a recording is started. */
export interface RecordOptions {
  readonly cwd: string;
  /** Data folder; `data` in `cwd` unless said otherwise. */
  readonly data?: string;
  /** Where the exchange is. */
  readonly exchange: Endpoints;
  /** Settings by path. */
  readonly set?: Readonly<Record<string, string>>;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** As for `tapedeck()`. */
  readonly env?: Readonly<Record<string, string>>;
  readonly preload?: string;
}

/** Arguments of `record` for these options. */
export function recordArguments(options: RecordOptions): string[] {
  const { cwd, data = join(cwd, "data"), exchange, set = {}, args = [] } = options;
  const settings = {
    instance: "test",
    // Far above what a stop takes: what is to be published is, however slow the machine is.
    "stop.timeout": "2m",
    "exchanges.binance.ws_url": exchange.url,
    "exchanges.binance.rest_url": exchange.restUrl,
    ...set,
  };
  const sets = Object.entries(settings).flatMap(([path, value]) => ["--set", `${path}=${value}`]);
  return ["record", "--data", data, "--port", "0", "--exchanges", "binance", ...sets, ...args];
}

/** Starts a recording and waits until its status API answers. */
export async function startRecorder(options: RecordOptions): Promise<RunningRecorder> {
  const { cwd, env = {}, preload } = options;
  const process = tapedeck(recordArguments(options), {
    cwd,
    env,
    ...(preload === undefined ? {} : { preload }),
  });
  const { url } = await process.event("status_api");
  return new RunningRecorder(process, options.data ?? join(options.cwd, "data"), z.string().parse(url));
}

/** What a recorder said at its end. */
export const endSchema = z.looseObject({
  ...balanceSchema.shape,
  run: z.string(),
  lost: count.nullable(),
});

/** A recorder that is running. */
export class RunningRecorder {
  constructor(
    readonly process: Running,
    /** Data folder. */
    readonly data: string,
    /** Base of its status API. */
    readonly url: string,
  ) {}

  /** An answer of the status API, waiting as long as it says that the recorder is starting. */
  async get(path: string): Promise<unknown> {
    const response = await waitFor(`an answer to GET ${path}`, async () => {
      const answer = await fetch(this.url + path);
      return answer.status !== 503 && answer;
    });
    if (response.status !== 200) throw new Error(`GET ${path} answered ${response.status}`);
    return response.json();
  }

  async metrics() {
    return metricsAnswer.parse(await this.get("/metrics"));
  }

  /** Waits until /metrics shows something. */
  until(what: string, holds: (metrics: z.infer<typeof metricsAnswer>) => boolean): Promise<unknown> {
    let last: unknown;
    return waitFor(
      what,
      async () => {
        const response = await fetch(`${this.url}/metrics`);
        // It answers before it has started, which takes its time on a busy machine.
        if (response.status === 503) return false;
        if (response.status !== 200) throw new Error(`GET /metrics answered ${response.status}`);
        const metrics = metricsAnswer.parse(await response.json());
        last = metrics;
        return holds(metrics);
      },
      { every: 20, state: () => `${JSON.stringify(last)}\n${this.process.words}` },
    );
  }

  /** Ends it by a signal; resolves to the exit code and what it said at the end. */
  async stop(signal: "SIGTERM" | "SIGINT" = "SIGTERM") {
    this.process.signal(signal);
    const code = await this.process.exit();
    return { code, end: endSchema.parse(this.process.events("collector_stop")[0]) };
  }
}
