/**
 * The recorder in a process of its own, as `tapedeck record` runs it but for signals and the status server, which says
 * what it cost: CPU time of all its threads from the first frame to the end of the last file.
 */
import { z } from "zod";
import { settingsSchema } from "../../src/config/schema.ts";
import { Recorder } from "../../src/recorder/recorder.ts";
import { createLogger } from "../../src/status/log.ts";
import { queueOf } from "../../src/status/snapshot.ts";
import { cpuTime } from "./measure.ts";
import type { Recorded } from "./recorded.ts";
import { quantile } from "./statistics.ts";

/** Between two looks at rings and memory, ms. */
const SAMPLE = 50;
/** How long rows may take to come through after the last frame was written, ms. */
const SETTLE_MAX = 30_000;

const orderSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("begin") }),
  /** Ends when so many events have been received. */
  z.strictObject({ type: z.literal("end"), events: z.number() }),
]);

const COMPLAINTS_MAX = 5;
const complaints: string[] = [];
const log = createLogger({
  format: "json",
  level: "warn",
  write: (line) => {
    if (complaints.length < COMPLAINTS_MAX) complaints.push(line.trim());
  },
});

const settings = settingsSchema.parse(JSON.parse(process.argv[2] ?? ""));
const recorder = await Recorder.start(settings, log);
const utilisation: number[] = [];
const rss: number[] = [];
let timer: ReturnType<typeof setInterval> | undefined;
let cpuAtStart = 0;
let rssAtStart = 0;

function sample(): void {
  utilisation.push(queueOf(recorder.rings()).pct);
  rss.push(process.memoryUsage.rss() / 2 ** 20);
}

async function end(events: number): Promise<void> {
  const deadline = performance.now() + SETTLE_MAX;
  const settled = () => {
    const { received, inRing } = recorder.snapshot().balance;
    return received >= events && inRing === 0;
  };
  while (!settled() && performance.now() < deadline) await Bun.sleep(SAMPLE);
  clearInterval(timer);
  const cpuReceivingUs = cpuTime() - cpuAtStart;
  const { snapshot, exitCode } = await recorder.stop();
  const sorted = utilisation.toSorted((a, b) => a - b);
  const quarter = Math.max(1, rss.length >> 2);
  const median = (values: readonly number[]) =>
    quantile(
      values.toSorted((a, b) => a - b),
      0.5,
    );
  const recorded: Recorded = {
    cpuUs: cpuTime() - cpuAtStart,
    cpuReceivingUs,
    received: snapshot.balance.received,
    published: snapshot.balance.published,
    dropped: snapshot.balance.dropped,
    ring: {
      mean: utilisation.reduce((sum, value) => sum + value, 0) / Math.max(1, utilisation.length),
      p99: quantile(sorted, 0.99),
      highWater: Math.max(...snapshot.rings.map((ring) => (100 * ring.highWater) / ring.capacity)),
    },
    rss: {
      start: rssAtStart,
      max: Math.max(...rss),
      early: median(rss.slice(0, quarter)),
      late: median(rss.slice(-quarter)),
    },
    exitCode,
    complaints,
  };
  process.send?.({ type: "recorded", recorded });
  await Bun.sleep(SAMPLE);
  process.exit(0);
}

process.on("message", (message) => {
  const order = orderSchema.parse(message);
  if (order.type === "end") {
    void end(order.events);
    return;
  }
  cpuAtStart = cpuTime();
  rssAtStart = process.memoryUsage.rss() / 2 ** 20;
  timer = setInterval(sample, SAMPLE);
  process.send?.({ type: "begun" });
});
process.on("disconnect", () => process.exit(1));
process.send?.({ type: "ready" });
