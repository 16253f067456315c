import type { GapNotice } from "../ingest/messages.ts";
import type { UntoldHoles } from "../ingest/untold.ts";
import type { Logger } from "../status/log.ts";
import type { DatasetRow } from "../storage/dataset-segment.ts";
import type { LostRows, RingSpec } from "../storage/drain.ts";
import type { EarlierRecording } from "../storage/ledger.ts";
import { gapRow } from "./datasets.ts";
import { GapLines, type LinesTime, type NamedGap, named, REAL_TIME } from "./gap-lines.ts";
import { PartedStarts } from "./parted-starts.ts";

/** A `start` that begins this much later than the first one of its stream is that of a new listing, µs. */
const START_APART = 1_000_000;

/** Ingest workers see a step of the system's clock, and its end, within this of each other, µs. */
const CLOCKS_APART = 1_000_000;

/** One worker's part of the start of a stream waits this long for those of others, ms. */
const PARTS_WAIT_MAX = 15_000;

/** Where the rows of gaps go. */
export interface GapSink {
  /** Rows that may be handed over now. */
  room(): number;
  rows(exchange: string, rows: readonly DatasetRow[]): void;
  /** What was found, also where there was no room for it. */
  told?(gaps: readonly NamedGap[]): void;
  /** What was missing before the recording of a stream began is written. */
  started(exchange: string, stream: string): void;
  /** The holes of an exchange on a worker that are still to become gaps, in place of those noted before. */
  untold(exchange: string, worker: number, rows: readonly DatasetRow[]): void;
  /** Of a worker's ring of a stream, whatever is missing below `seq` has its rows. */
  toldBelow(exchange: string, stream: string, worker: number, seq: number): void;
  /** What is done within survives kill -9 as a whole or not at all. */
  together(act: () => void): void;
}

/**
 * The book of gaps: takes what ingest workers and the recorder itself notice, and makes of each a row of the
 * dataset `gaps`, and lines of the log.
 *
 * It alone knows what came before this run: a `start` begins where the run before ended, and is a `crash` where
 * that one was killed.
 */
export class GapLog {
  readonly #log: Logger;
  readonly #lines: GapLines;
  readonly #sink: GapSink;
  readonly #began: number;
  /** Recorded streams by name of exchange and stream. */
  readonly #lanes = new Map<string, Pick<RingSpec, "exchange" | "stream">>();
  readonly #earlier: ReadonlyMap<string, EarlierRecording>;
  /** Where the first `start` of each stream begins, µs. */
  readonly #starts = new Map<string, number>();
  /** The last gap of each stream for which the system's clock was the reason: until when, µs. */
  readonly #clocks = new Map<string, number>();
  readonly #parted: PartedStarts;
  /** Gaps that found no room, one for all of a stream, reason and certainty. */
  readonly #folded = new Map<string, GapNotice>();
  #foldedCount = 0;

