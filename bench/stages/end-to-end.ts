import { JsonReference } from "../lib/json-reference.ts";
import { figureOf, type Recording, record } from "../lib/recording.ts";
import type { StageReport } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { ratioOf, spreadOf } from "../lib/statistics.ts";

const SYMBOLS = 200;
/** Rate of the promised cost, events/s, and the ladder around it. */
const RATE = 200_000;
const LADDER = [50_000, 100_000, 400_000] as const;
/** By how much recordings at the promised rate are longer: starting the compilers is paid by more events, as in a life of hours. */
const LONGER = 2.5;

/** From socket to published Parquet. */
export const endToEndStage: Stage = {
  name: "end-to-end",
  about: "socket to published Parquet at a ladder of rates, journal on, whole process",
  always: true,
  async run({ repeats, seconds, scratch }): Promise<StageReport> {
    const json = new JsonReference(SYMBOLS);
    const at = (rate: number, { garbage = false, longer = 1 } = {}) =>
      record({ symbols: SYMBOLS, load: { rate, seconds: longer * seconds }, scratch, garbage });
    const recordings: Recording[] = [];
    const references: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
      const before = json.measure();
      recordings.push(await at(RATE, { longer: LONGER }));
      references.push((before + json.measure()) / 2);
    }
    const ladder = [];
    for (const rate of LADDER) ladder.push(figureOf(`at ${rate / 1000}k/s`, await at(rate)));
    const withLog = await at(RATE, { garbage: true });
    const costs = recordings.map(({ cpuNs }) => cpuNs);
    const receiving = spreadOf(
      recordings.map(({ recorded, played }) => (recorded.cpuReceivingUs * 1000) / played.frames),
    );
    return {
      stage: "end-to-end",
      figures: [
        { name: "JSON.parse alone on these frames", cpuNs: spreadOf(references) },
        {
          ...summary(`at ${RATE / 1000}k/s`, recordings),
          gc: withLog.gc,
          note: `${ratioOf(costs, references).median.toFixed(2)} × JSON.parse; ${receiving.median.toFixed(0)} ns before the stop`,
        },
        ...ladder,
      ],
      bars: [
        {
          name: "socket to published Parquet / JSON.parse alone, CPU per event",
          value: ratioOf(costs, references),
          is: "at most",
          bar: 1.8,
          aim: 1.25,
        },
      ],
      notes: [
        `${SYMBOLS} symbols, 80 % bookTicker, 20 % aggTrade, ${LONGER * seconds} s each at ${RATE / 1000}k/s and ${seconds} s at the other rates, default settings, local lake; CPU time of the whole recorder process from the first frame to the end of its stop, when all rows are published: files that would come every five minutes are part of it.`,
        "The lag is that of bookTicker, read from the files: the source writes its time into update_id; both clocks follow the wall clock to a millisecond.",
        "GC is the time threads stood still, from one more recording with the engine's log of collections.",
      ],
    };
  },
};

function summary(name: string, recordings: readonly Recording[]) {
  const median = (value: (one: Recording) => number) => spreadOf(recordings.map(value)).median;
  const most = (value: (one: Recording) => number) => Math.max(...recordings.map(value));
  return {
    name,
    cpuNs: spreadOf(recordings.map(({ cpuNs }) => cpuNs)),
    perSecond: spreadOf(recordings.map(({ perSecond }) => perSecond)),
    bytes: median(({ bytes }) => bytes),
    ring: {
      mean: median(({ recorded }) => recorded.ring.mean),
      p99: median(({ recorded }) => recorded.ring.p99),
      highWater: most(({ recorded }) => recorded.ring.highWater),
    },
    drops: recordings.reduce((sum, { recorded }) => sum + recorded.dropped, 0),
    lag: {
      p50: median(({ lag }) => lag.p50),
      p99: median(({ lag }) => lag.p99),
      p999: median(({ lag }) => lag.p999),
    },
    rss: most(({ recorded }) => recorded.rss.max),
    sourceNs: median(({ sourceNs }) => sourceNs),
  };
}
