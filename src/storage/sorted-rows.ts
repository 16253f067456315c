import { type Layout, SYMBOL } from "../events/layout.ts";
import type { RowSource } from "../ring/row-source.ts";
import { TEXT_CELL_BYTES, TEXT_PIECE_BYTES, TEXT_PIECES } from "../ring/text.ts";

/** A symbol as the rows of a segment name it: by its number. */
export interface NumberedSymbol {
  readonly number: number;
  readonly symbol: string;
  readonly instrument: string;
}

/** Both names of a symbol, UTF-8. */
export interface SymbolNames {
  readonly symbol: Uint8Array;
  readonly instrument: Uint8Array;
}

const utf8 = new TextEncoder();
const CELL_WORDS = TEXT_CELL_BYTES / 4;
/** Rows that one call of a loop over them goes through. */
const BLOCK_ROWS = 8192;
/** Bit of each byte of a word that only characters beyond ASCII have. */
const HIGH_BITS = 0x80808080;

/** Parts of a doubling in which {@link RowMemory} grows. */
const GROWTH_STEPS = 8;

/**
 * Memory for the rows of one segment after the other: as large as the largest one needed so far, or an eighth larger.
 *
 * Segments that are sealed by time all have about the same rows, some a few more than any before. If memory grew by these few, each
 * of them would leave all of it behind, tens of MiB, until the engine collects, which for a thread that makes little garbage is
 * minutes later. What is left behind after all is given back at once: views of it are empty from then on.
 */
export class RowMemory {
  #buffer = new ArrayBuffer(0);

  /** At least `bytes` of memory, holding whatever was there. Only one segment may use it at a time: it may end what was given before. */
  reserve(bytes: number): ArrayBuffer {
    if (this.#buffer.byteLength < bytes) this.#grow(bytes);
    return this.#buffer;
  }

  #grow(bytes: number): void {
    // Detached, it is freed now; before the new one is there, for both together would be the most that the process ever has.
    this.#buffer = this.#buffer.transfer(0);
    const step = Math.max(8, 2 ** Math.floor(Math.log2(bytes)) / GROWTH_STEPS);
    this.#buffer = new ArrayBuffer(Math.ceil(bytes / step) * step);
  }
}

/**
 * The rows of a segment in the order of its file: symbol, local_timestamp, seq.
 *
 * They come in the order in which they were received, in which time never goes back and seq grows. So grouping them
 * by symbol is all there is to sort, and a counting sort does that: it counts the rows of each symbol, then gives each
 * row the next place of its symbol.
 *
 * A column of numbers is brought into that order when it is first asked for, row after row as they came: so it is read from the begin
 * to the end, and written at as many places as there are symbols, which all lie in the processor's nearest cache. Picking
 * a value of each row in the order of the file would miss that cache nearly each time. Texts stay where they are;
 * {@link order} tells which row comes when.
 */
export class SortedRows {
  /** For each row of the file its place in the columns of texts. Complete after {@link sort}. */
  readonly order: Int32Array;
  /** For each row in the order in which they came its place in the file. */
  readonly #places: Int32Array;
  /** Names of the symbols by number. */
  readonly names: (SymbolNames | undefined)[] = [];
  /** Rows taken so far. */
  rows = 0;
  readonly #capacity: number;
  readonly #bytes: Uint8Array;
  /** The same memory, by words. */
  readonly #words: Int32Array;
  readonly #numbers: Float64Array[] = [];
  /** Whether a column of numbers is in the order of the file. */
  readonly #ordered: boolean[] = [];
  /** Where the next column is brought into order; its own place is the next spare one. */
  #spare: Float64Array;
  readonly #cells: Int32Array[] = [];
  /** Whether each text fits into its first cell and is ASCII. */
  #short = true;
  /** By number of a symbol its place in the order of the file, and by place a symbol that has it. */
  #ranks = new Int32Array(0);
  readonly #ranked: string[] = [];

  /** @param rows how many there will be */
  constructor(layout: Layout, rows: number, memory: RowMemory) {
    const texts = layout.texts.length * TEXT_PIECES;
    const rowBytes = layout.numbers.length * 8 + texts * TEXT_CELL_BYTES + 8;
    const buffer = memory.reserve(rows * (rowBytes + 8));
    this.#capacity = rows;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    this.#spare = new Float64Array(buffer, 0, rows);
    let at = rows * 8;
    for (let column = 0; column < layout.numbers.length; column++, at += rows * 8)
      this.#numbers.push(new Float64Array(buffer, at, rows));
    for (let piece = 0; piece < texts; piece++, at += rows * TEXT_CELL_BYTES)
      this.#cells.push(new Int32Array(buffer, at, rows * CELL_WORDS));
    this.order = new Int32Array(buffer, at, rows);
    this.#places = new Int32Array(buffer, at + rows * 4, rows);
  }

