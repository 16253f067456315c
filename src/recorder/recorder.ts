import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import { Clock } from "../ingest/clock.ts";
import type { ConnectionNotice, GapNotice } from "../ingest/messages.ts";
import { framesOf } from "../status/answers.ts";
import type { Logger } from "../status/log.ts";
import type { Snapshot } from "../status/snapshot.ts";
import type { FolderLock } from "../storage/folder.ts";
import type { Ledger } from "../storage/ledger.ts";
import type { Quarantine } from "../storage/quarantine.ts";
import { RecoveredCounters } from "../storage/recovered.ts";
import type { RingFiles } from "../storage/rings/files.ts";
import { CaptureThread, writerOptions } from "./capture-thread.ts";
import { connectionRow, instrumentRow } from "./datasets.ts";
import { Discovery } from "./discovery.ts";
import { drainSettings } from "./drain-settings.ts";
import { DrainThread } from "./drain-thread.ts";
import { beginAfterEarlier, recoverGaps } from "./earlier-runs.ts";
import { GapLog } from "./gap-log.ts";
import { IngestPool } from "./ingest-pool.ts";
import type { Reading } from "./instruments.ts";
import { logJournals } from "./journals.ts";
import { LedgerNotes } from "./ledger-notes.ts";
import { Monitor } from "./monitor.ts";
import { logNotice } from "./notices.ts";
import { type OpenedRun, openRun } from "./opened-run.ts";
import { Publication } from "./publication.ts";
import { Retention } from "./retention.ts";
import { RingProgress } from "./ring-progress.ts";
import { keepSymbols, logRescue } from "./ring-store.ts";
import type { RunRing } from "./rings.ts";
import { VERSION } from "./version.ts";

/** How often the main thread's clock follows the wall clock, ms. */
const CLOCK_INTERVAL = 250;

/** Time for the files of the datasets at a stop, when the rings' own are written or given up, ms. */
const DATASETS_TIMEOUT = 5000;

