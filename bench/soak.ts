/** `bun run bench soak`: a steady load for a long time; what must not drop, grow or lag. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spelledMachine, thisMachine } from "./lib/machine.ts";
import { figureOf, record } from "./lib/recording.ts";
import { type Bar, isMet, printed, type StageReport, single } from "./lib/report.ts";
import { reportSchema, saveResults } from "./lib/results.ts";

const SYMBOLS = 200;
/** Time at the same rate before what is measured, s: what a process needs at its start is not what it grows by. */
const WARM_UP = 60;

/** Flags of a soak. */
export interface SoakFlags {
  readonly minutes: number;
  /** events/s */
  readonly rate: number;
  /** Whether files are uploaded to a bucket, see {@link record}. */
  readonly bucket: boolean;
  readonly json: boolean;
  readonly save: boolean;
}

/** Runs it; the exit code: 1 when events were dropped. */
export async function runSoak({ minutes, rate, bucket, json, save }: SoakFlags): Promise<number> {
  const machine = thisMachine();
  const scratch = mkdtempSync(join(tmpdir(), "tapedeck-soak-"));
  try {
    const recording = await record({
      symbols: SYMBOLS,
      load: { rate, seconds: minutes * 60 },
      warmUp: { rate, seconds: WARM_UP },
      scratch,
      bucket,
    });
    const { recorded, lag, perSecond } = recording;
    const bars: Bar[] = [
      { name: "rate kept by the source", value: single(perSecond / rate), is: "at least", bar: 0.99 },
      { name: "drops", value: single(recorded.dropped), is: "at most", bar: 0 },
      { name: "mean ring utilisation", value: single(recorded.ring.mean), is: "at most", bar: 1, unit: " %" },
      { name: "receive lag p99", value: single(lag.p99), is: "at most", bar: 5, unit: " ms" },
      { name: "largest RSS", value: single(recorded.rss.max), is: "at most", bar: 400, unit: " MiB" },
      {
        name: "RSS of the last quarter / of the first",
        value: single(recorded.rss.late / recorded.rss.early),
        is: "at most",
        bar: 1.1,
      },
    ];
    const report: StageReport = {
      stage: "soak",
      figures: [figureOf(`${rate / 1000}k/s for ${minutes} min`, recording)],
      bars,
      notes: [
        `${SYMBOLS} symbols, 80 % bookTicker, 20 % aggTrade; after ${WARM_UP} s of the same; default settings, journal on, ${bucket ? "uploads to the S3 stand-in of the tests, in a process of its own" : "local lake"}. \`bun run bench soak --minutes ${minutes} --rate ${rate}${bucket ? " --bucket" : ""}\``,
      ],
    };
    console.log(
      json
        ? JSON.stringify({ machine, reports: [report] })
        : `${spelledMachine(machine)}\n\n${printed(report, null)}`,
    );
    const stored = reportSchema.parse(JSON.parse(JSON.stringify(report)));
    if (save) saveResults([{ at: new Date().toISOString(), machine, report: stored }], []);
    return bars.filter(({ name }) => name === "drops").every(isMet) ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
