import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { FrameSpeller, wrapperHead } from "../../src/simulator/binance/frames.ts";
import { streamSymbol } from "../../src/simulator/binance/streams.ts";
import { Market } from "../../src/simulator/market.ts";
import { Random } from "../../src/simulator/random.ts";
import { Zipf } from "../../src/simulator/zipf.ts";
import { BenchDrain } from "../lib/drain.ts";
import { BboFeed, type TimedFrames } from "../lib/feed.ts";
import { type Figure, type StageReport, single } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { tapeInstruments } from "../source/tape.ts";

const SYMBOLS = 200;
/** Rows of a segment: `flush.rows`. */
const ROWS = 250_000;
const SKEW = 0.8;
const USUAL_QUOTE_VALUE = 20_000;
/** Mean time between two quotes, µs: 10,000 a second, an ordinary minute. */
const QUOTE_TIME = 100;
/** Way of a frame to us, µs: at least, and spread. */
const TRANSIT = 300;
const TRANSIT_SPREAD = 2000;

const PROJECT = join(import.meta.dir, "../..");
const PYTHON = [process.env.TAPEDECK_TEST_PYTHON, join(PROJECT, ".venv/bin/python")].find(
  (path) => path !== undefined && existsSync(path),
);

/** The simulator's random walk with ids and times as an exchange makes them. */
function walk(seed: string): TimedFrames {
  const feeds = tapeInstruments(SYMBOLS)
    .slice(0, SYMBOLS)
    .map((instrument) => {
      const price = instrument.price / 10 ** instrument.priceDecimals;
      const market = new Market({
        price: instrument.price,
        tick: instrument.tick,
        amount: (USUAL_QUOTE_VALUE / price) * 10 ** instrument.amountDecimals,
        random: new Random(`${seed}/${instrument.symbol}`),
      });
      const head = wrapperHead(`${streamSymbol(instrument.symbol)}@bookTicker`);
      return { market, head, speller: new FrameSpeller(instrument) };
    });
  const random = new Random(`${seed}/exchange`);
  const zipf = new Zipf(feeds.length, SKEW);
  const frames: Uint8Array[] = [];
  const locals = new Float64Array(ROWS + 1);
  let now = Date.now() * 1000;
  for (let last = 0; frames.length < locals.length; ) {
    const feed = feeds[zipf.pick(random)];
    now += Math.floor(-Math.log(1 - random.unit()) * QUOTE_TIME);
    if (feed === undefined || feed.market.step()) continue;
    last = Math.max(last, now + TRANSIT + random.below(TRANSIT_SPREAD));
    locals[frames.length] = last;
    const sent = Math.floor(now / 1000);
    frames.push(
      Buffer.from(`${feed.head}${feed.speller.bookTicker(feed.market, sent - random.below(3), sent)}}`),
    );
  }
  return { frames, locals };
}

const ARROW = `
import os, sys, json, pyarrow as pa, pyarrow.parquet as pq
path, out = sys.argv[1:]
table = pq.read_table(path)
pq.write_table(table, out)
sorted_size = os.path.getsize(out)
pq.write_table(table.sort_by("seq"), out)
print(json.dumps({"version": pa.__version__, "rows": table.num_rows, "same": sorted_size, "arrival": os.path.getsize(out)}))
`;
const arrowSchema = z.strictObject({ version: z.string(), rows: z.int(), same: z.int(), arrival: z.int() });

/** Size of the files, against the same rows by the tool that most would use. */
export const sizeStage: Stage = {
  name: "size",
  about: "Parquet bytes of a bbo row of the random walk, against pyarrow's defaults",
  always: true,
  async run({ repeats, scratch }): Promise<StageReport> {
    const ours: number[] = [];
    const same: number[] = [];
    const arrival: number[] = [];
    let version = "";
    for (let repeat = 0; repeat < Math.min(repeats, 3); repeat++) {
      const feed = new BboFeed(SYMBOLS, walk(`bench/${repeat}`));
      const drain = await BenchDrain.open(feed, scratch, ROWS);
      for (let filled = 0; filled < ROWS; filled += ROWS / 2) {
        feed.fill(ROWS / 2);
        await drain.all();
      }
      const file = await drain.file();
      ours.push(file.bytes / file.rows);
      if (PYTHON !== undefined) {
        const { stdout, stderr, exitCode } = Bun.spawnSync([
          PYTHON,
          "-c",
          ARROW,
          file.path,
          join(scratch, "arrow.parquet"),
        ]);
        if (exitCode !== 0) throw new Error(`pyarrow: ${stderr.toString()}`);
        const answer = arrowSchema.parse(JSON.parse(stdout.toString()));
        if (answer.rows !== file.rows) throw new Error(`pyarrow read ${answer.rows} of ${file.rows} rows`);
        version = answer.version;
        same.push(answer.same / answer.rows);
        arrival.push(answer.arrival / answer.rows);
      }
      await drain.stop();
    }
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const figures: Figure[] = [{ name: "tapedeck", bytes: mean(ours) }];
    if (PYTHON !== undefined)
      figures.push(
        { name: `pyarrow ${version}, write_table, the same rows in the same order`, bytes: mean(same) },
        { name: `pyarrow ${version}, write_table, the same rows as they arrived`, bytes: mean(arrival) },
      );
    return {
      stage: "size",
      figures,
      bars:
        PYTHON === undefined
          ? []
          : [
              {
                name: "Parquet bytes per bbo row / pyarrow's defaults (snappy), same rows and order",
                value: single(mean(ours) / mean(same)),
                is: "at most",
                bar: 0.6,
              },
            ],
      notes: [
        `Segments of ${ROWS} rows of ${SYMBOLS} symbols at 10,000 quotes a second, ${Math.min(repeats, 3)} seeds; a file's every byte counted, footer included.`,
        ...(PYTHON === undefined
          ? ["SKIPPED: the comparison, for there is no Python with pyarrow; set TAPEDECK_TEST_PYTHON."]
          : []),
      ],
    };
  },
};
