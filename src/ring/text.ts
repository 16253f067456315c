/**
 * Short texts inside a ring: TEXT_PIECES cells of 16 bytes, each the inline form of DuckDB's public
 * `duckdb_string_t` (uint32 length, then up to 12 bytes, the rest zero; duckdb.h). A cell is therefore
 * valid memory of a BLOB vector as it stands: a text column moves from shared memory into a chunk by
 * block copies like any number, and SQL joins the pieces again. No length anywhere means NULL.
 */

/** Bytes of one cell. */
export const TEXT_CELL_BYTES = 16;
/** Bytes of text in one cell. */
export const TEXT_PIECE_BYTES = 12;
/** Cells per text. */
export const TEXT_PIECES = 4;
/** Longest text, in bytes of UTF-8. A UUID needs 36. */
export const TEXT_MAX_BYTES = TEXT_PIECES * TEXT_PIECE_BYTES;

/** 32-bit words of all cells of one text. */
export const TEXT_WORDS = (TEXT_PIECES * TEXT_CELL_BYTES) / 4;

/**
 * Writes the bytes `from` (inclusive) to `to` of `source` into cells, given as {@link TEXT_WORDS} words; false if they
 * are too many. Word by word: filling and storing bytes costs several times as much.
 */
export function writeText(words: Int32Array, source: Uint8Array, from: number, to: number): boolean {
  const length = to - from;
  if (length > TEXT_MAX_BYTES) return false;
  let at = from;
  for (let cell = 0; cell < TEXT_WORDS; cell += 4) {
    const rest = to - at;
    const end = rest > TEXT_PIECE_BYTES ? at + TEXT_PIECE_BYTES : to;
    words[cell] = end - at;
    for (let word = 1; word < 4; word++, at += 4) {
      if (at + 4 <= end) {
        words[cell + word] =
          source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24);
      } else {
        let last = 0;
        for (let i = end - 1; i >= at; i--) last = (last << 8) | source[i];
        words[cell + word] = last;
      }
    }
    at = end;
  }
  return true;
}

/** {@link writeText} from memory that can be read by words: a third of the price. Reads up to three bytes beyond `to`. */
export function copyText(words: Int32Array, source: DataView, from: number, to: number): boolean {
  if (to - from > TEXT_MAX_BYTES) return false;
  let at = from;
  for (let cell = 0; cell < TEXT_WORDS; cell += 4) {
    const rest = to - at;
    if (rest >= TEXT_PIECE_BYTES) {
      words[cell] = TEXT_PIECE_BYTES;
      words[cell + 1] = source.getInt32(at, true);
      words[cell + 2] = source.getInt32(at + 4, true);
      words[cell + 3] = source.getInt32(at + 8, true);
      at += TEXT_PIECE_BYTES;
      continue;
    }
    words[cell] = rest;
    words[cell + 1] = firstBytes(source, at, rest);
    words[cell + 2] = firstBytes(source, at + 4, rest - 4);
    words[cell + 3] = firstBytes(source, at + 8, rest - 8);
    at = to;
  }
  return true;
}

/** A word of which only the first `count` bytes count. */
function firstBytes(source: DataView, at: number, count: number): number {
  if (count <= 0) return 0;
  const word = source.getInt32(at, true);
  return count >= 4 ? word : word & ((1 << (count * 8)) - 1);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads a text back; null when there is none. */
export function readText(cells: Uint8Array, words: Int32Array): string | null {
  const bytes = new Uint8Array(TEXT_MAX_BYTES);
  let length = 0;
  for (let piece = 0; piece < TEXT_PIECES; piece++) {
    const take = words[piece * 4];
    const base = piece * TEXT_CELL_BYTES + 4;
    for (let i = 0; i < take; i++) bytes[length++] = cells[base + i];
  }
  return length === 0 ? null : decoder.decode(bytes.subarray(0, length));
}
