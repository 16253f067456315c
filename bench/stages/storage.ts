import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS } from "../../src/events/layout.ts";
import { SCHEMA_VERSION } from "../../src/events/streams.ts";
import { VERSION } from "../../src/recorder/version.ts";
import { recordBytes } from "../../src/ring/memory.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../../src/ring/text.ts";
import { BucketDestination } from "../../src/storage/destinations/s3.ts";
import { Stage as JournalStage, JournalWriter } from "../../src/storage/journal/writer.ts";
import { digestFile } from "../../src/storage/upload/digest.ts";
import { startBucket } from "../lib/bucket.ts";
import { BenchDrain } from "../lib/drain.ts";
import { BboFeed, tapeQuotes } from "../lib/feed.ts";
import { cpuTime } from "../lib/measure.ts";
import type { Figure, StageReport } from "../lib/report.ts";
import type { Stage, StageOptions } from "../lib/stage.ts";
import { spreadOf } from "../lib/statistics.ts";

const SYMBOLS = 200;
/** Rows of a segment; one more makes it a file. */
const ROWS = 250_000;
/** Rows of one append, as the drain makes them at full speed. */
const APPEND = 2048;
const RUN = "bench-1795132800000000-aaaa";
const PART = 16 * 2 ** 20;

/** Readings of one piece of work. */
class Readings {
  readonly #cpuNs: number[] = [];
  readonly #perSecond: number[] = [];

  /** Measures `work` on so many events. */
  async take<T>(events: number, work: () => T | Promise<T>): Promise<T> {
    const cpu = cpuTime();
    const began = performance.now();
    const result = await work();
    this.#cpuNs.push(((cpuTime() - cpu) * 1000) / events);
    this.#perSecond.push((events * 1000) / (performance.now() - began));
    return result;
  }

  /** The first reading warmed things up. */
  figure(name: string, rest: Partial<Figure>): Figure {
    return {
      name,
      cpuNs: spreadOf(this.#cpuNs.slice(1)),
      perSecond: spreadOf(this.#perSecond.slice(1)),
      ...rest,
    };
  }
}

function journalOnce(
  feed: BboFeed,
  folder: string,
  stage: JournalStage,
  n: number,
): { append(): void; bytes(): number; end(): Promise<void> } {
  const journal = JournalWriter.create(
    folder,
    {
      schema: SCHEMA_VERSION,
      tapedeck: VERSION,
      exchange: "binance",
      stream: "bbo",
      dataset: false,
      run: RUN,
      ring: 0,
      n,
      numbers: [...LAYOUTS.bbo.numbers],
      texts: [...LAYOUTS.bbo.texts],
      textPieces: TEXT_PIECES,
      textCellBytes: TEXT_CELL_BYTES,
    },
    [],
    { stage, always: false },
  );
  return {
    append: () => {
      for (let rows = 0; rows < ROWS; rows += APPEND) journal.rows(feed.consumer, APPEND);
    },
    bytes: () => journal.bytes / Math.ceil(ROWS / APPEND) / APPEND,
    end: async () => {
      await journal.close();
      rmSync(journal.path);
    },
  };
}

async function run({ repeats, scratch }: StageOptions): Promise<StageReport> {
  const readings = {
    journal: new Readings(),
    drain: new Readings(),
    copy: new Readings(),
    upload: new Readings(),
  };
  const quotes = tapeQuotes(SYMBOLS);
  const still = new BboFeed(SYMBOLS, quotes);
  still.fill(APPEND);
  const journals = join(scratch, "journals");
  mkdirSync(journals);
  const stage = new JournalStage();
  const feed = new BboFeed(SYMBOLS, quotes);
  const drain = await BenchDrain.open(feed, scratch, ROWS + 1);
  await using bucket = await startBucket();
  const destination = new BucketDestination(bucket.options);
  let journalBytes = 0;
  let fileBytes = 0;
  for (let repeat = -1; repeat < repeats; repeat++) {
    const n = repeat + 1;
    const journal = journalOnce(still, journals, stage, n);
    await readings.journal.take(ROWS, () => journal.append());
    journalBytes = journal.bytes();
    await journal.end();

    feed.fill(ROWS);
    await readings.drain.take(ROWS, () => drain.all());
    feed.fill(1);
    const file = await readings.copy.take(ROWS, async () => {
      await drain.all();
      return await drain.file();
    });
    fileBytes = file.bytes / file.rows;

    await readings.upload.take(ROWS, async () => {
      const digest = await digestFile(file.path, PART);
      await destination.put(
        { path: file.path, key: `v1/bench/${n}.parquet`, digest, again: false },
        AbortSignal.timeout(60_000),
      );
    });
  }
  destination.close();
  await drain.stop();
  const rowBytes = recordBytes(feed.handle);
  return {
    stage: "storage",
    figures: [
      readings.journal.figure("journal alone", { bytes: journalBytes }),
      readings.drain.figure("drain: ring to journal and memory", { bytes: rowBytes }),
      readings.copy.figure("seal, sorted, written, checked, synced", { bytes: fileBytes }),
      readings.upload.figure("upload with checksums", {
        bytes: fileBytes,
        note: "to the S3 stand-in of the tests",
      }),
    ],
    bars: [],
    notes: [
      `Segments of ${ROWS} rows of bbo of ${SYMBOLS} symbols; CPU of this process, DuckDB's threads included, the bucket's process not. The files hold fresh times in update_id, as the load source makes them.`,
    ],
  };
}

/** What a row costs behind the ring. */
export const storageStage: Stage = {
  name: "storage",
  about: "journal, drain, rows sorted and written to a checked file, upload to a bucket",
  always: true,
  run,
};
