import { LAYOUTS, LOCAL } from "../events/layout.ts";
import { SCHEMA_VERSION, type Stream } from "../events/streams.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../ring/text.ts";
import type { DrainOptions, RingSpec, SymbolSpec } from "./drain-options.ts";
import type { FilerEvents, Sealed } from "./filer.ts";
import { isFileError } from "./files.ts";
import { type JournalSymbols, layoutOf } from "./journal/format.ts";
import { JournalWriter, type Stage } from "./journal/writer.ts";
import type { JournalFaults } from "./journal-faults.ts";
import { dayOf, lakeKey } from "./names.ts";
import { allOf } from "./parts.ts";
import { type SealBounds, sealReason, withinMemory } from "./seal-policy.ts";
import { countWithinDay, Segment } from "./segment.ts";
import type { Usage } from "./usage.ts";

/** Rows of a ring that could not be brought into a journal before the end. */
export interface LostRows {
  readonly ring: number;
  readonly exchange: string;
  readonly stream: Stream;
  readonly rows: number;
  /** Receive times of the first and the last of them, µs. */
  readonly from: number;
  readonly to: number;
}

/** Rows moved from one ring before the next one gets its turn. */
const TURN_ROWS = 32_768;
/** Rows of one record of a journal: one write each, which should be large, but stay within the processor's cache. */
export const RECORD_ROWS = 4096;

/** The segment that is open for a ring. */
interface OpenSegment {
  readonly rows: Segment;
  readonly journal: JournalWriter;
}

/** A ring, and the segment that is open for it. */
export interface RingLane {
  readonly spec: RingSpec;
  readonly consumer: RingConsumer;
  readonly bounds: SealBounds;
  open: OpenSegment | null;
  nextN: number;
  /** When the open segment took its first row, performance.now(). */
  openedAt: number;
  /**
   * By how much the first segment is shorter, ms: a different part of the interval for each ring, so that
   * rings do not come due together later on.
   */
  readonly stagger: number;
}

/** What the segments of rings need of the drain. */
export interface RingContext {
  readonly stage: Stage;
  readonly usage: Usage;
  readonly faults: JournalFaults;
  /** Takes a sealed segment. */
  sealed(segment: Sealed): void;
  readonly events: Pick<FilerEvents, "step">;
}

/**
 * The open segments of rings: rows go from a ring into the journal of its segment, until that is sealed.
 *
 * Only what stands in the journal is given back to the ring.
 */
export class RingSegments {
  readonly lanes: readonly RingLane[];
  /** Whether nothing is taken from rings any more. */
  ended = false;
  readonly #options: DrainOptions;
  readonly #context: RingContext;
  readonly #symbols = new Map<string, SymbolSpec[]>();
  /** Lane that has the first turn of the next step: where room is scarce, each lane gets it in turn. */
  #firstLane = 0;
  #lastIntervalSeal = Number.NEGATIVE_INFINITY;

  /** @param nextN number of the next segment, by ring */
  constructor(options: DrainOptions, context: RingContext, nextN: ReadonlyMap<number, number> = new Map()) {
    this.#options = options;
    this.#context = context;
    this.lanes = options.rings.map((spec, index) => ({
      spec,
      consumer: new RingConsumer(spec.handle),
      bounds: withinMemory(options.seal[spec.stream], options.memoryLimit),
      open: null,
      nextN: nextN.get(spec.ring) ?? 0,
      openedAt: 0,
      stagger: (options.seal[spec.stream].interval * index) / options.rings.length,
    }));
  }

  /** Segments that are open. */
  get open(): number {
    return this.lanes.filter((lane) => lane.open !== null).length;
  }

  /** Journals that are open. */
  get journals(): readonly JournalWriter[] {
    return this.lanes.flatMap((lane) => (lane.open === null ? [] : [lane.open.journal]));
  }

  /** Number of the next segment, by ring, for the drain that follows this one. */
  get numbers(): ReadonlyMap<number, number> {
    return new Map(this.lanes.map(({ spec, nextN }) => [spec.ring, nextN]));
  }

