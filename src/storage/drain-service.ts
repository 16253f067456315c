import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { Drain, type DrainEvents, type DrainMemory, type DrainOptions } from "./drain.ts";
import type { Step } from "./filer.ts";
import { moveFile } from "./files.ts";
import { type JournalRecovery, recoverJournals } from "./journal/recovery.ts";
import type { FromDrain, ToDrain } from "./messages.ts";
import { fileId, parseKey } from "./names.ts";

/** How often statistics go to the main thread, ms. */
const STATS_INTERVAL = 250;
/** More errors than this within {@link ERRORS_SPAN} (ms) will not be mended by another attempt. */
const ERRORS_MAX = 5;
const ERRORS_SPAN = 60_000;

/** What the main thread asked for in between two steps: DuckDB's connection is used by one thing at a time. */
type Job = Extract<ToDrain, { type: "symbols" | "rows" }>;

/**
 * The life of the drain in its thread: steps, messages, and what happens after an error.
 *
 * An error that the drain does not handle itself ends the drain, not the thread: DuckDB is interrupted and closed,
 * and another drain begins from the journals and the rings, which hold all that the first one held.
 */
export class DrainService {
  readonly #post: (message: FromDrain) => void;
  readonly #step: ((step: Step) => void | Promise<void>) | undefined;
  readonly #queue: Job[] = [];
  /** Those who wait for the main thread to have a file in the ledger. */
  readonly #filing = new Map<number, () => void>();
  #nextFile = 0;
  #drain: Drain | null = null;
  /** Whether the drain was given up, and its work is to end. */
  #givenUp = false;
  #held = false;
  /** The taking up of messages that goes on beside the rings. */
  #taking: Promise<void> | null = null;
  #finishTimeout: number | null = null;
  #stopTimeout: number | null = null;
  #finished = false;
  #poll = 5;
  #moved = 0;
  #reported = Number.NEGATIVE_INFINITY;
  #rebuilds = 0;
  /** When errors occurred, performance.now(). */
  readonly #errors: number[] = [];
  #ended = false;
  #failure = Promise.withResolvers<never>();

  /** @param step tests end the process at a step, or throw */
  constructor(post: (message: FromDrain) => void, step?: (step: Step) => void | Promise<void>) {
    this.#post = post;
    this.#step = step;
    this.#failure.promise.catch(() => undefined);
  }

  /** Takes a message of the main thread. */
  receive(message: ToDrain): void {
    switch (message.type) {
      case "start":
        this.#run(message).catch((error) => this.#fatal(error));
        return;
      case "symbols":
      case "rows":
        this.#queue.push(message);
        return;
      case "filed":
        this.#filing.get(message.id)?.();
        this.#filing.delete(message.id);
        return;
      case "hold":
        this.#held = message.held;
        this.#drain?.hold(message.held);
        return;
      case "finish":
        this.#finishTimeout = message.timeout;
        return;
      case "stop":
        this.#stopTimeout = message.timeout;
        return;
    }
  }

