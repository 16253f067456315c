/**
 * Binance USD-M futures, public market data, as it is since April 2026: every stream belongs to a route,
 * and a stream asked for on the wrong one is acknowledged and then silent for ever.
 */
import type { Stream } from "../events/streams.ts";
import { BinanceDecoder } from "./binance/decoder.ts";
import { fetchBinanceInstruments, normalizeSymbol } from "./binance/instruments.ts";
import { binanceSources } from "./binance/sources.ts";
import { isObject, parseFrame } from "./decoding/json.ts";
import type { Answer, Exchange, Subscription } from "./exchange.ts";

/** Route of bookTicker and the other book streams. */
const PUBLIC = "/public/stream";
/** Route of aggTrade, markPrice and forceOrder. */
const MARKET = "/market/stream";

/** Channel of a stream: a suffix of each symbol, or one channel for all. `mark_price` and `funding` share one. */
const CHANNELS: Readonly<
  Partial<Record<Stream, { route: string } & ({ suffix: string } | { all: string })>>
> = {
  bbo: { route: PUBLIC, suffix: "@bookTicker" },
  trade: { route: MARKET, suffix: "@aggTrade" },
  mark_price: { route: MARKET, suffix: "@markPrice@1s" },
  funding: { route: MARKET, suffix: "@markPrice@1s" },
  liquidation: { route: MARKET, all: "!forceOrder@arr" },
};

/** Channel that pushes listings and delistings. */
const ANNOUNCEMENTS = { route: MARKET, channel: "!contractInfo" };

/** See {@link Exchange}. */
export const binance: Exchange = {
  name: "binance",
  streams: ["bbo", "trade", "mark_price", "funding", "liquidation"],
  limits: {
    channelsPerMessage: 100,
    // Ten incoming messages a second are allowed, our pongs among them.
    messagesPerSecond: 5,
    // 300 attempts in five minutes are known of spot; a start opens a few at once and then none.
    connectsPerSecond: 4,
    charactersPerConnection: null,
    failsWhole: true,
  },
  // The server pings every three minutes; the client answers by itself.
  keepalive: null,
  sources: binanceSources,

  normalizeSymbol,

  fetchInstruments: fetchBinanceInstruments,

  companions: () => [],

  subscriptions(streams, instruments) {
    const found = new Map<string, Subscription>([[ANNOUNCEMENTS.channel, ANNOUNCEMENTS]]);
    for (const stream of streams) {
      const channel = CHANNELS[stream];
      if (channel === undefined) continue;
      const names =
        "all" in channel
          ? [channel.all]
          : instruments.map((instrument) => instrument.toLowerCase() + channel.suffix);
      for (const name of names) found.set(name, { route: channel.route, channel: name });
    }
    return [...found.values()];
  },

  expectsSnapshot: () => false,

  connectionUrl: (wsUrl, route) => wsUrl + route,

  subscribeMessage: (channels, id) => JSON.stringify({ method: "SUBSCRIBE", params: channels, id }),

  unsubscribeMessage: (channels, id) => JSON.stringify({ method: "UNSUBSCRIBE", params: channels, id }),

  /**
   * `{"result":null,"id":1}`, `{"error":{"code":2,"msg":"..."},"id":1}` or `{"code":2,"msg":"..."}`.
   * The shape of errors on futures is not documented; both are accepted.
   */
  answerOf(frame): Answer {
    const fields = parseFrame(frame);
    if (!isObject(fields)) return { id: null, channels: [], error: "an answer that is not an object" };
    const id = typeof fields.id === "number" ? fields.id : null;
    if ("result" in fields) return { id, channels: [], error: null };
    const error = isObject(fields.error) ? fields.error : fields;
    const words = `${String(error.msg ?? "no message")} (code ${String(error.code ?? "none")})`;
    return { id, channels: [], error: words };
  },

  createDecoder: (options) => new BinanceDecoder(options),
};
