/** UTC days of times in µs. */

const DAY_US = 86_400_000_000;

/** Number of the UTC day a time in µs falls on. */
export function dayOf(us: number): number {
  return Math.floor(us / DAY_US);
}

/** First µs of a UTC day. */
export function dayStart(day: number): number {
  return day * DAY_US;
}

/** `2026-11-20` for a time in µs. */
export function dateOf(us: number): string {
  return new Date(Math.floor(us / 1000)).toISOString().slice(0, 10);
}
