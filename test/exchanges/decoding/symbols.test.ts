import { expect, test } from "bun:test";
import { placeFrame } from "../../../src/exchanges/decoding/frame-memory.ts";
import { Scanner } from "../../../src/exchanges/decoding/scanner.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";

const utf8 = new TextEncoder();
const scanner = new Scanner();

function entryOf(table: SymbolTable, text: string): number {
  const frame = utf8.encode(`${text}"!`);
  scanner.start(frame);
  const entry = scanner.symbol(table);
  expect(scanner.failed).toBe(entry === -1);
  if (entry !== -1) expect(scanner.at).toBe(frame.length - 1);
  return entry;
}

test("thousands of instruments are found by their bytes, others are not", () => {
  const table = new SymbolTable();
  const name = (i: number) => (i % 7 === 0 ? `币${i}USDT` : `COIN${i}USDT`);
  for (let i = 0; i < 3000; i++) table.add(name(i), i * 3);
  for (let i = 0; i < 3000; i++) {
    const entry = entryOf(table, name(i));
    expect(table.numberOf(entry)).toBe(i * 3);
    expect(table.find(name(i))).toBe(i * 3);
    expect(Buffer.from(table.lowerNameOf(entry)).toString()).toBe(name(i).toLowerCase());
  }
  for (const absent of ["", "COIN1USD", "COIN1USDTT", "coin1usdt", "COIN3000USDT", "币"]) {
    expect(entryOf(table, absent)).toBe(-1);
    expect(table.find(absent)).toBe(-1);
  }
});

test("instruments whose hashes meet in the same slot are told apart", () => {
  const table = new SymbolTable();
  // Far more names than slots of the first table, added one by one: every stage of growth is passed.
  const names = Array.from({ length: 300 }, (_, i) => i.toString(36).toUpperCase());
  names.forEach((name, number) => {
    table.add(name, number);
    for (let i = 0; i <= number; i += 13) expect(table.numberOf(entryOf(table, names[i]))).toBe(i);
  });
});

test("names that a frame would have to escape are not found in one, nor are those longer than may be looked at", () => {
  const table = new SymbolTable();
  const odd = ['A"B', "A\\B", "A\nB", "A\u0000", "X".repeat(600), ""];
  odd.forEach((name, number) => {
    table.add(name, number);
  });
  expect(odd.map((name) => table.find(name))).toEqual([...odd.keys()]);
  for (const name of odd.slice(0, -1)) expect(entryOf(table, name)).toBe(-1);
});

test("an instrument without closing quote is none, even where the frame before had one there", () => {
  const table = new SymbolTable();
  table.add("BTCUSDT", 1);
  expect(entryOf(table, "BTCUSDT")).toBe(0);
  for (const cut of ["BTCUSDT", "BTCUSD", "BTC", ""]) {
    placeFrame(utf8.encode('BTCUSDT"BTCUSDT"'));
    scanner.start(utf8.encode(cut));
    expect([scanner.symbol(table), scanner.failed]).toEqual([-1, true]);
  }
});

test("the same instrument twice keeps its number", () => {
  const table = new SymbolTable();
  table.add("BTCUSDT", 5);
  table.add("BTCUSDT", 6);
  expect([table.find("BTCUSDT"), table.instruments.length]).toEqual([5, 1]);
});

test("an open table numbers what it meets, a closed one does not", () => {
  const open = new SymbolTable({ open: true });
  expect([open.find("A"), open.find("B"), open.find("A")]).toEqual([0, 1, 0]);
  expect(open.instruments).toEqual(["A", "B"]);
  const closed = new SymbolTable();
  expect([closed.find("A"), closed.instruments.length]).toEqual([-1, 0]);
});
