import type { Answer, Exchange } from "./exchange.ts";

/** Times a channel is asked for before it counts as refused. */
const ASKED_MAX = 5;

/** Of a refusal so much is handed on: characters of its words, channels, and characters of each one's name. */
const WORDS_MAX = 1000;
const NAMES_MAX = 1000;
const NAME_MAX = 100;

/** Span of {@link file://./exchange.ts Limits.messagesPerHour}, ms. */
const HOUR = 3_600_000;

/** A message that was sent, or waits to be. */
interface Request {
  readonly channels: Set<string>;
  /** Times these channels were asked for. */
  readonly asked: number;
}

/**
 * Keeps one socket's subscriptions as they should be: paced within the exchange's message rate, each
 * answer checked, whatever is not acknowledged asked for again, and a bad channel isolated where one fails
 * a whole message.
 */
export class Subscriber {
  readonly #exchange: Exchange;
  readonly #channels: Set<string>;
  readonly #ackTimeout: number;
  readonly #send: (message: string) => void;
  readonly #asked: ((channels: ReadonlySet<string>) => void) | undefined;
  readonly #refusedRetry: number;
  readonly #onRefused: (channels: readonly string[], error: string) => void;
  readonly #onAccepted: ((channels: readonly string[]) => void) | undefined;
  /** Messages without a full answer yet, by number. */
  readonly #waiting = new Map<number, Request & { readonly deadline: number }>();
  #queue: Request[] = [];
  /** Channels whose subscription has to end. */
  #leaving: string[] = [];
  /** Refused channels, which are asked for again when the timer ends. */
  readonly #turnedDown = new Set<string>();
  #retry: ReturnType<typeof setTimeout> | null = null;
  #nextId = 1;
  /** When messages of the last hour were sent, ms, oldest first; no more than the exchange allows in one. */
  readonly #sentAt: number[] = [];
  #timer: ReturnType<typeof setInterval> | null = null;
  #running = false;

  constructor(options: {
    exchange: Exchange;
    channels: readonly string[];
    /** Time within which an answer must come, ms. */
    ackTimeout: number;
    /** Time after which refused channels are asked for again, ms. */
    refusedRetry: number;
    send(message: string): void;
    /** Channels that a message has just asked for. */
    asked?(channels: ReadonlySet<string>): void;
    /** Channels that the exchange has acknowledged: what they bring is complete from now on. */
    accepted?(channels: readonly string[]): void;
    refused(channels: readonly string[], error: string): void;
  }) {
    this.#exchange = options.exchange;
    this.#channels = new Set(options.channels);
    this.#ackTimeout = options.ackTimeout;
    this.#send = options.send;
    this.#asked = options.asked;
    this.#refusedRetry = options.refusedRetry;
    this.#onRefused = options.refused;
    this.#onAccepted = options.accepted;
  }

  /** Channels it looks after. */
  get channels(): ReadonlySet<string> {
    return this.#channels;
  }

  /** Whether every channel has been answered: none waits to be asked for or for its answer. */
  get settled(): boolean {
    const pending = (request: Request) => request.channels.size > 0;
    return this.#running && !this.#queue.some(pending) && ![...this.#waiting.values()].some(pending);
  }

  /** Begins anew, on a fresh socket. */
  start(): void {
    this.stop();
    // A budget of a socket, which is another one now.
    this.#sentAt.length = 0;
    this.#running = true;
    this.#enqueue([...this.#channels], 0);
    this.#run();
  }

