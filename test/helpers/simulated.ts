/** Simulated exchanges in processes of their own, which can be paused, and list and delist in flight. */
import { afterAll } from "bun:test";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { z } from "zod";
import { SHORT_LIVED } from "./program.ts";
import { within } from "./wait.ts";

const MAIN = join(import.meta.dir, "simulated-process.ts");

const counts = z.record(z.string(), z.int());
const statsSchema = z.looseObject({
  sent: counts,
  symbols: z.record(z.string(), counts),
  events: z.int(),
  subscriptions: z.int(),
  silentSubscriptions: z.int(),
  connectionsTotal: z.int(),
  slowConsumersTotal: z.int(),
  skippedMs: z.number(),
});
/** What it has done: events handed to subscribers by kind, and by kind of each instrument. */
export type SimulatedStats = z.infer<typeof statsSchema>;

const readySchema = z.strictObject({ url: z.string(), restUrl: z.string() });
const answerSchema = z.strictObject({
  id: z.int(),
  result: z.unknown().optional(),
  error: z.string().optional(),
});

/** How it is started. */
export interface SimulatedStart {
  readonly exchange: "binance" | "bybit" | "okx";
  readonly options: {
    readonly seed?: string;
    readonly instruments?: number;
    readonly rate?: number;
    readonly liquidationShare?: number;
    /** See GenerationOptions. */
    readonly burstFactor?: number;
    readonly burstEveryMs?: number;
    readonly burstLengthMs?: number;
    /** Keeps an account of every event, at `restUrl` + `/sim/account`. */
    readonly account?: boolean;
  };
  /** By how much it steps back behind others that want a processor, 0 to 19; 0 unless said. */
  readonly nice?: number;
}

const running = new Set<Simulated>();

/** Ends, after the tests of the calling file, what is still running. */
export function endSimulated(): void {
  afterAll(() => Promise.all([...running].map((one) => one[Symbol.asyncDispose]())));
}
process.on("exit", () => {
  for (const one of running) one.kill();
});

/** Starts one and waits until it serves. */
export async function startSimulated({ nice = 0, ...start }: SimulatedStart): Promise<Simulated> {
  const ready = Promise.withResolvers<z.infer<typeof readySchema>>();
  const answered = (message: unknown) => {
    if (one.take(message)) return;
    ready.resolve(readySchema.parse(message));
  };
  const by = nice === 0 ? [] : ["nice", "-n", String(nice)];
  const child = Bun.spawn([...by, process.execPath, MAIN, JSON.stringify(start)], {
    env: { ...process.env, ...SHORT_LIVED },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    serialization: "json",
    ipc: answered,
    onExit: (_child, code) => {
      ready.reject(new Error(`the simulated ${start.exchange} has ended with ${code}`));
      running.delete(one);
    },
  });
  const one: Simulated = new Simulated(start.exchange, child);
  running.add(one);
  const { url, restUrl } = await within(`the simulated ${start.exchange}`, ready.promise);
  one.url = url;
  one.restUrl = restUrl;
  return one;
}

/** One that is running. */
export class Simulated implements AsyncDisposable {
  /** Bases for the settings `exchanges.<name>.ws_url` and `.rest_url`. */
  url = "";
  restUrl = "";
  readonly #child: Subprocess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  constructor(
    readonly exchange: SimulatedStart["exchange"],
    child: Subprocess,
  ) {
    this.#child = child;
  }

  /** Takes an answer; false = it is none. */
  take(message: unknown): boolean {
    const parsed = answerSchema.safeParse(message);
    if (!parsed.success) return false;
    const { id, result, error } = parsed.data;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
    return true;
  }

  #call(call: string, instrument?: string): Promise<unknown> {
    const id = this.#calls++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#child.send({ id, call, ...(instrument === undefined ? {} : { instrument }) });
    return within(`${call} of the simulated ${this.exchange}`, answer.promise);
  }

  async stats(): Promise<SimulatedStats> {
    return statsSchema.parse(await this.#call("stats"));
  }

  /** Stops its markets; resolves when every socket has taken what it was sent, to all that was sent. */
  async pause(): Promise<SimulatedStats> {
    return statsSchema.parse(await this.#call("pause"));
  }

  /** Lets its markets go on. */
  async resume(): Promise<void> {
    await this.#call("resume");
  }

  /** Lists the instrument that waits; resolves to its id. */
  async list(): Promise<string> {
    return z.string().parse(await this.#call("list"));
  }

  /** Takes an instrument off the market. */
  async delist(instrument: string): Promise<void> {
    await this.#call("delist", instrument);
  }

  /** The instrument as REST has it now; undefined = it is not listed. */
  async listed(instrument: string): Promise<unknown> {
    const { path, list, key } = REST[this.exchange];
    const answer: unknown = await (await fetch(this.restUrl + path)).json();
    return list.parse(answer).find((entry) => entry[key] === instrument);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#child.exited;
  }
}

const entries = z.array(z.record(z.string(), z.unknown()));
/** Where an exchange lists its instruments, all on one page as long as they are fewer than 1000. */
const REST = {
  binance: {
    path: "/fapi/v1/exchangeInfo",
    list: z.looseObject({ symbols: entries }).transform(({ symbols }) => symbols),
    key: "symbol",
  },
  bybit: {
    path: "/v5/market/instruments-info?category=linear&limit=1000",
    list: z
      .looseObject({ result: z.looseObject({ list: entries }) })
      .transform(({ result: { list } }) => list),
    key: "symbol",
  },
  okx: {
    path: "/api/v5/public/instruments?instType=SWAP",
    list: z.looseObject({ data: entries }).transform(({ data }) => data),
    key: "instId",
  },
} as const;
