import WebSocket from "ws";
import { Backoff } from "../lib/backoff.ts";
import { parseRetryAfter } from "../lib/retry-after.ts";
import type { ConnectGate } from "./connect-gate.ts";
import { type Decoder, FRAME } from "./decoding/decoder.ts";
import type { Exchange } from "./exchange.ts";
import type { ConnectionPlan } from "./planner.ts";
import { Subscriber } from "./subscriber.ts";

/** Bounds of a connection, all in ms; settings `connection.*`. */
export interface ConnectionBounds {
  readonly handshakeTimeout: number;
  readonly backoffMin: number;
  readonly backoffMax: number;
  readonly ackTimeout: number;
  readonly refusedRetry: number;
}

/** What a connection tells the world. */
export interface ConnectionEvents {
  /** Number for a new socket, unique within the run. */
  nextNumber(): number;
  /** Receive time, whole µs. */
  now(): number;
  opened(connection: Connection): void;
  /** The socket ended, or could not be opened; the next attempt comes after `retryIn` ms (null = never). */
  closed(connection: Connection, why: { code: number | null; reason: string; retryIn: number | null }): void;
  /** A frame was decoded; its rows are staged. */
  decoded(connection: Connection, local: number): void;
  /** The exchange announced a change of instruments. */
  instrumentsChanged(): void;
  /** A frame could not be decoded. */
  undecodable(connection: Connection, frame: Uint8Array, local: number, reason: string): void;
  /** The exchange refused subscriptions, in its own words. */
  refused(connection: Connection, channels: readonly string[], error: string): void;
}

/** What a connection has counted, over all its sockets. */
export interface ConnectionCounters {
  frames: number;
  bytes: number;
  control: number;
  ignored: number;
  unwanted: number;
  undecodable: number;
  /** Sockets opened after the first. */
  reconnects: number;
  /** Subscriptions sent that begin with a snapshot. */
  snapshotFetches: number;
}

/**
 * One connection to an exchange: opens a socket, subscribes, hands every frame to the decoder, and opens
 * a new socket whenever the old one ends, for ever.
 */
export class Connection {
  /** Number of the current socket within the run; -1 before the first. */
  number = -1;
  readonly url: string;
  readonly route: string;
  readonly counters: ConnectionCounters = {
    frames: 0,
    bytes: 0,
    control: 0,
    ignored: 0,
    unwanted: 0,
    undecodable: 0,
    reconnects: 0,
    snapshotFetches: 0,
  };
  readonly #exchange: Exchange;
  readonly #decoder: Decoder;
  readonly #bounds: ConnectionBounds;
  readonly #events: ConnectionEvents;
  readonly #backoff: Backoff;
  readonly #gate: ConnectGate;
  readonly #subscriber: Subscriber;
  #socket: WebSocket | null = null;
  #open = false;
  #everOpen = false;
  #stopped = false;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #keepalive: ReturnType<typeof setInterval> | null = null;

