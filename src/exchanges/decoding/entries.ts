import { z } from "zod";

/** Told of list entries that could not be read: how many, and what is wrong with the first. */
export type Skipped = (count: number, example: string) => void;

/** Longest description of what is wrong, characters. */
const EXAMPLE_MAX = 300;

/**
 * Reads a list entry by entry, each beside its raw form: one odd listing must not hide all others.
 *
 * @throws Error when the list has entries and none of them can be read
 */
export function readEntries<T>(
  path: string,
  schema: z.ZodType<T>,
  list: readonly unknown[],
  skipped: Skipped,
): { readonly entry: T; readonly raw: unknown }[] {
  const read: { entry: T; raw: unknown }[] = [];
  let example: string | null = null;
  for (const raw of list) {
    const result = schema.safeParse(raw);
    if (result.success) read.push({ entry: result.data, raw });
    else example ??= z.prettifyError(result.error).replace(/\s+/g, " ").slice(0, EXAMPLE_MAX);
  }
  if (example === null) return read;
  if (read.length === 0) throw new Error(`${path} has an unexpected shape: ${example}`);
  skipped(list.length - read.length, example);
  return read;
}
