/**
 * OKX v5, public market data. Each arg of a request is answered on its own, one bad arg leaves the others
 * in force, and the connection is ours to keep open: by the text `ping`.
 */
import { z } from "zod";
import type { Stream } from "../events/streams.ts";
import type { Exchange, Subscribable, Subscription } from "./exchange.ts";
import { answerOf } from "./okx/answer.ts";
import { argOf, ofAll } from "./okx/channels.ts";
import { OkxDecoder } from "./okx/decoder.ts";
import { fetchOkxInstruments, indexOf, normalizeSymbol, perpetualOf } from "./okx/instruments.ts";
import { okxInstrumentSources, okxSources } from "./okx/sources.ts";
import { serverTime } from "./server-time.ts";

/** All channels that are recorded are on this one. */
const ROUTE = "/ws/v5/public";

/** The id of an instrument's index: none or one. OKX's own word for it, which need not be part of the instrument's id. */
function indexIds({ instrument, index }: Subscribable): readonly string[] {
  const id = index ?? indexOf(instrument);
  return id === null ? [] : [id];
}

/** Channels of a stream: by instrument, or one for all swaps. */
const CHANNELS: Readonly<Record<Stream, (instruments: readonly Subscribable[]) => string[]>> = {
  bbo: (instruments) => instruments.map(({ instrument }) => `bbo-tbt:${instrument}`),
  trade: (instruments) => instruments.map(({ instrument }) => `trades:${instrument}`),
  // The index has an id of its own, and swaps may share one.
  mark_price: (instruments) => [
    ...instruments.map(({ instrument }) => `mark-price:${instrument}`),
    ...instruments.flatMap(indexIds).map((id) => `index-tickers:${id}`),
  ],
  funding: (instruments) => instruments.map(({ instrument }) => `funding-rate:${instrument}`),
  open_interest: (instruments) => instruments.map(({ instrument }) => `open-interest:${instrument}`),
  liquidation: () => ["liquidation-orders:SWAP"],
};

/** Channel that pushes listings, delistings and changes of state. */
const ANNOUNCEMENTS = "instruments:SWAP";

/** `{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}` */
const TIME = z
  .looseObject({ data: z.tuple([z.looseObject({ ts: z.string().regex(/^\d{13}$/) })]) })
  .transform(({ data: [{ ts }] }) => Number(ts));

/** See {@link Exchange}. */
export const okx: Exchange = {
  name: "okx",
  streams: ["bbo", "trade", "mark_price", "funding", "open_interest", "liquidation"],
  // Nothing is documented: whether and how soon a subscription begins with the state as it is is not confirmed.
  promptStreams: [],
  limits: {
    // The args of a request may be 64 KB; one of ours is 40 to 80 bytes.
    channelsPerMessage: 500,
    messagesPerSecond: 1,
    // Subscribe, unsubscribe and login requests together.
    messagesPerHour: 480,
    // Three attempts a second and IP are allowed.
    connectsPerSecond: 2,
    connectsPerFiveMinutes: null,
    charactersPerConnection: null,
    failsWhole: false,
    lifetime: null,
  },
  // The server closes what is silent for 30 s.
  keepalive: { interval: 20_000, message: "ping" },
  sources: okxSources,
  instrumentSources: okxInstrumentSources,
  // Its time may be that of the push: seqId is the same then as in the last row of the other connection.
  stateStreams: ["bbo", "mark_price", "funding", "open_interest"],
  openInterestSides: 1,
  inverseContractTypes: ["inverse"],

  normalizeSymbol,

  instrumentOf: perpetualOf,

  fetchInstruments: fetchOkxInstruments,

  fetchServerTime: serverTime("/api/v5/public/time", TIME),

  /** Index prices come under the id of the index. */
  companions: indexIds,

  subscriptions(streams, instruments): Subscription[] {
    const found = new Map<string, Subscription>();
    found.set(ANNOUNCEMENTS, { route: ROUTE, channel: ANNOUNCEMENTS, streams: [], instrument: null });
    for (const stream of streams) {
      for (const channel of CHANNELS[stream](instruments)) {
        const instrument = ofAll(channel) ? null : channel.slice(channel.indexOf(":") + 1);
        found.set(channel, { route: ROUTE, channel, streams: [stream], instrument });
      }
    }
    return [...found.values()];
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
