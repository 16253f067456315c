/**
 * Binance USD-M futures, public market data, as it is since April 2026: every stream belongs to a route,
 * and a stream asked for on the wrong one is acknowledged and then silent for ever.
 */
import { z } from "zod";
import type { Stream } from "../events/streams.ts";
import { BinanceDecoder } from "./binance/decoder.ts";
import { binanceSources } from "./binance/sources.ts";
import { isObject, parseFrame } from "./decoding/json.ts";
import type { Answer, Exchange, Instrument, Subscription } from "./exchange.ts";

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

/** `GET /fapi/v1/exchangeInfo`: the fields that discovery needs. */
const exchangeInfo = z.object({
  symbols: z.array(
    z.object({
      symbol: z.string().min(1),
      contractType: z.string(),
      status: z.string(),
      quoteAsset: z.string(),
    }),
  ),
});

/** See {@link Exchange}. */
export const binance: Exchange = {
  name: "binance",
  streams: ["bbo", "trade", "mark_price", "funding", "liquidation"],
  // Ten incoming messages a second are allowed, our pongs among them.
  limits: { channelsPerMessage: 100, messagesPerSecond: 5 },
  sources: binanceSources,

  /** Instruments of USD-M are written as the unified symbol already: BTCUSDT, 1000PEPEUSDT. */
  normalizeSymbol: (instrument) => instrument,

  async fetchInstruments(restUrl, signal) {
    const response = await fetch(`${restUrl}/fapi/v1/exchangeInfo`, { signal });
    if (!response.ok) {
      throw new Error(`GET /fapi/v1/exchangeInfo answered ${response.status} ${response.statusText}`);
    }
    const answer = exchangeInfo.safeParse(await response.json());
    if (!answer.success) {
      throw new Error(`GET /fapi/v1/exchangeInfo has an unexpected shape: ${z.prettifyError(answer.error)}`);
    }
    return answer.data.symbols
      .filter((s) => s.contractType === "PERPETUAL" && s.quoteAsset === "USDT" && s.status === "TRADING")
      .map((s): Instrument => ({ instrument: s.symbol, symbol: binance.normalizeSymbol(s.symbol) }));
  },

  subscriptions(streams, instruments) {
    const found = new Map<string, Subscription>();
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

  connectionUrl: (wsUrl, route) => wsUrl + route,

  subscribeMessage: (channels, id) => JSON.stringify({ method: "SUBSCRIBE", params: channels, id }),

  /**
   * `{"result":null,"id":1}`, `{"error":{"code":2,"msg":"..."},"id":1}` or `{"code":2,"msg":"..."}`.
   * The shape of errors on futures is not documented; both are accepted.
   */
  answerOf(frame): Answer {
    const fields = parseFrame(frame);
    if (!isObject(fields)) return { id: null, error: "an answer that is not an object" };
    const id = typeof fields.id === "number" ? fields.id : null;
    if ("result" in fields) return { id, error: null };
    const error = isObject(fields.error) ? fields.error : fields;
    return { id, error: `${String(error.msg ?? "no message")} (code ${String(error.code ?? "none")})` };
  },

  createDecoder: (options) => new BinanceDecoder(options),
};
