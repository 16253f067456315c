/** Brings the rows of a journal to where they can be written into a file. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { LAYOUTS, LOCAL } from "../../events/layout.ts";
import { DATASETS, type Dataset, STREAM_NAMES } from "../../events/streams.ts";
import { DatasetSegment, datasetQuery } from "../dataset-segment.ts";
import { type FileLayout, hasFolder, type SegmentKey } from "../names.ts";
import type { FileContent } from "../parquet.ts";
import { PartSpans, type SegmentPart } from "../parts.ts";
import { sqlName } from "../projection.ts";
import type { SegmentSpan } from "../segment.ts";
import { type NumberedSymbol, type RowMemory, SortedRows } from "../sorted-rows.ts";
import { JournalError, journalDatasetRows, journalSymbols, RECORD } from "./format.ts";
import { columnOrder, JournalReader, JournalRows, parsePayload } from "./reader.ts";

/** A file of a segment, and which of its rows stand in it. */
export interface LoadedPart extends SegmentPart {
  /** The first of them, and one behind the last. */
  readonly from: number;
  readonly to: number;
}

/** Rows that can be written. */
export interface LoadedRows {
  /** The files they become, in the order in which they are written. */
  readonly parts: readonly LoadedPart[];
  /** The rows of one of them as they are to stand in it. */
  readonly content: (part: LoadedPart) => FileContent;
  /** Table that is to be dropped when the file is there; null = there is none. */
  readonly table: string | null;
}

/** A segment to be loaded. */
export interface Loadable {
  readonly exchange: string;
  readonly stream: string;
  readonly key: SegmentKey;
  readonly layout: FileLayout;
  /** Key of its file, where it becomes one. */
  readonly lakeKey: string;
  readonly span: SegmentSpan;
  readonly journalPath: string;
  /** The journal where it is still open. */
  readonly journal?: { readonly fd: number } | null;
}

/** Rows copied in one turn: the drain's own work waits no longer than for these. */
const TURN_ROWS = 16_384;
let loads = 0;

/** Gives the thread's other work its turn. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/**
 * Loads the rows of a stream, and sorts them.
 *
 * @param memory where they are put
 * @param ended whether to give up
 * @throws Error where the journal does not hold what it held before, or loading was given up
 */
export async function loadStream(
  memory: RowMemory,
  segment: Loadable,
  ended: () => boolean = () => false,
): Promise<LoadedRows> {
  const { stream: name, key, span, layout, journalPath, journal } = segment;
  const stream = STREAM_NAMES.find((one) => one === name);
  if (stream === undefined) throw new JournalError(`this program knows no stream ${name}`);
  await turn();
  using reader = JournalReader.open(journalPath, journal?.fd);
  const { seq } = LAYOUTS[stream];
  const order = columnOrder(reader.header, LAYOUTS[stream]);
  const sorted = new SortedRows(LAYOUTS[stream], span.rows, memory);
  const symbols: NumberedSymbol[] = [];
  let turnRows = 0;
  for (const record of reader.records()) {
    if (record.head.type === RECORD.symbols) {
      for (const [number, symbol, instrument] of parsePayload(journalSymbols, record, "list of symbols"))
        symbols.push({ number, symbol, instrument });
    } else if (record.head.type === RECORD.rows) {
      const rows = new JournalRows(record, reader.header, order);
      if (sorted.rows + rows.count <= span.rows) sorted.take(rows, rows.count);
      else throw differs(journalPath, sorted.rows + rows.count, rows.number(seq, rows.count - 1), span);
      turnRows += rows.count;
      if (turnRows < TURN_ROWS) continue;
      turnRows = 0;
      await turn();
      if (ended()) throw new Error("given up");
    }
  }
  const last = sorted.rows === 0 ? -1 : (sorted.unsorted(seq)[sorted.rows - 1] ?? -1);
  if (sorted.rows !== span.rows || last !== span.lastSeq) throw differs(journalPath, sorted.rows, last, span);
  sorted.sort(symbols, layout === "symbol" ? (symbol) => !hasFolder(symbol) : undefined);
  return {
    parts: layout === "symbol" ? partsBySymbol(sorted, segment, seq) : [wholeOf(segment)],
    content: ({ from, to }) => ({ stream, key, rows: sorted, from, to }),
    table: null,
  };
}

/** All of a segment as one file. */
export function wholeOf({ lakeKey, span }: Pick<Loadable, "lakeKey" | "span">): LoadedPart {
  return { symbol: null, lakeKey, span, from: 0, to: span.rows };
}

function partsBySymbol(sorted: SortedRows, segment: Loadable, seq: number): LoadedPart[] {
  const [locals, seqs] = [sorted.number(LOCAL), sorted.number(seq)];
  const spans = new PartSpans();
  for (const { symbol, from, to } of sorted.ranges()) {
    spans.add(symbol, {
      rows: to - from,
      firstLocal: locals[from],
      lastLocal: locals[to - 1],
      firstSeq: seqs[from],
      lastSeq: seqs[to - 1],
    });
  }
  // They follow each other as they were added; those without a folder, which are one file, came last.
  let to = 0;
  return spans.parts(segment).map((part) => {
    const from = to;
    to += part.span.rows;
    return { ...part, from, to };
  });
}

function differs(path: string, rows: number, lastSeq: number, span: SegmentSpan): JournalError {
  return new JournalError(
    `${path} holds ${rows} rows up to seq ${lastSeq}; it held ${span.rows} up to ${span.lastSeq}`,
  );
}

/** Loads the rows of a dataset. See {@link loadStream}. */
export async function loadDataset(connection: DuckDBConnection, segment: Loadable): Promise<LoadedRows> {
  const { stream, key, span, journalPath } = segment;
  if (!(stream in DATASETS)) throw new JournalError(`this program knows no dataset ${stream}`);
  const dataset = stream as Dataset;
  using reader = JournalReader.open(journalPath);
  const table = `loaded_${loads++}`;
  const loading = await DatasetSegment.open(connection, dataset, key, table);
  try {
    for (const record of reader.records()) {
      if (record.head.type !== RECORD.datasetRows) continue;
      const { nowUs, rows } = parsePayload(journalDatasetRows, record, "rows");
      for (const row of rows) loading.add(row, nowUs);
    }
    const { rows } = loading.seal();
    if (rows !== span.rows) throw new JournalError(`${journalPath} holds ${rows} rows; it held ${span.rows}`);
    return { table, parts: [wholeOf(segment)], content: () => ({ query: datasetQuery(dataset, table) }) };
  } catch (error) {
    loading.discard();
    await connection.run(`DROP TABLE IF EXISTS ${sqlName(table)}`);
    throw error;
  }
}
