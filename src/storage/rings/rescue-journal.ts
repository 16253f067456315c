import { readdirSync } from "node:fs";
import { join } from "node:path";
import { SYMBOL } from "../../events/layout.ts";
import type { Stream } from "../../events/streams.ts";
import type { RingConsumer } from "../../ring/consumer.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../../ring/text.ts";
import {
  type JournalHeader,
  type JournalSymbols,
  journalSymbols,
  parseJournalName,
  RECORD,
} from "../journal/format.ts";
import { inspectJournal, type JournalContent, keyOfContent, sealLeftover } from "../journal/inspect.ts";
import { JournalReader, parsePayload } from "../journal/reader.ts";
import { whyUnusable } from "../journal/salvage.ts";
import { JournalWriter, Stage } from "../journal/writer.ts";
import { lakeKey } from "../names.ts";
import { RECORD_ROWS } from "../ring-segments.ts";
import type { SealBounds } from "../seal-policy.ts";
import { countWithinDay, Segment } from "../segment.ts";
import type { RingAbout } from "./format.ts";

/** Where a rescue may be interrupted by a test. */
export type RescueStep = "begun" | "appended" | "released" | "sealed" | "synced" | "removed";

/** Where rows that are rescued go. */
export interface JournalContext {
  /** Folder of the journals. */
  readonly journal: string;
  /** Bounds of the segments of each stream. */
  readonly bounds: Readonly<Record<Stream, Pick<SealBounds, "rows" | "bytes">>>;
  /** Whether the file of this key is in the outbox, or was published. */
  published(lakeKey: string): boolean | Promise<boolean>;
}

/** A journal that is open, and what is known of its rows. */
interface Open {
  readonly writer: JournalWriter;
  readonly segment: Segment;
}

/** The journals of one ring of a killed run, to which rows are added as its drain would have added them. */
export class RescueJournal {
  readonly #about: RingAbout;
  readonly #context: JournalContext;
  /** The last journal where it can go on; null = the next row begins a new one. */
  #unsealed: JournalContent | null;
  /** The last journal where it can not, and was not sealed; null = there is no such one. */
  #leftover: JournalContent | null;
  /** Least number of a new journal, as far as journals tell. */
  readonly #nextN: number;
  /** Number of the last row in a journal; -1 = there is none. */
  readonly lastSeq: number;
  /** By number: symbols that the open journal knows, and all. */
  readonly #told = new Set<number>();
  readonly #symbols = new Map<number, JournalSymbols[number]>();

  private constructor(
    about: RingAbout,
    context: JournalContext,
    known: {
      readonly unsealed: JournalContent | null;
      readonly leftover: JournalContent | null;
      readonly nextN: number;
      readonly lastSeq: number;
    },
  ) {
    this.#about = about;
    this.#context = context;
    this.#unsealed = known.unsealed;
    this.#leftover = known.leftover;
    this.#nextN = known.nextN;
    this.lastSeq = known.lastSeq;
  }

  /** Looks through the ring's journals from the last one back to one with rows; changes nothing. */
  static async open(about: RingAbout, context: JournalContext): Promise<RescueJournal> {
    const { run, ring, stream } = about;
    const numbers = readdirSync(context.journal)
      .flatMap((name) => {
        const one = parseJournalName(name);
        return one?.run === run && one.ring === ring && one.stream === stream ? [{ name, n: one.n }] : [];
      })
      .sort((a, b) => b.n - a.n);
    let unsealed: JournalContent | null = null;
    let leftover: JournalContent | null = null;
    let lastSeq = -1;
    for (const [index, { name }] of numbers.entries()) {
      const content = inspected(join(context.journal, name));
      // A file that was made of it already is not made again, so nothing may be added. Nor where it becomes several,
      // of which some may be there: it ends as it is, and the next one begins.
      const isOpen =
        index === 0 &&
        content !== null &&
        content.seal === null &&
        content.header.layout === undefined &&
        (content.span === null || !(await context.published(keyOfContent(content))));
      if (isOpen) unsealed = content;
      else if (index === 0 && content !== null && content.seal === null && content.span !== null)
        leftover = content;
      lastSeq = content?.span?.lastSeq ?? -1;
      if (lastSeq >= 0) break;
    }
    const journal = new RescueJournal(about, context, {
      unsealed,
      leftover,
      nextN: (numbers[0]?.n ?? -1) + 1,
      lastSeq,
    });
    if (unsealed !== null) journal.#readSymbols(unsealed.path);
    return journal;
  }

