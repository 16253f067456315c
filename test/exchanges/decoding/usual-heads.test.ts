/** Beginnings of frames that are known by one look, and literals by instrument: of thousands of instruments, and what is none. */
import { describe, expect, test } from "bun:test";
import { placeFrame } from "../../../src/exchanges/decoding/frame-memory.ts";
import { Scanner } from "../../../src/exchanges/decoding/scanner.ts";
import { SymbolLiterals } from "../../../src/exchanges/decoding/symbol-literals.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";
import { UsualHeads } from "../../../src/exchanges/decoding/usual-heads.ts";

const utf8 = new TextEncoder();
const scanner = new Scanner();
const COUNT = 3000;
const SHAPES = ["bookTicker", "aggTrade"];

const nameOf = (i: number) => (i % 7 === 0 ? `币${i}USDT` : `COIN${i}USDT`);
const headOf = (shape: number, name: string) => `{"stream":"${name}@${SHAPES[shape]}","data":`;

function tableOf(count: number): SymbolTable {
  const table = new SymbolTable();
  for (let i = 0; i < count; i++) table.add(nameOf(i), i);
  return table;
}

function headsOf(table: SymbolTable): UsualHeads {
  const shapes = SHAPES.map((_, shape) => new SymbolLiterals(table, (name) => headOf(shape, name)));
  return new UsualHeads({ kindAt: 27, nameAt: 11, shapes });
}

describe("literals of instruments", () => {
  test("each of thousands stands where it stands, and nowhere else", () => {
    const literals = new SymbolLiterals(tableOf(COUNT), (name) => `,"s":"${name}","p":"`);
    // The last one first: room is taken for all before it.
    for (let i = COUNT - 1; i >= 0; i--) {
      const text = `!,"s":"${nameOf(i)}","p":"1`;
      scanner.start(utf8.encode(text));
      scanner.at = 1;
      scanner.literalOf(literals, i);
      expect([i, scanner.failed, scanner.at]).toEqual([i, false, utf8.encode(text).length - 1]);
      expect(literals.lengthAt(i, 0)).toBe(0);
      expect(literals.lengthAt((i + 1) % COUNT, 1)).toBe(0);
    }
  });

  test("a byte that differs is seen wherever it stands, and so is an end too early", () => {
    const table = new SymbolTable();
    table.add("BTCUSDT", 0);
    for (const after of ["", "1", "12", "123"]) {
      const literals = new SymbolLiterals(table, (name) => `"${name}"${after}`);
      const bytes = utf8.encode(`"BTCUSDT"${after}`);
      placeFrame(bytes);
      expect(literals.lengthAt(0, 0)).toBe(bytes.length);
      for (let at = 0; at < bytes.length; at++) {
        const other = bytes.slice();
        other[at] = (bytes[at] as number) ^ 1;
        placeFrame(other);
        expect([after, at, literals.lengthAt(0, 0)]).toEqual([after, at, 0]);
        placeFrame(bytes.subarray(0, at));
        expect([after, at, literals.lengthAt(0, 0)]).toEqual([after, at, 0]);
      }
    }
  });

  test("one that is too short or too long to be compared is an error", () => {
    const table = new SymbolTable();
    table.add("A", 0);
    table.add("B".repeat(250), 1);
    const literals = new SymbolLiterals(table, (name) => name.repeat(5).slice(0, -2));
    expect(() => literals.lengthAt(0, 0)).toThrow(RangeError);
    expect(() => literals.lengthAt(1, 0)).toThrow(RangeError);
  });
});

describe("usual heads", () => {
  test("of thousands of instruments nearly all are known at once when each has come a few times", () => {
    const table = tableOf(COUNT);
    const heads = headsOf(table);
    const missed = () => {
      let misses = 0;
      for (let i = 0; i < COUNT; i++) {
        for (let shape = 0; shape < SHAPES.length; shape++) {
          const head = headOf(shape, nameOf(i));
          scanner.start(utf8.encode(`${head}{}}`));
          const passed = heads.pass(scanner);
          if (passed !== -1) {
            expect([passed, heads.entry, scanner.at]).toEqual([shape, i, utf8.encode(head).length]);
          } else {
            misses++;
            expect(scanner.at).toBe(0);
            heads.learn(shape, i, scanner.begin);
          }
        }
      }
      return misses;
    };
    expect(missed()).toBe(2 * COUNT);
    missed();
    // Of those that meet with two others at one place some go on being learned.
    for (let round = 0; round < 3; round++) expect(missed()).toBeLessThan(0.02 * 2 * COUNT);
  });

  test("a frame that begins otherwise than its instrument's head is not learned", () => {
    const heads = headsOf(tableOf(2));
    const frame = utf8.encode(`{"stream" :"${nameOf(1)}@bookTicker","data":{}}`);
    scanner.start(frame);
    heads.learn(0, 1, scanner.begin);
    expect(heads.pass(scanner)).toBe(-1);
  });
});
