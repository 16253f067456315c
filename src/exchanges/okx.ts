/**
 * OKX v5, public market data. Each arg of a request is answered on its own, one bad arg leaves the others
 * in force, and the connection is ours to keep open: by the text `ping`.
 */
import type { Stream } from "../events/streams.ts";
import type { Exchange, Subscription } from "./exchange.ts";
import { answerOf } from "./okx/answer.ts";
import { argOf } from "./okx/channels.ts";
import { OkxDecoder } from "./okx/decoder.ts";
import { fetchOkxInstruments, indexOf, normalizeSymbol } from "./okx/instruments.ts";
import { okxSources } from "./okx/sources.ts";

/** All channels that are recorded are on this one. */
const ROUTE = "/ws/v5/public";

/** Channels of a stream: by instrument, or one for all swaps. */
const CHANNELS: Readonly<Record<Stream, (instruments: readonly string[]) => string[]>> = {
  bbo: (instruments) => instruments.map((id) => `bbo-tbt:${id}`),
  trade: (instruments) => instruments.map((id) => `trades:${id}`),
  // The index has an id of its own, and swaps may share one.
  mark_price: (instruments) => [
    ...instruments.map((id) => `mark-price:${id}`),
    ...instruments.flatMap((id) => indexOf(id) ?? []).map((id) => `index-tickers:${id}`),
  ],
  funding: (instruments) => instruments.map((id) => `funding-rate:${id}`),
  open_interest: (instruments) => instruments.map((id) => `open-interest:${id}`),
  liquidation: () => ["liquidation-orders:SWAP"],
};

/** Channel that pushes listings, delistings and changes of state. */
const ANNOUNCEMENTS = "instruments:SWAP";

/** See {@link Exchange}. */
export const okx: Exchange = {
  name: "okx",
  streams: ["bbo", "trade", "mark_price", "funding", "open_interest", "liquidation"],
  limits: {
    // The args of a request may be 64 KB; one of ours is 40 to 80 bytes.
    channelsPerMessage: 500,
    // 480 subscribe and unsubscribe requests an hour and connection: batches keep far below.
    messagesPerSecond: 1,
    // Three attempts a second and IP are allowed.
    connectsPerSecond: 2,
    charactersPerConnection: null,
    failsWhole: false,
  },
  // The server closes what is silent for 30 s.
  keepalive: { interval: 20_000, message: "ping" },
  sources: okxSources,

  normalizeSymbol,

  fetchInstruments: fetchOkxInstruments,

  /** Index prices come under the id of the index. */
  companions: (instrument) => [indexOf(instrument)].filter((id) => id !== null),

  subscriptions(streams, instruments): Subscription[] {
    const channels = new Set([ANNOUNCEMENTS, ...streams.flatMap((stream) => CHANNELS[stream](instruments))]);
    return [...channels].map((channel) => ({ route: ROUTE, channel }));
  },

  expectsSnapshot: () => false,

  connectionUrl: (wsUrl, route) => wsUrl + route,

  subscribeMessage: (channels, id) =>
    JSON.stringify({ id: String(id), op: "subscribe", args: channels.map(argOf) }),

  unsubscribeMessage: (channels, id) =>
    JSON.stringify({ id: String(id), op: "unsubscribe", args: channels.map(argOf) }),

  answerOf,

  createDecoder: (options) => new OkxDecoder(options),
};
