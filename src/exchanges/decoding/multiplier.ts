/** 1000 in 1000PEPE, 10000 in 10000SATS, 1000000 in 1MBABYDOGE; not the 1 of 1INCH. */
const PREFIX = /^(?:(10{3,})|1M(?=[A-Z]{3}))/;

/** How many coins the price of a contract is for, as the name of its base says. */
export function priceMultiplierOf(base: string): number {
  const found = PREFIX.exec(base);
  if (found === null) return 1;
  return found[1] === undefined ? 1_000_000 : Number(found[1]);
}
