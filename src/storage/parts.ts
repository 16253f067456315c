/**
 * What files a segment becomes: one, or, in the layout `symbol`, one for each of its symbols. Which ones, and what is in
 * each, follows from the rows in its journal alone, so whoever writes them again comes to the same files.
 */
import { type FileLayout, fileId, hasFolder, lakeKey, type SegmentKey } from "./names.ts";
import type { SegmentSpan } from "./segment.ts";

/** One of the files of a segment. */
export interface SegmentPart {
  /** The symbol that all its rows are of, which its key tells; null = its rows say themselves. */
  readonly symbol: string | null;
  /** Key of its file below the prefix of a lake. */
  readonly lakeKey: string;
  /** What is known of its rows. */
  readonly span: SegmentSpan;
}

/** A segment as its journal describes it. */
export interface DividedSegment {
  readonly exchange: string;
  readonly stream: string;
  readonly key: SegmentKey;
}

/** What a segment of which some files may be written already still has to become. */
export interface Rest {
  readonly layout: FileLayout;
  /** Symbols, as in {@link SegmentPart}, whose files are written. */
  readonly done: Set<string | null>;
  /** Rows that are in none of those. */
  rest: number;
}

/** Of a segment of which no file is written. */
export function allOf(layout: FileLayout, rows: number): Rest {
  return { layout, done: new Set(), rest: rows };
}

/** Names of the files that were written, whatever their first rows were. */
export function idsOf(key: SegmentKey, done: ReadonlySet<string | null>): string[] {
  return [...done].map((symbol) => fileId(key, symbol));
}

/** Collects the rows of a segment by symbol. */
export class PartSpans {
  readonly #spans = new Map<string | null, SegmentSpan>();

  /** Adds rows of a symbol; those of symbols that can have no folder come together. */
  add(symbol: string, span: SegmentSpan): void {
    const name = hasFolder(symbol) ? symbol : null;
    const known = this.#spans.get(name);
    this.#spans.set(name, known === undefined ? span : union(known, span));
  }

  /** The files that all of them become. */
  parts({ exchange, stream, key }: DividedSegment): SegmentPart[] {
    return [...this.#spans].map(([symbol, span]) => {
      const { firstLocal } = span;
      return { symbol, span, lakeKey: lakeKey({ exchange, stream, firstLocal, key, symbol }) };
    });
  }
}

function union(a: SegmentSpan, b: SegmentSpan): SegmentSpan {
  return {
    rows: a.rows + b.rows,
    firstLocal: Math.min(a.firstLocal, b.firstLocal),
    lastLocal: Math.max(a.lastLocal, b.lastLocal),
    firstSeq: Math.min(a.firstSeq, b.firstSeq),
    lastSeq: Math.max(a.lastSeq, b.lastSeq),
  };
}
