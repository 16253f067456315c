import { randomBytes } from "node:crypto";
import { type Destination, DestinationError } from "../destinations/destination.ts";

/** A destination cannot be used as it is set; the message says what to change. */
export class PreflightError extends Error {
  override name = "PreflightError";
}

/** Bytes of the probe. */
const PROBE_BYTES = 64;

/**
 * Writes, reads and deletes a small object: what is not right with a bucket shall be known before anything depends on
 * it.
 *
 * @param timeout of all of it, ms
 * @param ending breaks it off before that
 * @returns what is wrong; null = nothing
 */
export async function checkDestination(
  destination: Destination,
  timeout: number,
  ending?: AbortSignal,
): Promise<DestinationError | null> {
  const key = `.tapedeck-probe-${randomBytes(8).toString("hex")}`;
  const content = randomBytes(PROBE_BYTES);
  const late = AbortSignal.timeout(timeout);
  const signal = ending === undefined ? late : AbortSignal.any([late, ending]);
  try {
    await destination.write(key, content, signal);
    const found = await destination.read(key, 2 * PROBE_BYTES, signal);
    if (found === null || !content.equals(found)) {
      const what = found === null ? "nothing" : "something else";
      throw new DestinationError(
        `${destination.where}: ${what} came back of what was written`,
        "unreachable",
        true,
      );
    }
    await destination.remove(key, signal);
    return null;
  } catch (error) {
    if (error instanceof DestinationError) return error;
    throw error;
  }
}

/** Whether it passes by itself: recording goes on then, and files wait in the outbox. */
export function mayPass({ trouble }: DestinationError): boolean {
  return trouble === "unreachable" || trouble === "throttled" || trouble === "full";
}
