import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import { SLOW_STREAMS } from "../config/schema.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { Clock } from "../ingest/clock.ts";
import type { GapNotice } from "../ingest/messages.ts";
import { framesOf } from "../status/api.ts";
import type { LogFields, Logger } from "../status/log.ts";
import type { Snapshot } from "../status/snapshot.ts";
import { LocalDestination } from "../storage/destinations/local.ts";
import type { FinishedFile } from "../storage/drain.ts";
import { type DataFolder, type FolderLock, lockFolder, openFolder } from "../storage/folder.ts";
import { newRun } from "../storage/names.ts";
import { readOutbox } from "../storage/outbox.ts";
import { type OutboxFile, Publisher } from "../storage/publisher.ts";
import { Quarantine } from "../storage/quarantine.ts";
import type { SealBounds } from "../storage/seal-policy.ts";
import { CaptureThread, writerOptions } from "./capture-thread.ts";
import { instrumentRow, sequenceGapRow } from "./datasets.ts";
import { Discovery } from "./discovery.ts";
import { DrainThread } from "./drain-thread.ts";
import { IngestThread } from "./ingest-thread.ts";
import type { Reading } from "./instruments.ts";
import { Monitor } from "./monitor.ts";
import { logNotice } from "./notices.ts";
import { createRings, type RunRing } from "./rings.ts";
import { VERSION } from "./version.ts";

/** How often the main thread's clock follows the wall clock, ms. */
const CLOCK_INTERVAL = 250;

/** How a recorder ended. */
export interface RecorderEnd {
  readonly run: string;
  /** 0, or 1 when something was lost that should not have been. */
  readonly exitCode: number;
  /** What the final numbers are. */
  readonly snapshot: Snapshot;
}

/**
 * The supervisor: starts the threads, tells them what to record, publishes finished files, watches, and
 * stops everything in the order in which nothing gets lost.
 */
export class Recorder {
  readonly run: string;
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #lock: FolderLock;
  readonly #quarantine: Quarantine;
  readonly #rings: RunRing[];
  readonly #publisher: Publisher;
  readonly #drain: DrainThread;
  readonly #ingest: IngestThread;
  /** Keeps raw frames; null unless `record.raw` is on. */
  readonly #capture: CaptureThread | null;
  readonly #discovery: Discovery;
  readonly #monitor: Monitor;
  /** Time at which the main thread writes rows; never goes back. */
  readonly #clock = new Clock();
  readonly #died = Promise.withResolvers<string>();
  #clockTimer: ReturnType<typeof setInterval> | undefined;
  /** Whether the drain is gone, so that nothing can be drained any more. */
  drainDied = false;
  /** Whether it has begun to stop. */
  stopping = false;

