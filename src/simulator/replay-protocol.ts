/** What a replay must know of an exchange; one file per exchange implements it. */
import type { Connection } from "./connection.ts";
import type { Topic } from "./faults/gate.ts";
import type { Dialect } from "./server.ts";

/** A captured text, understood as far as needed to hand it to the right subscriber. */
export type Captured =
  /** An answer to the recording client's own requests (an ack, an error, a pong): never sent again. */
  | { readonly kind: "control" }
  /** It cannot be told which stream this belongs to. */
  | { readonly kind: "unknown" }
  | {
      readonly kind: "frame";
      /** Streams that may have carried it, the likeliest first; a wrapped frame names exactly one. */
      readonly streams: readonly [string, ...string[]];
      /** The text for a subscriber of `stream`: the captured bytes wherever it can be. */
      text(stream: string, connection: Connection): string;
    };

/** Told when subscriptions change. */
export interface ReplaySink {
  subscribed(connection: Connection, stream: string): void;
  unsubscribed(connection: Connection, stream: string): void;
  changed(): void;
  /** Whether a fault refuses a subscription. */
  refuses(connection: Connection, stream: string): boolean;
}

/** One exchange, for one replay. First each captured text is shown to `learn`, then `dialect` is asked for. */
export interface ReplayProtocol {
  /** Reads a captured text. */
  read(raw: string): Captured;
  /** Takes note of the instruments a captured text tells of. */
  learn(raw: string): void;
  /** The route that serves a stream; undefined = none known. */
  routeOf(stream: string): string | undefined;
  /** The symbol and kind of a stream; undefined = a stream that faults cannot be narrowed to. */
  topic(stream: string): Topic | undefined;
  /** What the exchange says before maintenance; absent = nothing. */
  notice?(connection: Connection): string;
  /** How the exchange speaks, with the instruments learned; `stats` answers GET /sim/stats. */
  dialect(sink: ReplaySink, stats: () => unknown): Dialect;
}
