/** 1000 in 1000PEPE, 10000 in 10000SATS, 1000000 in 1MBABYDOGE; not the 1 of 1INCH. */
const PREFIX = /^(?:(10{3,})|1M(?=[A-Z]{3}))/;

/** A multiplier behind the coin: SHIB1000USDT. */
const SUFFIX = /(?<=[A-Z])10{3,}(?=USD[TC]?$)/;

/**
 * A symbol without the multiplier in its name, to find one coin under the names of several exchanges: PEPEUSDT for
 * 1000PEPEUSDT, SHIBUSDT for SHIB1000USDT.
 */
export function withoutMultiplier(symbol: string): string {
  return symbol.replace(PREFIX, "").replace(SUFFIX, "");
}

/** How many coins the price of a contract is for, as the name of its base says. */
export function priceMultiplierOf(base: string): number {
  const found = PREFIX.exec(base);
  if (found === null) return 1;
  return found[1] === undefined ? 1_000_000 : Number(found[1]);
}