  /** Those that are known, by exchange. */
  get symbols(): ReadonlyMap<string, readonly SymbolSpec[]> {
    return this.#symbols;
  }

  /** Whether the rings hold nothing. */
  get ringsEmpty(): boolean {
    return this.lanes.every((lane) => lane.consumer.available(1) === 0);
  }

  /** What is left in the rings. */
  get left(): LostRows[] {
    return this.lanes.map(leftIn).filter(({ rows }) => rows > 0);
  }

  /** Makes symbols known; must be done before the first row that carries their numbers. */
  addSymbols(exchange: string, symbols: readonly SymbolSpec[]): void {
    if (symbols.length === 0) return;
    const known = this.#symbols.get(exchange) ?? [];
    this.#symbols.set(exchange, known);
    known.push(...symbols);
    for (const lane of this.lanes) {
      if (lane.open === null || lane.spec.exchange !== exchange) continue;
      try {
        this.#journaled(lane.open.journal, (journal) => journal.symbols(journalSymbolsOf(symbols)));
      } catch (error) {
        // No row may follow that carries a number unknown there: the next segment begins with all of them.
        this.#context.faults.failed(error);
        this.#seal(lane, "journal");
      }
    }
  }

  /** Moves what the rings hold, as far as the bounds allow. @returns rows moved */
  async drain(): Promise<number> {
    const { lanes } = this;
    let moved = 0;
    for (let i = 0; i < lanes.length; i++)
      moved += await this.#drainLane(lanes[(this.#firstLane + i) % lanes.length]);
    this.#firstLane = (this.#firstLane + 1) % lanes.length;
    return moved;
  }

  async #drainLane(lane: RingLane): Promise<number> {
    const { usage, faults, events } = this.#context;
    let moved = 0;
    while (moved < TURN_ROWS && !this.ended) {
      const { open, bounds } = lane;
      const limit = Math.min(RECORD_ROWS, bounds.rows - (open?.rows.rows ?? 0));
      const count = lane.consumer.available(limit);
      if (count <= 0 || usage.journalBytes >= this.#options.journal.maxBytes) break;
      try {
        const segment = open ?? this.#openSegment(lane);
        const taken = countWithinDay(lane.consumer, count, segment.rows);
        if (taken === 0) {
          this.#seal(lane, "day");
          continue;
        }
        this.#journaled(segment.journal, (journal) => journal.rows(lane.consumer, taken));
        if (events.step !== undefined) await events.step("journaled");
        this.#take(lane, segment.rows, taken);
        moved += taken;
      } catch (error) {
        if (!isFileError(error)) throw error;
        faults.failed(error);
        break;
      }
    }
    return moved;
  }

