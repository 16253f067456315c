import type { LiveGap } from "./live.ts";
import { RECENT_MAX } from "./live.ts";
import type { GapCount } from "./snapshot.ts";
import { RollingCount } from "./windows.ts";

/** Counts the gaps of a run and remembers the last ones. One is a row of the dataset `gaps`. */
export class GapBook {
  readonly #span: number;
  readonly #counts = new Map<string, { -readonly [K in keyof GapCount]: GapCount[K] }>();
  /** Those that were not planned, by exchange and stream. */
  readonly #unplanned = new Map<string, RollingCount>();
  readonly #recent: LiveGap[] = [];

  /** @param span ms of the sliding window */
  constructor(span: number) {
    this.#span = span;
  }

  /** @param now monotonic time, ms */
  add(gap: LiveGap, now: number): void {
    const { exchange, stream, reason, certainty } = gap;
    const key = `${exchange} ${stream} ${reason} ${certainty}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { exchange, stream, reason, certainty, count: 1 });
    else known.count++;
    this.#recent.unshift(gap);
    if (this.#recent.length > RECENT_MAX) this.#recent.pop();
    if (certainty === "planned") return;
    const lane = `${exchange} ${stream}`;
    const window = this.#unplanned.get(lane) ?? new RollingCount(this.#span);
    this.#unplanned.set(lane, window);
    window.add(1, now);
  }

  /** How many there were, by kind. */
  get counts(): readonly GapCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }));
  }

  /** The last ones, last first. */
  get recent(): readonly LiveGap[] {
    return [...this.#recent];
  }

  /** Those of the window that were not planned, of one stream. */
  recentOf(exchange: string, stream: string, now: number): number {
    return this.#unplanned.get(`${exchange} ${stream}`)?.recent(now) ?? 0;
  }

  /** Those of the window that were not planned. */
  recentOfAll(now: number): number {
    return [...this.#unplanned.values()].reduce((sum, window) => sum + window.recent(now), 0);
  }
}
