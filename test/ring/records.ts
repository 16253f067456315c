/** Records whose whole content follows from their number, so that another thread can check every byte. */
import { TEXT_CELL_BYTES, TEXT_MAX_BYTES, TEXT_PIECE_BYTES, TEXT_PIECES } from "../../src/ring/text.ts";

/** Numeric columns of a test ring. */
export const NUMBERS = 4;
/** Text columns of a test ring. */
export const TEXTS = 2;
/** Slot of the running number. */
export const SEQ = 2;

const TEXT_BYTES = TEXT_PIECES * TEXT_CELL_BYTES;

/** Value of numeric column `column` in record `seq`; column {@link SEQ} is the number itself. */
export function numberOf(seq: number, column: number): number {
  if (column === SEQ) return seq;
  if (column === 0) return seq % 7 === 0 ? Number.NaN : seq * 0.5;
  return column === 1 ? -seq : 1.7e15 + seq;
}

/** Bytes of text `text` in record `seq`. */
export function lengthOf(seq: number, text: number): number {
  return (seq * 5 + text * 17) % (TEXT_MAX_BYTES + 1);
}

// All texts of all lengths, as cells: record `seq` has the one at (seq % 64, its length).
const SHIFTS = 64;

function cellsFor(shift: number, length: number): Uint8Array {
  const cells = new Uint8Array(TEXT_BYTES);
  for (let i = 0; i < length; i++) {
    const piece = Math.floor(i / TEXT_PIECE_BYTES);
    cells[piece * TEXT_CELL_BYTES]++;
    cells[piece * TEXT_CELL_BYTES + 4 + (i % TEXT_PIECE_BYTES)] = 33 + ((shift * 7 + i * i) % 200);
  }
  return cells;
}

const EXPECTED: readonly Int32Array[] = Array.from(
  { length: SHIFTS * (TEXT_MAX_BYTES + 1) },
  (_, i) => new Int32Array(cellsFor(Math.floor(i / (TEXT_MAX_BYTES + 1)), i % (TEXT_MAX_BYTES + 1)).buffer),
);

/** The text of a record as the words of its cells. */
export function wordsOf(seq: number, text: number): Int32Array {
  return EXPECTED[((seq + text) % SHIFTS) * (TEXT_MAX_BYTES + 1) + lengthOf(seq, text)];
}

/** The text of a record as plain bytes, for a producer. */
export function bytesOf(seq: number, text: number, target: Uint8Array): number {
  const length = lengthOf(seq, text);
  const shift = (seq + text) % SHIFTS;
  for (let i = 0; i < length; i++) target[i] = 33 + ((shift * 7 + i * i) % 200);
  return length;
}
