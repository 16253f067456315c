/** Random tokens as exchanges write them. */
import type { Random } from "../../../src/simulator/random.ts";
import { digits } from "../../lib/seed.ts";
import { quoted } from "./nodes.ts";

/** An integer of so many digits. */
export function integer(random: Random, length: number): string {
  return String(1 + random.below(9)) + digits(random, length - 1);
}

/** A time of the years from 2023 on in ms, not quoted. */
export function time(random: Random): string {
  return `1${7 + random.below(2)}${digits(random, 11)}`;
}

/** A decimal in quotes. */
export function decimal(random: Random): string {
  const whole = random.below(5) === 0 ? "0" : integer(random, 1 + random.below(6));
  const fraction = random.below(6) === 0 ? "" : `.${digits(random, 1 + random.below(8))}`;
  return quoted(whole + fraction);
}

/** One with more digits than a double may hold. */
export function longDecimal(random: Random): string {
  return quoted(`${integer(random, 1 + random.below(12))}.${digits(random, 6 + random.below(14))}`);
}
