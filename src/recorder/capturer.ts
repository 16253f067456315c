import type { Settings } from "../config/schema.ts";
import type { Logger } from "../status/log.ts";
import { type DataFolder, type FolderLock, lockFolder, openFolder } from "../storage/folder.ts";
import { newRun } from "../storage/names.ts";
import { CaptureThread, writerOptions } from "./capture-thread.ts";
import { Discovery } from "./discovery.ts";
import { GapLines, named } from "./gap-lines.ts";
import { IngestPool } from "./ingest-pool.ts";
import { logNotice } from "./notices.ts";
import { watchSignals } from "./session.ts";
import { VERSION } from "./version.ts";

/**
 * One capture from start to end, as `capture` runs it. Resolves to the exit code when it has ended, by a
 * signal, by `record.duration`, or because a thread died.
 *
 * @throws FolderError when it cannot begin
 */
export async function runCapture(settings: Settings, log: Logger): Promise<number> {
  const signals = watchSignals(log);
  const { duration } = settings.record;
  try {
    const capturer = await Capturer.start(settings, log);
    const why = await Promise.race([
      signals.first,
      capturer.died.then((reason) => ({ reason })),
      ...(duration === undefined ? [] : [Bun.sleep(duration)]),
    ]);
    if (typeof why === "object") log.error("thread_died", { why: why.reason });
    const exitCode = await capturer.stop();
    return typeof why === "object" ? 1 : exitCode;
  } finally {
    signals.stop();
  }
}

/**
 * Raw frames only: connects and subscribes as the recorder does and keeps every frame. Frames are decoded to
 * answer the exchange and to notice what cannot be decoded; the rows go nowhere.
 */
export class Capturer {
  readonly run: string;
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #lock: FolderLock;
  readonly #capture: CaptureThread;
  readonly #ingest: IngestPool;
  readonly #discovery: Discovery;
  readonly #died = Promise.withResolvers<string>();

  private constructor(options: {
    settings: Settings;
    log: Logger;
    run: string;
    folder: DataFolder;
    lock: FolderLock;
  }) {
    const { settings, log, run, folder, lock } = options;
    this.run = run;
    this.#settings = settings;
    this.#log = log;
    this.#lock = lock;
    this.#capture = new CaptureThread(writerOptions(settings, folder, run), settings.ingest.workers, log);
    void this.#capture.died.then((why) => this.#died.resolve(`the writer of raw frames died: ${why}`));
    const lines = new GapLines(log);
    this.#ingest = new IngestPool(
      { settings, rings: [], raw: { ports: this.#capture.ports, only: true } },
      {
        notice: (notice) => logNotice(log, notice),
        gaps: (gaps, notNamed) => {
          lines.write(gaps.map(named));
          if (notNamed > 0) log.error("gaps_not_named", { count: notNamed });
        },
        connectionEnded: () => undefined,
        instrumentsChanged: (exchange) => this.#discovery.announced(exchange),
        quarantine: ({ exchange, connection, reason, frame }) => {
          // The frame itself is in the capture.
          log.warn("frame_undecodable", { exchange, connection, reason, bytes: frame.length });
          return Promise.resolve();
        },
        died: (worker, why) => this.#died.resolve(`the ${worker} died: ${why}`),
      },
    );
    this.#discovery = new Discovery({
      settings,
      log,
      events: { read: () => Promise.resolve(), wanted: (job) => this.#ingest.apply(job) },
    });
  }

  /**
   * Opens the data folder and starts. Exchanges that cannot be reached are tried for ever.
   *
   * @throws FolderError when the data folder cannot be used.
   */
  static async start(settings: Settings, log: Logger): Promise<Capturer> {
    const folder = openFolder(settings.data);
    const run = newRun(settings.instance, Date.now() * 1000);
    const lock = lockFolder(folder, run);
    const capturer = new Capturer({ settings, log, run, folder, lock });
    const { exchanges, streams } = settings.record;
    const pid = process.pid;
    log.info("collector_start", {
      run,
      version: VERSION,
      pid,
      data: folder.root,
      exchanges,
      streams,
      raw: "only",
    });
    await capturer.#capture.ready;
    capturer.#capture.follow(capturer.#ingest);
    capturer.#discovery.start();
    return capturer;
  }

  /** Resolves with the reason when a thread has died: nothing can be captured any more. */
  get died(): Promise<string> {
    return this.#died.promise;
  }

  /** Closes the sockets and the files. @returns the exit code: 1 when frames are unaccounted for */
  async stop(): Promise<number> {
    const { timeout } = this.#settings.stop;
    this.#discovery.stop();
    await this.#ingest.stop(timeout);
    const summary = await this.#capture.stop(timeout);
    this.#lock.release();
    const frames = this.#ingest.exchanges.reduce((sum, one) => sum + one.frames, 0);
    const well = summary.unaccounted === 0 && frames === summary.frames;
    const fields = { run: this.run, received: frames, ...summary };
    if (well) this.#log.info("collector_stop", fields);
    else this.#log.error("collector_stop", fields);
    return well ? 0 : 1;
  }
}
