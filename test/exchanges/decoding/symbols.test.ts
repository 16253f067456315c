import { expect, test } from "bun:test";
import { HASH_PRIME, HASH_START, SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";

const utf8 = new TextEncoder();

function entryOf(table: SymbolTable, text: string): number {
  const bytes = utf8.encode(`..${text}!`);
  let hash = HASH_START;
  for (let at = 2; at < bytes.length - 1; at++) hash = Math.imul(hash ^ bytes[at], HASH_PRIME);
  return table.entryOf(bytes, 2, bytes.length - 1, hash);
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
