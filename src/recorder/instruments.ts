import type { Instrument } from "../exchanges/exchange.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";

/** An instrument with the number that stands in the rows of this run. */
export interface NumberedInstrument extends Instrument {
  readonly number: number;
}

/** What discovery found. */
export interface Discovery {
  readonly instruments: readonly NumberedInstrument[];
  /** Symbols that were asked for and do not exist or do not trade. */
  readonly unknown: readonly string[];
}

/**
 * Asks an exchange which instruments there are and keeps the wanted ones.
 *
 * @throws Error when the exchange does not answer as it should
 */
export async function discover(options: {
  exchange: string;
  restUrl: string;
  /** Unified symbols or the exchange's own ids, in any case; empty = all. */
  wanted: readonly string[];
  /** ms */
  timeout: number;
  signal: AbortSignal;
}): Promise<Discovery> {
  const { restUrl, wanted, timeout, signal } = options;
  const exchange = exchangeByName(options.exchange);
  const all = await exchange.fetchInstruments(
    restUrl,
    AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
  );
  all.sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0));
  const asked = new Set(wanted.map((symbol) => symbol.toUpperCase()));
  const names = ({ symbol, instrument }: Instrument) => [symbol.toUpperCase(), instrument.toUpperCase()];
  const kept = asked.size === 0 ? all : all.filter((one) => names(one).some((name) => asked.has(name)));
  const found = new Set(kept.flatMap(names));
  return {
    instruments: kept.map((one, number) => ({ ...one, number })),
    unknown: wanted.filter((symbol) => !found.has(symbol.toUpperCase())),
  };
}
