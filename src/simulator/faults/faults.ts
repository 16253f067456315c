/** Faults on demand: what a simulated exchange can be made to do wrong, when, and to whom. */
import type { Connection } from "../connection.ts";
import { Random } from "../random.ts";
import type { ServerHooks } from "../server.ts";
import { ActiveFault } from "./active.ts";
import type { Behaviour, FaultHost } from "./behaviour.ts";
import { Gate } from "./gate.ts";
import { type Fault, FaultError, type FaultInput, type FaultKind, parseFault } from "./model.ts";
import { RandomFaults } from "./random-faults.ts";
import type { FaultLog, FaultRecord } from "./record.ts";

/** A fault that was injected. */
export interface Injected {
  /** Its times and whom it met, as they are when this is read. */
  readonly record: FaultRecord;
  /** Resolves when it is over and undone; a fault that does one thing (a close) is so at once. */
  readonly ended: Promise<void>;
  /** Ends it now; again is nothing. */
  end(): void;
}

/** The faults of a simulated exchange, as others see them. */
export interface FaultControl {
  /**
   * Lets it happen, now or after its `afterMs`.
   *
   * ```ts
   * const { ended } = exchange.faults.inject({ kind: "silence", symbol: "BTCUSDT", forMs: 5000 });
   * ```
   *
   * @throws FaultError which names the field that is wrong
   */
  inject(fault: FaultInput): Injected;
  /** All faults: those that wait, are in force, or are past (the last 1,000), by number. */
  list(): FaultRecord[];
  /** Ends all that wait or are in force. */
  endAll(): Promise<void>;
  /**
   * From now on a random fault every so many ms, from the seed, over before the next; returns what stops it.
   *
   * @param told called with each, as it begins
   */
  every(ms: number, told?: (injected: Injected) => void, options?: RandomOptions): () => void;
}

/** What random faults may be. */
export interface RandomOptions {
  /** Absent = all that this exchange can have, but for list, delist and hang. */
  readonly kinds?: readonly FaultKind[];
  /** Told of a fault that could not be, such as one of a symbol while nothing is subscribed. */
  skipped?(fault: Fault, why: string): void;
}

/** Past faults that are remembered. */
const PAST_MAX = 1000;
/** Faults that wait or are in force at once. */
const ACTIVE_MAX = 1000;

/** See the head of the file. Made before its exchange, which then introduces itself by `attach`. */
export class Faults implements FaultControl, ServerHooks {
  readonly #seed: string | number;
  readonly #active = new Map<number, ActiveFault>();
  readonly #past: FaultLog[] = [];
  readonly #random: RandomFaults;
  /** Those in force, in the order of their beginning. */
  #behaviours: readonly Behaviour[] = [];
  #host: FaultHost | undefined;
  #next = 1;
  #every: (() => void)[] = [];

  constructor(seed: string | number) {
    this.#seed = seed;
    this.#random = new RandomFaults(new Random(`${seed}/faults`));
  }

  /** The exchange is there. */
  attach(host: FaultHost): void {
    this.#host = host;
  }

  inject(input: FaultInput): Injected {
    return this.#inject(parseFault(input));
  }

  list(): FaultRecord[] {
    return [...this.#past, ...[...this.#active.values()].map(({ log }) => log)]
      .sort((a, b) => a.id - b.id)
      .map((log) => log.toJSON());
  }

  async endAll(): Promise<void> {
    await Promise.all(
      [...this.#active.values()].map((active) => {
        active.end();
        return active.ended;
      }),
    );
  }

  every(ms: number, told?: (injected: Injected) => void, options: RandomOptions = {}): () => void {
    const timer = setInterval(() => {
      const host = this.#host;
      if (host === undefined) return;
      const fault = this.#random.draw(host, ms, options.kinds);
      try {
        const injected = this.#inject(fault);
        told?.(injected);
      } catch (error) {
        if (!(error instanceof FaultError)) throw error;
        options.skipped?.(fault, error.message);
      }
    }, ms);
    const stop = (): void => clearInterval(timer);
    this.#every.push(stop);
    return stop;
  }

  /** Ends one; false = none of this number waits or is in force. */
  end(id: number): boolean {
    const active = this.#active.get(id);
    active?.end();
    return active !== undefined;
  }

  /** The exchange ends: so do all faults. */
  async stop(): Promise<void> {
    for (const stop of this.#every) stop();
    this.#every = [];
    await this.endAll();
  }

  answer(request: Request, upgrade: boolean): Response | Promise<Response> | undefined {
    for (const behaviour of this.#behaviours) {
      const answer = behaviour.answer?.(request, upgrade);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  opened(connection: Connection): boolean {
    let kept = false;
    for (const behaviour of this.#behaviours) kept = behaviour.opened?.(connection) === true || kept;
    return kept;
  }

  message(connection: Connection, text: string, pass: () => void): void {
    const onward = this.#behaviours.reduceRight<() => void>((next, behaviour) => {
      if (behaviour.message === undefined) return next;
      return () => behaviour.message?.(connection, text, next);
    }, pass);
    onward();
  }

  /** To be called before the exchange takes note of a subscription. */
  subscribed(connection: Connection, stream: string): void {
    if (this.#behaviours.length === 0 && connection.gate === undefined) return;
    const topic = this.#host?.topic(stream);
    if (topic === undefined) return;
    if (connection.gate instanceof Gate) connection.gate.subscribed(topic);
    for (const behaviour of this.#behaviours) behaviour.subscribed?.(connection, topic);
  }

  /** A subscription ended. */
  unsubscribed(connection: Connection, stream: string): void {
    if (!(connection.gate instanceof Gate)) return;
    const topic = this.#host?.topic(stream);
    if (topic !== undefined) connection.gate.unsubscribed(topic);
  }

  /** Whether the exchange is to refuse a subscription in its own way. */
  refuses(connection: Connection, stream: string): boolean {
    if (this.#behaviours.length === 0) return false;
    const topic = this.#host?.topic(stream);
    if (topic === undefined) return false;
    return this.#behaviours.some((behaviour) => behaviour.refuses?.(connection, topic) === true);
  }

  #inject(fault: Fault): Injected {
    const host = this.#host;
    if (host === undefined) throw new Error("faults were asked for before their exchange was there");
    if (this.#active.size >= ACTIVE_MAX) {
      throw new FaultError("", `${ACTIVE_MAX} faults are in force: end some before more are injected`);
    }
    const id = this.#next++;
    let over = false;
    const active = new ActiveFault({
      id,
      fault,
      host,
      random: new Random(`${this.#seed}/fault/${id}`),
      began: ({ behaviour }) => {
        this.#behaviours = [...this.#behaviours, behaviour];
      },
      ended: ({ behaviour, log }) => {
        over = true;
        this.#behaviours = this.#behaviours.filter((other) => other !== behaviour);
        this.#active.delete(id);
        this.#past.push(log);
        if (this.#past.length > PAST_MAX) this.#past.shift();
      },
    });
    // A fault that does one thing is over before it is known here.
    if (!over) this.#active.set(id, active);
    return { record: active.log, ended: active.ended, end: () => active.end() };
  }
}
