import type { Answer, Exchange } from "./exchange.ts";

/** Times a channel is asked for before it counts as refused. */
const ASKED_MAX = 5;

/**
 * Keeps one socket's subscriptions as they should be: paced within the exchange's message rate, each
 * answer checked, whatever is not acknowledged asked for again.
 */
export class Subscriber {
  readonly #exchange: Exchange;
  readonly #channels: readonly string[];
  readonly #ackTimeout: number;
  readonly #send: (message: string) => void;
  readonly #refused: (channels: readonly string[], error: string) => void;
  /** Messages without an answer yet, by number. */
  readonly #waiting = new Map<number, { channels: readonly string[]; asked: number; deadline: number }>();
  /** Groups of channels that are still to be asked for. */
  #queue: { channels: readonly string[]; asked: number }[] = [];
  #nextId = 1;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(options: {
    exchange: Exchange;
    channels: readonly string[];
    /** Time within which an answer must come, ms. */
    ackTimeout: number;
    send(message: string): void;
    refused(channels: readonly string[], error: string): void;
  }) {
    this.#exchange = options.exchange;
    this.#channels = options.channels;
    this.#ackTimeout = options.ackTimeout;
    this.#send = options.send;
    this.#refused = options.refused;
  }

  /** Channels it looks after. */
  get size(): number {
    return this.#channels.length;
  }

  /** Begins anew, on a fresh socket. */
  start(): void {
    this.stop();
    const { channelsPerMessage, messagesPerSecond } = this.#exchange.limits;
    for (let at = 0; at < this.#channels.length; at += channelsPerMessage) {
      this.#queue.push({ channels: this.#channels.slice(at, at + channelsPerMessage), asked: 0 });
    }
    this.#step();
    this.#timer = setInterval(() => this.#step(), Math.ceil(1000 / messagesPerSecond));
  }

  /** The socket is gone. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#waiting.clear();
    this.#queue = [];
  }

  /** One message at most per step: that is the pace. */
  #step(): void {
    const now = performance.now();
    for (const [id, message] of this.#waiting) {
      if (message.deadline > now) continue;
      this.#waiting.delete(id);
      if (message.asked < ASKED_MAX) this.#queue.push(message);
      else this.#refused(message.channels, `no answer after ${ASKED_MAX} attempts`);
    }
    const next = this.#queue.shift();
    if (next !== undefined) {
      const id = this.#nextId++;
      this.#waiting.set(id, {
        channels: next.channels,
        asked: next.asked + 1,
        deadline: now + this.#ackTimeout,
      });
      this.#send(this.#exchange.subscribeMessage(next.channels, id));
    } else if (this.#waiting.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  /** Takes the exchange's answer to one of the messages. */
  answered(answer: Answer): void {
    if (answer.id === null) {
      if (answer.error !== null) this.#refused([], answer.error);
      return;
    }
    const message = this.#waiting.get(answer.id);
    if (message === undefined) return;
    this.#waiting.delete(answer.id);
    if (answer.error !== null) this.#refused(message.channels, answer.error);
  }
}
