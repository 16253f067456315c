/** What an exchange is to the rest of the program: one file each fills this in. */
import type { Stream } from "../events/streams.ts";
import type { Decoder } from "./decoding/decoder.ts";
import type { DecoderOptions } from "./decoding/frame-decoder.ts";

/** An instrument as discovery found it. */
export interface Instrument {
  /** The exchange's own id. */
  readonly instrument: string;
  /** The unified symbol. */
  readonly symbol: string;
}

/** One thing to subscribe: a channel of the exchange, on one of its routes. */
export interface Subscription {
  /** Path of the connection it has to go over. */
  readonly route: string;
  /** As it stands in the subscribe message. */
  readonly channel: string;
}

/** An answer of the exchange to one of our messages. */
export interface Answer {
  /** Number of the message it answers; null if it says none. */
  readonly id: number | null;
  /** null = accepted; otherwise the exchange's own words. */
  readonly error: string | null;
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
  readonly sources: ColumnSources;
  /** The unified symbol of an instrument. */
  normalizeSymbol(instrument: string): string;
  /** All USDT perpetuals that trade now. @throws Error with the exchange's own words. */
  fetchInstruments(restUrl: string, signal: AbortSignal): Promise<Instrument[]>;
  /** What to subscribe for these streams of these instruments. */
  subscriptions(streams: readonly Stream[], instruments: readonly string[]): Subscription[];
  /** Address of a connection of a route. */
  connectionUrl(wsUrl: string, route: string): string;
  /** The message that subscribes channels; its answer carries `id`. */
  subscribeMessage(channels: readonly string[], id: number): string;
  /** Reads a frame that the decoder called CONTROL. */
  answerOf(frame: Uint8Array): Answer;
  /** A decoder that puts its rows into `writers` and counts into `counters`. */
  createDecoder(options: DecoderOptions): Decoder;
}
