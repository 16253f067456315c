/**
 * Rings, and a drain worker that fails, in a process of its own: under `bun test` an uncaught error of a worker ends
 * the worker whatever it listens to. Says at its end, as JSON, what the worker told. Started by rebuild.test.ts.
 */
import { join } from "node:path";
import { z } from "zod";
import { STREAM_NAMES } from "../../../src/events/streams.ts";
import type { DrainOptions } from "../../../src/storage/drain.ts";
import type { FromDrain, ToDrain } from "../../../src/storage/messages.ts";
import { RecoveredCounters } from "../../../src/storage/recovered.ts";
import { waitFor } from "../../helpers/wait.ts";
import { Feed } from "../feed.ts";
import type { Plan } from "./failing-worker.ts";
import { FIRST, RUN } from "./rows.ts";

const { folder, rows, step, times, layout } = z
  .strictObject({
    folder: z.string(),
    rows: z.int(),
    step: z.string(),
    times: z.int(),
    layout: z.enum(["flat", "symbol"]),
  })
  .parse(JSON.parse(process.argv[2] ?? ""));

const feeds = [
  new Feed("trade", { ring: 0, capacity: 65_536 }),
  new Feed("bbo", { ring: 1, capacity: 65_536 }),
];
const worker = new Worker(new URL("failing-worker.ts", import.meta.url).href);
const messages: FromDrain[] = [];
const post = (message: ToDrain | Plan) => worker.postMessage(message);
worker.addEventListener("message", ({ data }: MessageEvent<FromDrain>) => {
  messages.push(data);
  if (data.type === "file") post({ type: "filed", id: data.id });
});
worker.addEventListener("error", ({ message }) => {
  console.error(`the worker died: ${message}`);
  process.exit(1);
});
const bounds = { rows: 3000, bytes: 2 ** 30, interval: 3_600_000 };
const options: DrainOptions = {
  run: RUN,
  version: "0.1.0",
  rings: feeds.map(({ spec }) => spec),
  outbox: join(folder, "outbox"),
  quarantine: join(folder, "quarantine"),
  layout,
  journal: { folder: join(folder, "journal"), fsync: "interval", fsyncInterval: 50, maxBytes: 2 ** 40 },
  seal: Object.fromEntries(STREAM_NAMES.map((stream) => [stream, bounds])) as DrainOptions["seal"],
  datasetSeal: { ...bounds, rows: 10_000 },
  firstDatasetRing: feeds.length,
  minGap: 0,
  memoryLimit: 192 * 2 ** 20,
  threads: 1,
  retryMax: 1000,
  recovered: [],
  recoveredCounters: new RecoveredCounters().buffer,
};
const told = (type: FromDrain["type"], count = 1) =>
  waitFor(
    `${count} messages ${type}`,
    () => messages.filter((message) => message.type === type).length >= count || told.fatal(),
    { state: () => JSON.stringify(messages.filter((message) => message.type !== "stats")) },
  );
told.fatal = () => messages.some(({ type }) => type === "fatal");

post({ type: "plan", step, times });
post({ type: "start", options, poll: 1 });
await told("ready");
const names = layout === "flat" ? ["BTCUSDT"] : ["BTCUSDT", "币安人生USDT", "A/B"];
const symbols = names.map((symbol, number) => ({ number, symbol, instrument: `${symbol}-X` }));
post({ type: "symbols", id: 0, exchange: "binance", symbols });
await told("symbols");
for (let i = 0; i < rows; i++) {
  for (const feed of feeds) feed.push(i % names.length, FIRST + i, { id: String(i), update_id: i });
  if (i % 250 !== 249) continue;
  for (const feed of feeds) feed.publish();
  if (i % 2000 === 1999)
    post({ type: "rows", exchange: "binance", dataset: "gaps", rows: [{ missed: i }], nowUs: FIRST + i });
  await Bun.sleep(1);
}
await told("failed", times);
await told("rebuilt", times);
if (!told.fatal()) {
  post({ type: "finish", timeout: 90_000 });
  await told("finished");
  post({ type: "stop", timeout: 90_000 });
  await told("stopped");
  worker.terminate();
}
const answer = {
  messages: messages.filter(({ type }) => type !== "stats"),
  readings: feeds.map(({ reading }) => reading),
};
await Bun.write(Bun.stdout, JSON.stringify(answer));
process.exit(0);
