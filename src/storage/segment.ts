import { LAYOUTS, LOCAL } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import { recordBytes } from "../ring/memory.ts";
import type { RowSource } from "../ring/row-source.ts";
import { dayOf, dayStart, type SegmentKey } from "./names.ts";

/** What is known of a segment's rows. */
export interface SegmentSpan {
  readonly rows: number;
  readonly firstLocal: number;
  readonly lastLocal: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** An open segment: what is known of the rows of one ring between two seals. The rows stand in its journal. */
export class Segment {
  rows = 0;
  /** What the rows take while their file is written. */
  bytes = 0;
  firstLocal = Number.NaN;
  lastLocal = Number.NaN;
  firstSeq = Number.NaN;
  lastSeq = Number.NaN;
  readonly #rowBytes: number;
  readonly #seq: number;

  constructor(
    stream: Stream,
    readonly key: SegmentKey,
  ) {
    const { numbers, texts, seq } = LAYOUTS[stream];
    this.#seq = seq;
    this.#rowBytes = recordBytes({ numbers: numbers.length, texts: texts.length });
  }

  /** A segment that goes on: what is known of the rows it has. */
  static of(stream: Stream, key: SegmentKey, span: SegmentSpan): Segment {
    const segment = Object.assign(new Segment(stream, key), span);
    segment.bytes = span.rows * segment.#rowBytes;
    return segment;
  }

  /** Takes note of the first `count` rows of a source, which were appended to the journal. */
  take(from: RowSource, count: number): void {
    if (this.rows === 0) {
      this.firstLocal = from.number(LOCAL, 0);
      this.firstSeq = from.number(this.#seq, 0);
    }
    this.lastLocal = from.number(LOCAL, count - 1);
    this.lastSeq = from.number(this.#seq, count - 1);
    this.rows += count;
    this.bytes += count * this.#rowBytes;
  }

  /** What is known of its rows. */
  get span(): SegmentSpan {
    const { rows, firstLocal, lastLocal, firstSeq, lastSeq } = this;
    return { rows, firstLocal, lastLocal, firstSeq, lastSeq };
  }
}

/** How many of the next `count` rows fall on the segment's UTC day: times do not go back within a ring. */
export function countWithinDay(from: RowSource, count: number, segment: Segment): number {
  const first = segment.rows > 0 ? segment.firstLocal : from.number(LOCAL, 0);
  const end = dayStart(dayOf(first) + 1);
  if (from.number(LOCAL, count - 1) < end) return count;
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (from.number(LOCAL, middle) < end) low = middle + 1;
    else high = middle;
  }
  return low;
}
