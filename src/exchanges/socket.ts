import type WebSocket from "ws";
import { parseRetryAfter } from "../lib/retry-after.ts";
import type { Exchange } from "./exchange.ts";
import { Subscriber } from "./subscriber.ts";

/** Bounds of one socket, all in ms; settings `connection.*`. */
export interface SocketBounds {
  readonly handshakeTimeout: number;
  readonly ackTimeout: number;
  readonly refusedRetry: number;
  /** Time between two pings where the exchange names none. */
  readonly pingInterval: number;
  /** A socket on which nothing at all arrives for this long after a ping was due is dead. */
  readonly pongTimeout: number;
}

/** Close codes that never stand in a frame (RFC 6455, 7.4.1). */
const NO_CODE = 1005;
const NO_FRAME = 1006;

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
  /** A frame came; `local` was taken before anything else. */
  frame(data: Buffer, local: number): void;
  ended(end: SocketEnd): void;
  asked(channels: ReadonlySet<string>): void;
  accepted(channels: readonly string[]): void;
  refused(channels: readonly string[], error: string): void;
}

/** Opens a WebSocket: directly, or by way of a proxy. @throws Error when the system has nothing left to open it with */
export type Dial = (url: string, options: { readonly handshakeTimeout: number }) => WebSocket;

/** One WebSocket from its handshake to its end: subscriptions, keepalive, and whether the other side is there. */
export class ExchangeSocket {
  /** Number within the run; -1 before it is open. */
  number = -1;
  /** Receive times, µs; NaN before. */
  openedAt: number = Number.NaN;
  firstDataAt: number = Number.NaN;
  /** When anything at all last arrived. */
  heardAt: number = Number.NaN;
  readonly subscriber: Subscriber;
  readonly #bounds: SocketBounds;
  readonly #events: SocketEvents;
  readonly #exchange: Exchange;
  readonly #socket: WebSocket;
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
    this.#socket = dial(url, { handshakeTimeout: bounds.handshakeTimeout });
    this.subscriber = new Subscriber({
      exchange,
      channels,
      ackTimeout: bounds.ackTimeout,
      refusedRetry: bounds.refusedRetry,
      send: (message) => this.#socket.send(message),
      asked: (asked) => events.asked(asked),
      accepted: (accepted) => events.accepted(accepted),
      refused: (refused, error) => events.refused(refused, error),
    });
    this.#listen(this.#socket);
  }

  get isOpen(): boolean {
    return this.number >= 0 && !this.#ended;
  }

  /** ms between two pings, ours or those the exchange asks for. */
  get #pingInterval(): number {
    return this.#exchange.keepalive?.interval ?? this.#bounds.pingInterval;
  }

  #listen(socket: WebSocket): void {
    const heard = () => {
      this.heardAt = this.#events.now();
      this.#skipped = 0;
    };
    socket.on("open", () => {
      if (this.#ended) return;
      this.number = this.#events.nextNumber();
      this.openedAt = this.#events.now();
      this.heardAt = this.openedAt;
      this.#events.opened();
      this.subscriber.start();
      this.#keepalive = setInterval(() => this.#ping(), this.#pingInterval);
    });
    socket.on("message", (data: Buffer) => {
      // The receive time comes before everything else.
      const local = this.#events.now();
      if (this.#ended) return;
      this.heardAt = local;
      this.#skipped = 0;
      this.#events.frame(data, local);
    });
    socket.on("ping", heard);
    socket.on("pong", heard);
    socket.on(
      "unexpected-response",
      (_request: unknown, response: { statusCode?: number; headers?: unknown }) => {
        // Bun sends a close event after this only when a handshake timeout is set: end the attempt here.
        this.#end({
          code: null,
          reason: `the server answered ${response.statusCode ?? "without a status"} instead of an upgrade`,
          retryAfter: parseRetryAfter(headerOf(response.headers, "retry-after")),
        });
      },
    );
    socket.on("error", (error: Error) => {
      this.end(error.message || "connection failed");
    });
    socket.on("close", (code: number, reason: Buffer) => {
      // Not on the wire: the client's words for a close frame without a code, and for that none came.
      if (code === NO_CODE) this.#end({ code: null, reason: "closed without a code", retryAfter: 0 });
      else if (code === NO_FRAME)
        this.#end({ code: null, reason: "broke without a close frame", retryAfter: 0 });
      else this.#end({ code, reason: reason.toString(), retryAfter: 0 });
    });
  }

  #ping(): void {
    const { keepalive } = this.#exchange;
    if (keepalive === null) this.#socket.ping();
    else this.#socket.send(keepalive.message);
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
    this.#socket.terminate();
  }

  /** Closes it as one should; what arrives from now on is not received. */
  close(reason: string): void {
    this.#end({ code: 1000, reason, retryAfter: 0 });
    this.#socket.close(1000);
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

function headerOf(headers: unknown, name: string): unknown {
  return typeof headers === "object" && headers !== null ? Reflect.get(headers, name) : undefined;
}
