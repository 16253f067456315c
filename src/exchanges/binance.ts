/**
 * Binance USD-M futures, public market data, as it is since April 2026: every stream belongs to a route,
 * and a stream asked for on the wrong one is acknowledged and then silent for ever.
 */
import { z } from "zod";
import type { Stream } from "../events/streams.ts";
import { BinanceDecoder } from "./binance/decoder.ts";
import { fetchBinanceInstruments, normalizeSymbol, perpetualOf } from "./binance/instruments.ts";
import { binanceInstrumentSources, binanceSources } from "./binance/sources.ts";
import { isObject, parseFrame } from "./decoding/json.ts";
import type { Answer, Exchange, Subscription } from "./exchange.ts";
import { serverTime } from "./server-time.ts";

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
const ANNOUNCEMENTS: Subscription = {
  route: MARKET,
  channel: "!contractInfo",
  streams: [],
  instrument: null,
};

/** `{"serverTime":1499827319559}`, weight 1. */
const TIME = z.looseObject({ serverTime: z.int().positive() }).transform((answer) => answer.serverTime);

/** See {@link Exchange}. */
export const binance: Exchange = {
  name: "binance",
  streams: ["bbo", "trade", "mark_price", "funding", "liquidation"],
  // Mark prices come every second; quotes and trades only when something happens.
  promptStreams: ["mark_price"],
  limits: {
    channelsPerMessage: 100,
    // Ten incoming messages a second are allowed, our pongs among them.
    messagesPerSecond: 5,
    messagesPerHour: null,
    // 300 attempts in five minutes are known of spot; a start opens a few at once and then none.
    connectsPerSecond: 4,
    connectsPerFiveMinutes: 300,
    charactersPerConnection: null,
    failsWhole: true,
    lifetime: 86_400_000,
  },
  // The server pings every three minutes; the client answers by itself.
  keepalive: null,
  sources: binanceSources,
  instrumentSources: binanceInstrumentSources,
  // Open interest is to be had by REST only.
  openInterestSides: null,
  // COIN-M contracts belong to another host; where their frames come along they are not recorded.
  inverseContractTypes: [],

  normalizeSymbol,

  instrumentOf: perpetualOf,

  fetchInstruments: fetchBinanceInstruments,

  fetchServerTime: serverTime("/fapi/v1/time", TIME),

  companions: () => [],

  subscriptions(streams, instruments) {
    const found = new Map<string, Subscription>([[ANNOUNCEMENTS.channel, ANNOUNCEMENTS]]);
    for (const stream of streams) {
      const of = CHANNELS[stream];
      if (of === undefined) continue;
      const add = (channel: string, instrument: string | null) => {
        // Mark price and funding come over one channel.
        const others = found.get(channel)?.streams ?? [];
        found.set(channel, { route: of.route, channel, streams: [...others, stream], instrument });
      };
      if ("all" in of) add(of.all, null);
      else for (const { instrument } of instruments) add(instrument.toLowerCase() + of.suffix, instrument);
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
