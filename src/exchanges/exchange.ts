/** What an exchange is to the rest of the program: one file each fills this in. */
import type { Stream } from "../events/streams.ts";
import type { Decoder } from "./decoding/decoder.ts";
import type { Skipped } from "./decoding/entries.ts";
import type { DecoderOptions } from "./decoding/frame-decoder.ts";
import type { RestGet } from "./rest.ts";
import type { FetchServerTime } from "./server-time.ts";

/** An instrument as discovery found it; null = the exchange does not say. */
export interface Instrument {
  /** The exchange's own id. */
  readonly instrument: string;
  /** The unified symbol. */
  readonly symbol: string;
  /** Id under which the price of its index comes, as the exchange says; null = it has none of its own, or does not say. */
  readonly index: string | null;
  readonly base: string | null;
  readonly quote: string | null;
  readonly settle: string | null;
  /** The exchange's own word for the kind of contract. */
  readonly contractType: string | null;
  /** What one contract is worth, in base (in quote for inverse contracts). */
  readonly contractSize: number | null;
  readonly contractMultiplier: number | null;
  /** 1000 for 1000PEPEUSDT, else 1. */
  readonly priceMultiplier: number;
  readonly tickSize: number | null;
  readonly lotSize: number | null;
  /** The exchange's own word for the state. */
  readonly status: string;
  /** µs */
  readonly listed: number | null;
  /** µs */
  readonly delisting: number | null;
  /**
   * Its entry in the answer, letter by letter as it came; null = the answer no longer has it, or the entry is JSON
   * that not every reader takes.
   */
  readonly raw: string | null;
  /** Whether it is a USDT perpetual that trades now: what is recorded unless told otherwise. */
  readonly recordable: boolean;
}

/**
 * What has to be known of an instrument to subscribe it. Where an id is all there is, as in a list of symbols or in
 * captured frames, `index` is left out, and an exchange whose indices have ids of their own guesses it from the id.
 */
export type Subscribable = Pick<Instrument, "instrument"> & Partial<Pick<Instrument, "index">>;

/** One thing to subscribe: a channel of the exchange, on one of its routes. */
export interface Subscription {
  /** Path of the connection it has to go over. */
  readonly route: string;
  /** One text that names it. */
  readonly channel: string;
  /** Streams whose events it brings; none for announcements. */
  readonly streams: readonly Stream[];
  /** The instrument it is of; null = all. */
  readonly instrument: string | null;
}

/** An answer of the exchange to a message that subscribes. */
export interface Answer {
  /** Number of the message it answers; null if it says none. */
  readonly id: number | null;
  /** Channels it names; empty if it names none. */
  readonly channels: readonly string[];
  /** null = accepted; otherwise the exchange's own words. */
  readonly error: string | null;
  /** Channels for which a message failed only because they were subscribed already: they deliver. */
  readonly standing?: readonly string[];
  /** Whether it says that the exchange will close this connection soon. */
  readonly leaving?: boolean;
}

/** What keeps a connection open where the exchange wants to hear from us. */
export interface Keepalive {
  /** ms */
  readonly interval: number;
  readonly message: string;
}

/** Where the columns of a stream or dataset come from, for docs/schema.md. */
export interface Sources {
  /** Channel and route, and what one of its frames means; of `instruments` the REST request. */
  readonly channel: string;
  /** Field of the frame or answer, unit, and when it is NULL, by column; null = the exchange does not send it. */
  readonly columns: Readonly<Record<string, string | null>>;
}

/** {@link Sources} of each stream that the exchange has. */
export type ColumnSources = Readonly<Partial<Record<Stream, Sources>>>;

/** Limits the exchange documents; the planner keeps within them. */
export interface Limits {
  /** Channels in one subscribe message. */
  readonly channelsPerMessage: number;
  /** Messages we may send on one connection in a second. */
  readonly messagesPerSecond: number;
  /** Messages that subscribe or unsubscribe we may send on one connection in an hour; null = none is documented. */
  readonly messagesPerHour: number | null;
  /** Connections we may open in a second. */
  readonly connectsPerSecond: number;
  /** Attempts to connect we may make in five minutes; null = none is documented. */
  readonly connectsPerFiveMinutes: number | null;
  /** Characters of all channels of a connection together, as a list in JSON; null = no such limit. */
  readonly charactersPerConnection: number | null;
  /** Whether one bad channel fails all channels of its message. */
  readonly failsWhole: boolean;
  /** Age at which the exchange closes a connection, ms; null = none is documented. */
  readonly lifetime: number | null;
}

