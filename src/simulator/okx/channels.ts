/** Channels of OKX v5: which path serves them, and by what they are subscribed. */
import { z } from "zod";

/** The paths of public market data: `/ws/v5/public`, `/ws/v5/business`. */
export type Route = "public" | "business";

/** An arg of a request. */
export const ARG = z.looseObject({
  channel: z.string(),
  instId: z.string().optional(),
  instType: z.string().optional(),
});
/** See {@link ARG}. */
export type Arg = z.infer<typeof ARG>;

const BY_TYPE = /^(?:liquidation-orders|adl-warning|instruments|estimated-price)$/;
const PUBLIC =
  /^(?:bbo-tbt|trades|tickers|mark-price|index-tickers|funding-rate|open-interest|price-limit|opt-summary|status|books(?:5|-rpi)?|books(?:50)?-l2-tbt)$/;
const BUSINESS = /^(?:trades-all|(?:index-|mark-price-)?candle\w+)$/;

/**
 * The text that names a channel: `trades:BTC-USDT-SWAP`, `liquidation-orders:SWAP`; undefined when there is
 * no such channel, or it is subscribed by something else.
 */
export function channelOf({ channel, instId, instType }: Arg): string | undefined {
  if (BY_TYPE.test(channel))
    return instType === undefined || instId !== undefined ? undefined : `${channel}:${instType}`;
  if (channel === "status") return channel;
  return instId === undefined || routeOf(channel) === undefined ? undefined : `${channel}:${instId}`;
}

/**
 * The symbol and kind of a subscription: of a channel by its name, or of an arg as a client spells it. An
 * index counts for its swap; a channel for all instruments has no symbol.
 */
export function topicOf(text: string): { symbol: string | undefined; kind: string } | undefined {
  const channel = text.startsWith("{") ? channelOfText(text) : text;
  if (channel === undefined || routeOf(channel) === undefined) return undefined;
  const [kind = "", of] = channel.split(":");
  if (BY_TYPE.test(kind) || of === undefined) return { kind, symbol: undefined };
  return { kind, symbol: kind === "index-tickers" ? `${of}-SWAP` : of };
}

function channelOfText(text: string): string | undefined {
  const arg = ARG.safeParse(JSON.parse(text));
  return arg.success ? channelOf(arg.data) : undefined;
}

/** The path that serves a channel, given by its name or by {@link channelOf}; undefined = no such channel. */
export function routeOf(channel: string): Route | undefined {
  const [name = ""] = channel.split(":");
  if (PUBLIC.test(name) || BY_TYPE.test(name)) return "public";
  return BUSINESS.test(name) ? "business" : undefined;
}
