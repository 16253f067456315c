import { Random } from "../../src/simulator/random.ts";

/** Seed of a test: TAPEDECK_TEST_SEED if that is set. */
export const SEED: string = process.env.TAPEDECK_TEST_SEED ?? "20261120";

/** Randomness of one test; says on the console how to get the same again. */
export function seeded(name: string): Random {
  console.log(`${name}: TAPEDECK_TEST_SEED=${SEED}`);
  return new Random(`${SEED}/${name}`);
}

/** One of a list. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)];
}

/** Text of `length` decimal digits. */
export function digits(random: Random, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) text += random.below(10);
  return text;
}