/** Where an exchange is reached; set by `exchanges.<name>.ws_url` and `.rest_url`. */
export interface Endpoints {
  /** Base of the WebSocket addresses, without a trailing slash. */
  readonly wsUrl: string;
  /** Base of the REST addresses, without a trailing slash. */
  readonly restUrl: string;
}

/** One market endpoint. */
export interface Exchange {
  readonly name: string;
  /** Streams it has over WebSocket. */
  readonly streams: readonly Stream[];
  /**
   * Streams of which every subscription brings something within seconds, whatever the market does: a snapshot,
   * or a push at a fixed rate.
   */
  readonly promptStreams: readonly Stream[];
  readonly limits: Limits;
  /** null = the exchange pings, and the client answers by itself. */
  readonly keepalive: Keepalive | null;
  /**
   * How long its REST interface wants to be left alone after an answer of this HTTP status, ms, where it says so in
   * its documentation; what it says in `Retry-After` is heeded anyway.
   */
  readonly restWaits?: Readonly<Record<number, number>>;
  readonly sources: ColumnSources;
  /** Where the columns of the dataset `instruments` come from. */
  readonly instrumentSources: Sources;
  /**
   * Streams of which a subscription may begin with the state as it stands, in a frame that does not say so: on a
   * second connection the first row tells nothing new. Absent = none.
   */
  readonly stateStreams?: readonly Stream[];
  /** Sides that `open_interest` counts: 1, or 2 where long and short are added up; null = it has no such stream. */
  readonly openInterestSides: 1 | 2 | null;
  /** Values of an instrument's `contractType` whose contracts are worth a fixed sum of quote, not of base. */
  readonly inverseContractTypes: readonly string[];
  /** The unified symbol of an instrument. */
  normalizeSymbol(instrument: string): string;
  /**
   * The other way round: under which id this market has the perpetual of a unified symbol, whether it is listed or
   * not. null = the symbol is not that of a perpetual. `normalizeSymbol` of the answer is the symbol again.
   */
  instrumentOf(symbol: string): string | null;
  /**
   * All instruments of this market.
   *
   * @param get asks a path of the REST base
   * @param skipped told of entries that could not be read, the others are in the list; and of fields, which are null
   * @throws Error with the exchange's own words; RestError where they mean that it wants to be left alone
   */
  fetchInstruments(get: RestGet, skipped?: Skipped): Promise<Instrument[]>;
  /** Asks for the time of its clock, which lags are measured against. @throws Error, or RestError as above */
  fetchServerTime: FetchServerTime;
  /** Other ids under which an instrument's events come: on OKX the index of a swap. */
  companions(instrument: Subscribable): readonly string[];
  /** What to subscribe for these streams of these instruments, announcements of new instruments included. */
  subscriptions(streams: readonly Stream[], instruments: readonly Subscribable[]): Subscription[];
  /**
   * Whether a subscription of this channel begins with a snapshot from which changes go on. The snapshot has to have
   * all columns that changes may have: the views carry values over from one connection to the next, and it is what
   * takes the place of those that went stale in between.
   */
  expectsSnapshot(channel: string): boolean;
  /** Address of a connection of a route. */
  connectionUrl(wsUrl: string, route: string): string;
  /** The message that subscribes channels; its answer carries `id`. */
  subscribeMessage(channels: readonly string[], id: number): string;
  /** The message that ends subscriptions. */
  unsubscribeMessage(channels: readonly string[], id: number): string;
  /** Reads a frame that the decoder called CONTROL. */
  answerOf(frame: Uint8Array): Answer;
  /** A decoder that puts its rows into `writers` and counts into `counters`. */
  createDecoder(options: DecoderOptions): Decoder;
}
