import { figureOf, type Recording, record } from "../lib/recording.ts";
import type { Figure, StageReport } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { ratioOf } from "../lib/statistics.ts";
import { startSource } from "../source/handle.ts";
import { MIX } from "../source/tape.ts";
import { CountingClient } from "./receive.ts";

const SYMBOLS = 200;
/** Rates that are tried, events/s, upwards until one is not kept. */
const LADDER: readonly number[] = [
  100_000, 200_000, 300_000, 400_000, 500_000, 650_000, 800_000, 1_000_000, 1_100_000, 1_200_000, 1_350_000,
];
/** A rate is kept when the source brought out this much of it. */
const KEPT = 0.98;
/** Rates below this are tried only where the machine could not keep it. */
const FIRST = 300_000;
/** What is sent before a rate is tried: the first seconds of a process are those of the engine's compilers. */
const WARM_UP = { rate: 200_000, seconds: 6 };
/** Times a rate is tried: a neighbour on the machine may spoil one. */
const TRIES = 2;
const CEILING_SECONDS = 1.5;
/** Characters of a reason in the table. */
const REASON_MAX = 120;

async function ceiling(): Promise<number> {
  using source = await startSource({ ...MIX, symbols: SYMBOLS });
  const client = new CountingClient();
  await client.open(source, SYMBOLS);
  await client.measure(source, CEILING_SECONDS);
  const { perSecond } = await client.measure(source, CEILING_SECONDS);
  client.close();
  return perSecond;
}

/** The highest rate that is recorded whole, against receiving alone. */
export const sustainedStage: Stage = {
  name: "sustained",
  about: "the highest rate without a drop (of --seconds each), as a share of receiving alone",
  always: true,
  async run({ seconds, scratch }): Promise<StageReport> {
    const figures: Figure[] = [];
    const ceilings = [await ceiling()];
    let best = 0;
    const attempt = async (rate: number): Promise<boolean> => {
      for (let tries = 0; tries < TRIES; tries++) {
        let recording: Recording;
        try {
          recording = await record({ symbols: SYMBOLS, load: { rate, seconds }, warmUp: WARM_UP, scratch });
        } catch (error) {
          // Far above what it can take a connection may be given up as late: then the rate was not kept either.
          const why = error instanceof Error ? error.message : String(error);
          figures.push({ name: `${rate / 1000}k/s, not kept`, note: why.slice(0, REASON_MAX) });
          continue;
        }
        const kept = recording.recorded.dropped === 0 && recording.perSecond >= KEPT * rate;
        figures.push(figureOf(`${rate / 1000}k/s${kept ? "" : ", not kept"}`, recording));
        if (kept) best = Math.max(best, recording.perSecond);
        if (kept) return true;
      }
      return false;
    };
    const first = LADDER.indexOf(FIRST);
    for (let at = first; at < LADDER.length && (await attempt(LADDER[at] as number)); at++)
      ceilings.push(await ceiling());
    for (let at = first - 1; best === 0 && at >= 0; at--) await attempt(LADDER[at] as number);
    ceilings.push(await ceiling());
    return {
      stage: "sustained",
      figures,
      bars: [
        {
          name: `sustained rate with zero drops for ${seconds} s / receive-only ceiling`,
          value: ratioOf(
            ceilings.map(() => best),
            ceilings,
          ),
          is: "at least",
          bar: 0.45,
        },
      ],
      notes: [
        `The highest rate kept: ${Math.round(best)} events/s; the aim is 1,000,000.`,
        `The source runs on the same cores. Each recording has received ${WARM_UP.rate} events/s for ${WARM_UP.seconds} s before. A rate counts when no event was dropped and the source could bring out ${100 * KEPT} % of it; each has ${TRIES} tries; the ceiling is measured between the rates. For the promise of 60 s: \`bun run bench sustained --seconds 60\`.`,
      ],
    };
  },
};
