import type { Random } from "../../../src/simulator/random.ts";

/** Gives intervals, in seconds, with mean 1 in the long run. */
export type Shape = (random: Random) => number;

/** Uniform, 0 < x ≤ 1. */
function positive(random: Random): number {
  return 1 - random.unit();
}

/** A standard normal number (Box-Muller). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(positive(random))) * Math.cos(2 * Math.PI * random.unit());
}

/** Poisson events. */
export const exponential: Shape = (random) => -Math.log(positive(random));

/** exp(sigma × normal), scaled to mean 1. */
export function lognormal(sigma: number): Shape {
  return (random) => Math.exp(sigma * normal(random) - (sigma * sigma) / 2);
}

/** P(X > x) = (least / x) ^ alpha, scaled to mean 1; alpha 1.5 has no variance. */
export function pareto(alpha: number): Shape {
  const least = (alpha - 1) / alpha;
  return (random) => least * positive(random) ** (-1 / alpha);
}

/** Poisson events whose rate wanders over minutes to hours (log-normal, sigma 1): clusters, as in trades. */
export function wandering(memory: number): Shape {
  let level = 0;
  return (random) => {
    const interval = exponential(random) * Math.exp(level - 0.5);
    const keep = Math.exp(-interval / memory);
    level = level * keep + normal(random) * Math.sqrt(1 - keep * keep);
    return interval;
  };
}
