/** One client of a simulated exchange: its subscriptions, its outgoing frames, its bounds. */
import type { ServerWebSocket } from "bun";
import type { Made } from "./account/account.ts";
import { Window } from "./window.ts";

/** Span over which incoming messages are limited. */
const ARRIVALS_MS = 1000;
/** A close without a close frame has this code at the other end; it cannot be sent. */
const ABNORMAL = 1006;

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
  /** Port from which the client (or the relay) reached us. */
  readonly remotePort: number;
  connection: Connection | undefined;
}

/** Where counts go: slot → number. */
export type Counts = Float64Array | number[];

/** Slot of a frame that is not counted: one that a fault made. */
export const UNCOUNTED = -1;

/** What stands between the exchange and a connection that has faults. */
export interface ConnectionGate {
  /** A frame of an event, instead of going out. What is to go out is given to {@link Connection.put}. */
  frame(frame: string | Uint8Array, slot: number, made: Made | undefined): void;
  /** An answer or notice, instead of going out. What is to go out is given to {@link Connection.say}. */
  reply(text: string): void;
  /** Whether the exchange's own pings go out. */
  readonly pings: boolean;
}

/** A frame that was taken and may still be thrown away. */
interface Unsent {
  readonly bytes: number;
  readonly made: Made | undefined;
}

/**
 * Frames are collected with `queue` and leave together with `flush`: one system call instead of one
 * per frame (130 ns a frame instead of 3,900).
 */
export class Connection {
  /** Number of the connection since the server's start, from 1. */
  readonly id: number;
  readonly endpoint: Endpoint;
  readonly remotePort: number;
  /** Subscriptions in the order of asking, also those that will never deliver. */
  readonly streams = new Set<string>();
  readonly openedAt = performance.now();
  /** When the unanswered ping was sent; undefined = none is. */
  pingedAt: number | undefined;
  lastPingAt = this.openedAt;
  /** False from the first sign of the end on. */
  open = true;
  /** Set while faults meet this connection. */
  gate: ConnectionGate | undefined;

  readonly #socket: ServerWebSocket<Session>;
  readonly #arrivals: Window;
  #frames: (string | Uint8Array)[] = [];
  #slots: number[] = [];
  /** By place in the batch; empty where no account is kept. */
  #made: (Made | undefined)[] = [];
  /** What was taken since the socket was last empty, where an account is kept. */
  #unsent: Unsent[] = [];
  #onDrain: (() => void)[] = [];

  /** `messagesPerSecond` bounds what this client may send, see {@link admit}. */
  constructor(id: number, socket: ServerWebSocket<Session>, messagesPerSecond: number) {
    this.id = id;
    this.#socket = socket;
    this.endpoint = socket.data.endpoint;
    this.remotePort = socket.data.remotePort;
    this.#arrivals = new Window(messagesPerSecond, ARRIVALS_MS);
  }

  /** Takes note of an incoming message or control frame; false = too many within one second. */
  admit(): boolean {
    return this.#arrivals.admit();
  }

  /** Sends an answer at once. */
  reply(text: string): void {
    if (this.gate !== undefined) this.gate.reply(text);
    else this.say(text);
  }

  /** Sends an answer at once, past all faults. */
  say(text: string): void {
    if (!this.open) return;
    this.#socket.sendText(text);
    if (this.#unsent.length > 0) this.#unsent.push({ bytes: sizeOf(text), made: undefined });
  }

  /**
   * Adds a frame to the batch, bytes as a binary one; it is counted at `slot` when the socket has taken it,
   * and `made` is told, where an account is kept.
   */
  queue(frame: string | Uint8Array, slot: number, made?: Made): void {
    if (this.gate !== undefined) this.gate.frame(frame, slot, made);
    else this.put(frame, slot, made);
  }

  /** Adds a frame to the batch, past all faults. */
  put(frame: string | Uint8Array, slot: number, made?: Made): void {
    if (made !== undefined) this.#made[this.#frames.length] = made;
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
    const made = this.#made;
    this.#frames = [];
    this.#slots = [];
    if (made.length > 0) this.#made = [];
    if (!this.open) return frames.length;
    let refused = 0;
    this.#socket.cork(() => {
      for (let i = 0; i < frames.length; i++) {
        const frame = frames[i] as string | Uint8Array;
        const slot = slots[i] as number;
        const taken =
          typeof frame === "string" ? this.#socket.sendText(frame) : this.#socket.sendBinary(frame);
        if (taken === 0) refused++;
        else if (slot !== UNCOUNTED) counts[slot] = (counts[slot] ?? 0) + 1;
        if (taken !== 0) made[i]?.sent(this.id);
      }
    });
    if (made.length > 0) this.#remember(frames, made);
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
    if (this.gate?.pings ?? true) this.#socket.ping(String(Date.now()));
  }

  /** A clean close after what is buffered; with code 1006 without a close frame, see {@link terminate}. */
  close(code: number, reason: string): void {
    if (code === ABNORMAL) {
      this.terminate();
      return;
    }
    this.open = false;
    this.#socket.close(code, reason);
  }

  /** Ends it at once and forgets what is buffered: for a client that does not read. */
  terminate(): void {
    this.#forgetUnsent();
    this.open = false;
    this.#socket.terminate();
  }

  /** Keeps in mind what the system has not yet taken; `terminate` throws it away. */
  #remember(frames: readonly (string | Uint8Array)[], made: readonly (Made | undefined)[]): void {
    if (this.bufferedBytes === 0) {
      if (this.#unsent.length > 0) this.#unsent = [];
      return;
    }
    frames.forEach((frame, i) => {
      this.#unsent.push({ bytes: sizeOf(frame), made: made[i] });
    });
  }

  /** The buffer holds the last bytes that were given to it. */
  #forgetUnsent(): void {
    let bytes = this.bufferedBytes;
    for (let last = this.#unsent.pop(); last !== undefined && bytes > 0; last = this.#unsent.pop()) {
      last.made?.lost(this.id);
      bytes -= last.bytes;
    }
    this.#unsent = [];
  }
}

/** Bytes of a frame on the wire; a server's frames have no mask (RFC 6455, 5.2). */
function sizeOf(frame: string | Uint8Array): number {
  const bytes = typeof frame === "string" ? Buffer.byteLength(frame) : frame.length;
  return bytes + (bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10);
}
