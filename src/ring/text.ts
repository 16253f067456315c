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

/** Writes the bytes `from` (inclusive) to `to` of `source` into the cells at `cells`; false if too long. */
export function writeText(
  cells: Uint8Array,
  words: Int32Array,
  source: Uint8Array,
  from: number,
  to: number,
): boolean {
  const length = to - from;
  if (length > TEXT_MAX_BYTES) return false;
  words.fill(0);
  let rest = length;
  for (let piece = 0, at = from; rest > 0; piece++) {
    const take = rest < TEXT_PIECE_BYTES ? rest : TEXT_PIECE_BYTES;
    words[piece * 4] = take;
    const base = piece * TEXT_CELL_BYTES + 4;
    for (let i = 0; i < take; i++) cells[base + i] = source[at + i];
    at += take;
    rest -= take;
  }
  return true;
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
