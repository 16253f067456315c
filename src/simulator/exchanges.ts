/** The simulated exchanges by name: what `simulate` and `demo` have to know of them. */
import { startBinance } from "./binance.ts";
import { startBybit } from "./bybit.ts";
import { startOkx } from "./okx.ts";
import type { SimulatedExchange, SimulationOptions, SimulationStats } from "./simulation.ts";

export type { SimulatedExchange, SimulationOptions, SimulationStats };

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
