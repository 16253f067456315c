/** Flags that several commands choose parts of a lake with. */
import { z } from "zod";

const DAY = /^\d{4}-\d\d-\d\d$/;

/** Whether a text is a day that there is; 2026-02-30 is none, which Date takes for the 2nd of March. */
export function isDay(text: string): boolean {
  const time = DAY.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** A flag for days, UTC: `2026-11-20`, or `2026-11-01..2026-11-20` with either end left out. */
export const days = z.string().transform((text, context) => {
  const [from = "", to = from, ...more] = text.split("..");
  const wellFormed = (day: string) => day === "" || isDay(day);
  if (more.length > 0 || (from === "" && to === "") || !wellFormed(from) || !wellFormed(to)) {
    context.addIssue({
      code: "custom",
      message: "a day such as 2026-11-20, or 2026-11-01..2026-11-20, is wanted",
    });
    return z.NEVER;
  }
  if (from !== "" && to !== "" && from > to) {
    context.addIssue({ code: "custom", message: "the first day is after the last one" });
    return z.NEVER;
  }
  return { from: from === "" ? null : from, to: to === "" ? null : to };
});

/** A flag for names out of a closed set, separated by commas. */
export const namesOf = <const T extends string>(known: readonly T[]) =>
  z.string().transform((text, context): T[] => {
    const names = text.split(",").map((name) => name.trim());
    const wrong = names.filter((name) => !known.some((one) => one === name));
    if (wrong.length === 0) return known.filter((one) => names.includes(one));
    context.addIssue({
      code: "custom",
      message: `there is no ${wrong.join(", ")}; there are: ${known.join(", ")}`,
    });
    return z.NEVER;
  });
