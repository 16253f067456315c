import { randomBytes } from "node:crypto";
import { type Destination, DestinationError } from "../destinations/destination.ts";

/** A destination cannot be used as it is set; the message says what to change. */
export class PreflightError extends Error {
  override name = "PreflightError";
}

/** Bytes of the probe. */
const PROBE_BYTES = 64;

function probeKey(): string {
  return `.tapedeck-probe-${randomBytes(8).toString("hex")}`;
}

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
  const key = probeKey();
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

/**
 * Whether two destinations are two places: what is written to one does not stand in the other. They may be called
 * differently and still be the same bucket; then a file that seems to stand in both stands there once.
 *
 * @throws DestinationError when it cannot be found out
 */
export async function areApart(one: Destination, other: Destination, signal: AbortSignal): Promise<boolean> {
  const key = probeKey();
  await one.write(key, randomBytes(PROBE_BYTES), signal);
  try {
    return (await other.stat(key, signal)) === null;
  } finally {
    await one.remove(key, signal);
  }
}

/** What two destinations that are one place mean, and what mends it. */
export function onePlace(one: Destination, other: Destination): string {
  return (
    `${one.where} and ${other.where} are one place: that is no fallback, and no copy there may be taken for a second one; ` +
    "set another bucket or prefix, or storage.fallback = none"
  );
}

/** Whether it passes by itself: recording goes on then, and files wait in the outbox. */
export function mayPass({ trouble }: DestinationError): boolean {
  return trouble === "unreachable" || trouble === "throttled" || trouble === "full";
}
