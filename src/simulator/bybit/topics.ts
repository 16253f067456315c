/** Topics of Bybit v5 linear. */

/** The only route that is served; Bybit has one more for each other category. */
export const ROUTE = "linear";

const TOPIC =
  /^(orderbook\.(?:1|50|200|1000|rpi)|publicTrade|tickers|allLiquidation|kline\.(?:1|3|5|15|30|60|120|240|360|720|D|W|M))\.(.+)$/u;

/** A topic in its parts. */
export interface Topic {
  /** `orderbook.1`, `publicTrade`, `kline.5`, … */
  readonly kind: string;
  readonly symbol: string;
}

/** Reads a topic; undefined = the exchange has no such kind or depth. */
export function topicOf(text: string): Topic | undefined {
  const [, kind, symbol] = TOPIC.exec(text) ?? [];
  return kind === undefined || symbol === undefined ? undefined : { kind, symbol };
}
