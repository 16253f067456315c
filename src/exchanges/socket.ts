import { parseRetryAfter } from "../lib/retry-after.ts";
import type { Exchange } from "./exchange.ts";
import { Subscriber } from "./subscriber.ts";
import {
  type Dial,
  NO_CODE,
  NO_FRAME,
  type Wire,
  type WireBounds,
  type WireEvents,
} from "./websocket/wire.ts";

/** Bounds of one socket, all in ms but those of its bytes; settings `connection.*`. */
export interface SocketBounds extends WireBounds {
  readonly ackTimeout: number;
  readonly refusedRetry: number;
  /** Time between two pings where the exchange names none. */
  readonly pingInterval: number;
  /** A socket on which nothing at all arrives for this long after a ping was due is dead. */
  readonly pongTimeout: number;
}

/** How a socket ended. */
export interface SocketEnd {
  /** null = no close frame came, or one without a code: it broke, was given up, or was never open. */
  readonly code: number | null;
  readonly reason: string;
  /** ms for which the exchange wants no further attempt. */
  readonly retryAfter: number;
}

/** What a socket tells the connection it belongs to. */
export interface SocketEvents {
  /** A number unique within the run. */
  nextNumber(): number;
  /** Receive time, whole µs. */
  now(): number;
  opened(): void;
  /**
   * A message came: the bytes `from` to `to` of `data`, which are there while this runs and no longer; `local` was taken before
   * anything else.
   */
  frame(data: Uint8Array, from: number, to: number, local: number): void;
  ended(end: SocketEnd): void;
  asked(channels: ReadonlySet<string>): void;
  accepted(channels: readonly string[]): void;
  refused(channels: readonly string[], error: string): void;
}

/** One WebSocket from its handshake to its end: subscriptions, keepalive, and whether the other side is there. */
export class ExchangeSocket {
  /** Number within the run; -1 before it is open. */
  number = -1;
  /** Receive times, µs; NaN before. */
  openedAt: number = Number.NaN;
  firstDataAt: number = Number.NaN;
  /** When anything at all last arrived. */
  heardAt: number = Number.NaN;
  /** When the last of it arrived that left nothing half: what came before is whole, for TCP keeps the order. */
  wholeAt: number = Number.NaN;
  readonly subscriber: Subscriber;
  readonly #bounds: SocketBounds;
  readonly #events: SocketEvents;
  readonly #exchange: Exchange;
  readonly #wire: Wire;
  #ended = false;
  /** By how much the receive clock was set ahead since something arrived, µs. */
  #skipped = 0;
  #keepalive: ReturnType<typeof setInterval> | null = null;

  constructor(options: {
    exchange: Exchange;
    url: string;
    channels: readonly string[];
    bounds: SocketBounds;
    dial: Dial;
    events: SocketEvents;
  }) {
    const { exchange, url, channels, bounds, dial, events } = options;
    this.#exchange = exchange;
    this.#bounds = bounds;
    this.#events = events;
    this.#wire = dial(url, { bounds, events: this.#listener() });
    this.subscriber = new Subscriber({
      exchange,
      channels,
      ackTimeout: bounds.ackTimeout,
      refusedRetry: bounds.refusedRetry,
      send: (message) => this.#wire.send(message),
      asked: (asked) => events.asked(asked),
      accepted: (accepted) => events.accepted(accepted),
      refused: (refused, error) => events.refused(refused, error),
    });
  }

  get isOpen(): boolean {
    return this.number >= 0 && !this.#ended;
  }

  /** ms between two pings, ours or those the exchange asks for. */
  get #pingInterval(): number {
    return this.#exchange.keepalive?.interval ?? this.#bounds.pingInterval;
  }

  #listener(): WireEvents {
    return {
      opened: () => {
        if (this.#ended) return;
        this.number = this.#events.nextNumber();
        this.openedAt = this.#events.now();
        this.heardAt = this.openedAt;
        this.wholeAt = this.openedAt;
        this.#events.opened();
        this.subscriber.start();
        this.#keepalive = setInterval(() => this.#ping(), this.#pingInterval);
      },
      message: (data, from, to) => {
        // The receive time comes before everything else.
        const local = this.#events.now();
        if (this.#ended) return;
        this.heardAt = local;
        this.wholeAt = local;
        this.#skipped = 0;
        this.#events.frame(data, from, to, local);
      },
      heard: (whole) => {
        this.heardAt = this.#events.now();
        if (whole) this.wholeAt = this.heardAt;
        this.#skipped = 0;
      },
      refused: (status, retryAfter) =>
        this.#end({
          code: null,
          reason: `the server answered ${status === 0 ? "without a status" : status} instead of an upgrade`,
          retryAfter: parseRetryAfter(retryAfter),
        }),
      failed: (reason) => this.#end({ code: null, reason, retryAfter: 0 }),
      closed: (code, reason) => {
        // Not on the wire: the client's words for a close frame without a code, and for that none came.
        if (code === NO_CODE) this.#end({ code: null, reason: "closed without a code", retryAfter: 0 });
        else if (code === NO_FRAME)
          this.#end({ code: null, reason: "broke without a close frame", retryAfter: 0 });
        else this.#end({ code, reason, retryAfter: 0 });
      },
    };
  }

  #ping(): void {
    const { keepalive } = this.#exchange;
    if (keepalive === null) this.#wire.ping();
    else this.#wire.send(keepalive.message);
  }

  /** Whether the other side is still there: anything that arrives says so, a pong too. @param now µs */
  check(now: number): void {
    if (!this.isOpen) return;
    const limit = this.#pingInterval + this.#bounds.pongTimeout;
    if (now - this.heardAt - this.#skipped > limit * 1000)
      this.end(`nothing at all was heard for ${limit / 1000} s`);
  }

  /** The receive clock was set ahead: nothing could arrive in that time. @param by µs */
  stepped(by: number): void {
    this.#skipped += by;
  }

  /** Ends it at once, without a word to the other side, which may not be there any more. */
  end(reason: string): void {
    this.#end({ code: null, reason, retryAfter: 0 });
    this.#wire.terminate();
  }

  /** Closes it as one should; what arrives from now on is not received. */
  close(reason: string): void {
    this.#end({ code: 1000, reason, retryAfter: 0 });
    this.#wire.close(1000);
  }

  /** Ends its life, once, whatever number of events announce it. */
  #end(end: SocketEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.subscriber.stop();
    if (this.#keepalive !== null) clearInterval(this.#keepalive);
    this.#keepalive = null;
    this.#events.ended(end);
  }
}
