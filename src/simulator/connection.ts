/** One client of a simulated exchange: its subscriptions, its outgoing frames, its bounds. */
import type { ServerWebSocket } from "bun";
import { Window } from "./window.ts";

/** Span over which incoming messages are limited. */
const ARRIVALS_MS = 1000;

/** How an upgrade was asked for. */
export interface Endpoint {
  /** The exchange's name of the path: "public", "market". */
  readonly route: string;
  /** True when frames come wrapped with their stream's name. */
  readonly wrapped: boolean;
  /** Streams asked for in the URL. */
  readonly streams: readonly string[];
}

/** What the server keeps at each socket. */
export interface Session {
  readonly endpoint: Endpoint;
  connection: Connection | undefined;
}

/** Where counts go: slot → number. */
export type Counts = Float64Array | number[];

/**
 * Frames are collected with `queue` and leave together with `flush`: one system call instead of one
 * per frame (130 ns a frame instead of 3,900).
 */
export class Connection {
  /** Number of the connection since the server's start, from 1. */
  readonly id: number;
  readonly endpoint: Endpoint;
  /** Subscriptions in the order of asking, also those that will never deliver. */
  readonly streams = new Set<string>();
  readonly openedAt = performance.now();
  /** When the unanswered ping was sent; undefined = none is. */
  pingedAt: number | undefined;
  lastPingAt = this.openedAt;
  /** False from the first sign of the end on. */
  open = true;

  readonly #socket: ServerWebSocket<Session>;
  readonly #arrivals: Window;
  #frames: (string | Uint8Array)[] = [];
  #slots: number[] = [];
  #onDrain: (() => void)[] = [];

  /** `messagesPerSecond` bounds what this client may send, see {@link admit}. */
  constructor(id: number, socket: ServerWebSocket<Session>, messagesPerSecond: number) {
    this.id = id;
    this.#socket = socket;
    this.endpoint = socket.data.endpoint;
    this.#arrivals = new Window(messagesPerSecond, ARRIVALS_MS);
  }

  /** Takes note of an incoming message or control frame; false = too many within one second. */
  admit(): boolean {
    return this.#arrivals.admit();
  }

  /** Sends an answer at once. */
  reply(text: string): void {
    if (this.open) this.#socket.sendText(text);
  }

  /** Adds a frame to the batch, bytes as a binary one; it is counted at `slot` when the socket has taken it. */
  queue(frame: string | Uint8Array, slot: number): void {
    this.#frames.push(frame);
    this.#slots.push(slot);
  }

  /** Frames queued and not yet flushed. */
  get queued(): number {
    return this.#frames.length;
  }

  /** Hands the batch to the socket, adds 1 to `counts[slot]` for each frame, returns how many were refused. */
  flush(counts: Counts): number {
    if (this.#frames.length === 0) return 0;
    const frames = this.#frames;
    const slots = this.#slots;
    this.#frames = [];
    this.#slots = [];
    if (!this.open) return frames.length;
    let refused = 0;
    this.#socket.cork(() => {
      for (let i = 0; i < frames.length; i++) {
        const frame = frames[i] as string | Uint8Array;
        const taken =
          typeof frame === "string" ? this.#socket.sendText(frame) : this.#socket.sendBinary(frame);
        if (taken === 0) refused++;
        else counts[slots[i] as number] = (counts[slots[i] as number] ?? 0) + 1;
      }
    });
    return refused;
  }

  /** Bytes taken but not yet given to the system. */
  get bufferedBytes(): number {
    return this.open ? this.#socket.getBufferedAmount() : 0;
  }

  /** Resolves when no more than `bytes` are buffered, or the connection has ended. */
  async drainedTo(bytes: number): Promise<void> {
    while (this.bufferedBytes > bytes) await new Promise<void>((resolve) => this.#onDrain.push(resolve));
  }

  /** The server's word that the socket took more, or that it closed. */
  drained(): void {
    const waiting = this.#onDrain;
    this.#onDrain = [];
    for (const resolve of waiting) resolve();
  }

  ping(now: number): void {
    this.lastPingAt = now;
    this.pingedAt ??= now;
    this.#socket.ping(String(Date.now()));
  }

  /** A clean close after what is buffered. */
  close(code: number, reason: string): void {
    this.open = false;
    this.#socket.close(code, reason);
  }

  /** Ends it at once and forgets what is buffered: for a client that does not read. */
  terminate(): void {
    this.open = false;
    this.#socket.terminate();
  }
}
