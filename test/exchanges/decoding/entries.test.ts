import { expect, test } from "bun:test";
import { z } from "zod";
import { readEntries } from "../../../src/exchanges/decoding/entries.ts";

const schema = z.looseObject({ symbol: z.string() });

test("odd entries are left out and told, the others stay beside their raw form", () => {
  const told: [number, string][] = [];
  const list = [{ symbol: "A", x: "0.10" }, null, { symbol: "B" }, { symbol: 5 }];
  const read = readEntries("/list", schema, list, (count, example) => told.push([count, example]));
  expect(read.map(({ entry }) => entry.symbol)).toEqual(["A", "B"]);
  expect(read[0]?.raw).toBe(list[0]);
  expect(told).toEqual([[2, expect.stringContaining("object")]]);
});

test("a list of which nothing can be read is an error, an empty one is not", () => {
  expect(() => readEntries("/list", schema, [null, 5], () => undefined)).toThrow(
    "/list has an unexpected shape",
  );
  expect(readEntries("/list", schema, [], () => undefined)).toEqual([]);
});
