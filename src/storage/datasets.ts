import type { DuckDBConnection } from "@duckdb/node-api";
import { type Dataset, SCHEMA_VERSION } from "../events/streams.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../ring/text.ts";
import { type DatasetRow, DatasetSegment, datasetQuery } from "./dataset-segment.ts";
import type { Sealed } from "./filer.ts";
import { wholeOf } from "./journal/load.ts";
import { JournalWriter, type Stage } from "./journal/writer.ts";
import { dayOf, lakeKey } from "./names.ts";
import { allOf } from "./parts.ts";
import { type SealBounds, sealReason } from "./seal-policy.ts";
import type { Usage } from "./usage.ts";

/** A dataset of an exchange. */
interface DatasetLane {
  readonly exchange: string;
  readonly dataset: Dataset;
  readonly ring: number;
  segment: DatasetSegment | null;
  journal: JournalWriter | null;
  /** Whether all its rows stand in the journal. */
  journaled: boolean;
  nextN: number;
  openedAt: number;
}

/** What a rebuilt drain has to know of the datasets of the one before. */
export type DatasetNumbers = readonly {
  readonly exchange: string;
  readonly dataset: Dataset;
  readonly ring: number;
  readonly nextN: number;
}[];

/** What the datasets need of the drain. */
export interface DatasetContext {
  readonly run: string;
  readonly version: string;
  readonly connection: DuckDBConnection;
  /** First number that no ring has: the datasets' segments count from here. */
  readonly firstRing: number;
  readonly bounds: SealBounds;
  readonly journalFolder: string;
  readonly always: boolean;
  readonly stage: Stage;
  readonly usage: Usage;
  /** Takes a sealed segment. */
  sealed(segment: Sealed): void;
  /** A journal could not be written. */
  journalFailed(error: unknown): void;
}

/** The open segments of datasets: rows that come by message, few of them. */
export class Datasets {
  readonly #context: DatasetContext;
  readonly #lanes = new Map<string, DatasetLane>();

  constructor(context: DatasetContext, numbers: DatasetNumbers = []) {
    this.#context = context;
    for (const { exchange, dataset, ring, nextN } of numbers) {
      const lane = {
        exchange,
        dataset,
        ring,
        segment: null,
        journal: null,
        journaled: true,
        nextN,
        openedAt: 0,
      };
      this.#lanes.set(nameOf(exchange, dataset), lane);
    }
  }