  /**
   * Seals the last journal where it does not go on: where it ends something may have found the ring full, and without a
   * seal that would be called lost with the run. To be called when its rows are given back to the ring: should the disk be
   * full, it becomes a file all the same, and a later start must not find them in the ring again.
   *
   * @throws Error of the file system
   */
  sealLast(): void {
    if (this.#leftover !== null) sealLeftover(this.#leftover);
    this.#leftover = null;
  }

  #readSymbols(path: string): void {
    using reader = JournalReader.open(path);
    for (const record of reader.records()) {
      if (record.head.type !== RECORD.symbols) continue;
      for (const symbol of parsePayload(journalSymbols, record, "list of symbols")) {
        this.#symbols.set(symbol[0], symbol);
        this.#told.add(symbol[0]);
      }
    }
  }

  /** Takes note of symbols that were kept beside the ring. */
  learn(symbols: JournalSymbols): void {
    for (const symbol of symbols) this.#symbols.set(symbol[0], symbol);
  }

  /** The first number of a symbol in a ring's rows that has no name; null = all have one. */
  unnamed(consumer: RingConsumer): number | null {
    const rows = consumer.backlog();
    for (let i = 0; i < rows; i++) {
      const number = consumer.number(SYMBOL, i);
      if (!this.#symbols.has(number)) return number;
    }
    return null;
  }

  /**
   * Moves all rows of a ring, sealing where its drain would have. Each step can be the last one: rows are given back
   * to the ring when they stand in a journal.
   *
   * @throws Error of the file system; what was not moved is in the ring then
   */
  async takeAll(consumer: RingConsumer, step: (step: RescueStep) => void): Promise<void> {
    const { rows, bytes } = this.#context.bounds[this.#about.stream as Stream];
    let open: Open | null = null;
    try {
      while (consumer.backlog() > 0) {
        open ??= this.#open(consumer);
        const { writer, segment }: Open = open;
        const limit = Math.min(RECORD_ROWS, rows - segment.rows);
        const count = limit <= 0 || segment.bytes >= bytes ? 0 : consumer.available(limit);
        const taken = count === 0 ? 0 : countWithinDay(consumer, count, segment);
        if (taken === 0) {
          this.#seal(open);
          await writer.sync();
          await writer.close();
          open = null;
          step("sealed");
          continue;
        }
        writer.rows(consumer, taken);
        step("appended");
        segment.take(consumer, taken);
        consumer.release(taken);
        step("released");
      }
      await open?.writer.sync();
    } finally {
      await open?.writer.close();
    }
  }

  #open(consumer: RingConsumer): Open {
    const { exchange, stream, run, ring, schema, tapedeck, numbers, texts, layout } = this.#about;
    const options = { stage: new Stage(), always: false };
    const symbols = [...this.#symbols.values()];
    const last = this.#unsealed;
    this.#unsealed = null;
    if (last !== null) {
      const { path, header, end, key, span } = last;
      const writer = JournalWriter.goOn(path, header, end, options);
      const fresh = symbols.filter(([number]) => !this.#told.has(number));
      if (fresh.length > 0) writer.symbols(fresh);
      const segment = new Segment(stream as Stream, key);
      return { writer, segment: span === null ? segment : Segment.of(stream as Stream, key, span) };
    }
    const n = Math.max(this.#nextN, consumer.noted);
    const header: JournalHeader = {
      schema,
      tapedeck,
      exchange,
      stream,
      dataset: false,
      run,
      ring,
      n,
      numbers,
      texts,
      textPieces: TEXT_PIECES,
      textCellBytes: TEXT_CELL_BYTES,
      ...(layout === undefined ? {} : { layout }),
    };
    const writer = JournalWriter.create(this.#context.journal, header, symbols, options);
    consumer.noted = n + 1;
    return { writer, segment: new Segment(stream as Stream, { run, ring, n }) };
  }

  #seal({ writer, segment }: Open): void {
    const { exchange, stream } = this.#about;
    const { key, span } = segment;
    writer.seal({ ...span, key: lakeKey({ exchange, stream, firstLocal: span.firstLocal, key }) });
  }
}

/** What a journal holds; null = nothing of it can be used, which is told where journals are recovered. */
function inspected(path: string): JournalContent | null {
  try {
    return inspectJournal(path);
  } catch (error) {
    if (whyUnusable(error) === null) throw error;
    return null;
  }
}
