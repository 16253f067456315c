import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { figureOf, type Recording, record } from "../lib/recording.ts";
import type { StageReport } from "../lib/report.ts";
import type { Stage, StageOptions } from "../lib/stage.ts";
import { ratioOf } from "../lib/statistics.ts";

const SYMBOLS = 200;
/** events/s */
const RATE = 100_000;
const SHARED_MEMORY = "/dev/shm";

/** What rings in files cost from socket to published Parquet. */
export const backingStage: Stage = {
  name: "backing",
  about: "rings in memory and in mapped files: socket to published Parquet, whole process",
  always: false,
  async run(options): Promise<StageReport> {
    const backings = [
      { name: "rings in memory", ring: {} },
      { name: "rings in files on disk", ring: { backing: "file" } },
    ];
    if (!existsSync(SHARED_MEMORY)) return report(backings, options);
    const folder = mkdtempSync(join(SHARED_MEMORY, "tapedeck-bench-"));
    try {
      const inMemory = { name: `rings in files in ${SHARED_MEMORY}`, ring: { backing: "file", folder } };
      return await report([...backings, inMemory], options);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function report(
  backings: readonly { readonly name: string; readonly ring: object }[],
  { repeats, seconds, scratch }: StageOptions,
): Promise<StageReport> {
  const recordings = backings.map((): Recording[] => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (let turn = 0; turn < backings.length; turn++) {
      const index = (turn + repeat) % backings.length;
      const settings = { ring: backings[index]?.ring };
      recordings[index]?.push(
        await record({ symbols: SYMBOLS, load: { rate: RATE, seconds }, scratch, settings }),
      );
    }
  }
  const costs = recordings.map((all) => all.map(({ cpuNs }) => cpuNs));
  const figures = backings.flatMap(({ name }, index) => {
    const all = [...(recordings[index] ?? [])].sort((a, b) => a.cpuNs - b.cpuNs);
    const median = all[all.length >> 1];
    if (median === undefined) return [];
    const ratio = ratioOf(costs[index] ?? [], costs[0] ?? []).median.toFixed(2);
    return [{ ...figureOf(name, median), note: index === 0 ? "" : `CPU: ${ratio} of memory` }];
  });
  const notes = [
    `${SYMBOLS} symbols, ${RATE / 1000}k events/s for ${seconds} s each, in turns; the recording of median CPU time of each.`,
  ];
  return { stage: "backing", figures, bars: [], notes };
}
