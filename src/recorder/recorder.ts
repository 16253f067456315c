import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import { SLOW_STREAMS } from "../config/schema.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { Clock } from "../ingest/clock.ts";
import type { ExchangeJob, GapNotice, IngestNotice } from "../ingest/messages.ts";
import { Backoff } from "../lib/backoff.ts";
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
import { instrumentRow, sequenceGapRow } from "./datasets.ts";
import { DrainThread } from "./drain-thread.ts";
import { IngestThread } from "./ingest-thread.ts";
import { InstrumentList, type Reading, restReader } from "./instruments.ts";
import { Monitor } from "./monitor.ts";
import { createRings, type RunRing, streamsOf } from "./rings.ts";
import { VERSION } from "./version.ts";

/** First wait before an exchange is asked again which instruments there are, ms. */
const DISCOVERY_RETRY_MIN = 1000;

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
  readonly #monitor: Monitor;
  /** Time at which the main thread writes rows; never goes back. */
  readonly #clock = new Clock();
  readonly #abort = new AbortController();
  /** Ends the wait before an exchange's list of instruments is read again. */
  readonly #announced = new Map<string, () => void>();
  readonly #died = Promise.withResolvers<string>();
  #clockTimer: ReturnType<typeof setInterval> | undefined;
  #stopping = false;
  /** Whether the drain is gone, so that nothing can be drained any more. */
  drainDied = false;

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
    this.#ingest = new IngestThread(
      {
        connectionCounter: new SharedArrayBuffer(4),
        publishBatch: settings.ingest.publish_batch,
        quarantineInFlight: settings.quarantine.in_flight,
      },
      {
        notice: (notice) => this.#notice(notice),
        gaps: (gaps, notNamed) => this.#gapsFound(gaps, notNamed),
        instrumentsChanged: (exchange) => this.#announced.get(exchange)?.(),
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
    this.#monitor = new Monitor({
      settings,
      log,
      rings: this.#rings,
      publisher: this.#publisher,
      drain: this.#drain,
      ingest: this.#ingest,
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
    recorder.#monitor.start();
    recorder.#clockTimer = setInterval(() => recorder.#clock.discipline(), CLOCK_INTERVAL);
    for (const exchange of settings.record.exchanges) void recorder.#watchExchange(exchange);
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

  /** Reads the list of instruments again and again and keeps the connections as it says. */
  async #watchExchange(name: ExchangeName): Promise<void> {
    const exchange = exchangeByName(name);
    const streams = streamsOf(name, this.#settings);
    if (streams.length === 0) return;
    const { record, discovery, exchanges } = this.#settings;
    const endpoint = exchanges[name];
    const list = new InstrumentList(exchange, record.symbols);
    const get = restReader({
      restUrl: endpoint.rest_url,
      timeout: discovery.timeout,
      signal: this.#abort.signal,
    });
    const backoff = new Backoff(DISCOVERY_RETRY_MIN, discovery.retry_max);
    let first = true;
    while (!this.#stopping) {
      try {
        const reading = await list.read(get);
        if (this.#stopping) return;
        backoff.reset();
        await this.#applyReading(name, list, reading, streams, first);
        first = false;
        await this.#pause(discovery.interval, name);
      } catch (cause) {
        if (this.#stopping) return;
        const error = cause instanceof Error ? cause.message : String(cause);
        const retryIn = backoff.next(Math.min(DISCOVERY_RETRY_MIN, discovery.retry_max));
        const url = endpoint.rest_url;
        this.#log.warn("discovery_failed", { exchange: name, url, error, retry_in_ms: retryIn });
        await this.#pause(retryIn);
      }
    }
  }

  async #applyReading(
    name: ExchangeName,
    list: InstrumentList,
    reading: Reading,
    streams: readonly Stream[],
    first: boolean,
  ): Promise<void> {
    const { wanted, fresh, changed, listed, delisted, unknown } = reading;
    const now = this.#clock.now();
    this.#drain.addRows(
      name,
      "instruments",
      changed.map((one) => instrumentRow(one, now)),
      now,
    );
    if (first && unknown.length > 0) {
      this.#log.warn("symbols_unknown", {
        exchange: name,
        symbols: unknown,
        mend: "check --symbols; only USDT perpetuals that trade now can be recorded",
      });
    }
    if (wanted.length === 0 && first) this.#log.warn("nothing_to_record", { exchange: name });
    if (listed.length === 0 && delisted.length === 0) return;
    const exchange = exchangeByName(name);
    await this.#drain.addSymbols(name, fresh);
    if (this.#stopping) return;
    this.#monitor.symbols.set(
      name,
      wanted.map(({ symbol }) => symbol),
    );
    const { connection, exchanges } = this.#settings;
    const job: ExchangeJob = {
      exchange: name,
      wsUrl: exchanges[name].ws_url,
      subscriptions: exchange.subscriptions(
        streams,
        wanted.map(({ instrument }) => instrument),
      ),
      limits: {
        channels: exchanges[name].streams_per_connection,
        characters: exchange.limits.charactersPerConnection,
      },
      instruments: list.numbered,
      rings: this.#rings
        .filter((ring) => ring.exchange === name)
        .map(({ stream, handle }) => ({ stream, handle })),
      bounds: {
        handshakeTimeout: connection.handshake_timeout,
        backoffMin: connection.backoff_min,
        backoffMax: connection.backoff_max,
        ackTimeout: connection.ack_timeout,
      },
    };
    this.#ingest.apply(job);
    if (first) this.#log.info("instruments", { exchange: name, count: wanted.length });
    else this.#log.info("instruments_changed", { exchange: name, listed, delisted, count: wanted.length });
  }

  /** Waits; shorter when the recorder stops or when `exchange` announces a change of instruments. */
  #pause(ms: number, exchange?: string): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#abort.signal.removeEventListener("abort", end);
        if (exchange !== undefined) this.#announced.delete(exchange);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#abort.signal.addEventListener("abort", end);
      if (exchange !== undefined) this.#announced.set(exchange, end);
    });
  }

  #notice(notice: IngestNotice): void {
    switch (notice.event) {
      case "ws_connect": {
        const { event, ...fields } = notice;
        this.#log.info(event, fields);
        return;
      }
      case "ws_disconnect": {
        const { event, retryIn, ...fields } = notice;
        // Without a next attempt it was us who closed.
        if (retryIn === null) this.#log.info(event, fields);
        else this.#log.warn(event, { ...fields, retry_in_ms: retryIn });
        return;
      }
      case "subscription_refused": {
        const { event, ...fields } = notice;
        this.#log.warn(event, fields);
        return;
      }
    }
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
    this.#stopping = true;
    this.#abort.abort();
    const { timeout } = this.#settings.stop;
    await this.#ingest.stop(timeout);
    const lost = await this.#drain.stop(timeout);
    await this.#publisher.finish(timeout);
    await this.#quarantine.flush();
    const snapshot = this.#monitor.snapshot();
    this.#monitor.stop();
    clearInterval(this.#clockTimer);
    this.#lock.release();
    const { balance } = snapshot;
    const left = balance.inOutbox + balance.uploading;
    const well =
      lost === 0 && balance.holds && balance.received === balance.published + balance.dropped + left;
    const fields = { run: this.run, ...balance, lost };
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