  /** The socket is gone. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#running = false;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#turnedDown.clear();
    this.#waiting.clear();
    this.#queue = [];
    this.#leaving = [];
  }

  /** Takes channels up and gives others up, without touching the rest. */
  update(add: readonly string[], remove: readonly string[]): void {
    for (const channel of remove) {
      this.#channels.delete(channel);
      for (const request of [...this.#queue, ...this.#waiting.values()]) request.channels.delete(channel);
    }
    for (const channel of add) this.#channels.add(channel);
    if (!this.#running) return;
    this.#leaving.push(...remove);
    this.#enqueue(add, 0);
    this.#run();
  }

  /** Gives channels up and takes them up again: for those that have fallen silent. */
  renew(channels: readonly string[]): void {
    if (!this.#running) return;
    const renewed = channels.filter((channel) => this.#channels.has(channel));
    for (const request of [...this.#queue, ...this.#waiting.values()])
      for (const channel of renewed) request.channels.delete(channel);
    this.#leaving.push(...renewed);
    this.#enqueue(renewed, 0);
    this.#run();
  }

  #enqueue(channels: readonly string[], asked: number): void {
    const { channelsPerMessage } = this.#exchange.limits;
    for (let at = 0; at < channels.length; at += channelsPerMessage) {
      this.#queue.push({ channels: new Set(channels.slice(at, at + channelsPerMessage)), asked });
    }
  }

  #run(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.#step(), Math.ceil(1000 / this.#exchange.limits.messagesPerSecond));
    this.#step();
  }

  /** One message at most per step: that is the pace. */
  #step(): void {
    const now = performance.now();
    for (const [id, request] of this.#waiting) {
      if (request.deadline > now) continue;
      this.#waiting.delete(id);
      const missing = [...request.channels];
      if (missing.length === 0) continue;
      if (request.asked < ASKED_MAX) this.#enqueue(missing, request.asked);
      else this.#refused(missing, `no answer after ${ASKED_MAX} attempts`);
    }
    // What is still to be sent waits for its place in the hour; this timer asks again.
    if ((this.#leaving.length > 0 || this.#queue.length > 0) && this.#isSpent(now)) return;
    if (this.#leaving.length > 0) {
      const leaving = this.#leaving.splice(0, this.#exchange.limits.channelsPerMessage);
      this.#note(now);
      this.#send(this.#exchange.unsubscribeMessage(leaving, this.#nextId++));
      return;
    }
    let next = this.#queue.shift();
    while (next !== undefined && next.channels.size === 0) next = this.#queue.shift();
    if (next !== undefined) {
      const id = this.#nextId++;
      const { channels, asked } = next;
      this.#waiting.set(id, { channels, asked: asked + 1, deadline: now + this.#ackTimeout });
      this.#note(now);
      this.#send(this.#exchange.subscribeMessage([...channels], id));
      this.#asked?.(channels);
    } else if (this.#waiting.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  /** Whether too few of the exchange's messages of an hour are left on this connection for what is next. */
  #isSpent(now: number): boolean {
    const most = this.#exchange.limits.messagesPerHour;
    if (most === null) return false;
    const lastTooMany = this.#sentAt[this.#sentAt.length - 1 - most + Math.min(most, this.#together())];
    return lastTooMany !== undefined && now - lastTooMany < HOUR;
  }

  /** Messages of which the first must not be sent without the others: what is given up for a moment is to come back. */
  #together(): number {
    if (!this.#leaving.some((channel) => this.#channels.has(channel))) return 1;
    const goodbyes = Math.ceil(this.#leaving.length / this.#exchange.limits.channelsPerMessage);
    return goodbyes + this.#queue.filter(({ channels }) => channels.size > 0).length;
  }

  #note(now: number): void {
    const most = this.#exchange.limits.messagesPerHour;
    if (most === null) return;
    this.#sentAt.push(now);
    if (this.#sentAt.length > most) this.#sentAt.shift();
  }

  /** Takes the exchange's answer to one of the messages. */
  answered({ id, channels, error, standing = [] }: Answer): void {
    const found = this.#find(id, [...channels, ...standing]);
    if (error === null) {
      if (found === null) return;
      const asked = found.request.channels;
      // A channel that this message did not ask for, or not any more, has no answer by this one.
      const accepted = channels.length === 0 ? [...asked] : channels.filter((channel) => asked.has(channel));
      for (const channel of accepted) asked.delete(channel);
      if (found.request.channels.size === 0) this.#waiting.delete(found.id);
      if (accepted.length > 0) this.#onAccepted?.(accepted);
      return;
    }
    if (found === null) {
      if (standing.length > 0) return;
      this.#refused(channels, error);
      if (id === null && channels.length === 0) this.#failedUnnamed(error);
      return;
    }
    const { request } = found;
    if (standing.length > 0) this.#onAccepted?.(standing);
    // Only channels that were asked for: others would have the same message sent for ever.
    const named = [...channels, ...standing].filter((channel) => request.channels.delete(channel)).length > 0;
    if (channels.length > 0) this.#refused(channels, error);
    if (!this.#exchange.limits.failsWhole) {
      if (channels.length === 0) this.#refused([], error);
      if (request.channels.size === 0) this.#waiting.delete(found.id);
      return;
    }
    this.#waiting.delete(found.id);
    this.#isolate([...request.channels], request.asked, named, error);
    this.#run();
  }

  /**
   * An error that says neither which message it answers nor which channel is bad. Answers come in the order of the
   * messages, so it is taken for that of the oldest one: its channels are asked for by halves, or one bad one would keep
   * all of them from being subscribed. Where it was about something else that costs a few messages. A single channel
   * goes on waiting for its answer.
   */
  #failedUnnamed(error: string): void {
    if (!this.#exchange.limits.failsWhole) return;
    const [oldest] = this.#waiting;
    if (oldest === undefined) return;
    const [id, { channels, asked }] = oldest;
    if (channels.size <= 1) return;
    this.#waiting.delete(id);
    this.#isolate([...channels], asked, false, error);
    this.#run();
  }

  /** A whole message failed: asks again without the bad channels, or by halves where none was named. */
  #isolate(rest: readonly string[], asked: number, named: boolean, error: string): void {
    if (named) {
      this.#enqueue(rest, asked - 1);
    } else if (rest.length <= 1) {
      this.#refused(rest, error);
    } else {
      const half = Math.ceil(rest.length / 2);
      this.#enqueue(rest.slice(0, half), asked - 1);
      this.#enqueue(rest.slice(half), asked - 1);
    }
  }

  /**
   * Tells of a refusal, and asks again later: what is refused now (too many requests, a listing that has not
   * begun) may be accepted then.
   */
  #refused(channels: readonly string[], error: string): void {
    // What the exchange says may be as long as a frame.
    const names = channels.slice(0, NAMES_MAX).map((channel) => clipped(channel, NAME_MAX));
    this.#onRefused(names, clipped(error, WORDS_MAX));
    const ours = channels.filter((channel) => this.#channels.has(channel));
    if (ours.length === 0 || !this.#running) return;
    for (const channel of ours) this.#turnedDown.add(channel);
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#enqueue(
        [...this.#turnedDown].filter((channel) => this.#channels.has(channel)),
        0,
      );
      this.#turnedDown.clear();
      this.#run();
    }, this.#refusedRetry);
  }

  #find(id: number | null, channels: readonly string[]): { id: number; request: Request } | null {
    if (id !== null) {
      const request = this.#waiting.get(id);
      if (request !== undefined) return { id, request };
    }
    for (const [candidate, request] of this.#waiting) {
      if (channels.some((channel) => request.channels.has(channel))) return { id: candidate, request };
    }
    return null;
  }
}

function clipped(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}
