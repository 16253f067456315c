import { figureOf, record } from "../lib/recording.ts";
import { type StageReport, single } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";

const SYMBOLS = 200;
const BASE = 50_000;
const BURST = { rate: 300_000, after: 3, seconds: 5 } as const;
const SECONDS = 10;

/** A sudden burst out of an ordinary rate. */
export const burstStage: Stage = {
  name: "burst",
  about: "300,000 events/s for 5 s out of 50,000/s: absorbed without a drop",
  always: true,
  async run({ scratch }): Promise<StageReport> {
    const recording = await record({
      symbols: SYMBOLS,
      load: { rate: BASE, seconds: SECONDS, burst: BURST },
      scratch,
    });
    const sent = BASE * (SECONDS - BURST.seconds) + BURST.rate * BURST.seconds;
    return {
      stage: "burst",
      figures: [figureOf("50k/s, 300k/s for 5 s, 50k/s", recording)],
      bars: [
        { name: "burst: drops", value: single(recording.recorded.dropped), is: "at most", bar: 0 },
        {
          name: "burst: events brought out / wanted",
          value: single(recording.played.frames / sent),
          is: "at least",
          bar: 0.97,
        },
      ],
      notes: [`${SYMBOLS} symbols, 80 % bookTicker, 20 % aggTrade; default settings.`],
    };
  },
};
