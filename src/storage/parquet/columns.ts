/**
 * How each column of a stream is written: rows of the file, in their order, become the body of a page.
 *
 * Encodings are chosen by what a column is, not by counting its values: times and seq grow within a symbol, so their
 * differences are written; ids as differences where these are narrow, else as they are, which zstd makes less of than of
 * wide differences; doubles as they are, for a dictionary pays only where values are few, and zstd finds those too.
 */
import { isUtf8 } from "node:buffer";
import { type Column, ringKind } from "../../events/columns.ts";
import { LAYOUTS, SYMBOL } from "../../events/layout.ts";
import { columnsOf, type Stream } from "../../events/streams.ts";
import { TEXT_CELL_BYTES, TEXT_MAX_BYTES, TEXT_PIECES } from "../../ring/text.ts";
import type { SegmentKey } from "../names.ts";
import type { SymbolNames } from "../sorted-rows.ts";
import {
  deltaBits,
  deltasFit,
  putBits,
  putDeltas,
  putPacked,
  putRun,
  setLongs,
  widthOf,
} from "./encodings.ts";
import {
  ENCODING,
  type Encoding,
  PAGE_ROWS,
  PHYSICAL,
  type Physical,
  ROW_GROUP_ROWS,
  type Statistics,
} from "./format.ts";
import { type Gathered, gather, gatherWhole, nonePresent, type Slice } from "./gather.ts";
import { type PageMemory, VALUES } from "./page-memory.ts";

/** A page, whose body is in its memory. */
export interface EncodedPage {
  readonly encoding: Encoding;
  readonly statistics: Statistics;
  /** What its numbers stand for, as plain values; null = its values are no numbers of a dictionary. */
  readonly dictionary: { readonly values: number; readonly bytes: Uint8Array } | null;
}

/** A column of a file. */
export interface FileColumn {
  readonly column: Column;
  readonly physical: Physical;
  /** Most rows of a page. */
  readonly pageRows: number;
  encode(slice: Slice, page: PageMemory): EncodedPage;
}

/** Rows of a page of texts: as long as they may be, they fit into its memory. */
const TEXT_PAGE_ROWS = 8 * Math.floor((8 * ROW_GROUP_ROWS) / (TEXT_MAX_BYTES + 4) / 8);
/** Differences of ids of up to so many bits take less room than zstd makes of the ids. */
const NARROW_BITS = 18;
const utf8 = new TextEncoder();

/** Values before they are encoded. */
const scratch = new Float64Array(PAGE_ROWS);
const small = new Uint8Array(ROW_GROUP_ROWS);

/** Columns that are the same for all rows of a segment. */
function constantOf(name: string, key: SegmentKey): string | number | null {
  return name === "run" ? key.run : name === "ring" ? key.ring : null;
}

/** The columns of a file. @param without names of those that its path tells */
export function fileColumns(stream: Stream, key: SegmentKey, without: readonly string[] = []): FileColumn[] {
  return columnsOf(stream)
    .filter(({ name }) => !without.includes(name))
    .map((column) => fileColumn(stream, column, key));
}

function fileColumn(stream: Stream, column: Column, key: SegmentKey): FileColumn {
  const { name, type } = column;
  const layout = LAYOUTS[stream];
  const made = (physical: Physical, encode: FileColumn["encode"], pageRows = ROW_GROUP_ROWS): FileColumn => ({
    column,
    physical,
    pageRows,
    encode,
  });
  const constant = constantOf(name, key);
  if (typeof constant === "string") return made(PHYSICAL.bytes, constantPage(utf8.encode(constant), true));
  if (constant !== null)
    return made(PHYSICAL.int32, constantPage(plainNumber(PHYSICAL.int32, constant), false));
  if (name === "symbol" || name === "instrument") return made(PHYSICAL.bytes, namesPage(name));
  if (ringKind(column) === "text")
    return made(PHYSICAL.bytes, textsPage(layout.texts.indexOf(name)), TEXT_PAGE_ROWS);
  const slot = layout.numbers.indexOf(name);
  if (column.values !== undefined) return made(PHYSICAL.bytes, wordsPage(slot, column.values));
  switch (type) {
    case "DOUBLE":
      return made(PHYSICAL.double, doublesPage(slot), PAGE_ROWS);
    case "TIMESTAMPTZ":
      return made(PHYSICAL.int64, longsPage(slot, true), PAGE_ROWS);
    case "BIGINT":
      return made(PHYSICAL.int64, longsPage(slot, name === "seq"), PAGE_ROWS);
    case "INTEGER":
    case "SMALLINT":
      return made(PHYSICAL.int32, wholesPage(slot), PAGE_ROWS);
    case "BOOLEAN":
      return made(PHYSICAL.boolean, flagsPage(slot), PAGE_ROWS);
    default:
      throw new TypeError(`${stream}.${name}: no rows of type ${type} come through rings`);
  }
}

