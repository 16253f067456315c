import type { Settings } from "../config/schema.ts";
import { STREAM_NAMES } from "../events/streams.ts";
import type { GapNotice } from "../ingest/messages.ts";
import type { Logger } from "../status/log.ts";
import type { FinishedFile, SpoiledRows } from "../storage/drain.ts";
import { readFooter } from "../storage/footer.ts";
import type { JournaledSegment } from "../storage/journal/recovery.ts";
import type { Ledger } from "../storage/ledger.ts";
import { parseKey } from "../storage/names.ts";
import type { Leftovers } from "../storage/outbox.ts";
import { RECOVERED_RING } from "../storage/recovered.ts";
import { sha256OfFile } from "../storage/upload/digest.ts";
import type { OutboxFile } from "../storage/upload/job.ts";
import { type Arrival, Uploader } from "../storage/upload/uploader.ts";
import { uploaderOptions, uploadLog } from "./destinations.ts";
import { gapsOfLost } from "./journals.ts";
import type { LedgerNotes } from "./ledger-notes.ts";
import type { OpenedRun } from "./opened-run.ts";
import type { RingProgress } from "./ring-progress.ts";
import type { RunRing } from "./rings.ts";

/** What {@link Publication} tells the recorder. */
export interface PublicationEvents {
  /** The outbox is full, or no longer. */
  full(isFull: boolean): void;
  /**
   * A file has arrived.
   *
   * @param recovered events of earlier runs in it, taken over from their journals
   * @param earlier events in it that an earlier run had put into its outbox: no part of this run's balance
   */
  published(recovered: number, earlier: number): void;
  /** Rows of earlier runs were lost on disk. */
  recoveredSpoiled(rows: number): void;
  gaps(gaps: readonly GapNotice[]): void;
}

/** From a finished file in the outbox to its destination: noted in the ledger, sent, counted when it is there, or lost. */
export class Publication {
  readonly uploader: Uploader;
  readonly #log: Logger;
  readonly #ledger: Ledger;
  readonly #notes: LedgerNotes;
  readonly #rings: readonly RunRing[];
  readonly #progress: RingProgress;
  readonly #events: PublicationEvents;

  constructor(options: {
    settings: Settings;
    log: Logger;
    opened: Pick<OpenedRun, "run" | "chain" | "ledger" | "quarantine">;
    notes: LedgerNotes;
    rings: readonly RunRing[];
    progress: RingProgress;
    events: PublicationEvents;
  }) {
    const { settings, log, events } = options;
    const { run, chain, ledger, quarantine } = options.opened;
    this.#log = log;
    this.#ledger = ledger;
    this.#notes = options.notes;
    this.#rings = options.rings;
    this.#progress = options.progress;
    this.#events = events;
    const uploads = uploadLog(log);
    this.uploader = new Uploader(chain, ledger.files, uploaderOptions(settings, run), {
      ...uploads,
      full: (isFull) => {
        uploads.full(isFull);
        events.full(isFull);
      },
      published: (file, arrival) => this.#published(file, arrival),
      corrupt: async ({ key, path }, reason) => {
        const now = await quarantine.moveFile(path);
        log.error("file_quarantined", { path, now, key, reason });
      },
      lost: (file) => this.#fileLost(file),
    });
  }

