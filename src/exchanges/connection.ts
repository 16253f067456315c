import { maskUrl } from "../config/mask.ts";
import { Backoff } from "../lib/backoff.ts";
import type { ConnectGate, Place } from "./connect-gate.ts";
import { type Decoder, FRAME } from "./decoding/decoder.ts";
import type { Exchange } from "./exchange.ts";
import type { ConnectionPlan } from "./planner.ts";
import { ExchangeSocket, type SocketBounds, type SocketEnd } from "./socket.ts";
import { ConnectionWatch, type ConnectionWatchOptions } from "./watchdog/connection-watch.ts";
import { LagWatch, type LagWatchOptions } from "./watchdog/lag-watch.ts";
import type { Dial } from "./websocket/wire.ts";

/** Bounds of a connection; settings `connection.*`. */
export interface ConnectionBounds extends SocketBounds {
  /** ms */
  readonly backoffMin: number;
  /** ms */
  readonly backoffMax: number;
  readonly watch: ConnectionWatchOptions;
  readonly lag: LagWatchOptions;
}

/** A turn to connect that is this late is over, and another has to be waited for, ms. */
const TURN_MISSED = 250;

/** An attempt that came to no socket. */
const NO_SOCKET = { number: -1, openedAt: Number.NaN, firstDataAt: Number.NaN } as const;

/** Why a connection is without a socket that brings data. */
export type LossReason = "disconnect" | "silence";

/** How one of its sockets ended. */
export interface SocketClosed extends SocketEnd {
  readonly number: number;
  /** Receive times, µs; NaN = never. */
  readonly openedAt: number;
  readonly firstDataAt: number;
  /** ms until the next attempt; null = there is none. */
  readonly retryIn: number | null;
}

/** What a connection tells the world. */
export interface ConnectionEvents {
  /** Number for a new socket, unique within the run. */
  nextNumber(): number;
  /** Receive time, whole µs. */
  now(): number;
  opened(connection: Connection): void;
  /** The socket ended, or could not be opened. */
  closed(connection: Connection, why: SocketClosed): void;
  /** What its channels bring is or may be incomplete from `from` (µs) on, until they are accepted again. */
  lost(connection: Connection, reason: LossReason, from: number): void;
  /** What these channels bring is complete from now on. */
  accepted(connection: Connection, channels: readonly string[]): void;
  /** A frame has come and is about to be decoded. */
  arriving(local: number): void;
  /** A frame was decoded; its rows are staged. */
  decoded(connection: Connection, local: number): void;
  /** The exchange announced a change of instruments. */
  instrumentsChanged(): void;
  /** A frame could not be decoded; its bytes are there while this runs and no longer. */
  undecodable(connection: Connection, frame: Uint8Array, local: number, reason: string): void;
  /** The exchange refused subscriptions, in its own words. */
  refused(connection: Connection, channels: readonly string[], error: string): void;
  /** The exchange said that it will close this connection soon. */
  leaving(connection: Connection): void;
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

/** Counters that have counted nothing yet. */
export function noCounts(): ConnectionCounters {
  return {
    frames: 0,
    bytes: 0,
    control: 0,
    ignored: 0,
    unwanted: 0,
    undecodable: 0,
    reconnects: 0,
    snapshotFetches: 0,
  };
}

/**
 * Carries a set of channels: opens a socket, subscribes, hands every frame to the decoder, watches that data
 * keep coming and in time, and opens a new socket whenever the old one ends, for ever.
 */
export class Connection {
  /** As it is told, logged and recorded: without user and password. */
  readonly url: string;
  readonly route: string;
  readonly counters: ConnectionCounters = noCounts();
  /** Watches by how much data are late. */
  readonly lag: LagWatch;
  /** When data last came, µs; NaN before the first. */
  dataAt: number = Number.NaN;
  readonly #address: string;
  readonly #exchange: Exchange;
  readonly #decoder: Decoder;
  readonly #bounds: ConnectionBounds;
  readonly #events: ConnectionEvents;
  readonly #backoff: Backoff;
  readonly #gate: ConnectGate;
  readonly #dial: Dial;
  readonly #watch: ConnectionWatch;
  readonly #channels: Set<string>;
  readonly #judged: (channels: ReadonlySet<string>) => Expectation;
  #socket: ExchangeSocket | null = null;
  #lastNumber = -1;
  #everOpen = false;
  #stopped = false;
  /** Whether the next socket is for somebody else to open: a successor is on its way. */
  #retired = false;
  #retry: ReturnType<typeof setTimeout> | null = null;
  /** The turn that is waited for. */
  #waitingAt: Place | null = null;

