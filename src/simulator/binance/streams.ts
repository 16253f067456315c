/** Stream names of Binance USD-M futures and the route each belongs to (routes since April 2026). */

/** The routes of public market data. */
export type Route = "public" | "market";

const SPEED = "(@(100|250|500)ms)?";
const PUBLIC = [
  /^!bookTicker$/,
  new RegExp(`^[^@!]+@depth(5|10|20)?${SPEED}$`, "u"),
  /^[^@!]+@(bookTicker|trade|rpiDepth@500ms)$/u,
];
const MARKET = [
  /^!(forceOrder|ticker|miniTicker|assetIndex)@arr$/,
  /^!markPrice@arr(@1s)?$/,
  /^!contractInfo$/,
  /^[^@!]+@(aggTrade|forceOrder|ticker|miniTicker|compositeIndex)$/u,
  /^[^@!]+@markPrice(@1s)?$/u,
  /^[^@!]+@(kline|continuousKline)_\w+$/u,
];

/** The route that serves a stream; undefined = no such stream. */
export function routeOf(stream: string): Route | undefined {
  if (PUBLIC.some((pattern) => pattern.test(stream))) return "public";
  return MARKET.some((pattern) => pattern.test(stream)) ? "market" : undefined;
}

const GENERATED = /^(?:([^@!]+)@|!)(bookTicker|aggTrade|markPrice|forceOrder)(?:@(?:1s|arr(?:@1s)?))?$/u;

/** The symbol and kind of a stream that is generated; a stream for all symbols has none. */
export function topicOf(stream: string): { symbol: string | undefined; kind: string } | undefined {
  const [, name, kind] = GENERATED.exec(stream) ?? [];
  return kind === undefined ? undefined : { symbol: name?.toUpperCase(), kind };
}

/** The payload's symbol as a stream name spells it. Not ASCII only: `币安人生USDT` is `币安人生usdt`. */
export function streamSymbol(symbol: string): string {
  return symbol.toLowerCase();
}
