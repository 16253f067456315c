import type { Dataset } from "../events/streams.ts";
import type { DatasetRow } from "../storage/dataset-segment.ts";
import type { FinishedFile, LostRows, SpoiledRows, SymbolSpec } from "../storage/drain.ts";
import type { DrainStats, FromDrain, ToDrain } from "../storage/messages.ts";
import { startThread, type Thread } from "./thread.ts";

/** Time beyond its own limit in which the thread must say that it has stopped, ms. */
const ANSWER_GRACE = 5000;

/** Rows of one dataset, over all exchanges, that may be on their way to a file. */
export const DATASET_ROWS_MAX = 200_000;

/** What the drain thread tells the recorder. */
export interface DrainThreadEvents {
  /** A file is in the outbox. When this resolves its journal is removed. */
  file(file: FinishedFile): Promise<void>;
  /** Rows are lost: their journal was damaged. */
  spoiled(spoiled: SpoiledRows): void;
  copyFailed(key: string, error: string, retryIn: number): void;
  copyRecovered(): void;
  /** Journals cannot be written: why; null = they can again. */
  journalFault(why: string | null): void;
  /** An error: it is being rebuilt from its journals. */
  failed(error: string): void;
  /** It goes on. */
  rebuilt(told: Omit<Extract<FromDrain, { type: "rebuilt" }>, "type">): void;
  /** It cannot go on, or is gone. */
  died(why: string): void;
}

/** The main thread's end of the drain worker. */
export class DrainThread {
  stats: DrainStats = { openSegments: 0, journalBytes: 0, moved: 0, rebuilds: 0 };
  readonly #thread: Thread<ToDrain>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<readonly LostRows[] | null>();
  readonly #stopped = Promise.withResolvers<number | null>();
  /** Rows of each dataset that are not in a file yet. */
  readonly #pending = new Map<string, number>();
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
          if (message.file.ring === null && !message.file.recovered)
            this.#count(message.file.stream, -message.file.rows);
          void events.file(message.file).then(() => this.#thread.post({ type: "filed", id: message.id }));
          return;
        case "spoiled":
          if (message.spoiled.ring === null) this.#count(message.spoiled.stream, -message.spoiled.rows);
          events.spoiled(message.spoiled);
          return;
        case "copy_failed":
          events.copyFailed(message.key, message.error, message.retryIn);
          return;
        case "copy_recovered":
          events.copyRecovered();
          return;
        case "journal_fault":
          events.journalFault(message.why);
          return;
        case "failed":
          events.failed(message.error);
          return;
        case "rebuilt":
          events.rebuilt({
            ms: message.ms,
            segments: message.segments,
            rows: message.rows,
            notices: message.notices,
          });
          return;
        case "finished":
          this.#finished.resolve(message.lost);
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
      this.#finished.resolve(null);
      this.#stopped.resolve(null);
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

  /** Resolves when what was handed over before stands in journals, or cannot. */
  settled(): Promise<void> {
    return this.addSymbols("", []);
  }

  /** While it is held no file is written to the outbox; segments stay in their journals, up to `journal.max_bytes`. */
  hold(held: boolean): void {
    this.#thread.post({ type: "hold", held });
  }

  /** Rows of a dataset that may be handed over now: none when the drain is too far behind. */
  roomFor(dataset: Dataset): number {
    return Math.max(0, DATASET_ROWS_MAX - (this.#pending.get(dataset) ?? 0));
  }

  /** Hands over rows of a dataset, written now (µs). To be asked before: {@link roomFor}. */
  addRows(exchange: string, dataset: Dataset, rows: readonly DatasetRow[], nowUs: number): void {
    if (rows.length === 0) return;
    this.#count(dataset, rows.length);
    this.#thread.post({ type: "rows", exchange, dataset, rows, nowUs });
  }

  #count(dataset: string, rows: number): void {
    this.#pending.set(dataset, (this.#pending.get(dataset) ?? 0) + rows);
  }

  /**
   * Drains what is left in the rings into the outbox, of which the producers must have stopped. Rows of datasets
   * are still taken afterwards.
   *
   * @returns what could not be brought into a journal, by ring; null when the thread did not answer
   */
  async finish(timeout: number): Promise<readonly LostRows[] | null> {
    this.#thread.post({ type: "finish", timeout });
    return await Promise.race([this.#finished.promise, Bun.sleep(timeout + ANSWER_GRACE).then(() => null)]);
  }

  /**
   * Ends it after {@link finish}; resolves to all rows, those of datasets included, that are in no journal and
   * no file, null when the thread did not answer. It is not terminated then: that would abort the process in
   * the middle of a DuckDB call.
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
