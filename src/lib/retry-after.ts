/** Longest `Retry-After` that is waited for, ms: a day. A timer above 2^31 ms would fire at once. */
const RETRY_AFTER_MAX = 86_400_000;

/** A `Retry-After` header in ms: seconds, or an HTTP date; 0 when there is none, at most a day. */
export function parseRetryAfter(value: unknown): number {
  if (typeof value !== "string") return 0;
  const seconds = Number(value);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? 0 : Math.min(Math.max(0, wait), RETRY_AFTER_MAX);
}
