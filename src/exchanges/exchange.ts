/** What an exchange is to the rest of the program: one file each fills this in. */
import type { Stream } from "../events/streams.ts";
import type { Decoder } from "./decoding/decoder.ts";
import type { Skipped } from "./decoding/entries.ts";
import type { DecoderOptions } from "./decoding/frame-decoder.ts";

/** An instrument as discovery found it; null = the exchange does not say. */
export interface Instrument {
  /** The exchange's own id. */
  readonly instrument: string;
  /** The unified symbol. */
  readonly symbol: string;
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
  /** The raw answer for this instrument. */
  readonly raw: unknown;
  /** Whether it is a USDT perpetual that trades now: what is recorded unless told otherwise. */
  readonly recordable: boolean;
}

/** One thing to subscribe: a channel of the exchange, on one of its routes. */
export interface Subscription {
  /** Path of the connection it has to go over. */
  readonly route: string;
  /** One text that names it. */
  readonly channel: string;
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
}

/** What keeps a connection open where the exchange wants to hear from us. */
export interface Keepalive {
  /** ms */
  readonly interval: number;
  readonly message: string;
}

/** Where the columns of each stream come from, for docs/schema.md; null = not in the frames. */
export type ColumnSources = Readonly<
  Partial<
    Record<
      Stream,
      {
        /** Channel and route, and what one of its frames means. */
        readonly channel: string;
        /** Field of the frame, unit, and when it is NULL, by column. */
        readonly columns: Readonly<Record<string, string | null>>;
      }
    >
  >
>;

/** Limits the exchange documents; the planner keeps within them. */
export interface Limits {
  /** Channels in one subscribe message. */
  readonly channelsPerMessage: number;
  /** Messages we may send on one connection in a second. */
  readonly messagesPerSecond: number;
  /** Connections we may open in a second. */
  readonly connectsPerSecond: number;
  /** Characters of all channels of a connection together; null = no such limit. */
  readonly charactersPerConnection: number | null;
  /** Whether one bad channel fails all channels of its message. */
  readonly failsWhole: boolean;
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
  readonly limits: Limits;
  /** null = the exchange pings, and the client answers by itself. */
  readonly keepalive: Keepalive | null;
  readonly sources: ColumnSources;
  /** The unified symbol of an instrument. */
  normalizeSymbol(instrument: string): string;
  /**
   * All instruments of this market.
   *
   * @param get asks a path of the REST base; resolves to the parsed JSON of a 2xx answer
   * @param skipped told of entries that could not be read; the others are in the list
   * @throws Error with the exchange's own words
   */
  fetchInstruments(get: (path: string) => Promise<unknown>, skipped?: Skipped): Promise<Instrument[]>;
  /** Other ids under which an instrument's events come: on OKX the index of a swap. */
  companions(instrument: string): readonly string[];
  /** What to subscribe for these streams of these instruments, announcements of new instruments included. */
  subscriptions(streams: readonly Stream[], instruments: readonly string[]): Subscription[];
  /** Whether a subscription of this channel begins with a snapshot from which changes go on. */
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