/** A value as it stands in a plain page. */
function plainNumber(physical: Physical, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  switch (physical) {
    case PHYSICAL.double:
      view.setFloat64(0, value, true);
      return bytes;
    case PHYSICAL.int64:
      view.setBigInt64(0, BigInt(value), true);
      return bytes;
    case PHYSICAL.int32:
      view.setInt32(0, value, true);
      return bytes.subarray(0, 4);
    default:
      bytes[0] = value;
      return bytes.subarray(0, 1);
  }
}

/** Texts as a plain page has them: the length before each. */
function plainTexts(texts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    bytes.set(text, at + 4);
    at += 4 + text.length;
  }
  return bytes;
}

function statisticsOf(physical: Physical, rows: number, { count, min, max }: Gathered): Statistics {
  if (count === 0) return { nulls: rows, min: null, max: null };
  // A zero may be either one: readers are to take them as equal, and the range has to hold both.
  const least = physical === PHYSICAL.double && min === 0 ? -0 : min;
  const most = max === 0 ? 0 : max;
  return { nulls: rows - count, min: plainNumber(physical, least), max: plainNumber(physical, most) };
}

function statisticsOfTexts(nulls: number, texts: readonly Uint8Array[]): Statistics {
  const sorted = texts.toSorted(Buffer.compare);
  return { nulls, min: sorted[0] ?? null, max: sorted.at(-1) ?? null };
}

function doublesPage(slot: number): FileColumn["encode"] {
  return (slice, page) => {
    const gathered = gather(slot, slice, page.doubles);
    page.levels(slice.count, gathered.present, gathered.count);
    page.to = VALUES + 8 * gathered.count;
    const statistics = statisticsOf(PHYSICAL.double, slice.count, gathered);
    return { encoding: ENCODING.plain, statistics, dictionary: null };
  };
}

/** @param grows whether values grow within a symbol, and not by much */
function longsPage(slot: number, grows: boolean): FileColumn["encode"] {
  return (slice, page) => {
    const gathered = gatherWhole(slot, slice, scratch);
    const { count, min, max } = gathered;
    page.levels(slice.count, gathered.present, count);
    const statistics = statisticsOf(PHYSICAL.int64, slice.count, gathered);
    const asDeltas =
      count > 0 && deltasFit(min, max, 64) && (grows || deltaBits(scratch, count) <= NARROW_BITS);
    if (asDeltas) page.to = putDeltas(scratch, count, page.bytes, VALUES);
    else {
      setLongs(scratch, count, page.words, page.doubles);
      page.to = VALUES + 8 * count;
    }
    return { encoding: asDeltas ? ENCODING.delta : ENCODING.plain, statistics, dictionary: null };
  };
}

function wholesPage(slot: number): FileColumn["encode"] {
  return (slice, page) => {
    const gathered = gatherWhole(slot, slice, scratch);
    const { count, min, max } = gathered;
    page.levels(slice.count, gathered.present, count);
    const statistics = statisticsOf(PHYSICAL.int32, slice.count, gathered);
    const asDeltas = count > 0 && deltasFit(min, max, 32);
    if (asDeltas) page.to = putDeltas(scratch, count, page.bytes, VALUES);
    else {
      for (let i = 0; i < count; i++) page.words[i] = scratch[i];
      page.to = VALUES + 4 * count;
    }
    return { encoding: asDeltas ? ENCODING.delta : ENCODING.plain, statistics, dictionary: null };
  };
}

function flagsPage(slot: number): FileColumn["encode"] {
  return (slice, page) => {
    const gathered = gatherWhole(slot, slice, scratch);
    const { count } = gathered;
    page.levels(slice.count, gathered.present, count);
    takeFlags(count);
    page.to = putBits(small, count, 1, page.bytes, VALUES);
    const statistics = statisticsOf(PHYSICAL.boolean, slice.count, gathered);
    return { encoding: ENCODING.plain, statistics, dictionary: null };
  };
}

function takeFlags(count: number): void {
  for (let i = 0; i < count; i++) small[i] = scratch[i] === 0 ? 0 : 1;
}

function constantPage(value: Uint8Array, isText: boolean): FileColumn["encode"] {
  const dictionary = { values: 1, bytes: isText ? plainTexts([value]) : value };
  return ({ count }, page) => {
    page.levels(count, null, count);
    page.bytes[VALUES] = 1;
    page.to = putRun(0, count, 1, page.bytes, VALUES + 1);
    return { encoding: ENCODING.dictionary, statistics: { nulls: 0, min: value, max: value }, dictionary };
  };
}

