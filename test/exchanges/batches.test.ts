/**
 * Rows of many frames stand in a ring before they are published. What a frame takes back must be its own, whichever
 * streams are wanted: here batches of random frames are decoded with and without scanners, one wanted stream at a time.
 */
import { expect, test } from "bun:test";
import { Collector } from "../../src/exchanges/decoding/collector.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import type { Random } from "../../src/simulator/random.ts";
import { seeded } from "../lib/seed.ts";
import * as binance from "./binance/frame-maker.ts";
import * as bybit from "./bybit/frame-maker.ts";
import { sameRows } from "./decoder-bench.ts";
import type { MutatedFrame } from "./fuzz/frames.ts";
import * as okx from "./okx/frame-maker.ts";

const FRAMES = 2000;
const BATCH = 20;

/** Makers of frames by exchange. */
const MAKERS: Readonly<
  Record<string, { readonly KNOWN: readonly string[]; mutatedFrame(random: Random): MutatedFrame }>
> = { binance, bybit, okx };

test.each([...EXCHANGES])("$name: a frame takes back no row of another", (exchange) => {
  const maker = MAKERS[exchange.name];
  if (maker === undefined) throw new Error(`${exchange.name} has no maker of frames here`);
  const random = seeded(`batches of ${exchange.name}`);
  const frames = Array.from({ length: FRAMES }, () => maker.mutatedFrame(random).frame);
  for (const stream of exchange.streams) {
    const [scanning, parsing] = [true, false].map((scanners) => {
      const symbols = new SymbolTable();
      maker.KNOWN.forEach((instrument, number) => {
        symbols.add(instrument, number);
      });
      const collector = new Collector(exchange, symbols);
      const writers = { [stream]: collector.writers[stream] };
      const counters = { fallback: 0, inexact: 0, oversized: 0 };
      return { collector, decoder: exchange.createDecoder({ symbols, writers, counters, scanners }) };
    });
    if (scanning === undefined || parsing === undefined) throw new Error("two decoders are compared");
    let rows = 0;
    for (let from = 0; from < FRAMES; from += BATCH) {
      const [scanned = [], parsed = []] = [scanning, parsing].map(({ collector, decoder }) => {
        for (const frame of frames.slice(from, from + BATCH)) decoder.decode(frame, 1, 0);
        return collector.take();
      });
      expect([stream, from, sameRows(scanned, parsed)]).toEqual([stream, from, true]);
      rows += parsed.length;
    }
    expect([stream, rows > 0]).toEqual([stream, true]);
  }
});
