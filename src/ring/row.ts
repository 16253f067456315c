import { copyText, TEXT_CELL_BYTES, TEXT_PIECES, TEXT_WORDS, writeText } from "./text.ts";

/**
 * One record being put together: a slot per number (NaN = NULL) and cells per text.
 *
 * Slots keep their values from one record to the next; whoever fills a row sets every slot it owns.
 */
export class Row {
  readonly numbers: Float64Array;
  /** Cells of all texts as words, {@link TEXT_WORDS} each. */
  readonly words: Int32Array;
  readonly #cells: Uint8Array[] = [];
  readonly #words: Int32Array[] = [];

  constructor(numbers: number, texts: number) {
    this.numbers = new Float64Array(numbers).fill(Number.NaN);
    const bytes = new ArrayBuffer(texts * TEXT_PIECES * TEXT_CELL_BYTES);
    this.words = new Int32Array(bytes);
    for (let text = 0; text < texts; text++) {
      const at = text * TEXT_PIECES * TEXT_CELL_BYTES;
      this.#cells.push(new Uint8Array(bytes, at, TEXT_PIECES * TEXT_CELL_BYTES));
      this.#words.push(new Int32Array(bytes, at, TEXT_WORDS));
    }
  }

  /** Sets text `slot` from bytes; false, and NULL, if they are more than TEXT_MAX_BYTES. */
  setText(slot: number, source: Uint8Array, from: number, to: number): boolean {
    const words = this.#words[slot];
    if (writeText(words, source, from, to)) return true;
    words.fill(0);
    return false;
  }

  /** The same from memory that can be read by words, three bytes beyond `to` included. */
  setTextFrom(slot: number, source: DataView, from: number, to: number): boolean {
    const words = this.#words[slot];
    if (copyText(words, source, from, to)) return true;
    words.fill(0);
    return false;
  }

  /** The cells of text `slot` as words, to be set; see text.ts. */
  wordsOf(slot: number): Int32Array {
    return this.#words[slot];
  }

  /** Sets text `slot` to NULL. */
  clearText(slot: number): void {
    this.#words[slot].fill(0);
  }

  /** The cells of text `slot`, for readers. */
  cellsOf(slot: number): { cells: Uint8Array; words: Int32Array } {
    return { cells: this.#cells[slot], words: this.#words[slot] };
  }
}
