import type { Dataset } from "../events/streams.ts";
import type { DatasetRow } from "../storage/dataset-segment.ts";
import type { FinishedFile, SymbolSpec } from "../storage/drain.ts";
import type { DrainStats, FromDrain, ToDrain } from "../storage/messages.ts";
import { startThread, type Thread } from "./thread.ts";

/** Time beyond its own limit in which the thread must say that it has stopped, ms. */
const ANSWER_GRACE = 5000;

/** What the drain thread tells the recorder. */
export interface DrainThreadEvents {
  file(file: FinishedFile): void;
  copyFailed(key: string, error: string, retryIn: number): void;
  copyRecovered(): void;
  /** It cannot go on, or is gone. */
  died(why: string): void;
}

/** The main thread's end of the drain worker. */
export class DrainThread {
  stats: DrainStats = { openRows: 0, openSegments: 0, moved: 0 };
  readonly #thread: Thread<ToDrain>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<number>();
  readonly #symbols = new Map<number, () => void>();
  #nextId = 0;

  constructor(start: Omit<Extract<ToDrain, { type: "start" }>, "type">, events: DrainThreadEvents) {
    const onMessage = (message: FromDrain) => {
      switch (message.type) {
        case "ready":
          this.#ready.resolve();
          return;
        case "symbols":
          this.#symbols.get(message.id)?.();
          this.#symbols.delete(message.id);
          return;
        case "stats":
          this.stats = message.stats;
          return;
        case "file":
          events.file(message.file);
          return;
        case "copy_failed":
          events.copyFailed(message.key, message.error, message.retryIn);
          return;
        case "copy_recovered":
          events.copyRecovered();
          return;
        case "stopped":
          this.#stopped.resolve(message.lost);
          return;
        case "fatal":
          died(message.error);
          return;
      }
    };
    const died = (why: string) => {
      this.#ready.reject(new Error(`the drain worker died: ${why}`));
      events.died(why);
    };
    this.#ready.promise.catch(() => undefined);
    this.#thread = startThread<ToDrain, FromDrain>(
      new Worker(new URL("../storage/worker.ts", import.meta.url)),
      onMessage,
      died,
    );
    this.#thread.post({ type: "start", ...start });
  }

  /** Resolves when DuckDB is open and draining has begun. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when the drain knows these symbols: only then may rows carry their numbers. */
  addSymbols(exchange: string, symbols: readonly SymbolSpec[]): Promise<void> {
    return new Promise((resolve) => {
      const id = this.#nextId++;
      this.#symbols.set(id, resolve);
      this.#thread.post({ type: "symbols", id, exchange, symbols });
    });
  }

  /** Hands over rows of a dataset, written now (µs). */
  addRows(exchange: string, dataset: Dataset, rows: readonly DatasetRow[], nowUs: number): void {
    if (rows.length > 0) this.#thread.post({ type: "rows", exchange, dataset, rows, nowUs });
  }

  /**
   * Drains what is left into the outbox; resolves to the rows that could not be brought there, null when
   * the thread did not answer. It is not terminated then: that would abort the process in the middle of a
   * DuckDB call.
   */
  async stop(timeout: number): Promise<number | null> {
    this.#thread.post({ type: "stop", timeout });
    const lost = await Promise.race([
      this.#stopped.promise,
      Bun.sleep(timeout + ANSWER_GRACE).then(() => null),
    ]);
    if (lost !== null) this.#thread.terminate();
    return lost;
  }
}
