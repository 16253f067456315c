/** The evidence frames of docs/exchanges.md decode to what the page says they are. */
import { expect, test } from "bun:test";
import { Collector } from "../../src/exchanges/decoding/collector.ts";
import { FRAME } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";

const guide = await Bun.file(new URL("../../docs/adding-an-exchange.md", import.meta.url)).text();
const page = await Bun.file(new URL("../../docs/exchanges.md", import.meta.url)).text();

/** Each of a stream, which its heading names, or of something else. */
const sections = page.split(/^## /m).slice(1);

test("every exchange has a row in every section of a stream it has, and each frame of evidence gives a row of it", () => {
  let frames = 0;
  for (const exchange of EXCHANGES) {
    const shown = new Set<string>();
    for (const section of sections) {
      const [head = "", ...lines] = section.split("\n");
      const line = lines.find((one) => one.startsWith(`| ${exchange.name} |`)) ?? "";
      const evidence = [...(line.split(" | ")[2] ?? "").matchAll(/`(\{[^`]*\})`/g)].map(
        ([, frame = ""]) => frame,
      );
      if (evidence.length > 0) shown.add(head);
      for (const frame of evidence) {
        frames++;
        const symbols = new SymbolTable({ open: true });
        const collector = new Collector(exchange, symbols);
        const counters = { fallback: 0, inexact: 0, oversized: 0 };
        const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
        const kind = decoder.decode(new TextEncoder().encode(frame), 0, 0);
        expect([head, exchange.name, kind]).toEqual([head, exchange.name, FRAME.EVENTS]);
        const rows = collector.take();
        expect([head, exchange.name, rows.some(({ stream }) => stream === head)]).toEqual([
          head,
          exchange.name,
          true,
        ]);
        for (const row of rows) expect(row.symbol).toBe("BTCUSDT");
      }
    }
    expect([exchange.name, [...shown].sort()]).toEqual([exchange.name, [...exchange.streams].sort()]);
  }
  expect(frames).toBe(18);
});

test("adding-an-exchange.md says of everything that an exchange is made of what goes there", () => {
  const limits = EXCHANGES.flatMap((one) => Object.keys(one.limits).map((key) => `limits.${key}`));
  const own = EXCHANGES.flatMap((one) => Object.keys(one)).filter((key) => key !== "limits");
  const members = new Set([...own, ...limits]);
  expect([...members].filter((member) => !guide.includes(`\`${member}\``))).toEqual([]);
});