  private constructor(options: {
    settings: Settings;
    log: Logger;
    run: string;
    folder: DataFolder;
    lock: FolderLock;
    quarantine: Quarantine;
  }) {
    const { settings, log, run, folder, lock, quarantine } = options;
    this.run = run;
    this.#settings = settings;
    this.#log = log;
    this.#lock = lock;
    this.#quarantine = quarantine;
    this.#rings = createRings(settings);
    this.#publisher = new Publisher(new LocalDestination(folder.lake), settings.storage.retry_max, {
      published: (file) => this.#published(file),
      failed: (file, error, retryIn) =>
        log.error("publish_failed", { key: file.key, error, retry_in_ms: retryIn }),
    });
    this.#drain = new DrainThread(
      {
        poll: settings.drain.poll,
        options: {
          run,
          version: VERSION,
          rings: this.#rings.map(({ ring, exchange, stream, handle }) => ({
            ring,
            exchange,
            stream,
            handle,
          })),
          outbox: folder.outbox,
          seal: sealBounds(settings),
          datasetSeal: {
            rows: settings.flush.rows,
            bytes: settings.flush.bytes,
            interval: settings.flush.slow_interval,
          },
          firstDatasetRing: this.#rings.length,
          minGap: settings.flush.min_gap,
          maxOpenRows: settings.drain.max_open_rows,
          maxSealed: settings.drain.max_sealed,
          memoryLimit: settings.duckdb.memory_limit,
          threads: settings.duckdb.threads,
          retryMax: settings.storage.retry_max,
        },
      },
      {
        file: (file) => this.#finished(file),
        copyFailed: (key, error, retryIn) => {
          this.#monitor.copyFault = `segment ${key} cannot be written: ${error}`;
          log.error("copy_failed", { segment: key, error, retry_in_ms: retryIn });
        },
        copyRecovered: () => {
          this.#monitor.copyFault = null;
          log.info("copy_recovered");
        },
        died: (why) => {
          this.drainDied = true;
          this.#threadDied("drain worker", why);
        },
      },
    );
    this.#capture = settings.record.raw ? new CaptureThread(writerOptions(settings, folder, run), log) : null;
    this.#ingest = new IngestThread(
      {
        connectionCounter: new SharedArrayBuffer(4),
        publishBatch: settings.ingest.publish_batch,
        quarantineInFlight: settings.quarantine.in_flight,
        raw:
          this.#capture === null
            ? null
            : { port: this.#capture.port, inFlight: settings.raw.in_flight, only: false },
      },
      {
        notice: (notice) => logNotice(log, notice),
        gaps: (gaps, notNamed) => this.#gapsFound(gaps, notNamed),
        instrumentsChanged: (exchange) => this.#discovery.announced(exchange),
        quarantine: (frame) => {
          log.warn("frame_quarantined", {
            exchange: frame.exchange,
            connection: frame.connection,
            reason: frame.reason,
            bytes: frame.frame.length,
          });
          return quarantine.keep(frame);
        },
        died: (why) => this.#threadDied("ingest worker", why),
      },
    );
    this.#discovery = new Discovery({
      settings,
      log,
      ringsOf: (name) =>
        this.#rings
          .filter(({ exchange }) => exchange === name)
          .map(({ stream, handle }) => ({ stream, handle })),
      events: {
        read: (name, reading) => this.#readInstruments(name, reading),
        wanted: (job) => this.#ingest.apply(job),
      },
    });
    this.#monitor = new Monitor({
      settings,
      log,
      rings: this.#rings,
      publisher: this.#publisher,
      drain: this.#drain,
      ingest: this.#ingest,
      quarantine,
    });
  }

  /**
   * Opens the data folder and starts recording. Exchanges that cannot be reached are tried for ever.
   *
   * @throws FolderError when the data folder cannot be used.
   */
  static async start(settings: Settings, log: Logger): Promise<Recorder> {
    const folder = openFolder(settings.data);
    const run = newRun(settings.instance, Date.now() * 1000);
    const lock = lockFolder(folder, run);
    const quarantine = await Quarantine.open(folder.quarantine, run, settings.quarantine.max_bytes);
    const recorder = new Recorder({ settings, log, run, folder, lock, quarantine });
    log.info("collector_start", {
      run,
      version: VERSION,
      pid: process.pid,
      data: folder.root,
      exchanges: [...settings.record.exchanges],
      streams: [...settings.record.streams],
    });
    await recorder.#recover(folder);
    await recorder.#drain.ready;
    await recorder.#capture?.ready;
    recorder.#capture?.follow(recorder.#ingest);
    recorder.#monitor.start();
    recorder.#clockTimer = setInterval(() => recorder.#clock.discipline(), CLOCK_INTERVAL);
    recorder.#discovery.start();
    return recorder;
  }

  /** Resolves with the reason when a thread has died: the process has to end. */
  get died(): Promise<string> {
    return this.#died.promise;
  }

  /** What is known now. */
  snapshot(): Snapshot {
    return this.#monitor.snapshot();
  }

  /** Takes up what an earlier run left in the outbox. */
  async #recover(folder: DataFolder): Promise<void> {
    const { files, foreign } = await readOutbox(folder.outbox);
    for (const path of foreign) {
      const now = await this.#quarantine.moveFile(path);
      this.#log.warn("file_quarantined", {
        path,
        now,
        reason: "an unfinished or foreign file in the outbox",
      });
    }
    for (const { key, path } of files) {
      this.#publisher.add({ key, path, exchange: "", stream: "", rows: 0, ring: null });
    }
  }

  /** Notes what a list of instruments says, before its symbols may stand in rows. */
  async #readInstruments(name: ExchangeName, reading: Reading): Promise<void> {
    const { wanted, fresh, changed, listed, delisted } = reading;
    const now = this.#clock.now();
    this.#drain.addRows(
      name,
      "instruments",
      changed.map((one) => instrumentRow(one, now)),
      now,
    );
    if (listed.length === 0 && delisted.length === 0) return;
    await this.#drain.addSymbols(name, fresh);
    this.#monitor.symbols.set(
      name,
      wanted.map(({ symbol }) => symbol),
    );
  }

  #gapsFound(gaps: readonly GapNotice[], notNamed: number): void {
    const now = this.#clock.now();
    for (const gap of gaps) {
      const { exchange, stream } = gap;
      const symbol = exchangeByName(exchange).normalizeSymbol(gap.instrument);
      const row = sequenceGapRow(gap, symbol);
      this.#drain.addRows(exchange, "gaps", [row], now);
      const { reason, certainty, first_id, last_id, missed } = row;
      this.#log.warn("gap", {
        exchange,
        stream,
        symbol,
        reason,
        certainty,
        first_id,
        last_id,
        missed,
      } as LogFields);
    }
    if (notNamed > 0) this.#log.error("gaps_not_named", { count: notNamed });
  }

  #finished(file: FinishedFile): void {
    const { key, path, exchange, stream, rows, ring } = file;
    this.#publisher.add({ key, path, exchange, stream, rows, ring });
  }

  #published(file: OutboxFile): void {
    const ring = file.ring === null ? undefined : this.#rings[file.ring];
    if (ring !== undefined) ring.published += file.rows;
    const earlier = file.exchange === "";
    this.#monitor.filePublished(file);
    const { key, exchange, stream, rows } = file;
    this.#log.info("file_published", earlier ? { key, recovered: true } : { key, exchange, stream, rows });
  }

  #threadDied(thread: string, why: string): void {
    if (this.#monitor.fatal !== null) return;
    this.#monitor.fatal = `the ${thread} died: ${why}`;
    this.#log.error("thread_died", { thread, why });
    this.#died.resolve(this.#monitor.fatal);
  }

  /**
   * Graceful stop: closes the sockets, drains the rings, seals, publishes. What cannot be published in
   * `stop.timeout` stays in the outbox for the next start.
   */
  async stop(): Promise<RecorderEnd> {
    this.stopping = true;
    this.#discovery.stop();
    const { timeout } = this.#settings.stop;
    await this.#ingest.stop(timeout);
    const raw = this.#capture?.stop(timeout);
    const lost = await this.#drain.stop(timeout);
    await this.#publisher.finish(timeout);
    await this.#quarantine.flush();
    // Every frame stands in a capture or is counted; a shortfall is no reason to call the recording failed.
    const captured = await raw;
    const snapshot = this.#monitor.snapshot();
    this.#monitor.stop();
    clearInterval(this.#clockTimer);
    this.#lock.release();
    const { balance } = snapshot;
    const left = balance.inOutbox + balance.uploading;
    const well =
      lost === 0 && balance.holds && balance.received === balance.published + balance.dropped + left;
    const frames = framesOf(snapshot);
    const fields = {
      run: this.run,
      ...balance,
      lost,
      frames,
      ...(captured === undefined ? {} : { raw: captured }),
    };
    if (well) this.#log.info("collector_stop", fields);
    else this.#log.error("collector_stop", fields);
    return { run: this.run, exitCode: well ? 0 : 1, snapshot };
  }
}

function sealBounds(settings: Settings): Record<Stream, SealBounds> {
  const { flush } = settings;
  const entries = STREAM_NAMES.map((stream) => {
    const own = flush.streams[stream];
    const interval = SLOW_STREAMS.includes(stream) ? flush.slow_interval : flush.interval;
    return [
      stream,
      { rows: own.rows ?? flush.rows, bytes: own.bytes ?? flush.bytes, interval: own.interval ?? interval },
    ] as const;
  });
  return Object.fromEntries(entries) as Record<Stream, SealBounds>;
}