  /** A numeric column, in the order in which rows came; NaN = NULL. Not after {@link sort}. */
  unsorted(column: number): Float64Array {
    return this.#numbers[column];
  }

  /** A numeric column, in the order of the file; NaN = NULL. Only after {@link sort}. */
  number(column: number): Float64Array {
    const values = this.#numbers[column];
    if (this.#ordered[column]) return values;
    const { rows } = this;
    // In any order it is the same: most columns of flags, and those that an exchange does not have.
    if (isConstant(this.#words, values.byteOffset / 4, rows)) {
      this.#ordered[column] = true;
      return values;
    }
    const target = this.#spare;
    for (let from = 0; from < rows; from += BLOCK_ROWS)
      move(values, this.#places, target, from, Math.min(rows, from + BLOCK_ROWS));
    this.#spare = values;
    this.#numbers[column] = target;
    this.#ordered[column] = true;
    return target;
  }

  /** A piece of a text, as cells of four words, in the order in which rows came. */
  piece(text: number, piece: number): Int32Array {
    return this.#cells[text * TEXT_PIECES + piece];
  }

  /** Whether each text is ASCII and fits into its first cell: then that cell is the text as DuckDB has it. */
  get textsAreShort(): boolean {
    return this.#short;
  }

  /**
   * Takes `count` rows: copies them.
   *
   * @throws RangeError where they are more than were announced
   */
  take(from: RowSource, count: number): void {
    const { rows } = this;
    if (rows + count > this.#capacity) throw new RangeError(`more than ${this.#capacity} rows`);
    const { buffer } = from;
    for (let column = 0; column < this.#numbers.length; column++) {
      const { byteOffset } = this.#numbers[column];
      const source = new Uint8Array(buffer, from.numberOffset(column), count * 8);
      this.#bytes.set(source, byteOffset + rows * 8);
    }
    for (let cell = 0; cell < this.#cells.length; cell++) {
      const { byteOffset } = this.#cells[cell];
      const at = from.textOffset(Math.floor(cell / TEXT_PIECES), cell % TEXT_PIECES);
      const source = new Uint8Array(buffer, at, count * TEXT_CELL_BYTES);
      this.#bytes.set(source, byteOffset + rows * TEXT_CELL_BYTES);
    }
    this.rows += count;
  }

  /**
   * Finds the order, when all rows are there.
   *
   * @param isLast whether rows of a symbol come behind all others
   * @throws Error where a row has a number that is no symbol's
   */
  sort(symbols: readonly NumberedSymbol[], isLast: (symbol: string) => boolean = () => false): void {
    const ranks = this.#rank(symbols, isLast);
    const { rows, order } = this;
    const places = this.#places;
    const numbers = this.#numbers[SYMBOL];
    const next = new Int32Array(symbols.length + 1);
    for (let from = 0; from < rows; from += BLOCK_ROWS) {
      const wrong = count(numbers, ranks, next, from, Math.min(rows, from + BLOCK_ROWS));
      if (wrong >= 0) throw new Error(`row ${wrong} has the number ${numbers[wrong]}, which is no symbol's`);
    }
    for (let rank = 0; rank < symbols.length; rank++) next[rank + 1] += next[rank];
    for (let from = 0; from < rows; from += BLOCK_ROWS)
      place(numbers, ranks, next, order, places, from, Math.min(rows, from + BLOCK_ROWS));
    this.#order(symbols, next);
    this.#short = this.#cells.every((cells, cell) => isShort(cells, rows, cell % TEXT_PIECES === 0));
  }

  /**
   * Brings the numbers of symbols into order, where no symbol has two: they are known without looking at rows.
   *
   * @param ends by rank, where its rows end
   */
  #order(symbols: readonly NumberedSymbol[], ends: Int32Array): void {
    if (this.#ranked.length < symbols.length) return;
    const target = this.#spare;
    for (const { number } of symbols) {
      const rank = this.#ranks[number];
      target.fill(number, rank === 0 ? 0 : ends[rank - 1], ends[rank]);
    }
    this.#spare = this.#numbers[SYMBOL];
    this.#numbers[SYMBOL] = target;
    this.#ordered[SYMBOL] = true;
  }

  /** The rows of one symbol after the other, as they follow each other in the order of the file. */
  *ranges(): Generator<{ readonly symbol: string; readonly from: number; readonly to: number }> {
    const { rows } = this;
    const numbers = this.number(SYMBOL);
    for (let from = 0; from < rows; ) {
      const rank = this.#ranks[numbers[from]];
      let to = from + 1;
      while (to < rows && this.#ranks[numbers[to]] === rank) to++;
      yield { symbol: this.#ranked[rank], from, to };
      from = to;
    }
  }

  /** Ranks by number, -1 = no symbol has it; symbols of the same name have the same. */
  #rank(symbols: readonly NumberedSymbol[], isLast: (symbol: string) => boolean): Int32Array {
    const ranks = new Int32Array(symbols.reduce((most, { number }) => Math.max(most, number + 1), 0)).fill(
      -1,
    );
    const named = symbols.map(({ number, symbol, instrument }) => {
      const names = { symbol: utf8.encode(symbol), instrument: utf8.encode(instrument) };
      this.names[number] = names;
      return { number, symbol, bytes: names.symbol, last: isLast(symbol) };
    });
    // By the bytes of UTF-8, as DuckDB compares texts.
    named.sort((a, b) => Number(a.last) - Number(b.last) || Buffer.compare(a.bytes, b.bytes));
    let rank = -1;
    let before: (typeof named)[number] | null = null;
    for (const one of named) {
      const { number, symbol, bytes, last } = one;
      if (before === null || before.last !== last || Buffer.compare(before.bytes, bytes) !== 0) rank++;
      before = one;
      ranks[number] = rank;
      this.#ranked[rank] = symbol;
    }
    this.#ranks = ranks;
    return ranks;
  }
}

// The loops over rows are functions of their own, called for some thousand rows at a time: so they are compiled once, as
// functions, and not again and again for being entered while they run.

/** Counts rows by rank, one place further on. @returns a row whose number is no symbol's; -1 = all are */
function count(
  numbers: Float64Array,
  ranks: Int32Array,
  counts: Int32Array,
  from: number,
  to: number,
): number {
  for (let row = from; row < to; row++) {
    const rank = ranks[numbers[row]];
    // Also where the number is beyond the end, or none at all.
    if (!(rank >= 0)) return row;
    counts[rank + 1]++;
  }
  return -1;
}

/** Gives each row the next place of its rank. */
function place(
  numbers: Float64Array,
  ranks: Int32Array,
  next: Int32Array,
  order: Int32Array,
  places: Int32Array,
  from: number,
  to: number,
): void {
  for (let row = from; row < to; row++) {
    const at = next[ranks[numbers[row]]]++;
    order[at] = row;
    places[row] = at;
  }
}

/** Brings values to their places. */
function move(
  values: Float64Array,
  places: Int32Array,
  target: Float64Array,
  from: number,
  to: number,
): void {
  for (let row = from; row < to; row++) target[places[row]] = values[row];
}

/** Whether all doubles from a word on have the same bits. */
function isConstant(words: Int32Array, first: number, rows: number): boolean {
  const [lower, upper] = [words[first], words[first + 1]];
  for (let at = first + 2; at < first + 2 * rows; at += 2)
    if (words[at] !== lower || words[at + 1] !== upper) return false;
  return true;
}

/** Whether cells are empty, or the first ones of texts that end there and are ASCII. */
function isShort(cells: Int32Array, rows: number, areFirst: boolean): boolean {
  for (let row = 0; row < rows; row += BLOCK_ROWS) {
    const from = row * CELL_WORDS;
    const to = Math.min(rows, row + BLOCK_ROWS) * CELL_WORDS;
    if (!(areFirst ? areShort(cells, from, to) : areEmpty(cells, from, to))) return false;
  }
  return true;
}

function areShort(cells: Int32Array, from: number, to: number): boolean {
  let bits = 0;
  let longest = 0;
  for (let at = from; at < to; at += CELL_WORDS) {
    longest = Math.max(longest, cells[at]);
    bits |= cells[at + 1] | cells[at + 2] | cells[at + 3];
  }
  return longest <= TEXT_PIECE_BYTES && (bits & HIGH_BITS) === 0;
}

function areEmpty(cells: Int32Array, from: number, to: number): boolean {
  let lengths = 0;
  for (let at = from; at < to; at += CELL_WORDS) lengths |= cells[at];
  return lengths === 0;
}
