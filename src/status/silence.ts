import type { Stream } from "../events/streams.ts";
import { RollingCount } from "./windows.ts";

/** Streams that come at a fixed rate, so that silence means something; bbo and trade have none. */
export const PACED_STREAMS: readonly Stream[] = ["mark_price", "funding", "open_interest"];

/** Counts intervals in which a paced stream brought nothing for longer than it should. */
export class SilenceCounter {
  readonly intervals: RollingCount;
  readonly #threshold: number;
  readonly #counts = new Map<string, number>();
  readonly #lanes = new Map<string, { events: number; at: number; silent: boolean }>();

  /**
   * @param threshold ms without an event after which an interval counts, once
   * @param span ms of the sliding window
   */
  constructor(threshold: number, span: number) {
    this.#threshold = threshold;
    this.intervals = new RollingCount(span);
  }

  /** Takes a reading of how many events a paced stream has brought; silence before the first is none. */
  sample(lane: string, events: number, now: number): void {
    const known = this.#lanes.get(lane);
    if (known === undefined || events !== known.events) {
      this.#lanes.set(lane, { events, at: now, silent: false });
      return;
    }
    if (events === 0 || known.silent || now - known.at <= this.#threshold) return;
    known.silent = true;
    this.intervals.add(1, now);
    this.#counts.set(lane, this.of(lane) + 1);
  }

  /** Intervals of one stream that were counted. */
  of(lane: string): number {
    return this.#counts.get(lane) ?? 0;
  }
}