  /**
   * Takes up what an earlier run left in the outbox.
   *
   * @param journals segments whose files are being written anew: those come by themselves
   */
  async recover(files: Leftovers["files"], journals: readonly JournaledSegment[]): Promise<void> {
    const known: OutboxFile[] = [];
    for (const { key, path } of files) known.push(await this.#recoverFile(key, path));
    this.uploader.start();
    this.uploader.recover(known, new Set(journals.flatMap(({ keys }) => keys)));
  }

  /** A file of an earlier run with what is known of it: by the ledger, or, without one, by itself. */
  async #recoverFile(key: string, path: string): Promise<OutboxFile> {
    const parts = parseKey(key);
    let record = this.#notes.note(() => this.#ledger.files.get(key));
    if (record?.rows === null || record === null || record === undefined) {
      const footer = await readFooter(path);
      this.#notes.note(() => {
        this.#ledger.files.copied({
          key,
          rows: footer?.rows ?? null,
          lastLocal: footer?.lastLocal ?? null,
          firstSeq: footer?.firstSeq ?? null,
          lastSeq: footer?.lastSeq ?? null,
          bytes: null,
          sha256: null,
        });
        record = this.#ledger.files.get(key);
      });
    }
    const { exchange = "", stream = "" } = parts ?? {};
    return {
      key,
      path,
      exchange,
      stream,
      rows: record?.rows ?? null,
      ring: null,
      sha256: record?.sha256 ?? null,
    };
  }

  /** A file is in the outbox. */
  async finished(file: FinishedFile): Promise<void> {
    const { key, path, exchange, stream, rows, ring, recovered, lastLocal, until, firstSeq, lastSeq } = file;
    // Whatever happens to it until it is sent, possibly days later and by another run, is found by this.
    const sha256 = await sha256OfFile(path).catch(() => null);
    // A start tells by the file whether the rows of gaps in it are noted: see noteGapsFiled.
    this.#notes.together(() => {
      if (stream === "gaps" && !recovered) this.#notes.note(() => this.#ledger.gapsFiled(exchange, rows));
      if (ring !== null && ring !== RECOVERED_RING && until !== null)
        this.#progress.filed({ exchange, stream, ring }, until);
      this.#notes.note(() =>
        this.#ledger.files.copied({
          key,
          rows,
          lastLocal,
          firstSeq,
          lastSeq,
          bytes: null,
          sha256,
        }),
      );
    });
    // Where an earlier run had its journal it may have brought it to a destination, and the ledger may have been lost.
    this.uploader.add({ key, path, exchange, stream, rows, ring, sha256 }, recovered);
  }

  /** Rows stood in a journal alone that was damaged: counted, and a hole in the data that is told there. */
  spoiled({ exchange, stream, ring, path, why, rows, lost }: SpoiledRows): void {
    this.#log.error("journal_damaged", { path, why, rows });
    this.#countSpoiled(ring, rows);
    this.#events.gaps(gapsOfLost(exchange, stream, lost));
  }

  /** A file was damaged, or taken away, before it reached a destination. */
  #fileLost({ key, exchange, stream, rows, ring }: OutboxFile): void {
    this.#countSpoiled(ring, rows ?? 0);
    const from = parseKey(key)?.firstLocal ?? null;
    const to = this.#notes.note(() => this.#ledger.files.get(key)?.lastLocal) ?? from;
    if (to !== null) this.#events.gaps(gapsOfLost(exchange, stream, [{ from, to, rows }]));
  }

  #countSpoiled(ring: number | null, rows: number): void {
    const own = ring === null ? undefined : this.#rings[ring];
    if (own !== undefined) own.spoiled += rows;
    else if (ring === RECOVERED_RING) this.#events.recoveredSpoiled(rows);
  }

  #published(file: OutboxFile, arrival: Arrival): void {
    const { key, exchange, stream, rows } = file;
    const ring = file.ring === null ? undefined : this.#rings[file.ring];
    if (ring !== undefined) ring.published += rows ?? 0;
    const isEarlier = file.ring === null && STREAM_NAMES.some((name) => name === stream);
    this.#events.published(file.ring === RECOVERED_RING ? (rows ?? 0) : 0, isEarlier ? (rows ?? 0) : 0);
    const { destination, bytes, attempts, found, recovered } = arrival;
    this.#log.info("file_published", {
      key,
      exchange,
      stream,
      rows,
      bytes,
      destination,
      ...(attempts > 1 ? { attempts } : {}),
      ...(found ? { found } : {}),
      ...(recovered ? { recovered } : {}),
    });
  }
}