  #take(lane: RingLane, segment: Segment, count: number): void {
    const { bounds, consumer } = lane;
    segment.take(consumer, count);
    consumer.release(count);
    // Only what was released can be on disk alone: a reader in between sees it in memory, and never twice.
    consumer.parked(count);
    if (segment.rows >= bounds.rows) this.#seal(lane, "rows");
    else if (segment.bytes >= bounds.bytes) this.#seal(lane, "bytes");
  }

  /** Notes what a change of a journal adds to it. */
  #journaled(journal: JournalWriter, write: (journal: JournalWriter) => void): void {
    const before = journal.bytes;
    write(journal);
    this.#context.usage.journalBytes += journal.bytes - before;
  }

  #openSegment(lane: RingLane): OpenSegment {
    const { spec } = lane;
    const { run, version, journal, layout } = this.#options;
    const n = lane.nextN;
    const { numbers, texts } = LAYOUTS[spec.stream];
    const writer = JournalWriter.create(
      journal.folder,
      {
        schema: SCHEMA_VERSION,
        tapedeck: version,
        exchange: spec.exchange,
        stream: spec.stream,
        dataset: false,
        run,
        ring: spec.ring,
        n,
        numbers,
        texts,
        textPieces: TEXT_PIECES,
        textCellBytes: TEXT_CELL_BYTES,
        ...(layout === "flat" ? {} : { layout }),
      },
      journalSymbolsOf(this.#symbols.get(spec.exchange) ?? []),
      { stage: this.#context.stage, always: journal.fsync === "always" },
    );
    this.#context.usage.journalBytes += writer.bytes;
    lane.nextN++;
    // Of a ring in a file it is to be known when the process is gone: no number may be used twice.
    lane.consumer.noted = lane.nextN;
    lane.openedAt = performance.now() - (n === 0 ? lane.stagger : 0);
    lane.open = { rows: new Segment(spec.stream, { run, ring: spec.ring, n }), journal: writer };
    return lane.open;
  }

  /**
   * Seals what is due; of what is due by its interval, the one that has been open for longest.
   *
   * @param now performance.now()
   * @param nowUs wall time, µs
   */
  sealDue(now: number, nowUs: number): void {
    let longestDue: RingLane | null = null;
    for (const lane of this.lanes) {
      const segment = lane.open?.rows;
      if (segment === undefined || segment.rows === 0) continue;
      const { rows, bytes } = segment;
      const state = { rows, bytes, age: now - lane.openedAt, nowUs, day: dayOf(segment.firstLocal) };
      const reason = sealReason(state, lane.bounds);
      if (reason === "interval") {
        if (longestDue === null || lane.openedAt < longestDue.openedAt) longestDue = lane;
      } else if (reason !== null) {
        this.#seal(lane, reason);
      }
    }
    if (longestDue !== null && now - this.#lastIntervalSeal >= this.#options.minGap) {
      this.#lastIntervalSeal = now;
      this.#seal(longestDue, "interval");
    }
  }

  /** Makes room where a bound is reached before any segment is due. */
  sealLargest(): void {
    let largest: RingLane | null = null;
    for (const lane of this.lanes) {
      const rows = lane.open?.rows.rows ?? 0;
      if (rows > (largest?.open?.rows.rows ?? 0)) largest = lane;
    }
    if (largest !== null) this.#seal(largest, "bound");
  }

  /** Seals all. */
  sealAll(reason: string): void {
    for (const lane of this.lanes) this.#seal(lane, reason);
  }

  #seal(lane: RingLane, reason: string): void {
    const { open } = lane;
    if (open === null || open.rows.rows === 0) return;
    lane.open = null;
    const { exchange, stream, ring } = lane.spec;
    const { journal } = open;
    const { key, span } = open.rows;
    const fileKey = lakeKey({ exchange, stream, firstLocal: span.firstLocal, key });
    try {
      this.#journaled(journal, () => journal.seal({ ...span, key: fileKey }));
    } catch (error) {
      // A journal without its seal is sealed by the next start, with the same rows and name.
      this.#context.faults.failed(error);
    }
    // Its file may have to wait for long, and it is no open journal any more that is synced at intervals.
    journal.sync().catch((error) => this.#context.faults.failed(error));
    this.#context.sealed({
      exchange,
      stream,
      dataset: false,
      key,
      lakeKey: fileKey,
      ...allOf(layoutOf(journal.header), span.rows),
      span,
      reason,
      ring,
      recovered: false,
      journaled: true,
      damaged: false,
      counter: lane.consumer,
      journalPath: journal.path,
      journalBytes: journal.bytes,
      journal,
      loaded: null,
    });
  }

  /** Closes what is open: it stands in the journals. */
  async discard(): Promise<void> {
    for (const journal of this.journals) await journal.close();
  }
}

function leftIn({ spec, consumer }: RingLane): LostRows {
  const { ring, exchange, stream } = spec;
  const rows = consumer.backlog();
  const at = (offset: number) => (rows === 0 ? Number.NaN : consumer.number(LOCAL, offset));
  return { ring, exchange, stream, rows, from: at(0), to: at(rows - 1) };
}

function journalSymbolsOf(symbols: readonly SymbolSpec[]): JournalSymbols {
  return symbols.map(({ number, symbol, instrument }) => [number, symbol, instrument] as const);
}
