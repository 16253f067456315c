/** A drain over one ring of bbo, in this process, whose files stay in its outbox. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { STREAM_NAMES } from "../../src/events/streams.ts";
import { VERSION } from "../../src/recorder/version.ts";
import { Drain, type DrainOptions, type FinishedFile } from "../../src/storage/drain.ts";
import { type FileLayout, newRun } from "../../src/storage/names.ts";
import { RecoveredCounters } from "../../src/storage/recovered.ts";
import type { BboFeed } from "./feed.ts";

/** How long a file may take, ms. */
const FILE_MAX = 60_000;

/** Files that nobody asked for yet, and who waits for one. */
interface Told {
  readonly files: FinishedFile[];
  waiting: { file(file: FinishedFile): void; failed(why: string): void } | null;
}

/** See the head of the file. */
export class BenchDrain {
  readonly drain: Drain;
  readonly #told: Told;

  private constructor(drain: Drain, told: Told) {
    this.drain = drain;
    this.#told = told;
  }

  /**
   * @param rows rows at which a segment becomes a file
   * @param threads of DuckDB
   */
  static async open(
    feed: BboFeed,
    scratch: string,
    rows: number,
    threads = 2,
    layout: FileLayout = "flat",
  ): Promise<BenchDrain> {
    const root = join(scratch, `drain-${crypto.randomUUID().slice(0, 8)}`);
    const outbox = join(root, "outbox");
    mkdirSync(outbox, { recursive: true });
    const told: Told = { files: [], waiting: null };
    const failed = (why: string) => {
      if (told.waiting === null) throw new Error(why);
      told.waiting.failed(why);
    };
    const bounds = { rows, bytes: 2 ** 30, interval: 3_600_000 };
    const drain = await Drain.open(
      {
        run: newRun("bench", Date.now() * 1000),
        version: VERSION,
        rings: [{ ring: 0, exchange: "binance", stream: "bbo", handle: feed.handle }],
        outbox,
        quarantine: join(root, "quarantine"),
        layout,
        journal: { folder: join(root, "journal"), fsync: "interval", fsyncInterval: 1000, maxBytes: 2 ** 33 },
        recovered: [],
        recoveredCounters: new RecoveredCounters().buffer,
        seal: Object.fromEntries(STREAM_NAMES.map((stream) => [stream, bounds])) as DrainOptions["seal"],
        datasetSeal: bounds,
        firstDatasetRing: 1,
        minGap: 0,
        memoryLimit: 192 * 2 ** 20,
        threads,
        retryMax: 1000,
      },
      {
        fileFinished: (file) => {
          const { waiting } = told;
          told.waiting = null;
          if (waiting === null) told.files.push(file);
          else waiting.file(file);
        },
        copyFailed: (_, error) => failed(error),
        copyRecovered: () => undefined,
        rowsSpoiled: ({ why }) => failed(why),
        journalFault: (why) => {
          if (why !== null) failed(why);
        },
      },
    );
    await drain.addSymbols("binance", feed.symbols);
    return new BenchDrain(drain, told);
  }

  /** Moves all that the ring holds into journal and table. */
  async all(): Promise<void> {
    while ((await this.drain.step()) > 0);
  }

  /** Waits for the next file, without a look that would cost time. @throws Error when it cannot be written */
  async file(): Promise<{ readonly path: string; readonly rows: number; readonly bytes: number }> {
    const file = this.#told.files.shift() ?? (await this.#next());
    return { path: file.path, rows: file.rows, bytes: statSync(file.path).size };
  }

  #next(): Promise<FinishedFile> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no file came")), FILE_MAX);
      this.#told.waiting = {
        file: (file) => {
          clearTimeout(timer);
          resolve(file);
        },
        failed: (why) => {
          clearTimeout(timer);
          reject(new Error(why));
        },
      };
    });
  }

  stop(): Promise<number> {
    return this.drain.stop(performance.now() + FILE_MAX);
  }
}
