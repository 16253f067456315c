/** What a kind of fault is made of, and what it may lay hands on. */
import type { Clock } from "../clock.ts";
import type { Connection } from "../connection.ts";
import type { Random } from "../random.ts";
import type { Effect, Topic } from "./gate.ts";

/** What the faults have to know of the exchange that they meet. */
export interface FaultHost {
  readonly connections: ReadonlySet<Connection>;
  /** Kinds of streams, as frames are counted. */
  readonly kinds: readonly string[];
  /** Symbols that have markets now, in the exchange's own spelling; empty = not known (a replay). */
  symbols(): readonly string[];
  /** What is counted at a slot. */
  describe(slot: number): Topic;
  /** What a subscription brings; undefined = nothing that is counted. */
  topic(stream: string): Topic | undefined;
  /** Hands over what is queued on a connection. */
  flush(connection: Connection): void;
  /** Opens or closes the port for new connections; those that are open live on. */
  listen(on: boolean): Promise<void>;
  /** The relay's hand on the bytes of a connection; absent without a relay. */
  readonly wire?: Wire;
  /** What the exchange says before maintenance; absent = nothing. */
  notice?(connection: Connection): string;
  /** Absent = its times cannot be set off (a replay). */
  readonly clock?: Clock;
  /** The clock was set: times need not grow any more. */
  clockStepped?(): void;
  /** Lists or delists an instrument and answers its symbol; absent = it cannot (a replay). */
  list?(): string;
  delist?(symbol: string): void;
}

/** What only the relay can do to a connection. */
export interface Wire {
  /** Nothing passes any more, in either direction, and neither end is told. */
  blacken(connection: Connection): Promise<void>;
  /** Ends what was blackened. */
  reset(connection: Connection): void;
  /** Binary frames go out as text frames, whatever is in them. */
  binaryAsText(connection: Connection, on: boolean): void;
}

/** An active fault. What it does not implement is as ever. */
export interface Behaviour {
  start?(): void | Promise<void>;
  stop?(): void | Promise<void>;
  /** Answers an HTTP request or upgrade instead of the exchange. */
  answer?(request: Request, upgrade: boolean): Response | Promise<Response> | undefined;
  /** True = the exchange does not hear of this new connection. */
  opened?(connection: Connection): boolean;
  /** A text message came; `pass` gives it to the exchange, which answers before it returns. */
  message?(connection: Connection, text: string, pass: () => void): void;
  /** Called before the exchange takes note of a subscription. */
  subscribed?(connection: Connection, topic: Topic): void;
  /** Whether the exchange refuses this subscription in its own way. */
  refuses?(connection: Connection, topic: Topic): boolean;
}

/** What a fault works with. */
export interface Context {
  readonly host: FaultHost;
  /** The fault's own sequence, from the seed and its number. */
  readonly random: Random;
  /** The symbol of the fault, "one" resolved; undefined = all. */
  readonly symbol: string | undefined;
  /** Whether this is one of the connections that the fault is for, as far as they were named by number. */
  targets(connection: Connection): boolean;
  /** The open connections it is for. */
  readonly targeted: readonly Connection[];
  /** Whether it has a subscription to what the fault is narrowed to; true where the fault is not. */
  concerns(connection: Connection): boolean;
  attach(connection: Connection, effect: Effect): void;
  detach(connection: Connection, effect: Effect): void;
  /** Takes note that it met this connection or symbol; `frame` = by a frame, which is counted. */
  touched(connection: Connection | undefined, symbol: string | undefined, frame?: boolean): void;
  /** Ends a connection without a close frame once all that was handed over has left. */
  cut(connection: Connection): void;
  /** The fault has done what it was to do. */
  over(): void;
}
