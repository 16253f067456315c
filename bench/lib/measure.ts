/** Measuring pieces of work in this process: CPU time of all its threads, interleaved, warmed up. */
import { type Spread, spreadOf } from "./statistics.ts";

/** One of several ways that are compared. */
export interface Variant {
  readonly name: string;
  /** Works off one lot and answers how many events that were. */
  run(): number | Promise<number>;
}

/** What was measured of a variant, repeat by repeat. */
export interface Measured {
  readonly name: string;
  /** CPU ns an event, by repeat. */
  readonly cpuNs: readonly number[];
  /** Events a second by the clock, by repeat. */
  readonly perSecond: readonly number[];
  readonly cpu: Spread;
  readonly rate: Spread;
}

/** How long and how often. */
export interface Effort {
  /** Repeats of each variant. */
  readonly repeats: number;
  /** Least CPU time of one repeat, ms. */
  readonly slice: number;
  /** CPU time of the turn that is not measured, ms; {@link WARM_UP} without. */
  readonly warmUp?: number;
}

/** CPU time of the turn that is not measured unless it is said, ms. */
const WARM_UP = 200;

/** CPU time of this process so far, user and system, all threads, µs. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Measures variants in turns, so that a neighbour who comes or goes meets all of them; each turn begins with another
 * one. Before that each runs unmeasured, for the compiler, which on a busy machine needs its time.
 */
export async function interleaved(
  variants: readonly Variant[],
  { repeats, slice, warmUp = WARM_UP }: Effort,
): Promise<Measured[]> {
  const cpuNs = variants.map((): number[] => []);
  const perSecond = variants.map((): number[] => []);
  for (let repeat = -1; repeat < repeats; repeat++) {
    for (let turn = 0; turn < variants.length; turn++) {
      const index = (turn + Math.max(0, repeat)) % variants.length;
      const variant = variants[index] as Variant;
      Bun.gc(true);
      const began = performance.now();
      const from = cpuTime();
      let events = 0;
      let spent = 0;
      do {
        events += await variant.run();
        spent = cpuTime() - from;
      } while (spent < (repeat < 0 ? Math.max(warmUp, slice) : slice) * 1000);
      if (repeat < 0) continue;
      cpuNs[index]?.push((spent * 1000) / events);
      perSecond[index]?.push((events * 1000) / (performance.now() - began));
    }
  }
  return variants.map(({ name }, i) => {
    const cpu = cpuNs[i] ?? [];
    const rate = perSecond[i] ?? [];
    return { name, cpuNs: cpu, perSecond: rate, cpu: spreadOf(cpu), rate: spreadOf(rate) };
  });
}

/** The variant of a name. @throws Error when none was measured */
export function named(measured: readonly Measured[], name: string): Measured {
  const found = measured.find((one) => one.name === name);
  if (found === undefined) throw new Error(`nothing was measured under the name ${name}`);
  return found;
}
