/**
 * The part of a generated exchange that all of them share: its markets move at a pace, what they say is
 * handed to those who subscribed, and a run can be paused or has an end.
 */

import type { Clock } from "./clock.ts";
import type { Connection, Counts } from "./connection.ts";
import { Delivery, type DeliveryBounds } from "./delivery.ts";
import { Scheduler } from "./scheduler.ts";

/** Pace and bounds of a {@link Generation}; all have defaults. */
export interface GenerationOptions extends Partial<DeliveryBounds> {
  /** Moves of the markets per second; "max" = as fast as the slowest subscriber takes them. */
  readonly rate?: number | "max";
  /** During a burst the rate is multiplied by this. */
  readonly burstFactor?: number;
  /** Time from one burst to the next. */
  readonly burstEveryMs?: number;
  /** Length of a burst. */
  readonly burstLengthMs?: number;
  /** Stop after so many moves, subscribed or not. */
  readonly events?: number;
  /** Time between two ticks of the generator. */
  readonly tickMs?: number;
  /** After a longer stall only this much is caught up. */
  readonly maxCatchUpMs?: number;
}

/** What a {@link Generation} has done. */
export interface GenerationStats {
  /** Moves of the markets so far, subscribed or not. */
  readonly events: number;
  /** Subscriptions that deliver, and those acknowledged that never will. */
  readonly subscriptions: number;
  readonly silentSubscriptions: number;
  /** Connections cut because they did not read. */
  readonly slowConsumersTotal: number;
  /** Time in ms for which the set rate was not kept because the process was stalled. */
  readonly skippedMs: number;
}

/** What a {@link Generation} drives, and where it delivers. */
export interface GenerationTarget {
  readonly connections: ReadonlySet<Connection>;
  /** Where a frame that a socket took is counted, by slot. */
  readonly counts: Counts;
  /** The exchange's clock, which gives the times of its frames. */
  readonly clock: Clock;
  /** Whether the markets go on while nobody is subscribed any more, as real ones do: an account needs it. */
  readonly restless: boolean;
  /** Makes `count` moves now (`ms` = epoch ms by the exchange's clock) and queues what they say. */
  events(count: number, ms: number): void;
  /**
   * A new second of wall time has begun: queues what is due. `wallMs` = its beginning, a multiple of 1000;
   * `ms` = the same by the exchange's clock.
   */
  second(wallMs: number, ms: number): void;
  /** Told of each connection that frames left on. */
  delivered?(connection: Connection): void;
}

const EVENTS_PER_BATCH = 1000;

/** Runs while somebody is subscribed; see the head of the file. */
export class Generation {
  /** Resolves when `events` were made and every socket has taken its share; never without a limit. */
  readonly finished: Promise<void>;
  readonly #scheduler: Scheduler;
  readonly #delivery: Delivery;
  readonly #restless: boolean;
  #paused = false;
  /** Whether anybody ever subscribed. */
  #begun = false;
  #subscriptions = 0;
  #silent = 0;

  constructor(
    {
      rate = 10_000,
      burstFactor = 1,
      burstEveryMs = 60_000,
      burstLengthMs = 1000,
      events = Number.POSITIVE_INFINITY,
      tickMs = 5,
      maxCatchUpMs = 250,
      slowConsumerBytes = 64 << 20,
      backPressureBytes = 1 << 20,
      stallTimeoutMs = 10_000,
    }: GenerationOptions,
    target: GenerationTarget,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#restless = target.restless;
    const { clock } = target;
    this.#delivery = new Delivery({
      connections: target.connections,
      counts: target.counts,
      maxRate: rate === "max",
      slowConsumerBytes,
      backPressureBytes,
      stallTimeoutMs,
      delivered: (connection) => target.delivered?.(connection),
    });
    this.#scheduler = new Scheduler(
      {
        rate,
        burstFactor,
        burstEveryMs,
        burstLengthMs,
        maxCatchUpMs,
        tickMs,
        batch: EVENTS_PER_BATCH,
        events,
      },
      {
        events: (count, wallMs) => {
          target.events(count, wallMs + clock.offsetMs);
          this.#delivery.flush();
          if (this.ended) void this.#delivery.drained().then(resolve);
        },
        second: (wallMs) => {
          target.second(wallMs, wallMs + clock.offsetMs);
          this.#delivery.flush();
        },
        // Nobody sets the pace when nobody is there.
        blocked: () => this.#subscriptions === 0 || this.#delivery.blocked(),
      },
    );
  }

  /** Whether the last of the set number of moves has been made, or is being made. */
  get ended(): boolean {
    return this.#scheduler.finished;
  }

  /** Takes note of a new subscription; `delivers` = false: one that never will. */
  subscribed(delivers: boolean): void {
    if (!delivers) {
      this.#silent++;
      return;
    }
    this.#subscriptions++;
    this.#begun = true;
    if (!this.#paused) this.#scheduler.start();
  }

  /** Takes note of the end of one. */
  unsubscribed(connection: Connection, delivers: boolean): void {
    if (!delivers) {
      this.#silent--;
      return;
    }
    this.#subscriptions--;
    if (this.#subscriptions === 0 && !this.#restless) this.#scheduler.stop();
    this.#delivery.forget(connection);
  }

  /** Hands over what is queued on one connection, between two moves. */
  flushOne(connection: Connection): void {
    this.#delivery.flushOne(connection);
  }

  stats(): GenerationStats {
    return {
      events: this.#scheduler.made,
      subscriptions: this.#subscriptions,
      silentSubscriptions: this.#silent,
      slowConsumersTotal: this.#delivery.slowConsumers,
      skippedMs: Math.round(this.#scheduler.skippedMs),
    };
  }

  /** Stops the markets and resolves when every socket has taken what it was sent. */
  async pause(): Promise<void> {
    this.stop();
    await this.#delivery.drained();
  }

  /** Lets the markets go on after `pause`. */
  resume(): void {
    this.#paused = false;
    if (this.#subscriptions > 0 || (this.#restless && this.#begun)) this.#scheduler.start();
  }

  /** Stops the markets. */
  stop(): void {
    this.#paused = true;
    this.#scheduler.stop();
  }
}
