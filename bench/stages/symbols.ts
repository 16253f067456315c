import { type Recording, record } from "../lib/recording.ts";
import type { StageReport } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { ratioOf, spreadOf } from "../lib/statistics.ts";

const FEW = 20;
const MANY = 2000;
const RATE = 200_000;
/** Seconds of the same before: the first ones of a process are those of the engine's compilers, whatever comes. */
const WARM_UP_SECONDS = 3;

/** What many symbols cost more than few. */
export const symbolsStage: Stage = {
  name: "symbols",
  about: "cost of an event at 2,000 symbols against 20",
  always: true,
  async run({ repeats, seconds, scratch }): Promise<StageReport> {
    const load = { rate: RATE, seconds };
    const warmUp = { rate: RATE, seconds: WARM_UP_SECONDS };
    const few: Recording[] = [];
    const many: Recording[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
      // Now one first, now the other.
      if (repeat % 2 === 0) few.push(await record({ symbols: FEW, load, warmUp, scratch }));
      many.push(await record({ symbols: MANY, load, warmUp, scratch }));
      if (repeat % 2 === 1) few.push(await record({ symbols: FEW, load, warmUp, scratch }));
    }
    const costs = (recordings: readonly Recording[]) => recordings.map(({ cpuNs }) => cpuNs);
    const figure = (symbols: number, recordings: readonly Recording[]) => ({
      name: `${symbols} symbols`,
      cpuNs: spreadOf(costs(recordings)),
      perSecond: spreadOf(recordings.map(({ perSecond }) => perSecond)),
      drops: recordings.reduce((sum, { recorded }) => sum + recorded.dropped, 0),
      rss: Math.max(...recordings.map(({ recorded }) => recorded.rss.max)),
    });
    return {
      stage: "symbols",
      figures: [figure(FEW, few), figure(MANY, many)],
      bars: [
        {
          name: `CPU per event at ${MANY} symbols / at ${FEW}`,
          value: ratioOf(costs(many), costs(few)),
          is: "at most",
          bar: 1.25,
        },
      ],
      notes: [
        `Socket to published Parquet at ${RATE / 1000}k/s, ${load.seconds} s each after ${WARM_UP_SECONDS} s of the same; ${MANY} symbols need more connections, as their limits demand.`,
      ],
    };
  },
};
