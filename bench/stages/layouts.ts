import { rmSync } from "node:fs";
import { BenchDrain } from "../lib/drain.ts";
import { BboFeed, tapeQuotes } from "../lib/feed.ts";
import { cpuTime } from "../lib/measure.ts";
import type { Figure, StageReport } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { spreadOf } from "../lib/statistics.ts";

const SYMBOLS = 500;
/** Rows of a segment: `flush.rows`. */
const ROWS = 250_000;
const LAYOUTS = ["flat", "symbol"] as const;

/** What a segment costs as one file, and as a file for each symbol. */
export const layoutsStage: Stage = {
  name: "layouts",
  about: `a segment of ${SYMBOLS} symbols as one file, and as a file for each (layout = "symbol")`,
  always: false,
  async run({ repeats, scratch }): Promise<StageReport> {
    const quotes = tapeQuotes(SYMBOLS);
    const lanes = await Promise.all(
      LAYOUTS.map(async (layout) => {
        const feed = new BboFeed(SYMBOLS, quotes);
        const drain = await BenchDrain.open(feed, scratch, ROWS + 1, 1, layout);
        const [cpuNs, perSecond]: [number[], number[]] = [[], []];
        return { layout, feed, drain, cpuNs, perSecond, files: 0, bytes: 0 };
      }),
    );
    // In turn, and the first one of each warms things up.
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const lane of lanes) {
        lane.feed.fill(ROWS);
        await lane.drain.all();
        lane.feed.fill(1);
        const [cpu, began] = [cpuTime(), performance.now()];
        await lane.drain.all();
        [lane.files, lane.bytes] = [0, 0];
        for (let rows = 0; rows <= ROWS; lane.files++) {
          const file = await lane.drain.file();
          rows += file.rows;
          lane.bytes += file.bytes;
          rmSync(file.path);
        }
        if (repeat < 0) continue;
        lane.cpuNs.push(((cpuTime() - cpu) * 1000) / ROWS);
        lane.perSecond.push((ROWS * 1000) / (performance.now() - began));
      }
    }
    for (const { drain } of lanes) await drain.stop();
    const figures = lanes.map(
      ({ layout, cpuNs, perSecond, bytes, files }): Figure => ({
        name: layout,
        cpuNs: spreadOf(cpuNs),
        perSecond: spreadOf(perSecond),
        bytes: bytes / ROWS,
        note: `${files} files, ${(ROWS / (files * (perSecond.toSorted((a, b) => a - b)[perSecond.length >> 1] ?? 1))).toFixed(4)} s each`,
      }),
    );
    return {
      stage: "layouts",
      figures,
      bars: [],
      notes: [
        `Segments of ${ROWS} bbo rows of ${SYMBOLS} symbols, from the journal to checked files in the outbox, each synced.`,
      ],
    };
  },
};
