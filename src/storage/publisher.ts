import { Backoff } from "../lib/backoff.ts";
import type { Destination } from "./destinations/destination.ts";

/** A file in the outbox that has to reach the destination. */
export interface OutboxFile {
  readonly key: string;
  readonly path: string;
  /** Exchange, and stream or dataset; "" for a file of an earlier run. */
  readonly exchange: string;
  readonly stream: string;
  readonly rows: number;
  /** Ring of this run whose events it holds; null for a dataset and for a file of an earlier run. */
  readonly ring: number | null;
}

/** What the publisher tells the world. */
export interface PublisherEvents {
  published(file: OutboxFile): void;
  failed(file: OutboxFile, error: string, retryIn: number): void;
}

/** First wait before a file that could not be published is tried again, ms. */
const RETRY_MIN = 500;

/** Brings the files of the outbox to the destination, one after the other, until each is there. */
export class Publisher {
  readonly #destination: Destination;
  readonly #events: PublisherEvents;
  readonly #queue: OutboxFile[] = [];
  readonly #backoff: Backoff;
  #working: Promise<void> | null = null;
  #ended = false;
  #wake: (() => void) | null = null;
  /** Files on their way at this moment. */
  inFlight = 0;
  /** Attempts that failed. */
  failures = 0;
  /** Events on their way at this moment. */
  uploadingRows = 0;
  /** Why the last attempt failed; null when it did not. */
  fault: string | null = null;

  /** @param retryMax longest wait between two attempts, ms */
  constructor(destination: Destination, retryMax: number, events: PublisherEvents) {
    this.#destination = destination;
    this.#backoff = new Backoff(RETRY_MIN, retryMax);
    this.#events = events;
  }

  /** Files that are not at the destination yet. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Takes a file over. */
  add(file: OutboxFile): void {
    this.#queue.push(file);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    for (let file = this.#queue[0]; file !== undefined && !this.#ended; file = this.#queue[0]) {
      try {
        this.inFlight = 1;
        this.uploadingRows = file.ring === null ? 0 : file.rows;
        await this.#destination.put(file.path, file.key);
        this.inFlight = 0;
        this.uploadingRows = 0;
        this.fault = null;
        this.#backoff.reset();
        this.#queue.shift();
        this.#events.published(file);
      } catch (error) {
        this.inFlight = 0;
        this.uploadingRows = 0;
        this.failures++;
        this.fault = error instanceof Error ? error.message : String(error);
        const retryIn = this.#backoff.next();
        this.#events.failed(file, this.fault, retryIn);
        await this.#wait(retryIn);
      }
    }
    // In the same turn in which the queue was found empty: what comes from now on starts anew.
    this.#working = null;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Waits until all files are at the destination, at most `timeout` ms; the rest stays in the outbox. */
  async finish(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    while (this.#working !== null && performance.now() < deadline) {
      this.#wake?.();
      await Promise.race([this.#working, Bun.sleep(Math.min(500, timeout))]);
    }
    this.#ended = true;
    this.#wake?.();
    await this.#working;
  }
}
