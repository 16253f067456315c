/** The simulated exchanges by name: what `simulate` and `demo` have to know of them. */
import { startBinance } from "./binance.ts";
import { startBybit } from "./bybit.ts";
import { startOkx } from "./okx.ts";

/** What can be set of any simulated exchange; see the options of each for the meaning. */
export interface SimulationOptions {
  readonly port?: number;
  readonly seed?: string | number;
  readonly instruments?: number;
  readonly rate?: number | "max";
  readonly burstFactor?: number;
  readonly burstEveryMs?: number;
  readonly burstLengthMs?: number;
}

/** What any simulated exchange tells of itself. */
export interface SimulationStats {
  /** By kind. */
  readonly sent: Readonly<Record<string, number>>;
  readonly connections: number;
  readonly connectionsTotal: number;
  readonly subscriptions: number;
}

/** A running simulated exchange. */
export interface SimulatedExchange {
  /** Base for `exchanges.<name>.ws_url`. */
  readonly url: string;
  /** Base for `exchanges.<name>.rest_url`. */
  readonly restUrl: string;
  readonly port: number;
  stats(): SimulationStats;
  stop(): Promise<void>;
}

/** All of them. They throw (EADDRINUSE) when the port is taken. */
export const SIMULATED_EXCHANGES: Readonly<
  Record<"binance" | "bybit" | "okx", (options: SimulationOptions) => SimulatedExchange>
> = {
  binance: startBinance,
  bybit: startBybit,
  okx: startOkx,
};

/** A simulated exchange. */
export type SimulatedName = keyof typeof SIMULATED_EXCHANGES;
/** Their names. */
export const SIMULATED_NAMES = Object.keys(SIMULATED_EXCHANGES) as SimulatedName[];
