/** Runs a market: asks for events in short ticks, at a rate or as fast as they are taken. */
import { Pacer, type PacerOptions } from "./pacer.ts";

/** What a scheduler drives. */
export interface SchedulerTarget {
  /** Makes `count` events now (`wallMs` = epoch ms) and hands them to the sockets. */
  events(count: number, wallMs: number): void;
  /** A new second of wall time has begun at `wallMs`, a multiple of 1000. */
  second(wallMs: number): void;
  /** True while a subscriber has too much unsent to be given more; asked at rate "max" only. */
  blocked(): boolean;
}

/** Settings of a scheduler. */
export interface SchedulerOptions extends Omit<PacerOptions, "rate"> {
  /** Events per second, or "max". */
  readonly rate: number | "max";
  /** Time between two ticks in ms, at a set rate. */
  readonly tickMs: number;
  /** Most events handed over at once; bounds what one tick adds to a socket's buffer. */
  readonly batch: number;
  /** Stop for good after so many events; Infinity = never. */
  readonly events: number;
}

const BLOCKED_POLL_MS = 2;

/** Starts stopped. `start` and `stop` may alternate; nothing is owed for the time between. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #target: SchedulerTarget;
  readonly #pacer: Pacer | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #immediate: ReturnType<typeof setImmediate> | undefined;
  #running = false;
  #made = 0;
  #second = 0;
  #wallMs = 0;

  constructor(options: SchedulerOptions, target: SchedulerTarget) {
    this.#options = options;
    this.#target = target;
    if (options.rate !== "max") {
      this.#pacer = new Pacer({ ...options, rate: options.rate }, performance.now());
    }
  }

  /** Events made so far. */
  get made(): number {
    return this.#made;
  }

  /** True when the set number of events has been made. */
  get finished(): boolean {
    return this.#made >= this.#options.events;
  }

  /** Time (ms) for which no events were made because a tick came far too late. */
  get skippedMs(): number {
    return this.#pacer?.skippedMs ?? 0;
  }

  start(): void {
    if (this.#running || this.finished) return;
    this.#running = true;
    this.#second = Math.floor(this.#now() / 1000);
    this.#pacer?.skip(performance.now());
    this.#next();
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
  }

  #next(): void {
    if (!this.#running) return;
    if (this.#pacer !== undefined) this.#timer = setTimeout(() => this.#tick(), this.#options.tickMs);
    else if (this.#target.blocked()) this.#timer = setTimeout(() => this.#next(), BLOCKED_POLL_MS);
    else this.#immediate = setImmediate(() => this.#tick());
  }

  #tick(): void {
    const { batch, events } = this.#options;
    let due = this.#pacer?.due(performance.now()) ?? batch;
    const wallMs = this.#now();
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#target.second(second * 1000);
    }
    due = Math.min(due, events - this.#made);
    while (due > 0) {
      const count = Math.min(due, batch);
      this.#made += count;
      this.#target.events(count, wallMs);
      due -= count;
    }
    if (this.finished) this.stop();
    this.#next();
  }

  /** Wall time that does not go back when the clock is set: exchange times grow. */
  #now(): number {
    this.#wallMs = Math.max(this.#wallMs, Date.now());
    return this.#wallMs;
  }
}
