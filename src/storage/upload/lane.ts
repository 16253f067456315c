import type { Destination, DestinationError } from "../destinations/destination.ts";

/** Whether a destination is used: `open` = left alone for a while, `half_open` = one file tries it again. */
export type LaneState = "closed" | "open" | "half_open";

/** Bounds of a lane; times in ms. */
export interface LaneOptions {
  /** Files on their way at once, at most. */
  readonly maxInFlight: number;
  /** Failures in a row after which it is left alone. */
  readonly failures: number;
  readonly pauseMin: number;
  readonly pauseMax: number;
  readonly random: () => number;
}

/** Files at once with which a lane begins. */
const FIRST_WINDOW = 2;

/**
 * The way to one destination: a circuit breaker, and a window of files at once that grows by one with each full window
 * of successes and halves with each failure, so that a destination that comes back is not stormed.
 *
 * Times are monotonic, ms.
 */
export class Lane {
  state: LaneState = "closed";
  /** Files on their way. */
  inFlight = 0;
  /** Failures in a row. */
  failures = 0;
  /** Why the last attempt failed; null when it did not. */
  fault: string | null = null;
  #window: number;
  /** Successes since the window grew. */
  #credit = 0;
  #pauses = 0;
  #until = 0;

  constructor(
    readonly destination: Destination,
    readonly options: LaneOptions,
  ) {
    this.#window = Math.min(FIRST_WINDOW, options.maxInFlight);
  }

  get name(): string {
    return this.destination.name;
  }

  /** Files that may be on their way at once, now. */
  get window(): number {
    return this.#window;
  }

  /** Whether a file may go this way now. */
  allows(now: number): boolean {
    if (this.state === "closed") return this.inFlight < this.#window;
    return this.state === "open" && this.inFlight === 0 && now >= this.#until;
  }

  /** When a lane that is left alone may be tried again; null = it is not left alone. */
  get opensAt(): number | null {
    return this.state === "open" ? this.#until : null;
  }

  /** Whether something small may be asked of it now: not while it is left alone. */
  mayAsk(now: number): boolean {
    return this.state !== "open" || now >= this.#until;
  }

  /** A file takes this way. */
  begin(): void {
    if (this.state === "open") this.state = "half_open";
    this.inFlight++;
  }

  /** It has arrived; true = the lane is in use again after a pause. */
  succeeded(): boolean {
    this.inFlight--;
    this.failures = 0;
    this.fault = null;
    this.#pauses = 0;
    if (++this.#credit >= this.#window) {
      this.#credit = 0;
      this.#window = Math.min(this.options.maxInFlight, this.#window + 1);
    }
    const closes = this.state !== "closed";
    this.state = "closed";
    return closes;
  }

  /** It has not arrived, and the destination is why; true = it is left alone from now on. */
  failed(error: DestinationError, now: number): boolean {
    this.inFlight--;
    this.failures++;
    this.fault = error.message;
    this.#credit = 0;
    this.#window = Math.max(1, this.#window >> 1);
    const opens =
      this.state === "half_open" || (this.state === "closed" && this.failures >= this.options.failures);
    if (!opens) return false;
    const first = this.state === "closed";
    const { pauseMin, pauseMax, random } = this.options;
    const pause = Math.min(pauseMax, pauseMin * 2 ** Math.min(this.#pauses++, 30));
    // Half of it is certain: a lane that may be tried again at once is not left alone.
    this.#until = now + pause / 2 + (random() * pause) / 2;
    this.#window = 1;
    this.state = "open";
    return first;
  }

  /** It has not arrived, and that says nothing about the destination. */
  released(now: number): void {
    this.inFlight--;
    if (this.state !== "half_open") return;
    this.state = "open";
    this.#until = now;
  }

  /** Lets it be tried at once: there is no time left to wait. */
  hurry(now: number): void {
    if (this.state === "open") this.#until = Math.min(this.#until, now);
  }
}
