/** A ring with a producer, and a Drain over it with a real DuckDB and real files. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS, SYMBOL } from "../../src/events/layout.ts";
import { STREAM_NAMES, type Stream } from "../../src/events/streams.ts";
import {
  createRing,
  type RingHandle,
  type RingReading,
  type RingShape,
  readRing,
  viewsOf,
} from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import {
  Drain,
  type DrainOptions,
  type FinishedFile,
  type JournalOptions,
  type RingSpec,
  type SpoiledRows,
} from "../../src/storage/drain.ts";
import type { Step } from "../../src/storage/filer.ts";
import { RecoveredCounters } from "../../src/storage/recovered.ts";
import type { SealBounds } from "../../src/storage/seal-policy.ts";
import { type LakeFile, lakeFile } from "../helpers/audit.ts";
import type { LakeValue } from "../helpers/lake.ts";

const utf8 = new TextEncoder();
const SIDES = ["buy", "sell"];

/** Values of an event by column, as they are read back from the lake; a column that is missing is NULL. */
export type EventValues = Readonly<Record<string, LakeValue>>;

/** The writing side of one stream's ring. */
export class Feed {
  readonly spec: RingSpec;
  readonly #producer: RingProducer;

  constructor(
    readonly stream: Stream,
    {
      ring = 0,
      capacity = 4096,
      create = createRing,
    }: { ring?: number; capacity?: number; create?: (shape: RingShape) => RingHandle } = {},
  ) {
    const { numbers, texts, seq } = LAYOUTS[stream];
    const handle = create({ capacity, numbers: numbers.length, texts: texts.length });
    this.spec = { ring, exchange: "binance", stream, handle };
    this.#producer = new RingProducer(handle, seq);
  }

  /** Stages an event; `symbol` is its number. */
  push(symbol: number, local: number, values: EventValues = {}): boolean {
    const { numbers, texts } = LAYOUTS[this.stream];
    const { row } = this.#producer;
    const given: Record<string, LakeValue> = { ...values, local_timestamp: local };
    numbers.forEach((name, slot) => {
      const value = given[name] ?? null;
      row.numbers[slot] =
        value === null ? Number.NaN : name === "side" ? SIDES.indexOf(String(value)) + 1 : Number(value);
    });
    row.numbers[SYMBOL] = symbol;
    texts.forEach((name, slot) => {
      const text = given[name] ?? null;
      if (text === null) {
        row.clearText(slot);
        return;
      }
      const bytes = utf8.encode(String(text));
      if (!row.setText(slot, bytes, 0, bytes.length)) throw new Error(`${name} is too long: ${text}`);
    });
    return this.#producer.commit();
  }

  publish(): void {
    this.#producer.publish();
  }

  get reading(): RingReading {
    return readRing(this.spec.handle, viewsOf(this.spec.handle));
  }
}

/** Bounds that no test reaches by chance. */
const WIDE: SealBounds = { rows: 1_000_000, bytes: 2 ** 30, interval: 3_600_000 };

/** A drain that is being tested, with what it told. */
export class TestDrain {
  readonly finished: FinishedFile[] = [];
  readonly failures: { segment: string; error: string; retryIn: number }[] = [];
  recoveries = 0;
  /** Why journals could not be written, as told; null = they can be again. */
  readonly journalFaults: (string | null)[] = [];
  /** Rows whose journal was damaged while they waited. */
  readonly spoiled: SpoiledRows[] = [];
  private constructor(
    readonly outbox: string,
    /** Folder of the journals. */
    readonly journal: string,
    readonly drain: Drain,
    readonly feeds: readonly Feed[],
  ) {}

  static async open(
    folder: string,
    feeds: readonly Feed[],
    {
      seal = {},
      journal = {},
      step,
      ...options
    }: Partial<Omit<DrainOptions, "seal" | "journal">> & {
      seal?: Partial<SealBounds>;
      journal?: Partial<JournalOptions>;
      step?: (step: Step) => void | Promise<void>;
    } = {},
  ): Promise<TestDrain> {
    const name = crypto.randomUUID().slice(0, 8);
    const outbox = options.outbox ?? join(folder, `outbox-${name}`);
    mkdirSync(outbox, { recursive: true });
    const journalFolder = journal.folder ?? join(folder, `journal-${name}`);
    const bounds = { ...WIDE, ...seal };
    const box: { test?: TestDrain } = {};
    const drain = await Drain.open(
      {
        run: "test-1795132800000000-abcd",
        version: (await import("../../src/recorder/version.ts")).VERSION,
        rings: feeds.map(({ spec }) => spec),
        outbox,
        quarantine: join(folder, `quarantine-${name}`),
        journal: {
          fsync: "interval",
          fsyncInterval: 1000,
          maxBytes: 2 ** 33,
          ...journal,
          folder: journalFolder,
        },
        layout: "flat",
        recovered: [],
        recoveredCounters: new RecoveredCounters().buffer,
        seal: Object.fromEntries(STREAM_NAMES.map((stream) => [stream, bounds])) as DrainOptions["seal"],
        datasetSeal: bounds,
        firstDatasetRing: feeds.length,
        minGap: 0,
        memoryLimit: 192 * 2 ** 20,
        threads: 2,
        retryMax: 1000,
        ...options,
      },
      {
        fileFinished: (file) => void box.test?.finished.push(file),
        copyFailed: ({ stream, key }, error, retryIn) =>
          box.test?.failures.push({ segment: `${stream}/${key.ring}/${key.n}`, error, retryIn }),
        copyRecovered: () => {
          if (box.test !== undefined) box.test.recoveries++;
        },
        rowsSpoiled: (spoiled) => void box.test?.spoiled.push(spoiled),
        journalFault: (why) => void box.test?.journalFaults.push(why),
        ...(step === undefined ? {} : { step }),
      },
    );
    box.test = new TestDrain(outbox, journalFolder, drain, feeds);
    return box.test;
  }

  /** Makes symbols known, numbered from `first` in the order given. */
  symbols(names: readonly string[], first = 0): void {
    const specs = names.map((name, i) => ({ number: first + i, symbol: name, instrument: `${name}-X` }));
    this.drain.addSymbols("binance", specs);
  }

  /** Publishes what was pushed and drains until nothing is left in the rings. */
  async drainAll(): Promise<void> {
    for (const feed of this.feeds) feed.publish();
    while ((await this.drain.step()) > 0);
  }

  /** Ends it; resolves to the rows that were lost. */
  stop(timeout = 60_000): Promise<number> {
    for (const feed of this.feeds) feed.publish();
    return this.drain.stop(performance.now() + timeout);
  }

  /** The files it finished, in order, by what their keys say. */
  get files(): LakeFile[] {
    return this.finished.map(({ key, path }) => lakeFile(path, key));
  }
}

/** Midnight (UTC) after tomorrow, µs: rows of days gone by would be sealed at once. */
export function someMidnight(): number {
  return (Math.floor(Date.now() / 86_400_000) + 2) * 86_400_000_000;
}
