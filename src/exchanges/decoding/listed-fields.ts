/** Fields that the entries of lists of instruments have in common. What is not what it should be is an issue. */
import { z } from "zod";
import { parseDecimal } from "./decimal.ts";
import { TIME_MAX_MS } from "./json.ts";

/** A decimal as text; null = "". */
export const decimalText = z.string().transform((text, context): number | null => {
  if (text === "") return null;
  const value = parseDecimal(text);
  if (!Number.isNaN(value)) return value;
  context.addIssue("not a decimal");
  return z.NEVER;
});

/** A time in ms, as whole µs; null = 0, which stands for none. */
export const timeMs = z
  .int()
  .nonnegative()
  .max(TIME_MAX_MS)
  .transform((ms): number | null => (ms > 0 ? ms * 1000 : null));

/** A time in ms as text (a number would be taken too), as whole µs; null = "" and "0", which stand for none. */
export const timeText = z.union([z.string().transform(Number), z.number()]).pipe(timeMs);