  constructor(options: {
    exchange: Exchange;
    wsUrl: string;
    plan: ConnectionPlan;
    decoder: Decoder;
    bounds: ConnectionBounds;
    events: ConnectionEvents;
    /** Shared by all connections to the exchange. */
    gate: ConnectGate;
    dial: Dial;
    /** What is to be expected of these channels. */
    judged(channels: ReadonlySet<string>): Expectation;
  }) {
    const { exchange, wsUrl, plan, decoder, bounds, events, gate, dial, judged } = options;
    this.#gate = gate;
    this.#dial = dial;
    this.#judged = judged;
    this.#address = exchange.connectionUrl(wsUrl, plan.route);
    this.url = maskUrl(this.#address);
    this.route = plan.route;
    this.#exchange = exchange;
    this.#decoder = decoder;
    this.#bounds = bounds;
    this.#events = events;
    this.#channels = new Set(plan.channels);
    this.#backoff = new Backoff(bounds.backoffMin, bounds.backoffMax);
    this.#watch = new ConnectionWatch(bounds.watch);
    this.lag = new LagWatch(bounds.lag);
  }

  /** Number of the current or last socket within the run; -1 before the first. */
  get number(): number {
    return this.#lastNumber;
  }

  /** Whether a socket is open now. */
  get isOpen(): boolean {
    return this.#socket?.isOpen ?? false;
  }

  /** Channels it carries. */
  get channels(): ReadonlySet<string> {
    return this.#channels;
  }

  /** Whether an open socket has had an answer for every channel. */
  get settled(): boolean {
    return this.#socket?.subscriber.settled ?? false;
  }

  /** When the current socket was opened, µs; NaN = none is open. */
  get openedAt(): number {
    return this.#socket?.openedAt ?? Number.NaN;
  }

  /** Whether it has ended for good. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Takes channels up and gives others up, without touching the rest. */
  update(add: readonly string[], remove: readonly string[]): void {
    for (const channel of remove) this.#channels.delete(channel);
    for (const channel of add) this.#channels.add(channel);
    this.#socket?.subscriber.update(add, remove);
  }

  /** Gives channels up and takes them up again on the same socket. */
  renew(channels: readonly string[]): void {
    this.#socket?.subscriber.renew(channels);
  }

  /** Takes the place of another connection: what was usual there is expected here from the first moment. */
  inherit(from: Connection): void {
    this.#watch.inherit(from.#watch);
  }

  /** Opens the first socket. */
  start(): void {
    this.#connectAtTurn();
  }

  /** From now on a socket that ends is not followed by another: a successor carries its channels. */
  retire(): void {
    this.#retired = true;
  }

  /** The successor has failed: goes on as before. */
  unretire(): void {
    this.#retired = false;
    if (this.#socket === null && this.#retry === null && !this.#stopped) this.#connectAtTurn();
  }

  /** Closes the socket and opens no other; what arrives from now on is not received. */
  stop(reason = "stopped by us"): void {
    this.#stopped = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    if (this.#waitingAt !== null) this.#gate.giveBack(this.#waitingAt);
    this.#waitingAt = null;
    this.#socket?.close(reason);
  }

  /** We ourselves were away until now. @param now µs */
  interrupted(now: number): void {
    this.#watch.interrupted(now);
  }

  /** Looks after the socket; to be called every few hundred milliseconds. @param now µs */
  tick(now: number): void {
    const socket = this.#socket;
    if (socket === null || !socket.isOpen) return;
    socket.check(now);
    if (this.#socket !== socket || !this.#judged(this.#channels).judged) return;
    const silent = this.#watch.verdict(now);
    if (silent === null) return;
    this.#fail("silence", silent.silentSince, `no data for ${seconds(now - silent.silentSince)} s`);
  }

  /** The receive clock was set ahead: nothing is silent or late for that. @param by µs */
  stepped(by: number): void {
    this.lag.stepped(by);
    this.#watch.stepped(by);
    this.#socket?.stepped(by);
  }

  /** Connects as soon as the exchange's limit on attempts allows. */
  #connectAtTurn(): void {
    const wait = this.#gate.take();
    const place = this.#gate.taken;
    const due = performance.now() + wait;
    const connect = () => {
      this.#retry = null;
      this.#waitingAt = null;
      // Somebody else was told meanwhile to leave the exchange alone: an attempt would prolong a ban. And after a stall of
      // ours all turns of that time would be taken at once.
      if (!this.#gate.isHeld && performance.now() - due <= TURN_MISSED) {
        this.#connect();
        return;
      }
      this.#gate.giveBack(place);
      this.#connectAtTurn();
    };
    if (wait <= 0) {
      connect();
      return;
    }
    this.#waitingAt = place;
    this.#retry = setTimeout(connect, wait);
  }

  #connect(): void {
    try {
      this.#socket = this.#newSocket();
    } catch (cause) {
      // By way of a proxy no attempt can be made while the system gives nothing to make it with.
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#again({ code: null, reason, retryAfter: 0 }, NO_SOCKET);
    }
  }

  #newSocket(): ExchangeSocket {
    const socket: ExchangeSocket = new ExchangeSocket({
      exchange: this.#exchange,
      url: this.#address,
      channels: [...this.#channels],
      bounds: this.#bounds,
      dial: this.#dial,
      events: {
        nextNumber: () => this.#events.nextNumber(),
        now: () => this.#events.now(),
        opened: () => this.#opened(socket),
        frame: (data, from, to, local) => this.#received(socket, data, from, to, local),
        ended: (end) => this.#ended(socket, end),
        asked: (channels) => {
          for (const channel of channels)
            if (this.#exchange.expectsSnapshot(channel)) this.counters.snapshotFetches++;
        },
        accepted: (channels) => this.#events.accepted(this, channels),
        refused: (channels, error) => this.#events.refused(this, channels, error),
      },
    });
    return socket;
  }

  #opened(socket: ExchangeSocket): void {
    this.#lastNumber = socket.number;
    if (this.#everOpen) this.counters.reconnects++;
    this.#everOpen = true;
    this.lag.reset();
    this.#watch.opened(socket.openedAt, this.#judged(this.#channels).prompt);
    this.#events.opened(this);
  }

  /** Data are missing although the socket is open: it is given up. */
  #fail(reason: LossReason, from: number, words: string): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#events.lost(this, reason, from);
    socket.end(words);
  }

  #ended(socket: ExchangeSocket, end: SocketEnd): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#watch.closed();
    const { number, openedAt, firstDataAt, wholeAt } = socket;
    // What one is told goes for all: exchanges count by address.
    if (end.retryAfter > 0) this.#gate.hold(end.retryAfter);
    // What came late was made earlier, and so was what is lost.
    if (!this.#stopped && number >= 0) this.#events.lost(this, "disconnect", wholeAt - this.lag.behind);
    this.#again(end, { number, openedAt, firstDataAt });
  }

  /** An attempt or a socket is over: tells of it, and opens the next one when it is time. */
  #again(end: SocketEnd, socket: Pick<SocketClosed, "number" | "openedAt" | "firstDataAt">): void {
    const over = this.#stopped || this.#retired;
    const retryIn = over ? null : this.#backoff.next(end.retryAfter);
    this.#events.closed(this, { ...end, ...socket, retryIn });
    if (retryIn !== null) this.#retry = setTimeout(() => this.#connectAtTurn(), retryIn);
  }

