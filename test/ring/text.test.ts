import { expect, test } from "bun:test";
import { Row } from "../../src/ring/row.ts";
import { readText, TEXT_CELL_BYTES, TEXT_MAX_BYTES, TEXT_PIECE_BYTES } from "../../src/ring/text.ts";

const utf8 = new TextEncoder();

function roundTrip(text: string): string | null {
  const row = new Row(0, 2);
  // Remains of a longer text must not shine through.
  row.setText(1, utf8.encode("x".repeat(TEXT_MAX_BYTES)), 0, TEXT_MAX_BYTES);
  const bytes = utf8.encode(`<<${text}>>`);
  expect(row.setText(1, bytes, 2, bytes.length - 2)).toBe(true);
  const { cells, words } = row.cellsOf(1);
  return readText(cells, words);
}

test("texts of every length that fits come back", () => {
  for (let length = 1; length <= TEXT_MAX_BYTES; length++) {
    const text = Array.from({ length }, (_, i) => String.fromCharCode(33 + ((i * 7) % 90))).join("");
    expect(roundTrip(text)).toBe(text);
  }
  expect(roundTrip("18446744073709551615")).toBe("18446744073709551615");
  expect(roundTrip("550e8400-e29b-41d4-a716-446655440000")).toBe("550e8400-e29b-41d4-a716-446655440000");
});

test("UTF-8 comes back though a character is cut at the border of two cells", () => {
  for (let lead = 0; lead < TEXT_PIECE_BYTES; lead++) {
    const text = `${"a".repeat(lead)}币安人生é🦆`;
    expect(roundTrip(text)).toBe(text);
  }
  expect(roundTrip("\ufeffid")).toBe("\ufeffid");
});

test("an empty text is NULL, a cleared one too", () => {
  expect(roundTrip("")).toBeNull();
  const row = new Row(0, 1);
  row.setText(0, utf8.encode("abc"), 0, 3);
  row.clearText(0);
  const { cells, words } = row.cellsOf(0);
  expect(readText(cells, words)).toBeNull();
});

test("a text that is too long is refused and leaves NULL, nothing cut off", () => {
  const row = new Row(0, 1);
  row.setText(0, utf8.encode("abc"), 0, 3);
  expect(row.setText(0, utf8.encode("y".repeat(TEXT_MAX_BYTES + 1)), 0, TEXT_MAX_BYTES + 1)).toBe(false);
  expect(row.words.every((word) => word === 0)).toBe(true);
});

test("each cell is DuckDB's inline string: length, bytes, zeros", () => {
  const row = new Row(0, 1);
  row.setText(0, utf8.encode("0123456789abcdef"), 0, 16);
  const { cells } = row.cellsOf(0);
  expect(new DataView(cells.buffer).getUint32(0, true)).toBe(12);
  expect(Buffer.from(cells.subarray(4, 16)).toString()).toBe("0123456789ab");
  expect(new DataView(cells.buffer).getUint32(TEXT_CELL_BYTES, true)).toBe(4);
  expect(Buffer.from(cells.subarray(20, 32)).toString()).toBe(`cdef${"\0".repeat(8)}`);
  expect(cells.subarray(32).every((byte) => byte === 0)).toBe(true);
});

test("texts of one row do not touch each other, new rows are NULL", () => {
  const row = new Row(3, 2);
  expect([...row.numbers]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  row.setText(0, utf8.encode("left"), 0, 4);
  row.setText(1, utf8.encode("right"), 0, 5);
  const read = (slot: number) => {
    const { cells, words } = row.cellsOf(slot);
    return readText(cells, words);
  };
  expect([read(0), read(1)]).toEqual(["left", "right"]);
});
