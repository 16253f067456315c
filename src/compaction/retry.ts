import { Backoff } from "../lib/backoff.ts";
import { DestinationError } from "../storage/destinations/destination.ts";

/** Attempts at a request that fails for a reason that may pass. */
const ATTEMPTS = 5;
const MIN_MS = 200;
const MAX_MS = 5000;

/** Asks a destination again where that may help; every call of one may be repeated. @throws DestinationError the last one */
export async function persistently<T>(ask: (again: boolean) => Promise<T>): Promise<T> {
  const backoff = new Backoff(MIN_MS, MAX_MS);
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(attempt > 1);
    } catch (error) {
      const passes =
        error instanceof DestinationError &&
        (error.trouble === "unreachable" || error.trouble === "throttled");
      if (!passes || attempt === ATTEMPTS) throw error;
      await Bun.sleep(backoff.next());
    }
  }
}
