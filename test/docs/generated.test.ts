import { describe, expect, test } from "bun:test";
import { PAGES } from "../../scripts/docs.ts";
import { STREAMS } from "../../src/events/streams.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";

describe("generated pages", () => {
  for (const [path, page] of Object.entries(PAGES)) {
    test(`${path} is current (bun run docs)`, async () => {
      expect(await Bun.file(new URL(`../../${path}`, import.meta.url)).text()).toBe(page());
    });
  }
});

describe("column sources", () => {
  for (const exchange of EXCHANGES) {
    test(`${exchange.name} names a source for every column of every stream it has`, () => {
      expect(Object.keys(exchange.sources).sort()).toEqual([...exchange.streams].sort());
      for (const stream of exchange.streams) {
        const wanted = ["timestamp", "published_timestamp", ...STREAMS[stream].map(({ name }) => name)];
        expect(Object.keys(exchange.sources[stream]?.columns ?? {})).toEqual(wanted);
      }
    });
  }
});