  constructor(options: {
    log: Logger;
    lines?: GapLines;
    sink: GapSink;
    /** When the run began, µs. */
    began: number;
    /** What is recorded. */
    lanes: readonly Pick<RingSpec, "exchange" | "stream">[];
    /** How earlier runs left it. */
    earlier: readonly EarlierRecording[];
    /** How many ingest workers carry something of a stream; one unless said otherwise. */
    partsOf?: (exchange: string, stream: string) => number;
    time?: LinesTime;
  }) {
    this.#log = options.log;
    this.#lines = options.lines ?? new GapLines(options.log);
    this.#sink = options.sink;
    this.#began = options.began;
    const time = options.time ?? REAL_TIME;
    this.#parted = new PartedStarts({
      partsOf: options.partsOf ?? (() => 1),
      isTold: (exchange, stream) => this.#starts.has(laneName(exchange, stream)),
      later: (run, ms) => time.later(run, ms),
      waitMax: PARTS_WAIT_MAX,
      release: (gaps) => this.add(gaps),
    });
    for (const { exchange, stream } of options.lanes)
      this.#lanes.set(laneName(exchange, stream), { exchange, stream });
    this.#earlier = new Map(options.earlier.map((one) => [laneName(one.exchange, one.stream), one] as const));
  }

  /**
   * Takes gaps of an ingest worker, and what its holes are that are still to become some: with the rows of those that
   * did, so that no hole is in the ledger twice, or not at all.
   */
  told(
    notices: readonly GapNotice[],
    notNamed: number,
    untold: readonly UntoldHoles[],
    worker: number,
  ): void {
    this.#sink.together(() => {
      const written = this.#add(this.#parted.take(notices, worker), notNamed);
      for (const { exchange, stream, toldBelow } of written ? notices : [])
        if (toldBelow !== undefined) this.#sink.toldBelow(exchange, stream, worker, toldBelow);
      for (const { exchange, holes } of untold) {
        const rows = holes.map((hole) => gapRow(this.#asOfNow(hole), named(hole).symbol));
        this.#sink.untold(exchange, worker, rows);
      }
    });
  }

  /** Takes gaps; `notNamed` more were found and only counted. */
  add(notices: readonly GapNotice[], notNamed = 0): void {
    this.#add(notices, notNamed);
  }

  /** Returns whether each has its row: there was room, and none was only counted. */
  #add(notices: readonly GapNotice[], notNamed: number): boolean {
    let written = notNamed === 0;
    if (notNamed > 0) this.#log.error("gaps_not_named", { count: notNamed });
    if (notices.length === 0) return written;
    const gaps = notices
      .filter((notice) => !this.#isKnownStep(notice))
      .flatMap((notice) => (notice.reason === "start" ? this.#sinceLast(notice) : [notice]));
    const told = gaps.map(named);
    this.#lines.write(told);
    this.#sink.told?.(told);
    // A start's row and the mark that it is written: one without the other would be told again, or never.
    this.#sink.together(() => {
      this.#unfold();
      const room = this.#sink.room();
      this.#write(gaps.slice(0, room));
      for (const gap of gaps.slice(room)) this.#fold(gap);
      if (room < gaps.length) {
        written = false;
        return;
      }
      for (const { reason, exchange, stream } of notices)
        if (reason === "start") this.#sink.started(exchange, stream);
    });
    return written;
  }

  /** A hole that begins with this run begins where the run before ended, as far as is known yet. */
  #asOfNow(hole: GapNotice): GapNotice {
    if (hole.reason !== "start" || (hole.from ?? 0) > this.#began + START_APART) return hole;
    const earlier = this.#earlier.get(laneName(hole.exchange, hole.stream));
    return earlier === undefined
      ? hole
      : { ...hole, from: Math.min(earlier.until, hole.from ?? earlier.until) };
  }

  /** What was drained and could not be written. */
  lost(lost: readonly LostRows[]): void {
    this.add(
      lost.map(({ exchange, stream, rows, from, to }) => ({
        ...gapOf(exchange, stream, from, to),
        reason: "storage",
        certainty: "lost",
        missed: rows,
      })),
    );
  }

  /** The sockets were closed at `at` (µs), as planned: from now on everything is missing. */
  stop(at: number): void {
    this.add(this.#parted.close());
    const lanes = [...this.#lanes];
    const never = lanes.filter(([name]) => !this.#starts.has(name)).map(([, lane]) => lane);
    // Nothing was ever subscribed: what is missing at a start was missing to the end.
    this.add(
      never.map(({ exchange, stream }) => ({
        ...gapOf(exchange, stream, this.#began, at),
        reason: "start",
        certainty: "planned",
      })),
    );
    this.add(
      lanes.map(([, { exchange, stream }]) => ({
        ...gapOf(exchange, stream, at, null),
        reason: "stop",
        certainty: "planned",
      })),
    );
    this.close();
  }

  /** Writes what waits for room, and tells what the log does not have yet. */
  close(): void {
    this.#unfold(true);
    this.#lines.close();
  }

  /** Whether another worker has told of the same step of the system's clock for the same stream. */
  #isKnownStep({ reason, exchange, stream, from, to }: GapNotice): boolean {
    if (reason !== "clock" || from === null || to === null) return false;
    const name = laneName(exchange, stream);
    const until = this.#clocks.get(name) ?? Number.NEGATIVE_INFINITY;
    this.#clocks.set(name, Math.max(until, to));
    return from <= until && to <= until + CLOCKS_APART;
  }

  /** What is missing at a start: all since the last recording of the stream, and why. */
  #sinceLast(start: GapNotice): GapNotice[] {
    const name = laneName(start.exchange, start.stream);
    const began = start.from ?? this.#began;
    const first = this.#starts.get(name) ?? began;
    this.#starts.set(name, first);
    if (began > first + START_APART) return [start];
    const from = Math.min(began, this.#began);
    const earlier = this.#earlier.get(name);
    if (earlier === undefined) return [{ ...start, from }];
    const { until, ended, clean } = earlier;
    // The clock may have been set back between the runs.
    const since = Math.min(until, from);
    if (clean) return [{ ...start, from: since }];
    if (ended === null) return [{ ...start, reason: "crash", certainty: "lost", from: since }];
    const end = Math.min(ended, from);
    return [
      { ...start, reason: "storage", certainty: "lost", from: since, to: end },
      { ...start, from: end },
    ];
  }

  #write(gaps: readonly GapNotice[]): void {
    for (const [exchange, group] of Map.groupBy(gaps, (gap) => gap.exchange)) {
      const rows = group.map((gap) => gapRow(gap, named(gap).symbol));
      this.#sink.rows(exchange, rows);
    }
  }

  /** Keeps a gap for which there is no room: its span, with others', for all symbols. */
  #fold(gap: GapNotice): void {
    if (this.#foldedCount++ === 0)
      this.#log.error("gaps_folded", {
        meaning: "too many gaps at once: until their rows are in files, one row stands for all of a stream",
      });
    const { exchange, stream, reason, certainty } = gap;
    const key = `${exchange} ${stream} ${reason} ${certainty}`;
    const known = this.#folded.get(key);
    if (known === undefined) {
      this.#folded.set(key, { ...gap, instrument: null, firstId: null, lastId: null });
      return;
    }
    this.#folded.set(key, {
      ...known,
      from: known.from === null || gap.from === null ? null : Math.min(known.from, gap.from),
      to: known.to === null || gap.to === null ? null : Math.max(known.to, gap.to),
      missed: known.missed === null || gap.missed === null ? null : known.missed + gap.missed,
    });
  }

  /** Writes what was folded; there are never more than a few rows of it. */
  #unfold(now = false): void {
    if (this.#folded.size === 0 || (!now && this.#sink.room() < this.#folded.size)) return;
    const rows = [...this.#folded.values()];
    this.#log.error("gaps_unfolded", { count: this.#foldedCount, rows: rows.length });
    this.#folded.clear();
    this.#foldedCount = 0;
    this.#write(rows);
  }
}

function laneName(exchange: string, stream: string): string {
  return `${exchange} ${stream}`;
}

/** A gap of a whole stream. */
function gapOf(
  exchange: string,
  stream: GapNotice["stream"],
  from: number,
  to: number | null,
): Omit<GapNotice, "reason" | "certainty"> {
  return { exchange, stream, instrument: null, from, to, firstId: null, lastId: null, missed: null };
}
