/**
 * A drain in a process of its own that kills itself, as kill -9 does, at a step on the way to a file. Told by one
 * argument, JSON; says on stdout what it took from its ring. Started by steps.test.ts.
 */
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { STREAM_NAMES } from "../../../src/events/streams.ts";
import { Drain, type DrainOptions } from "../../../src/storage/drain.ts";
import { recoverJournals } from "../../../src/storage/journal/recovery.ts";
import { RecoveredCounters } from "../../../src/storage/recovered.ts";
import { Feed } from "../feed.ts";

const told = z
  .strictObject({
    folder: z.string(),
    run: z.string(),
    /** The step at which it ends, and how often it is passed before; null = it ends by itself. */
    step: z.string().nullable(),
    passes: z.int(),
    rows: z.int(),
    /** Receive time of its first row, µs. */
    first: z.int(),
    layout: z.enum(["flat", "symbol"]),
  })
  .parse(JSON.parse(process.argv[2] ?? ""));
const { folder, run, rows, first, layout } = told;
/** In the order of their numbers: one goes on beyond its folder's name, one is not of ASCII, one cannot have a folder. */
const SYMBOLS =
  layout === "flat" ? ["BTCUSDT"] : ["ETHUSDT", "A/B=1%", "币安人生USDT", "X".repeat(70), "BTCUSDT"];
const lake = join(folder, "lake");
const outbox = join(folder, "outbox");

const recovery = await recoverJournals({
  folder: join(folder, "journal"),
  published: async (key) =>
    (await Bun.file(join(outbox, key.replaceAll("/", "~"))).exists()) ||
    (await Bun.file(join(lake, key.replaceAll("/", "~"))).exists()),
  quarantine: (path) => Promise.reject(new Error(`nothing is damaged here, but ${path} is`)),
});
const counters = new RecoveredCounters();
for (const { rest } of recovery.segments) counters.take(rest);
const feed = new Feed("trade", { capacity: 65_536 });
let passes = told.passes;
const bounds = { rows: 400, bytes: 2 ** 30, interval: 3_600_000 };
const drain = await Drain.open(
  {
    run,
    version: "0.1.0",
    rings: [feed.spec],
    outbox,
    quarantine: join(folder, "quarantine"),
    layout,
    journal: { folder: join(folder, "journal"), fsync: "off", fsyncInterval: 1000, maxBytes: 2 ** 40 },
    seal: Object.fromEntries(STREAM_NAMES.map((stream) => [stream, bounds])) as DrainOptions["seal"],
    datasetSeal: bounds,
    firstDatasetRing: 1,
    minGap: 0,
    memoryLimit: 192 * 2 ** 20,
    threads: 1,
    retryMax: 1000,
    recovered: recovery.segments,
    recoveredCounters: counters.buffer,
  },
  {
    // The destination is a folder here; a file goes there before its journal is gone, as it may in life.
    fileFinished: ({ path, key }) => rename(path, join(lake, key.replaceAll("/", "~"))),
    copyFailed: (_segment, error) => {
      throw new Error(error);
    },
    copyRecovered: () => undefined,
    rowsSpoiled: ({ why }) => {
      throw new Error(why);
    },
    journalFault: (why) => {
      throw new Error(why ?? "");
    },
    step: (step) => {
      if (step === told.step && passes-- === 0) process.kill(process.pid, "SIGKILL");
    },
  },
);
drain.addSymbols(
  "binance",
  SYMBOLS.map((symbol, number) => ({ number, symbol, instrument: `${symbol}-X` })),
);
for (let i = 0; i < rows; i++) {
  feed.push(i % SYMBOLS.length, first + i, { id: String(first + i), price: i });
  if (i % 100 !== 99) continue;
  feed.publish();
  await drain.step();
  console.log(`taken ${feed.reading.released}`);
}
const lost = await drain.stop(performance.now() + 60_000);
console.log(`stopped ${lost}`, JSON.stringify(counters.read()));
