/** `sql` answers the same whether each symbol has its own files or not, also where a lake has days, or segments, of both. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { lakeKey, parseKey } from "../../src/storage/names.ts";
import { quoted } from "../helpers/lake.ts";
import { type StandIn, startStandIn } from "../helpers/s3/stand-in.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { pick, seeded } from "../lib/seed.ts";
import { answerOf, bucketSettings, DAYS, fill, keysOf, makeLake, Reference, SYMBOLS } from "./made-lake.ts";

const folder = scratchFolder("sql-layouts");
const [flat, divided, mixed] = ["flat", "divided", "mixed"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
let reference: Reference;
let bucket: StandIn;
let set: Record<string, string>;

/** Puts a file of the flat lake into another one: as it is, or as a file for each symbol. */
async function put(key: string, lake: string, divide: boolean): Promise<void> {
  const from = `read_parquet(${quoted(join(flat, key))}, hive_partitioning = false)`;
  const parts = parseKey(key);
  if (parts === null) throw new Error(key);
  const copy = async (to: string, query: string) => {
    const path = join(lake, to);
    mkdirSync(dirname(path), { recursive: true });
    await reference.connection.run(
      `COPY (${query}) TO ${quoted(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048)`,
    );
  };
  if (!divide || parts.stream === "instruments") return copy(key, `FROM ${from}`);
  for (const symbol of SYMBOLS)
    await copy(
      lakeKey({ ...parts, key: parts, symbol }),
      `SELECT * EXCLUDE (symbol) FROM ${from} WHERE symbol = ${quoted(symbol)}`,
    );
}

beforeAll(async () => {
  reference = await Reference.open();
  await makeLake(flat, reference.connection, 2500);
  await reference.over(flat, ["trade", "bbo", "instruments"]);
  for (const key of keysOf(flat).keys()) {
    await put(key, divided, true);
    // A day flat, a day by symbol, and one on which the setting was changed between two segments.
    await put(key, mixed, key.includes(DAYS[1]) || (key.includes(DAYS[2]) && key.endsWith("5.parquet")));
  }
  bucket = await startStandIn();
  fill(bucket, divided, keysOf(divided).keys());
  set = { "storage.backend": "s3", ...bucketSettings("s3", bucket) };
}, 180_000);
afterAll(async () => {
  reference.connection.closeSync();
  await bucket[Symbol.asyncDispose]();
});

const QUERIES = [
  "SELECT exchange, stream, date, symbol, count(*), sum(seq), min(price), max(instrument) FROM trade GROUP BY ALL ORDER BY ALL",
  "SELECT * FROM trade WHERE symbol = '币安人生USDT' AND date = '2026-11-19' ORDER BY exchange, seq",
  "SELECT count(*), sum(seq) FROM bbo WHERE symbol LIKE '1000%' AND exchange = 'okx'",
  "SELECT count(*) FROM trade WHERE symbol IN ('BTCUSDT', 'NOTHINGUSDT') AND date >= '2026-11-19'",
  "SELECT count(*) FROM trade WHERE symbol = 'NOTHINGUSDT'",
  "SELECT count(*) FROM trade WHERE symbol > 'C' OR date < '2026-11-19'",
  "SELECT symbol, count(*) FROM bbo b WHERE symbol <> 'BTCUSDT' AND b.seq % 2 = 0 GROUP BY 1 ORDER BY 1",
  "SELECT t.symbol, count(*) FROM trade t JOIN bbo b USING (exchange, date, symbol, seq) GROUP BY 1 ORDER BY 1",
  "SELECT symbol, sum(amount_base) > 0, count(price_base) FROM trade_base WHERE date = '2026-11-20' GROUP BY 1 ORDER BY 1",
  "SELECT count(*) FROM trade",
  "SELECT column_name, column_type FROM (DESCRIBE trade)",
];

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const random = seeded("queries over both layouts");
/** So many of them by the seed; at length all. */
const SAMPLE = 5;
const chosen = new Set<string>();
while (chosen.size < SAMPLE) chosen.add(pick(random, QUERIES));

describe("the same rows by the same names", () => {
  for (const sql of QUERIES) {
    const isRun = LONG || chosen.has(sql);
    test.if(isRun)(
      `${sql}${isRun ? "" : " (SKIPPED, not in the sample: TAPEDECK_TEST_LONG=1)"}`,
      async () => {
        const expected = await reference.rows(sql.replace("(DESCRIBE trade)", "(DESCRIBE FROM trade)"));
        expect(expected.length).toBeGreaterThan(0);
        for (const lake of [divided, mixed])
          expect((await answerOf(sql, { lake })).rows, lake).toEqual(expected);
        expect((await answerOf(sql, { set })).rows).toEqual(expected);
      },
      180_000,
    );
  }

  test("of a bucket the files of other symbols are not opened", async () => {
    const sql = "SELECT count(*), sum(seq) FROM trade WHERE symbol = 'BTCUSDT' AND date < '2026-11-20'";
    const { cost, rows } = await answerOf(sql, { set });
    expect(rows).toEqual(await reference.rows(sql));
    // Two exchanges, two days, two segments.
    expect(cost.files).toBe(8);
    expect((await answerOf(sql.replace("symbol = 'BTCUSDT' AND ", ""), { set })).cost.files).toBe(
      8 * SYMBOLS.length,
    );
  }, 180_000);
});
