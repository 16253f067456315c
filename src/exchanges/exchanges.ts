/** All exchanges by name. */
import { binance } from "./binance.ts";
import { bybit } from "./bybit.ts";
import type { Exchange } from "./exchange.ts";
import { okx } from "./okx.ts";

/** Every exchange there is. */
export const EXCHANGES: readonly Exchange[] = [binance, bybit, okx];

/** The exchange of this name. @throws Error when there is none. */
export function exchangeByName(name: string): Exchange {
  const exchange = EXCHANGES.find((candidate) => candidate.name === name);
  if (exchange === undefined) throw new Error(`no exchange is called ${name}`);
  return exchange;
}