  #received(socket: ExchangeSocket, data: Uint8Array, from: number, to: number, local: number): void {
    const { counters } = this;
    this.#events.arriving(local);
    counters.frames++;
    counters.bytes += to - from;
    switch (this.#decoder.decode(data, local, socket.number, from, to)) {
      case FRAME.EVENTS:
        if (this.#backoff.attempts > 0) this.#backoff.reset();
        if (Number.isNaN(socket.firstDataAt)) socket.firstDataAt = local;
        this.#data(local);
        this.#events.decoded(this, local);
        return;
      case FRAME.CONTROL: {
        counters.control++;
        const answer = this.#exchange.answerOf(data.subarray(from, to));
        socket.subscriber.answered(answer);
        if (answer.leaving === true) this.#events.leaving(this);
        return;
      }
      case FRAME.INSTRUMENTS:
        counters.control++;
        this.#events.instrumentsChanged();
        return;
      case FRAME.IGNORED:
        counters.ignored++;
        return;
      case FRAME.UNWANTED:
        counters.unwanted++;
        this.#data(local);
        return;
      case FRAME.UNDECODABLE:
        counters.undecodable++;
        this.#events.undecodable(this, data.subarray(from, to), local, this.#decoder.reason);
        return;
    }
  }

  #data(local: number): void {
    this.dataAt = local;
    this.#watch.data(local);
  }
}

/** What the channels of a connection let expect. */
export interface Expectation {
  /** Whether silence means anything: liquidations alone may be silent for days. */
  readonly judged: boolean;
  /** Whether something should come within seconds, whatever the market does. */
  readonly prompt: boolean;
}

function seconds(microseconds: number): string {
  return (microseconds / 1_000_000).toFixed(1);
}
