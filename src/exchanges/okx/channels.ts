import type { Fields } from "../decoding/json.ts";

/** Channels that are subscribed for a kind of instrument; an instId is refused with 60018. */
const BY_TYPE: ReadonlySet<string> = new Set(["liquidation-orders", "instruments"]);

/** Fields of an arg that may say what a channel is of, the usual one first. */
const OF_WHAT = ["instId", "instType", "instFamily", "uly"] as const;

/** Channels of these endpoints that are not recorded. */
const NOT_RECORDED: ReadonlySet<string> = new Set([
  "adl-warning",
  "block-tickers",
  "call-auction-details",
  "economic-calendar",
  "estimated-price",
  "opt-summary",
  "option-trades",
  "price-limit",
  "public-block-trades",
  "public-struc-block-trades",
  "status",
  "tickers",
]);

/** books, books5, books-l2-tbt, …; candle1m, index-candle1D, mark-price-candle1H, … */
const NOT_RECORDED_FAMILY = /^(?:books|sprd-|(?:index-|mark-price-)?candle)/;

/** Whether a channel is known and not recorded. */
export function isNotRecorded(channel: string): boolean {
  return NOT_RECORDED.has(channel) || NOT_RECORDED_FAMILY.test(channel);
}

/** `trades:BTC-USDT-SWAP` as the arg of a request: `{"channel":"trades","instId":"BTC-USDT-SWAP"}`. */
export function argOf(channel: string): Readonly<Record<string, string>> {
  const colon = channel.indexOf(":");
  const name = channel.slice(0, colon);
  return { channel: name, [BY_TYPE.has(name) ? "instType" : "instId"]: channel.slice(colon + 1) };
}

/** Whether a channel is of a whole kind of instruments. */
export function ofAll(channel: string): boolean {
  return BY_TYPE.has(channel.slice(0, channel.indexOf(":")));
}

/** The other way round: the text that names the channel of an arg; null when it has none. */
export function channelOf(arg: Fields): string | null {
  if (typeof arg.channel !== "string") return null;
  const of = OF_WHAT.map((key) => arg[key]).find((value) => typeof value === "string");
  return of === undefined ? arg.channel : `${arg.channel}:${of}`;
}