  /** Segments that are open. */
  get open(): number {
    return [...this.#lanes.values()].filter(({ segment }) => segment !== null).length;
  }

  /** Their numbers, for the drain that follows this one. */
  get numbers(): DatasetNumbers {
    return [...this.#lanes.values()].map(({ exchange, dataset, ring, nextN }) => ({
      exchange,
      dataset,
      ring,
      nextN,
    }));
  }

  /** Journals that are open. */
  get journals(): readonly JournalWriter[] {
    return [...this.#lanes.values()].flatMap(({ journal }) => (journal === null ? [] : [journal]));
  }

  /**
   * Takes rows.
   *
   * @param nowUs when they were written: receive clock of the main thread, µs
   * @param kept called when they stand in the journal, or cannot: from then on they are not to be given again
   */
  async add(
    exchange: string,
    dataset: Dataset,
    rows: readonly DatasetRow[],
    nowUs: number,
    kept: () => void,
  ): Promise<void> {
    const { firstRing, bounds, usage } = this.#context;
    const name = nameOf(exchange, dataset);
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      const ring = firstRing + this.#lanes.size;
      lane = {
        exchange,
        dataset,
        ring,
        segment: null,
        journal: null,
        journaled: true,
        nextN: 0,
        openedAt: 0,
      };
      this.#lanes.set(name, lane);
    }
    if (lane.segment !== null && dayOf(lane.segment.firstLocal) !== dayOf(nowUs)) this.#seal(lane, "day");
    const segment = lane.segment ?? (await this.#open(lane));
    try {
      const { journal } = lane;
      const before = journal?.bytes ?? 0;
      journal?.datasetRows({ nowUs, rows: [...rows] }, segment.rows);
      usage.journalBytes += (journal?.bytes ?? 0) - before;
    } catch (error) {
      lane.journaled = false;
      this.#context.journalFailed(error);
    }
    kept();
    for (const row of rows) segment.add(row, nowUs);
    if (segment.rows >= bounds.rows) this.#seal(lane, "rows");
  }

  async #open(lane: DatasetLane): Promise<DatasetSegment> {
    const { run, version, connection, journalFolder, stage, always, usage } = this.#context;
    const { exchange, dataset, ring } = lane;
    const n = lane.nextN;
    const segment = await DatasetSegment.open(connection, dataset, { run, ring, n });
    lane.nextN++;
    lane.segment = segment;
    lane.openedAt = performance.now();
    lane.journaled = true;
    try {
      lane.journal = JournalWriter.create(
        journalFolder,
        {
          schema: SCHEMA_VERSION,
          tapedeck: version,
          exchange,
          stream: dataset,
          dataset: true,
          run,
          ring,
          n,
          numbers: [],
          texts: [],
          textPieces: TEXT_PIECES,
          textCellBytes: TEXT_CELL_BYTES,
        },
        [],
        { stage, always },
      );
      usage.journalBytes += lane.journal.bytes;
    } catch (error) {
      lane.journaled = false;
      this.#context.journalFailed(error);
    }
    return segment;
  }

  /** Seals what is due. */
  sealDue(now: number, nowUs: number): void {
    for (const lane of this.#lanes.values()) {
      const { segment } = lane;
      if (segment === null) continue;
      const { rows, bytes } = segment;
      const state = { rows, bytes, age: now - lane.openedAt, nowUs, day: dayOf(segment.firstLocal) };
      const reason = sealReason(state, this.#context.bounds);
      if (reason !== null) this.#seal(lane, reason);
    }
  }

  /** Seals all. */
  sealAll(reason: string): void {
    for (const lane of this.#lanes.values()) this.#seal(lane, reason);
  }

  /** Gives up what is open: it stands in the journals. */
  async discard(): Promise<void> {
    for (const lane of this.#lanes.values()) {
      lane.segment?.discard();
      lane.segment = null;
      await lane.journal?.close();
      lane.journal = null;
    }
  }

  #seal(lane: DatasetLane, reason: string): void {
    const { segment, journal, exchange, dataset } = lane;
    if (segment === null) return;
    lane.segment = null;
    lane.journal = null;
    const { key, table } = segment;
    const span = segment.seal();
    const stands = { exchange, stream: dataset, key, lakeKey: "" };
    const fileKey = lakeKey({ ...stands, firstLocal: span.firstLocal });
    const before = journal?.bytes ?? 0;
    try {
      journal?.seal({ ...span, key: fileKey });
    } catch (error) {
      // A journal without its seal is sealed by the next start, with the same rows and name.
      this.#context.journalFailed(error);
    }
    this.#context.usage.journalBytes += (journal?.bytes ?? 0) - before;
    journal?.sync().catch((error) => this.#context.journalFailed(error));
    this.#context.sealed({
      ...stands,
      ...allOf("flat", span.rows),
      lakeKey: fileKey,
      dataset: true,
      span,
      reason,
      ring: null,
      recovered: false,
      journaled: lane.journaled,
      damaged: false,
      counter: null,
      journalPath: journal?.path ?? "",
      journalBytes: journal?.bytes ?? 0,
      journal,
      loaded: {
        table,
        parts: [wholeOf({ lakeKey: fileKey, span })],
        content: () => ({ query: datasetQuery(dataset, table) }),
      },
    });
  }
}

function nameOf(exchange: string, dataset: Dataset): string {
  return `${exchange}/${dataset}`;
}
