/** What all simulated exchanges have in common: how they are started, what they tell, how they are driven. */
import type { Account } from "./account/account.ts";
import type { FaultControl } from "./faults/faults.ts";
import type { GenerationOptions, GenerationStats } from "./generation.ts";
import type { ServerOptions, ServerStats } from "./server.ts";

/** What can be set of any simulated exchange; all have defaults. */
export interface SimulationOptions extends ServerOptions, GenerationOptions {
  /** The same seed gives each instrument the same prices, amounts and ids, event by event. */
  readonly seed?: string | number;
  /** Instruments that trade. */
  readonly instruments?: number;
  /** How unevenly activity is spread: 0 = all alike, 1 = Zipf. */
  readonly skew?: number;
  /**
   * Keeps an account of every event from the first subscription of its channel on. The markets then go on
   * while nobody is subscribed.
   */
  readonly account?: boolean;
  /** Events that the account remembers one by one (37 bytes each); counts are kept of all. */
  readonly accountEventsMax?: number;
}

/** See {@link SimulationOptions.accountEventsMax}. */
export const ACCOUNT_EVENTS_MAX = 2_000_000;

/** What any simulated exchange tells of itself. */
export interface SimulationStats extends ServerStats, GenerationStats {
  /** What was handed to subscribers, by kind; a frame with two subscribers counts twice. */
  readonly sent: Readonly<Record<string, number>>;
}

/** A running simulated exchange. */
export interface SimulatedExchange<Stats extends SimulationStats = SimulationStats> {
  /** Base for `exchanges.<name>.ws_url`. */
  readonly url: string;
  /** Base for `exchanges.<name>.rest_url`. */
  readonly restUrl: string;
  readonly port: number;
  /** Resolves when `events` were made and every socket has taken its share; never without a limit. */
  readonly finished: Promise<void>;
  /** What it can be made to do wrong. */
  readonly faults: FaultControl;
  /** What was made and sent, where `account` was asked for. */
  readonly account: Account | undefined;
  stats(): Stats;
  /** Stops the markets and resolves when every socket has taken what it was sent. */
  pause(): Promise<void>;
  /** Lets the markets go on after `pause`. */
  resume(): void;
  stop(): Promise<void>;
}
