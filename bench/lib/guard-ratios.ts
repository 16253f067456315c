/** The ratios that the guard watches: short to take, and each within one process, so that slow machines do not matter. The least reading of each is taken: neighbours only add. */

import type { Stream } from "../../src/events/streams.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { bybit } from "../../src/exchanges/bybit.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { okx } from "../../src/exchanges/okx.ts";
import { decodingVariant, jsonVariant } from "./decoding.ts";
import { BenchDrain } from "./drain.ts";
import { BboFeed, tapeQuotes } from "./feed.ts";
import { collectFrames } from "./frames.ts";
import { cpuTime, interleaved, named } from "./measure.ts";

const SYMBOLS = 50;
const FRAMES = 2048;
const ROWS = 50_000;
const EFFORT = { repeats: 5, slice: 20 } as const;
/** CPU time of each way before it is measured, ms: by then the compilers have been there, most of the time. */
const WARM_UP = 400;

const SHAPES: readonly { readonly exchange: Exchange; readonly stream: Stream }[] = [
  { exchange: binance, stream: "bbo" },
  { exchange: binance, stream: "trade" },
  { exchange: bybit, stream: "bbo" },
  { exchange: bybit, stream: "trade" },
  { exchange: okx, stream: "bbo" },
  { exchange: okx, stream: "trade" },
];

/** All of them by name; takes about 12 s. */
export async function guardRatios(scratch: string): Promise<Map<string, number>> {
  const ratios = new Map<string, number>();
  for (const { exchange, stream } of SHAPES) {
    const set = await collectFrames({ exchange, streams: [stream], count: FRAMES, instruments: SYMBOLS });
    const measured = await interleaved(
      [
        jsonVariant("json", set, "texts"),
        decodingVariant("decode", exchange, [stream], set, { scanners: true, gated: false }),
      ],
      { ...EFFORT, warmUp: WARM_UP },
    );
    const ratio = named(measured, "decode").cpu.min / named(measured, "json").cpu.min;
    ratios.set(`decode ${exchange.name} ${stream} / JSON.parse`, ratio);
  }
  for (const [name, ratio] of await storageRatios(scratch)) ratios.set(name, ratio);
  return ratios;
}

/** Rows from a ring to a checked file, against JSON.parse of as many frames. */
async function storageRatios(scratch: string): Promise<[string, number][]> {
  const quotes = tapeQuotes(SYMBOLS);
  const texts = quotes.frames.slice(0, ROWS).map((frame) => Buffer.from(frame).toString());
  const feed = new BboFeed(SYMBOLS, quotes);
  // One thread: what two of them wait for each other hangs on who else runs.
  const drain = await BenchDrain.open(feed, scratch, ROWS, 1);
  const spent: { json: number[]; files: number[] } = { json: [], files: [] };
  const take = async (into: number[], repeat: number, work: () => unknown) => {
    const from = cpuTime();
    await work();
    if (repeat >= 0) into.push(cpuTime() - from);
  };
  for (let repeat = -1; repeat < EFFORT.repeats; repeat++) {
    await take(spent.json, repeat, () => {
      let kept: unknown;
      for (const text of texts) kept = JSON.parse(text);
      return kept;
    });
    feed.fill(ROWS);
    await take(spent.files, repeat, async () => {
      await drain.all();
      await drain.file();
    });
  }
  await drain.stop();
  return [
    // Together: when DuckDB moves rows from its appender into the table is its own affair.
    ["ring to checked file / JSON.parse", Math.min(...spent.files) / Math.min(...spent.json)],
  ];
}