  /** Takes an error that nobody caught. */
  fail(error: unknown): void {
    if (this.#ended) return;
    if (this.#drain === null) this.#fatal(error);
    else this.#failure.reject(error);
  }

  #fatal(error: unknown): void {
    this.#ended = true;
    this.#post({ type: "fatal", error: wordsOf(error) });
  }

  async #run({ options, poll }: Extract<ToDrain, { type: "start" }>): Promise<void> {
    this.#poll = poll;
    this.#drain = await Drain.open(options, this.#events());
    this.#drain.hold(this.#held);
    this.#post({ type: "ready" });
    while (!this.#ended) {
      const work = this.#work(this.#drain);
      try {
        await Promise.race([work, this.#failure.promise]);
      } catch (error) {
        this.#noteError(error);
        this.#failure = Promise.withResolvers<never>();
        this.#failure.promise.catch(() => undefined);
        await this.#rebuild(this.#drain, options, work);
      }
    }
  }

  /** Works until the end; throws what the drain does not handle. */
  async #work(drain: Drain): Promise<void> {
    while (this.#finishTimeout === null) {
      this.#takeUpMeanwhile(drain);
      this.#moved += await drain.step();
      this.#report(drain);
      // A short sleep rather than Atomics.wait, which would stop this thread's event loop and with it DuckDB.
      await Bun.sleep(this.#poll);
      if (this.#givenUp) return;
    }
    await this.#taking;
    await this.#takeUp(drain);
    if (!this.#finished) {
      const lost = await drain.finish(performance.now() + this.#finishTimeout);
      this.#finished = true;
      this.#post({ type: "finished", lost });
    }
    while (this.#stopTimeout === null) {
      await this.#takeUp(drain);
      await Bun.sleep(this.#poll);
      if (this.#givenUp) return;
    }
    await this.#takeUp(drain);
    const lost = await drain.stop(performance.now() + this.#stopTimeout);
    this.#ended = true;
    this.#report(drain, true);
    this.#post({ type: "stopped", lost });
  }

  /**
   * Rows of datasets go into a table, and to create one DuckDB may have to wait for a thread that waits for the disk:
   * the rings do not wait for that.
   */
  #takeUpMeanwhile(drain: Drain): void {
    if (this.#taking !== null || this.#queue.length === 0) return;
    this.#taking = this.#takeUp(drain)
      .catch((error) => {
        // What ends because the drain was given up is no error of its own.
        if (!this.#givenUp) this.fail(error);
      })
      .finally(() => {
        this.#taking = null;
      });
  }

  async #takeUp(drain: Drain): Promise<void> {
    for (let next = this.#queue[0]; next !== undefined && !this.#givenUp; next = this.#queue[0]) {
      if (next.type === "rows") {
        // Once they are in the journal they are not taken again, whatever happens after.
        const kept = () => void this.#queue.shift();
        await drain.addRows(next.exchange, next.dataset, next.rows, next.nowUs, kept);
      } else {
        drain.addSymbols(next.exchange, next.symbols);
        this.#queue.shift();
        this.#post({ type: "symbols", id: next.id });
      }
    }
  }

  #report(drain: Drain, now = false): void {
    const at = performance.now();
    if (!now && at - this.#reported < STATS_INTERVAL) return;
    this.#reported = at;
    const { openSegments, journalBytes } = drain;
    const stats = { openSegments, journalBytes, moved: this.#moved, rebuilds: this.#rebuilds };
    this.#post({ type: "stats", stats });
  }

  #events(): DrainEvents {
    const post = this.#post;
    return {
      fileFinished: (file) => {
        const id = this.#nextFile++;
        const filed = Promise.withResolvers<void>();
        this.#filing.set(id, filed.resolve);
        post({ type: "file", id, file });
        return filed.promise;
      },
      copyFailed: ({ exchange, stream, key }, error, retryIn) =>
        post({ type: "copy_failed", key: `${exchange}/${stream}/${key.ring}/${key.n}`, error, retryIn }),
      copyRecovered: () => post({ type: "copy_recovered" }),
      rowsSpoiled: (spoiled) => post({ type: "spoiled", spoiled }),
      journalFault: (why) => post({ type: "journal_fault", why }),
      ...(this.#step === undefined ? {} : { step: this.#step }),
    };
  }

  /** @throws the error where it is one too many */
  #noteError(error: unknown): void {
    const now = performance.now();
    this.#errors.push(now);
    while (now - (this.#errors[0] ?? now) > ERRORS_SPAN) this.#errors.shift();
    if (this.#errors.length > ERRORS_MAX) throw error;
    this.#post({ type: "failed", error: wordsOf(error) });
  }

  async #rebuild(drain: Drain, options: DrainOptions, work: Promise<void>): Promise<void> {
    const began = performance.now();
    this.#givenUp = true;
    await drain.giveUp();
    // A connection must not be closed while it is used: everything that the work waits for has ended.
    await work.catch(() => undefined);
    await this.#taking;
    const memory = await drain.abort();
    const recovery = await recoverJournals({
      folder: options.journal.folder,
      published: (key) => {
        const parts = parseKey(key);
        return parts !== null && memory.filed.has(fileId(parts, parts.symbol));
      },
      quarantine: (path) => moveAside(path, options.quarantine),
    });
    const { segments, notices } = recovery;
    const events = this.#events();
    this.#drain = await Drain.open({ ...options, recovered: segments }, events, renumbered(memory, recovery));
    // What was said meanwhile was said to the one before.
    this.#drain.hold(this.#held);
    this.#givenUp = false;
    this.#rebuilds++;
    for (const file of memory.untold) void events.fileFinished(file);
    this.#post({
      type: "rebuilt",
      ms: Math.round(performance.now() - began),
      segments: segments.length,
      rows: segments.reduce((sum, { rest }) => sum + rest, 0),
      notices,
    });
  }
}

/** With what was found: numbers of journals that hold nothing are free again, for those of a ring follow each other. */
function renumbered(memory: DrainMemory, { unused, holes }: JournalRecovery): DrainMemory {
  const nextN = new Map(memory.nextN);
  for (const { ring, n } of unused) if (nextN.get(ring) === n + 1) nextN.set(ring, n);
  const datasets = memory.datasets.map((one) => {
    const free = unused.some(({ ring, n }) => ring === one.ring && n + 1 === one.nextN);
    return free ? { ...one, nextN: one.nextN - 1 } : one;
  });
  return { ...memory, nextN, datasets, holes };
}

async function moveAside(path: string, quarantine: string): Promise<string> {
  await mkdir(quarantine, { recursive: true });
  const target = join(quarantine, `${Date.now()}-${basename(path)}`);
  await moveFile(path, target);
  return target;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
