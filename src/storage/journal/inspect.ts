import { closeSync, fdatasyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { LAYOUTS, LOCAL, SYMBOL } from "../../events/layout.ts";
import { STREAM_NAMES } from "../../events/streams.ts";
import { lakeKey, type SegmentKey } from "../names.ts";
import { PartSpans, type SegmentPart } from "../parts.ts";
import type { SegmentSpan } from "../segment.ts";
import {
  HEAD_BYTES,
  JournalError,
  type JournalHeader,
  type JournalSeal,
  journalSeal,
  journalSymbols,
  layoutOf,
  padded,
  RECORD,
  writeHead,
} from "./format.ts";
import { columnOrder, JournalReader, type JournalRecord, JournalRows, parsePayload } from "./reader.ts";

/** Rows that stood in a damaged part of a journal. */
export interface LostSpan {
  /** Receive times of what stands before and behind them, µs; null = nothing stands before. */
  readonly from: number | null;
  readonly to: number;
  /** How many they are; null = the part is damaged so that this is not known. */
  readonly rows: number | null;
}

/** Numbers of a ring that no row has: events that found it full, each of which took the next one. */
export interface SeqJump {
  /** The first of them, and how many follow each other. */
  readonly first: number;
  readonly missed: number;
  /** Receive times of the rows before and behind them, µs. */
  readonly from: number;
  readonly to: number;
}

/** What a journal holds that can be used. */
export interface JournalContent {
  readonly path: string;
  readonly header: JournalHeader;
  readonly key: SegmentKey;
  /** What is whole; null = no row. */
  readonly span: SegmentSpan | null;
  /** The files that it becomes: the one of {@link keyOfContent}, or those of its symbols. */
  readonly parts: readonly SegmentPart[];
  /** Its seal record; null = it had not come to that. */
  readonly seal: JournalSeal | null;
  /** Bytes of the file, bytes up to the last whole record, and how many behind it belong to none: a torn tail. */
  readonly size: number;
  readonly end: number;
  readonly torn: number;
  /** What was lost in the middle. */
  readonly lost: readonly LostSpan[];
  /** Where `seq` jumps between its rows, apart from what was lost. */
  readonly jumps: readonly SeqJump[];
}

/**
 * Reads a whole journal, checking every record.
 *
 * @throws JournalError where nothing of it can be used: it is empty, foreign, of another version, or what its rows
 * need to be understood is damaged
 */
export function inspectJournal(path: string): JournalContent {
  using reader = JournalReader.open(path);
  const { header } = reader;
  const stream = STREAM_NAMES.find((name) => name === header.stream);
  if (!header.dataset && stream === undefined)
    throw new JournalError(`this program knows no stream ${header.stream}`);
  const layout = stream === undefined || header.dataset ? null : LAYOUTS[stream];
  const order = layout === null ? null : columnOrder(header, layout);
  const known = new Map<number, string>();
  const used = new Set<number>();
  const spans = layoutOf(header) === "symbol" ? new Map<number, RowSpan>() : null;
  const lost: LostSpan[] = [];
  const jumps: SeqJump[] = [];
  let seal: JournalSeal | null = null;
  let span: SegmentSpan | null = null;
  let told = 0;
  for (const record of reader.records()) {
    const { head } = record;
    if (head.type === RECORD.symbols) {
      for (const [number, symbol] of parsePayload(journalSymbols, record, "list of symbols"))
        known.set(number, symbol);
    } else if (head.type === RECORD.seal) {
      seal = parsePayload(journalSeal, record, "seal");
    } else if (head.type === RECORD.rows && order !== null && layout !== null) {
      const rows = new JournalRows(record, header, order);
      noteSymbols(used, rows);
      if (spans !== null) noteSpans(spans, rows, layout.seq);
      const before = told < reader.damage.length ? null : span;
      noteJumps(jumps, rows, layout.seq, head, before);
    }
    for (; told < reader.damage.length; told++) {
      const struck = reader.damage[told]?.head ?? null;
      if (struck !== null && struck.rows === 0) continue;
      const from = struck?.firstLocal ?? span?.lastLocal ?? null;
      // The seal says where all rows end; any other record, where its own begin. One without rows says nothing.
      const behind = head.type === RECORD.seal ? head.lastLocal : head.firstLocal;
      const to = struck?.lastLocal ?? (behind || (span?.lastLocal ?? 0));
      lost.push({ from, to: Math.max(from ?? to, to), rows: struck?.rows ?? null });
    }
    if (head.type === RECORD.rows || head.type === RECORD.datasetRows) span = extended(span, head);
  }
  for (const number of used)
    if (!known.has(number)) throw new JournalError(`the name of its symbol ${number} is missing, or damaged`);
  const { run, ring, n } = header;
  const { size, end } = reader;
  const key = { run, ring, n };
  const parts = partsOf({ header, key, span }, spans, known);
  return { path, header, key, span, parts, seal, size, end, torn: size - end, lost, jumps };
}

function partsOf(
  content: Pick<JournalContent, "header" | "key" | "span">,
  spans: ReadonlyMap<number, RowSpan> | null,
  names: ReadonlyMap<number, string>,
): readonly SegmentPart[] {
  const { header, key, span } = content;
  if (span === null) return [];
  if (spans === null) return [{ symbol: null, lakeKey: keyOfContent(content), span }];
  const found = new PartSpans();
  for (const [number, one] of spans) found.add(names.get(number) ?? "", one);
  return found.parts({ ...header, key });
}

/** What is known of the rows of one symbol's number. */
type RowSpan = { -readonly [Name in keyof SegmentSpan]: SegmentSpan[Name] };

function noteSpans(spans: Map<number, RowSpan>, rows: JournalRows, seq: number): void {
  for (let i = 0; i < rows.count; i++) {
    const number = rows.number(SYMBOL, i);
    const [local, own] = [rows.number(LOCAL, i), rows.number(seq, i)];
    const span = spans.get(number);
    if (span === undefined) {
      spans.set(number, { rows: 1, firstLocal: local, lastLocal: local, firstSeq: own, lastSeq: own });
      continue;
    }
    span.rows++;
    span.lastLocal = local;
    span.lastSeq = own;
  }
}

function noteSymbols(used: Set<number>, rows: JournalRows): void {
  let last = Number.NaN;
  for (let i = 0; i < rows.count; i++) {
    const number = rows.number(SYMBOL, i);
    if (number === last) continue;
    used.add(number);
    last = number;
  }
}

function noteJumps(
  jumps: SeqJump[],
  rows: JournalRows,
  seq: number,
  head: JournalRecord["head"],
  before: SegmentSpan | null,
): void {
  const isDense = head.lastSeq - head.firstSeq + 1 === rows.count;
  let next = before === null ? head.firstSeq : before.lastSeq + 1;
  let from = before === null ? head.firstLocal : before.lastLocal;
  const count = isDense ? 1 : rows.count;
  for (let i = 0; i < count; i++) {
    const number = rows.number(seq, i);
    const to = rows.number(LOCAL, i);
    if (number > next) jumps.push({ first: next, missed: number - next, from, to });
    next = number + 1;
    from = to;
  }
}

function extended(span: SegmentSpan | null, head: JournalRecord["head"]): SegmentSpan {
  return {
    rows: (span?.rows ?? 0) + head.rows,
    firstLocal: span?.firstLocal ?? head.firstLocal,
    lastLocal: head.lastLocal,
    firstSeq: span?.firstSeq ?? head.firstSeq,
    lastSeq: head.lastSeq,
  };
}

/** Key of the file that a journal becomes, where it becomes one. */
export function keyOfContent({ header, key, span }: Pick<JournalContent, "header" | "key" | "span">): string {
  const { exchange, stream } = header;
  return lakeKey({ exchange, stream, firstLocal: span?.firstLocal ?? 0, key });
}

/**
 * Ends a journal that a run left open: cuts its torn tail and writes its seal, on disk when this returns.
 *
 * @throws Error of the file system
 */
export function sealLeftover(content: JournalContent): void {
  const { span, end } = content;
  if (span === null) throw new Error(`${content.path} holds no row to be sealed`);
  const text = new TextEncoder().encode(JSON.stringify({ ...span, key: keyOfContent(content) }));
  const record = new Uint8Array(HEAD_BYTES + padded(text.length));
  record.set(text, HEAD_BYTES);
  writeHead(record, RECORD.seal, text.length, span);
  const fd = openSync(content.path, "r+");
  try {
    ftruncateSync(fd, end);
    let done = 0;
    while (done < record.length) done += writeSync(fd, record, done, record.length - done, end + done);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