/** What a stop keeps of its time for closing files and the ledger, and what uploads have at least, ms. */
const STOP_MARGIN = 500;
const UPLOADS_MIN = 500;

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
  readonly #ledger: Ledger;
  readonly #notes: LedgerNotes;
  readonly #gaps: GapLog;
  readonly #rings: readonly RunRing[];
  /** Where rings are files; null = they are in memory. */
  readonly #ringFiles: RingFiles | null;
  readonly #publication: Publication;
  readonly #drain: DrainThread;
  readonly #ingest: IngestPool;
  /** Keeps raw frames; null unless `record.raw` is on. */
  readonly #capture: CaptureThread | null;
  readonly #discovery: Discovery;
  readonly #monitor: Monitor;
  /** Time at which the main thread writes rows; never goes back. */
  readonly #clock = new Clock();
  readonly #died = Promise.withResolvers<string>();
  /** null = every day is kept. */
  readonly #retention: Retention | null;
  #clockTimer: ReturnType<typeof setInterval> | undefined;
  /** Whether the drain is gone, so that nothing can be drained any more. */
  drainDied = false;
  /** Whether it has begun to stop. */
  stopping = false;
  /** What was missing in the journals of earlier runs. */
  readonly #holes: readonly GapNotice[];

  private constructor(settings: Settings, log: Logger, opened: OpenedRun) {
    const { run, began, folder, quarantine, ledger, journals, chain } = opened;
    this.run = run;
    this.#settings = settings;
    this.#log = log;
    this.#lock = opened.lock;
    this.#quarantine = quarantine;
    this.#ledger = ledger;
    const notes = new LedgerNotes(ledger, log);
    this.#notes = notes;
    this.#rings = opened.rings.rings;
    this.#ringFiles = opened.rings.files;
    const { earlier, holes } = beginAfterEarlier(opened, this.#rings, notes, log);
    this.#holes = holes;
    // Gaps have been kept in the ledger as well: see recoverGaps.
    const recovered = journals.segments.filter(({ stream }) => stream !== "gaps");
    const recoveredCounters = new RecoveredCounters();
    for (const { dataset, rest } of recovered) if (!dataset) recoveredCounters.take(rest);
    const progress = new RingProgress(this.#rings, ledger, notes, began);
    this.#gaps = new GapLog({
      log,
      sink: {
        room: () => this.#drain.roomFor("gaps"),
        rows: (exchange, rows) => {
          notes.note(() => ledger.keepGaps(exchange, rows));
          this.#drain.addRows(exchange, "gaps", rows, this.#clock.now());
        },
        told: (gaps) => this.#monitor.gapsFound(gaps),
        started: (exchange, stream) => progress.started(exchange, stream),
        untold: (exchange, worker, rows) =>
          notes.note(() => ledger.noteHoles(exchange, worker, rows, this.#clock.now())),
        toldBelow: (exchange, stream, worker, seq) => {
          const own = this.#rings.find(
            (one) => one.exchange === exchange && one.stream === stream && one.worker === worker,
          );
          if (own !== undefined)
            notes.note(() => ledger.toldBelow({ exchange, stream, ring: own.ring }, seq));
        },
        together: (act) => notes.together(act),
      },
      began,
      lanes: this.#rings,
      earlier,
      partsOf: (exchange, stream) => this.#ingest.partsOf(exchange, stream),
    });
    this.#publication = new Publication({
      settings,
      log,
      opened,
      notes,
      rings: this.#rings,
      progress,
      events: {
        // What is sealed meanwhile stays in its journal, up to journal.max_bytes.
        full: (isFull) => this.#drain.hold(isFull),
        published: (recovered, earlier) => {
          this.#monitor.recoveredPublished += recovered;
          this.#monitor.earlierPublished += earlier;
          this.#monitor.filePublished();
        },
        recoveredSpoiled: (rows) => {
          this.#monitor.recoveredSpoiled += rows;
        },
        gaps: (gaps) => this.#gaps.add(gaps),
      },
    });
    const { retention } = settings.lake;
    const isLocal = chain.some(({ name }) => name === "local");
    this.#retention =
      isLocal && retention !== undefined ? new Retention(folder.lake, retention, ledger.files, log) : null;
    this.#drain = new DrainThread(
      {
        poll: settings.drain.poll,
        options: drainSettings(settings, opened, this.#rings, {
          recovered,
          recoveredCounters: recoveredCounters.buffer,
        }),
      },
      {
        file: (file) => this.#publication.finished(file),
        spoiled: (spoiled) => this.#publication.spoiled(spoiled),
        copyFailed: (key, error, retryIn) => {
          this.#monitor.copyFault = `segment ${key} cannot be written: ${error}`;
          log.error("copy_failed", { segment: key, error, retry_in_ms: retryIn });
        },
        copyRecovered: () => {
          this.#monitor.copyFault = null;
          log.info("copy_recovered");
        },
        journalFault: (why) => {
          this.#monitor.journalFault = why;
          if (why === null) log.info("journal_recovered");
          else log.error("journal_failed", { why });
        },
        failed: (error) => {
          this.#monitor.drainFault = "the drain is being rebuilt after an error";
          log.error("drain_failed", { error });
        },
        rebuilt: ({ notices, ...told }) => {
          this.#monitor.drainFault = null;
          logJournals(log, notices);
          log.warn("drain_rebuilt", told);
        },
        died: (why) => {
          this.drainDied = true;
          this.#threadDied("drain worker", why);
        },
      },
    );
    this.#capture = settings.record.raw
      ? new CaptureThread(writerOptions(settings, folder, run), settings.ingest.workers, log)
      : null;
    this.#ingest = new IngestPool(
      {
        settings,
        rings: this.#rings,
        raw: this.#capture === null ? null : { ports: this.#capture.ports, only: false },
      },
      {
        notice: (notice) => logNotice(log, notice),
        gaps: (...told) => this.#gaps.told(...told),
        connectionEnded: (ended) => this.#connectionEnded(ended),
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
        died: (worker, why) => this.#threadDied(worker, why),
      },
    );
    this.#discovery = new Discovery({
      settings,
      log,
      events: {
        read: (name, reading) => this.#readInstruments(name, reading),
        wanted: (job) => this.#ingest.apply(job),
        clock: (name, asked, took, server) => {
          this.#monitor.clockTold(name, asked, took, server);
          this.#retention?.clockTold(name, server);
        },
      },
    });
    this.#monitor = new Monitor({
      settings,
      log,
      rings: this.#rings,
      uploader: this.#publication.uploader,
      drain: this.#drain,
      ingest: this.#ingest,
      quarantine,
      recovered: recoveredCounters,
      run,
    });
  }

  /**
   * Opens the data folder and starts recording. Exchanges that cannot be reached are tried for ever.
   *
   * @param ending breaks off what may take long before it begins: it is to be stopped at once
   * @throws FolderError when the data folder cannot be used
   * @throws PreflightError when a destination cannot be used as it is set
   * @throws NativeError when this is a single executable and there is no place for its native parts
   */
  static async start(settings: Settings, log: Logger, ending?: AbortSignal): Promise<Recorder> {
    const opened = await openRun(settings, log, ending);
    const { run, folder, chain, leftovers, journals, ledger } = opened;
    const recorder = new Recorder(settings, log, opened);
    log.info("collector_start", {
      run,
      version: VERSION,
      pid: process.pid,
      data: folder.root,
      destinations: chain.map(({ where }) => where),
      exchanges: [...settings.record.exchanges],
      streams: [...settings.record.streams],
    });
    logRescue(log, opened.rescued);
    logJournals(log, journals.notices);
    for (const { path, rest } of journals.segments) log.info("journal_taken_over", { path, rows: rest });
    await recoverGaps(
      journals.segments.filter(({ stream }) => stream === "gaps"),
      { ledger, notes: recorder.#notes, drain: recorder.#drain, clock: recorder.#clock, log },
    );
    recorder.#gaps.add(recorder.#holes);
    await recorder.#publication.recover(leftovers.files, journals.segments);
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

  /** When each symbol was last heard; see {@link IngestPool.freshness}. */
  freshness(timeout: number): ReturnType<IngestPool["freshness"]> {
    return this.#ingest.freshness(timeout);
  }

  /** How full the rings are; cheap enough to be asked many times a second. */
  rings(): ReturnType<Monitor["rings"]> {
    return this.#monitor.rings();
  }

  /** What is known now. */
  snapshot(): Snapshot {
    return this.#monitor.snapshot();
  }

  /** Notes what a list of instruments says, before its symbols may stand in rows. */
  async #readInstruments(name: ExchangeName, reading: Reading): Promise<void> {
    const { wanted, fresh, changed, same } = reading;
    const now = this.#clock.now();
    this.#drain.addRows(
      name,
      "instruments",
      changed.map((one) => instrumentRow(one, now)),
      now,
    );
    if (same) return;
    if (this.#ringFiles !== null) keepSymbols(this.#ringFiles, name, fresh, this.#log);
    await this.#drain.addSymbols(name, fresh);
    this.#monitor.symbols.set(
      name,
      wanted.map(({ symbol }) => symbol),
    );
  }

  #connectionEnded(ended: ConnectionNotice): void {
    const { exchange, connection } = ended;
    if (this.#drain.roomFor("connections") === 0) {
      this.#log.error("connection_not_written", {
        exchange,
        connection,
        why: "too many rows wait for a file",
      });
      return;
    }
    this.#drain.addRows(exchange, "connections", [connectionRow(ended)], this.#clock.now());
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
    const began = performance.now();
    const closedAt = this.#clock.now();
    this.#retention?.end();
    await this.#ingest.stop(timeout);
    const raw = this.#capture?.stop(timeout);
    this.#gaps.stop(closedAt);
    // First the rings: what is lost there still becomes rows of gaps, which are in files before the end.
    const notDrained = await this.#drain.finish(timeout);
    if (notDrained !== null) this.#gaps.lost(notDrained);
    this.#gaps.close();
    const lost = await this.#drain.stop(DATASETS_TIMEOUT);
    // What could not be brought into a journal stays where it is, for the next start.
    if (notDrained?.length === 0) this.#ringFiles?.remove();
    // Rows of gaps that found no file are in the ledger, and come into one with the next run.
    this.#notes.note(() => this.#ledger.end(closedAt, notDrained !== null));
    // What this leaves is in the outbox, for the next start.
    const rest = timeout - (performance.now() - began) - STOP_MARGIN;
    await this.#publication.uploader.finish(Math.max(rest, Math.min(timeout, UPLOADS_MIN)));
    await this.#quarantine.flush();
    // Every frame stands in a capture or is counted; a shortfall is no reason to call the recording failed.
    const captured = await raw;
    const snapshot = this.#monitor.snapshot();
    this.#monitor.stop();
    clearInterval(this.#clockTimer);
    this.#ledger.close();
    this.#lock.release();
    const { balance } = snapshot;
    const left = balance.inOutbox + balance.uploading + balance.inJournal;
    const well =
      lost === 0 &&
      balance.holds &&
      balance.received + balance.recovered === balance.published + balance.dropped + left;
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