  constructor(options: {
    exchange: Exchange;
    wsUrl: string;
    plan: ConnectionPlan;
    decoder: Decoder;
    bounds: ConnectionBounds;
    events: ConnectionEvents;
    /** Shared by all connections to the exchange. */
    gate: ConnectGate;
  }) {
    const { exchange, wsUrl, plan, decoder, bounds, events, gate } = options;
    this.#gate = gate;
    this.url = exchange.connectionUrl(wsUrl, plan.route);
    this.route = plan.route;
    this.#exchange = exchange;
    this.#decoder = decoder;
    this.#bounds = bounds;
    this.#events = events;
    this.#backoff = new Backoff(bounds.backoffMin, bounds.backoffMax);
    this.#subscriber = new Subscriber({
      exchange,
      channels: plan.channels,
      ackTimeout: bounds.ackTimeout,
      refusedRetry: bounds.refusedRetry,
      send: (message) => this.#socket?.send(message),
      asked: (channels) => {
        for (const channel of channels)
          if (exchange.expectsSnapshot(channel)) this.counters.snapshotFetches++;
      },
      refused: (channels, error) => events.refused(this, channels, error),
    });
  }

  /** Whether a socket is open now. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** Channels it carries. */
  get channels(): ReadonlySet<string> {
    return this.#subscriber.channels;
  }

  /** Takes channels up and gives others up, without touching the rest. */
  update(add: readonly string[], remove: readonly string[]): void {
    this.#subscriber.update(add, remove);
  }

  /** Opens the first socket. */
  start(): void {
    this.#connectAtTurn();
  }

  /** Connects as soon as the exchange's limit on attempts allows. */
  #connectAtTurn(): void {
    const wait = this.#gate.take();
    if (wait <= 0) this.#connect();
    else this.#retry = setTimeout(() => this.#connect(), wait);
  }

  /** Closes the socket and opens no other; what arrives from now on is not received. */
  stop(): void {
    this.#stopped = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    const socket = this.#socket;
    if (socket === null) return;
    this.#ended(socket, { code: 1000, reason: "stopped by us", retryAfter: 0 });
    socket.close(1000);
  }

  #connect(): void {
    const socket = new WebSocket(this.url, {
      perMessageDeflate: false,
      handshakeTimeout: this.#bounds.handshakeTimeout,
    });
    this.#socket = socket;
    let refusal: { reason: string; retryAfter: number } | null = null;
    socket.on("open", () => {
      if (this.#socket !== socket) return;
      this.#open = true;
      this.number = this.#events.nextNumber();
      if (this.#everOpen) this.counters.reconnects++;
      this.#everOpen = true;
      this.#events.opened(this);
      this.#subscriber.start();
      const keepalive = this.#exchange.keepalive;
      if (keepalive !== null) {
        this.#keepalive = setInterval(() => socket.send(keepalive.message), keepalive.interval);
      }
    });
    socket.on("message", (data: Buffer) => {
      // The receive time comes before everything else.
      const local = this.#events.now();
      if (this.#socket === socket) this.#received(data, local);
    });
    socket.on(
      "unexpected-response",
      (_request: unknown, response: { statusCode?: number; headers?: unknown }) => {
        refusal = {
          reason: `the server answered ${response.statusCode ?? "without a status"} instead of an upgrade`,
          retryAfter: parseRetryAfter(headerOf(response.headers, "retry-after")),
        };
        // Bun sends a close event after this only when a handshake timeout is set: end the attempt here.
        this.#ended(socket, { code: null, ...refusal });
      },
    );
    socket.on("error", (error: Error) => {
      this.#ended(socket, { code: null, reason: error.message || "connection failed", retryAfter: 0 });
      socket.terminate();
    });
    socket.on("close", (code: number, reason: Buffer) => {
      this.#ended(socket, { code, reason: reason.toString(), retryAfter: 0 });
    });
  }

  /** Ends the life of a socket, once, whatever number of events announce it. */
  #ended(socket: WebSocket, why: { code: number | null; reason: string; retryAfter: number }): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#open = false;
    this.#subscriber.stop();
    if (this.#keepalive !== null) clearInterval(this.#keepalive);
    this.#keepalive = null;
    const retryIn = this.#stopped ? null : this.#backoff.next(why.retryAfter);
    this.#events.closed(this, { code: why.code, reason: why.reason, retryIn });
    if (retryIn !== null) this.#retry = setTimeout(() => this.#connectAtTurn(), retryIn);
  }

  #received(frame: Buffer, local: number): void {
    const { counters } = this;
    counters.frames++;
    counters.bytes += frame.length;
    switch (this.#decoder.decode(frame, local, this.number)) {
      case FRAME.EVENTS:
        if (this.#backoff.attempts > 0) this.#backoff.reset();
        this.#events.decoded(this, local);
        return;
      case FRAME.CONTROL:
        counters.control++;
        this.#subscriber.answered(this.#exchange.answerOf(frame));
        return;
      case FRAME.INSTRUMENTS:
        counters.control++;
        this.#events.instrumentsChanged();
        return;
      case FRAME.IGNORED:
        counters.ignored++;
        return;
      case FRAME.UNWANTED:
        counters.unwanted++;
        return;
      case FRAME.UNDECODABLE:
        counters.undecodable++;
        this.#events.undecodable(this, frame, local, this.#decoder.reason);
        return;
    }
  }
}

function headerOf(headers: unknown, name: string): unknown {
  return typeof headers === "object" && headers !== null ? Reflect.get(headers, name) : undefined;
}
