import type { z } from "zod";
import type { RestGet } from "./rest.ts";

/** Asks an exchange for the time of its clock: epoch ms, as exactly as it says. */
export type FetchServerTime = (get: RestGet) => Promise<number>;

/**
 * A request for the time of an exchange.
 *
 * @param schema reads the answer; gives epoch ms
 * @throws Error (from the request) that names the path, where the answer holds no time
 */
export function serverTime(path: string, schema: z.ZodType<number>): FetchServerTime {
  return async (get) => {
    const parsed = schema.safeParse((await get(path)).body);
    if (!parsed.success) throw new Error(`GET ${path} answered something that holds no time`);
    return parsed.data;
  };
}
