/** One recording from socket to published Parquet, measured: the load source, the recorder, and the lake afterwards. */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { z } from "zod";
import { startSource } from "../source/handle.ts";
import type { Load, Played } from "../source/messages.ts";
import { MIX } from "../source/tape.ts";
import { fetchLake, settingsOf, startBucket } from "./bucket.ts";
import { collectionOf } from "./garbage.ts";
import { type Recorded, recordedSchema } from "./recorded.ts";
import type { Figure } from "./report.ts";
import { single } from "./report.ts";

/** How a recording is made. */
export interface RecordingOptions {
  readonly symbols: number;
  readonly load: Load;
  /** Played before what is measured, so that the engine's compilers have been there; only its drops count. */
  readonly warmUp?: Load;
  readonly scratch: string;
  /** Share of bookTicker frames, 0 to 1; that of the mix unless said. */
  readonly quotes?: number;
  /** Whether garbage collections are logged, which costs a little. */
  readonly garbage?: boolean;
  /** Whether files go to a bucket (the stand-in of the tests, in a process of its own) instead of a local lake. */
  readonly bucket?: boolean;
  /** Settings besides those that a bench needs. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** What came of it. */
export interface Recording {
  readonly recorded: Recorded;
  readonly played: Played;
  /** Frames a second that the source brought out. */
  readonly perSecond: number;
  /** CPU time of the recorder, ns an event. */
  readonly cpuNs: number;
  readonly sourceNs: number;
  /** From frame written to receive time, ms, of bookTicker. */
  readonly lag: { readonly p50: number; readonly p99: number; readonly p999: number };
  /** Bytes of Parquet an event. */
  readonly bytes: number;
  /** Share of CPU time, %; NaN unless asked for. */
  readonly gc: number;
}

/** Where the recorder says what. */
const saidSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("ready") }),
  z.strictObject({ type: z.literal("begun") }),
  z.strictObject({ type: z.literal("recorded"), recorded: recordedSchema }),
]);
type Said = z.infer<typeof saidSchema>;

/** Channels that the recorder subscribes besides those of symbols. */
const ANNOUNCEMENTS = 1;

/** Where the process tells what it told, one message after another. */
function startRecorder(settings: object, garbage: boolean) {
  const waiting = new Map<Said["type"], (said: Said) => void>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, "recorder-process.ts"), JSON.stringify(settings)],
    {
      env: { ...process.env, ...(garbage ? { BUN_JSC_logGC: "1" } : {}) },
      stdio: ["ignore", "ignore", garbage ? "pipe" : "inherit"],
      ipc: (message) => {
        const said = saidSchema.parse(message);
        waiting.get(said.type)?.(said);
      },
      onExit: (_, code) => failed.reject(new Error(`the recorder ended with ${code}`)),
    },
  );
  const collected = garbage
    ? new Response(child.stderr as ReadableStream<Uint8Array>).text()
    : Promise.resolve("");
  const next = <T extends Said["type"]>(type: T): Promise<Extract<Said, { type: T }>> => {
    const said = new Promise<Said>((resolve) => waiting.set(type, resolve));
    return Promise.race([said, failed.promise]) as Promise<Extract<Said, { type: T }>>;
  };
  return { child, next, collected };
}

/** Records a load; the lake is looked at and removed. @throws Error when the recorder's balance does not hold */
export async function record(options: RecordingOptions): Promise<Recording> {
  const { symbols, load, warmUp, scratch, quotes = MIX.quotes, garbage = false, settings = {} } = options;
  await using bucket = options.bucket === true ? await startBucket() : null;
  const data = join(scratch, `data-${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(data, { recursive: true });
  using source = await startSource({ ...MIX, symbols, quotes });
  const recorder = startRecorder(
    {
      instance: "bench",
      data,
      record: { exchanges: ["binance"], streams: ["bbo", "trade"] },
      exchanges: { binance: { ws_url: `ws://${source.host}`, rest_url: `http://${source.host}` } },
      ...(bucket === null ? {} : settingsOf(bucket.options)),
      ...settings,
    },
    garbage,
  );
  try {
    await recorder.next("ready");
    await source.subscribed(2 * symbols + ANNOUNCEMENTS);
    const before = warmUp === undefined ? 0 : (await source.play(warmUp)).frames;
    const begun = recorder.next("begun");
    recorder.child.send({ type: "begin" });
    await begun;
    const since = Date.now() * 1000;
    const played = await source.play(load);
    const end = recorder.next("recorded");
    const frames = before + played.frames;
    recorder.child.send({ type: "end", events: frames });
    const { recorded } = await end;
    if (recorded.exitCode !== 0 || recorded.received !== frames)
      throw new Error(
        `of ${frames} frames ${recorded.received} were received, the recorder ended with ${recorded.exitCode}: ${recorded.complaints.join(" ")}`,
      );
    await recorder.child.exited;
    const lake = join(data, "lake");
    if (bucket !== null) await fetchLake(bucket.options, lake);
    return {
      recorded,
      played,
      perSecond: (played.frames * 1000) / played.ms,
      cpuNs: (recorded.cpuUs * 1000) / played.frames,
      sourceNs: (played.cpuUs * 1000) / played.frames,
      lag: quotes > 0 ? await lagOf(lake, since) : { p50: Number.NaN, p99: Number.NaN, p999: Number.NaN },
      bytes: sizeOf(lake) / recorded.published,
      gc: garbage ? (100 * 1000 * collectionOf(await recorder.collected)) / recorded.cpuUs : Number.NaN,
    };
  } finally {
    recorder.child.kill("SIGKILL");
    rmSync(data, { recursive: true, force: true });
  }
}

const lagSchema = z.tuple([z.coerce.number(), z.coerce.number(), z.coerce.number()]);

/**
 * Lag from the files: the update_id of the source's quotes is the time at which they were written, µs.
 *
 * @param since quotes written before, µs, do not count
 */
async function lagOf(lake: string, since: number): Promise<Recording["lag"]> {
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  const connection = await instance.connect();
  const late = "epoch_us(local_timestamp) - update_id";
  const quantiles = [0.5, 0.99, 0.999].map((q) => `quantile_disc(${late}, ${q})`).join(", ");
  const reader = await connection.runAndReadAll(
    `SELECT ${quantiles} FROM read_parquet('${lake}/v1/*/stream=bbo/*/*.parquet') WHERE update_id >= ${since}`,
  );
  connection.closeSync();
  instance.closeSync();
  const [p50, p99, p999] = lagSchema.parse(reader.getRows()[0]);
  return { p50: p50 / 1000, p99: p99 / 1000, p999: p999 / 1000 };
}

/** Bytes of all files of events. */
function sizeOf(lake: string): number {
  const files = readdirSync(lake, { recursive: true, encoding: "utf8" });
  return files
    .filter(
      (name) => name.endsWith(".parquet") && (name.includes("stream=bbo") || name.includes("stream=trade")),
    )
    .reduce((sum, name) => sum + statSync(join(lake, name)).size, 0);
}

/** A recording as a line of the table. */
export function figureOf(name: string, { recorded, ...one }: Recording): Figure {
  return {
    name,
    cpuNs: single(one.cpuNs),
    perSecond: single(one.perSecond),
    bytes: one.bytes,
    ring: recorded.ring,
    drops: recorded.dropped,
    lag: one.lag,
    rss: recorded.rss.max,
    ...(Number.isNaN(one.gc) ? {} : { gc: one.gc }),
    sourceNs: one.sourceNs,
  };
}
