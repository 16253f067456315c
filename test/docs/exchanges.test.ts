/** The evidence frames of docs/exchanges.md decode to what the page says they are. */
import { expect, test } from "bun:test";
import { Collector } from "../../src/exchanges/decoding/collector.ts";
import { FRAME } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";

const page = await Bun.file(new URL("../../docs/exchanges.md", import.meta.url)).text();

/** Streams named in a heading: `## mark_price and funding`. */
const sections = page.split(/^## /m).slice(1);

test("every exchange has a row in every section of a stream it has, and its evidence gives a row of it", () => {
  let frames = 0;
  for (const section of sections) {
    const [head = "", ...lines] = section.split("\n");
    const streams = head.split(" and ");
    for (const exchange of EXCHANGES) {
      const line = lines.find((one) => one.startsWith(`| ${exchange.name} |`)) ?? "";
      const frame = /`(\{.*\})`/.exec(line.split(" | ")[2] ?? "")?.[1];
      const offered = streams.filter((stream) => exchange.streams.some((one) => one === stream));
      expect([exchange.name, head, frame !== undefined]).toEqual([exchange.name, head, offered.length > 0]);
      if (frame === undefined) continue;
      frames++;
      const symbols = new SymbolTable({ open: true });
      const collector = new Collector(exchange, symbols);
      const counters = { fallback: 0, inexact: 0, oversized: 0 };
      const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
      const bytes = new TextEncoder().encode(frame);
      expect([head, exchange.name, decoder.decode(bytes, 0, 0)]).toEqual([head, exchange.name, FRAME.EVENTS]);
      const rows = collector.take();
      expect([head, rows.some(({ stream }) => streams.includes(String(stream)))]).toEqual([head, true]);
      for (const row of rows) expect(row.symbol).toBe("BTCUSDT");
    }
  }
  expect(frames).toBe(14);
});
