import type { Dial } from "../../src/exchanges/websocket/wire.ts";
import { figureOf, type Recording, record } from "../lib/recording.ts";
import type { Figure, StageReport } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { ratioOf } from "../lib/statistics.ts";
import { startSource } from "../source/handle.ts";
import { MIX } from "../source/tape.ts";
import { BUNS, CountingClient, OURS } from "./receive.ts";

const SYMBOLS = 200;
/** Rates that are tried, events/s, upwards until one is not kept. */
const LADDER: readonly number[] = [
  100_000, 200_000, 300_000, 450_000, 650_000, 850_000, 1_000_000, 1_050_000, 1_100_000, 1_200_000, 1_350_000,
];
/** A rate is kept when the source brought out this much of it. */
const KEPT = 0.98;
/** Rates below this are tried only where the machine could not keep it. */
const FIRST = 650_000;
/** How long a rate is tried on the way up, s; the highest that is kept then has to be kept for as long as asked. */
const SCOUT_SECONDS = 4;
/** What is sent before a rate is tried: the first seconds of a process are those of the engine's compilers. */
const WARM_UP = { rate: 200_000, seconds: 6 };
/** Times a rate is tried: a neighbour on the machine may spoil one. */
const TRIES = 2;
const CEILING_SECONDS = 1.5;
/** A thread that receives for each of two processors: one alone has all to do at 900,000 events/s. */
const SETTINGS = { ingest: { workers: 2 } };
/** Characters of a reason in the table. */
const REASON_MAX = 120;

/** What both clients take when they do nothing with it, frames/s. */
interface Ceilings {
  readonly ours: number[];
  readonly buns: number[];
}

async function measureCeilings({ ours, buns }: Ceilings): Promise<void> {
  ours.push(await ceiling(OURS));
  buns.push(await ceiling(BUNS));
}

async function ceiling(dial: Dial): Promise<number> {
  using source = await startSource({ ...MIX, symbols: SYMBOLS });
  const client = new CountingClient(dial);
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
    const ceilings: Ceilings = { ours: [], buns: [] };
    await measureCeilings(ceilings);
    await measureCeilings(ceilings);
    const attempt = async (rate: number, forSeconds: number): Promise<number | null> => {
      for (let tries = 0; tries < TRIES; tries++) {
        let recording: Recording;
        try {
          const load = { rate, seconds: forSeconds };
          recording = await record({ symbols: SYMBOLS, load, warmUp: WARM_UP, scratch, settings: SETTINGS });
        } catch (error) {
          // Far above what it can take a connection may be given up as late: then the rate was not kept either.
          const why = error instanceof Error ? error.message : String(error);
          figures.push({ name: `${rate / 1000}k/s, not kept`, note: why.slice(0, REASON_MAX) });
          continue;
        }
        const kept = recording.recorded.dropped === 0 && recording.perSecond >= KEPT * rate;
        const name = `${rate / 1000}k/s for ${forSeconds} s${kept ? "" : ", not kept"}`;
        figures.push(figureOf(name, recording));
        if (kept) return recording.perSecond;
      }
      return null;
    };
    const scouting = Math.min(seconds, SCOUT_SECONDS);
    let best = 0;
    let at = LADDER.indexOf(FIRST);
    for (; at < LADDER.length; at++) {
      const kept = await attempt(LADDER[at] as number, scouting);
      if (kept === null) break;
      best = kept;
    }
    // Downwards: what was kept for a few seconds has to be kept for all of them, and some rate has to be found.
    if (best === 0 || scouting < seconds) {
      best = 0;
      for (at--; best === 0 && at >= 0; at--) best = (await attempt(LADDER[at] as number, seconds)) ?? 0;
    }
    await measureCeilings(ceilings);
    await measureCeilings(ceilings);
    const share = (of: readonly number[]) =>
      ratioOf(
        of.map(() => best),
        of,
      );
    return {
      stage: "sustained",
      figures,
      bars: [
        {
          name: `sustained rate with zero drops for ${seconds} s / receive-only ceiling of Bun's client`,
          value: share(ceilings.buns),
          is: "at least",
          bar: 0.45,
        },
        {
          name: `sustained rate with zero drops for ${seconds} s / receive-only ceiling of our client`,
          value: share(ceilings.ours),
          is: "at least",
          bar: 0.45,
        },
      ],
      notes: [
        `The highest rate kept: ${Math.round(best)} events/s; the aim is 1,000,000.`,
        `The source runs on the same cores, two ingest workers (\`ingest.workers\`) divide the symbols. Each recording has received ${WARM_UP.rate} events/s for ${WARM_UP.seconds} s before. A rate counts when no event was dropped and the source could bring out ${100 * KEPT} % of it; each has ${TRIES} tries; on the way up it is kept for ${scouting} s, and the highest of them for ${seconds} s; the ceilings are measured before and after. Bun's client is what the bar was made with; ours receives for a third, which raises the ceiling and not what else an event costs. For the promise of 60 s: \`bun run bench sustained --seconds 60\`.`,
      ],
    };
  },
};
