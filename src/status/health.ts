/** How each stream of each exchange is doing, as one pure function of what is known of it. */
import type { Stream } from "../events/streams.ts";
import { TIMELY } from "../ingest/row-gate.ts";
import type { Health } from "./live.ts";
import { PACED_STREAMS } from "./silence.ts";

/** What the health of a stream depends on; times in ms, null = not known. */
export interface HealthInput {
  readonly stream: Stream;
  /** Whether any connection to its exchange is open. */
  readonly online: boolean;
  /** Since its last event was received. */
  readonly age: number | null;
  /** Mean interval between its events in this run. */
  readonly interval: number | null;
  /** Median lag over the last minute. */
  readonly lag: number | null;
  /** By how much the exchange's clock is ahead of ours. */
  readonly offset: number | null;
  /** Silence that is too long of a stream that comes often (`silence.threshold`). */
  readonly silence: number;
  /** Lag that is too much (`connection.lag`). */
  readonly lagMax: number;
}

/** Streams without a rate may be silent for this many of their mean intervals. */
const INTERVALS_MAX = 50;
/** Those with one for so many: OKX sends the funding of an instrument about once a minute, of many in a row. */
const PACED_INTERVALS_MAX = 10;

/**
 * Offline, waiting, silent, lagging or fresh: the first that holds.
 *
 * A liquidation comes when there is one, so that stream is never silent. Lag says something only of streams whose events
 * are made when something happens.
 */
export function healthOf(input: HealthInput): Health {
  const { stream, age, interval, lag, offset, silence, lagMax } = input;
  if (!input.online) return "offline";
  if (age === null) return "waiting";
  const intervals = PACED_STREAMS.includes(stream) ? PACED_INTERVALS_MAX : INTERVALS_MAX;
  const patience = Math.max(silence, intervals * (interval ?? 0));
  if (stream !== "liquidation" && age > patience) return "silent";
  // A published time of a clock that is ahead makes lags look smaller by as much.
  if (TIMELY.includes(stream) && lag !== null && lag + (offset ?? 0) > lagMax) return "lagging";
  return "fresh";
}
