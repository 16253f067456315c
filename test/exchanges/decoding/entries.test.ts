import { describe, expect, test } from "bun:test";
import { z } from "zod";
import {
  type EntryShape,
  rawEntries,
  readEntries,
  type Skipped,
} from "../../../src/exchanges/decoding/entries.ts";
import { answered } from "../../lib/rest.ts";

const schema = z.looseObject({
  symbol: z.string(),
  coin: z.string().nullish(),
  tick: z.string().nullish(),
  rules: z.array(z.looseObject({ step: z.string().nullish() }).nullish()).nullish(),
});
const shape: EntryShape<z.infer<typeof schema>> = { schema, keys: ["symbol", "coin"] };

/** Reads a list; what was told with it. */
function read(list: readonly unknown[]) {
  const told: Parameters<Skipped>[] = [];
  const entries = rawEntries(answered({ list }), ["list"], list);
  return { read: readEntries("/list", shape, entries, (...args) => told.push(args)), told };
}

describe("reading entry by entry", () => {
  test("odd entries are left out and told, the others stay beside their source", () => {
    const found = read([{ symbol: "A", x: "0.10" }, null, { symbol: "B", coin: null }, { symbol: 5 }]);
    expect(found.read.map(({ entry }) => entry.symbol)).toEqual(["A", "B"]);
    expect(found.read[0]?.raw).toBe('{"symbol":"A","x":"0.10"}');
    expect(found.told).toEqual([["entries", 2, expect.stringContaining("object")]]);
  });

  test("a list of which nothing can be read is an error, an empty one is not", () => {
    expect(() => read([null, 5])).toThrow("/list has an unexpected shape");
    expect(read([])).toEqual({ read: [], told: [] });
  });

  test("an odd field is null and told, those around it stay", () => {
    const rules = [{ step: "1" }, { step: 1 }, 7, null, { step: null }, {}];
    const entry = { symbol: "A", tick: 0.1, rules, more: { a: 1 } };
    const { read: found, told } = read([entry, { symbol: "B", tick: [], rules: "none" }, { symbol: "C" }]);
    expect(found.map((one) => one.entry)).toEqual([
      {
        symbol: "A",
        tick: null,
        rules: [{ step: "1" }, { step: null }, null, null, { step: null }, {}],
        more: { a: 1 },
      },
      { symbol: "B", tick: null, rules: null },
      { symbol: "C" },
    ]);
    expect(found[0]?.raw).toBe(JSON.stringify(entry));
    expect(told).toEqual([["fields", 5, expect.stringMatching(/^A: .* at tick .* at rules\[1\]\.step/)]]);
  });

  test("an odd key is an odd entry, whatever else is odd in it", () => {
    const { read: found, told } = read([
      { symbol: "A", coin: 5, tick: 5 },
      { symbol: "B", tick: 5 },
    ]);
    expect(found.map(({ entry }) => entry)).toEqual([{ symbol: "B", tick: null }]);
    expect(told.map(([what, count]) => [what, count])).toEqual([
      ["entries", 1],
      ["fields", 1],
    ]);
  });

  test("what is told is short", () => {
    const { told } = read([{ symbol: "A".repeat(10_000), tick: 5 }]);
    expect(told[0]?.[2].length).toBe(300);
  });
});

describe("sources", () => {
  test("are cut out of the text", () => {
    const text = '{"list":[ {"a":0.10 } , 9007199254740993,"x"]}';
    const body = JSON.parse(text) as { list: unknown[] };
    expect(rawEntries({ text, body }, ["list"], body.list).map(({ source }) => source)).toEqual([
      '{"a":0.10 }',
      "9007199254740993",
      '"x"',
    ]);
  });

  test("are written anew where the text has no such list, or another one", () => {
    const list = [{ a: 1 }, { b: 2 }];
    for (const text of ['{"list":[]}', "{}", "", '{"list":[{"b":2},{"a":1}]}', '{"list":[{"a":1},{"b":2]}']) {
      expect(rawEntries({ text, body: null }, ["list"], list).map(({ source }) => source)).toEqual([
        '{"a":1}',
        '{"b":2}',
      ]);
    }
  });
});
