/**
 * Bybit v5, public market data of linear contracts (USDT perpetuals): one route, one topic per instrument
 * and kind. One bad topic fails the whole request that it stands in.
 */
import { z } from "zod";
import type { Stream } from "../events/streams.ts";
import { BybitDecoder } from "./bybit/decoder.ts";
import { fetchBybitInstruments, normalizeSymbol, perpetualOf } from "./bybit/instruments.ts";
import { bybitInstrumentSources, bybitSources } from "./bybit/sources.ts";
import { type Fields, isObject, parseFrame } from "./decoding/json.ts";
import type { Answer, Exchange, Subscription } from "./exchange.ts";
import { serverTime } from "./server-time.ts";

/** Linear contracts: USDT and USDC perpetuals, USDT futures. */
const LINEAR = "/v5/public/linear";

/** Topic of a stream without the symbol; three streams share the ticker. */
const TOPICS: Readonly<Record<Stream, string>> = {
  bbo: "orderbook.1.",
  trade: "publicTrade.",
  mark_price: "tickers.",
  funding: "tickers.",
  open_interest: "tickers.",
  liquidation: "allLiquidation.",
};

/**
 * `{"retCode":0,…,"result":{"timeSecond":"1688639403","timeNano":"1688639403423213947"},…}`; whole milliseconds and the
 * rest are read apart: a double does not hold so many nanoseconds, and a whole millisecond would come out beside itself.
 */
const TIME = z
  .looseObject({ result: z.looseObject({ timeNano: z.string().regex(/^\d{19}$/) }) })
  .transform(({ result: { timeNano } }) => Number(timeNano.slice(0, -6)) + Number(timeNano.slice(-6)) / 1e6);

/** See {@link Exchange}. */
export const bybit: Exchange = {
  name: "bybit",
  streams: ["bbo", "trade", "mark_price", "funding", "open_interest", "liquidation"],
  // They begin with a snapshot.
  promptStreams: ["bbo", "mark_price"],
  limits: {
    // No limit is documented for linear; hundreds work.
    channelsPerMessage: 100,
    // No limit is documented; a thousand channels take a second or two.
    messagesPerSecond: 10,
    messagesPerHour: null,
    // 500 connections in five minutes are allowed.
    connectsPerSecond: 4,
    connectsPerFiveMinutes: 500,
    // The "args" of one connection together: whether quotes and commas count is not said, so they do.
    charactersPerConnection: 21_000,
    failsWhole: true,
    lifetime: null,
  },
  // Bybit sends no pings and cuts a connection on which nothing comes for about ten minutes.
  keepalive: { interval: 20_000, message: '{"op":"ping"}' },
  // "access too frequent": the address had more than 600 requests in 5 s, and is let in again after ten minutes.
  restWaits: { 403: 600_000 },
  sources: bybitSources,
  instrumentSources: bybitInstrumentSources,
  openInterestSides: 2,
  // Of the endpoint and category `inverse`, which are not recorded; `decode` reads their frames.
  inverseContractTypes: ["InversePerpetual", "InverseFutures"],

  normalizeSymbol,

  instrumentOf: perpetualOf,

  fetchInstruments: fetchBybitInstruments,

  fetchServerTime: serverTime("/v5/market/time", TIME),

  companions: () => [],

  subscriptions(streams, instruments) {
    const heads = [...new Set(streams.map((stream) => TOPICS[stream]))];
    return heads.flatMap((head) => {
      const brings = streams.filter((stream) => TOPICS[stream] === head);
      return instruments.map(
        ({ instrument }): Subscription => ({
          route: LINEAR,
          channel: head + instrument,
          streams: brings,
          instrument,
        }),
      );
    });
  },

  /** Tickers: a snapshot, then changes. The level-1 book is pushed whole each time. */
  expectsSnapshot: (channel) => channel.startsWith("tickers."),

  connectionUrl: (wsUrl, route) => wsUrl + route,

  subscribeMessage: (channels, id) => JSON.stringify({ op: "subscribe", req_id: String(id), args: channels }),

  unsubscribeMessage: (channels, id) =>
    JSON.stringify({ op: "unsubscribe", req_id: String(id), args: channels }),

  /**
   * `{"success":true,"ret_msg":"","conn_id":"..","req_id":"1","op":"subscribe"}`, or with success false
   * `"ret_msg":"error:handler not found,topic:orderbook.1.NOPEUSDT"`, which names the first bad topic only.
   * Pongs (`"op":"ping"`, on option `"op":"pong"`) answer no subscription: neither number nor error.
   */
  answerOf(frame): Answer {
    const fields = parseFrame(frame);
    if (!isObject(fields)) return { id: null, channels: [], error: "an answer that is not an object" };
    if (fields.type === "COMMAND_RESP") return commandAnswer(fields);
    const id = fields.op === "ping" || fields.op === "pong" ? null : numberOf(fields.req_id);
    if (fields.success !== false) return { id, channels: [], error: null };
    const words = typeof fields.ret_msg === "string" && fields.ret_msg !== "" ? fields.ret_msg : "no message";
    const topic = /,topic:(.+)$/.exec(words)?.[1];
    if (topic === undefined) return { id, channels: [], error: words };
    // What came too late for us may have been subscribed all the same: the topic delivers, the others of
    // this request do not.
    if (words.startsWith("error:already subscribed"))
      return { id, channels: [], error: words, standing: [topic] };
    return { id, channels: [topic], error: words };
  },

  createDecoder: (options) => new BybitDecoder(options),
};

/** The number we gave a message; null = none, or not ours. */
function numberOf(reqId: unknown): number | null {
  return typeof reqId === "string" && /^\d{1,15}$/.test(reqId) ? Number(reqId) : null;
}

/** `{"success":true,"conn_id":"..","data":{"failTopics":[],"successTopics":[".."]},"type":"COMMAND_RESP"}` */
function commandAnswer({ data, req_id }: Fields): Answer {
  const topics = (key: string) => {
    const list: unknown = isObject(data) ? data[key] : undefined;
    return Array.isArray(list) ? list.filter((topic): topic is string => typeof topic === "string") : [];
  };
  const failed = topics("failTopics");
  const id = numberOf(req_id);
  if (failed.length > 0) return { id, channels: failed, error: "failTopics" };
  return { id, channels: topics("successTopics"), error: null };
}