/** A name of the symbol: rows of a symbol follow each other, so they are one run. */
function namesPage(which: keyof SymbolNames): FileColumn["encode"] {
  return ({ rows, from, count }, page) => {
    const { names } = rows;
    const numbers = rows.number(SYMBOL);
    const texts: Uint8Array[] = [];
    const places = new Map<number, number>();
    const runs: { readonly place: number; readonly rows: number }[] = [];
    for (let row = 0; row < count; ) {
      const number = numbers[from + row];
      let end = row + 1;
      while (end < count && numbers[from + end] === number) end++;
      let place = places.get(number);
      if (place === undefined) {
        const name = names[number]?.[which];
        if (name === undefined) throw new Error(`no symbol has the number ${number}`);
        place = texts.push(name) - 1;
        places.set(number, place);
      }
      runs.push({ place, rows: end - row });
      row = end;
    }
    const width = widthOf(texts.length - 1);
    page.levels(count, null, count);
    page.bytes[VALUES] = width;
    let to = VALUES + 1;
    for (const run of runs) to = putRun(run.place, run.rows, width, page.bytes, to);
    page.to = to;
    const dictionary = { values: texts.length, bytes: plainTexts(texts) };
    return { encoding: ENCODING.dictionary, statistics: statisticsOfTexts(0, texts), dictionary };
  };
}

/** Words of a closed set, which travel as 1, 2, …; any other number is NULL. */
function wordsPage(slot: number, values: readonly string[]): FileColumn["encode"] {
  const texts = values.map((value) => utf8.encode(value));
  const dictionary = { values: texts.length, bytes: plainTexts(texts) };
  const width = widthOf(texts.length - 1);
  return ({ rows, from, count }, page) => {
    const codes = rows.number(slot);
    const present = nonePresent();
    let taken = 0;
    for (let row = 0; row < count; row += PAGE_ROWS)
      taken = takeWords(codes, from, row, Math.min(count, row + PAGE_ROWS), texts.length, present, taken);
    const seen = new Set<number>();
    for (let i = 0; i < taken && seen.size < texts.length; i++) seen.add(small[i]);
    page.levels(count, taken === count ? null : present, taken);
    page.bytes[VALUES] = width;
    page.to = putPacked(small, taken, width, page.bytes, VALUES + 1);
    const used = texts.filter((_, place) => seen.has(place));
    return { encoding: ENCODING.dictionary, statistics: statisticsOfTexts(count - taken, used), dictionary };
  };
}

/** Takes the words of rows `row` to `end`, behind `before` others. @returns how many there are then */
function takeWords(
  codes: Float64Array,
  from: number,
  row: number,
  end: number,
  words: number,
  present: Uint8Array,
  before: number,
): number {
  let taken = before;
  for (let at = row; at < end; at++) {
    const code = codes[from + at];
    if (!(code >= 1 && code <= words)) continue;
    present[at >>> 3] |= 1 << (at & 7);
    small[taken++] = code - 1;
  }
  return taken;
}

/** Texts of up to {@link TEXT_MAX_BYTES}, each behind its length; an empty one is NULL. */
function textsPage(text: number): FileColumn["encode"] {
  return ({ rows, from, count }, page) => {
    const { order } = rows;
    const { bytes } = page;
    const cells = Array.from({ length: TEXT_PIECES }, (_, piece) => {
      const { buffer, byteOffset, byteLength } = rows.piece(text, piece);
      return new Uint8Array(buffer, byteOffset, byteLength);
    });
    const present = nonePresent();
    let taken = 0;
    let to = VALUES;
    for (let row = 0; row < count; row++) {
      const at = order[from + row] * TEXT_CELL_BYTES;
      const begin = to + 4;
      let end = begin;
      for (let piece = 0; piece < TEXT_PIECES; piece++) {
        const source = cells[piece];
        const length = source[at];
        if (length === 0) break;
        for (let i = at + 4; i < at + 4 + length; i++) bytes[end++] = source[i];
      }
      if (end === begin) continue;
      bytes[to] = end - begin;
      bytes[to + 1] = 0;
      bytes[to + 2] = 0;
      bytes[to + 3] = 0;
      to = end;
      taken++;
      present[row >>> 3] |= 1 << (row & 7);
    }
    page.levels(count, taken === count ? null : present, taken);
    page.to = to;
    // Lengths are below 128, ASCII as it were, so that no character reaches from one text into the next.
    if (!rows.textsAreShort && !isUtf8(bytes.subarray(VALUES, to))) throw new Error("a text is not UTF-8");
    // No range: to compare texts costs more than it would spare a reader, since ids of all symbols lie beside each other.
    const statistics = { nulls: count - taken, min: null, max: null };
    return { encoding: ENCODING.plain, statistics, dictionary: null };
  };
}
