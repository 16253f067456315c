import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import type {
  FromCaptureWorker,
  RawFile,
  RecoveredFile,
  ToCaptureWorker,
  WriterOptions,
  WriterStats,
} from "../capture/messages.ts";
import type { Settings } from "../config/schema.ts";
import type { Logger } from "../status/log.ts";
import { type DataFolder, FolderError } from "../storage/folder.ts";
import type { IngestPool } from "./ingest-pool.ts";
import { type RawSummary, rawSummary } from "./raw-summary.ts";
import { startThread, type Thread } from "./thread.ts";

/** How often what found no room is looked at, ms. */
const WATCH_INTERVAL = 1000;

/** Time for the last word of a thread that was told to close what it has, ms. */
const ANSWER_GRACE = 2000;

/**
 * The main thread's end of the writer of raw frames, with its log. When the writer dies, capturing ends and
 * recording goes on: the frames are counted as not captured where they come in.
 */
export class CaptureThread {
  stats: WriterStats = {};
  /** For the ingest workers, one each: frames go from there to the writer directly. */
  readonly ports: readonly MessagePort[];
  /** Resolves with the reason when the thread has died. */
  readonly died: Promise<string>;
  readonly #thread: Thread<ToCaptureWorker>;
  readonly #log: Logger;
  readonly #ready = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();
  #ingest: IngestPool | null = null;
  #watch: ReturnType<typeof setInterval> | undefined;
  #notCaptured = 0;

  /** @param workers number of ingest workers */
  constructor(options: WriterOptions, workers: number, log: Logger) {
    this.#log = log;
    const channels = Array.from({ length: workers }, () => new MessageChannel());
    this.ports = channels.map(({ port1 }) => port1);
    const died = Promise.withResolvers<string>();
    this.died = died.promise;
    let dead = false;
    const onDeath = (why: string) => {
      if (dead) return;
      dead = true;
      log.error("raw_stopped", { why, meaning: "frames are no longer captured; recording goes on" });
      this.#ready.resolve();
      this.#stopped.resolve();
      died.resolve(why);
    };
    this.#thread = startThread<ToCaptureWorker, FromCaptureWorker>(
      new Worker(new URL("../capture/worker.ts", import.meta.url)),
      (message) => this.#message(message, onDeath),
      onDeath,
    );
    const ports = channels.map(({ port2 }) => port2);
    this.#thread.post({ type: "start", options, ports }, ports);
  }

  #message(message: FromCaptureWorker, onDeath: (why: string) => void): void {
    const log = this.#log;
    switch (message.type) {
      case "ready":
        this.#ready.resolve();
        return;
      case "recovered":
        log.warn("raw_recovered", recoveredFields(message.file));
        return;
      case "file":
        log.info("raw_file", fileFields(message.file));
        return;
      case "full":
        log.error("raw_full", {
          bytes: message.bytes,
          meaning: "raw.max_bytes is reached: frames are only counted, recording goes on",
          mend: "move files of DIR/raw away or raise raw.max_bytes",
        });
        return;
      case "resumed":
        log.info("raw_resumed");
        return;
      case "failed":
        log.error("raw_failed", { error: message.error });
        return;
      case "stats":
        this.stats = message.stats;
        return;
      case "stopped":
        this.stats = message.stats;
        this.#stopped.resolve();
        return;
      case "fatal":
        onDeath(message.error);
        return;
    }
  }

  /** Resolves when what an earlier run left is taken care of and the writer takes frames, or has died. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** The ingest workers whose frames these are: what finds no room there is logged from now on. */
  follow(ingest: IngestPool): void {
    this.#ingest = ingest;
    this.#watch = setInterval(() => this.#look(), WATCH_INTERVAL);
  }

  #look(): void {
    const { frames, not_captured: now } = this.summary();
    if (now > this.#notCaptured) {
      this.#log.warn("raw_not_captured", {
        frames: now - this.#notCaptured,
        total: now,
        of: frames,
        meaning: "more raw frames than raw.in_flight wait for the disk; recording goes on",
      });
    }
    this.#notCaptured = now;
  }

  /** What became of the frames so far. */
  summary(): RawSummary {
    return rawSummary(this.#ingest?.raw ?? [], this.stats);
  }

  /**
   * Resolves when the files are closed, to what became of all frames; to be called when the ingest workers
   * have said that they are done.
   */
  async stop(timeout: number): Promise<RawSummary> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), timeout);
    });
    if ((await Promise.race([this.#stopped.promise, late])) === "late") {
      // An ingest worker has not said its last word: what has arrived is closed.
      this.#thread.post({ type: "stop" });
      await Promise.race([this.#stopped.promise, Bun.sleep(ANSWER_GRACE)]);
    }
    clearTimeout(timer);
    this.#thread.terminate();
    clearInterval(this.#watch);
    this.#look();
    return this.summary();
  }
}

function fileFields({ path, exchange, frames, bytes }: RawFile) {
  return { path, exchange, frames, bytes };
}

function recoveredFields({ path, from, blocks, bytes, cut }: RecoveredFile) {
  return { path, from, blocks, bytes, cut_bytes: cut };
}

/**
 * The writer's options out of the settings; creates the folder of raw frames, DIR/raw.
 *
 * @throws FolderError when it cannot be written
 */
export function writerOptions(settings: Settings, folder: DataFolder, run: string): WriterOptions {
  const { raw } = settings;
  const root = join(folder.root, "raw");
  try {
    mkdirSync(root, { recursive: true });
    accessSync(root, constants.W_OK | constants.X_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FolderError(
      `the folder of raw frames ${root} cannot be written (${why}); give this user the right to write there, ` +
        "choose another data folder with --data DIR, or record without --raw",
    );
  }
  return {
    root,
    run,
    segmentBytes: raw.segment_bytes,
    interval: raw.interval,
    maxBytes: raw.max_bytes,
    blockBytes: raw.block_bytes,
    blockInterval: raw.block_interval,
    level: raw.level,
  };
}
