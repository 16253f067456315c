/** `sql` over buckets: the same answers as over files at hand, for no more bytes than the question needs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bucketAt } from "../helpers/s3/buckets.ts";
import { FAULTS, type StandIn, startStandIn } from "../helpers/s3/stand-in.ts";
import { startVersitygw, VERSITYGW } from "../helpers/s3/versitygw.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { seeded } from "../lib/seed.ts";
import { answerOf, bucketSettings, DAY_ROWS, fill, keysOf, makeLake, Reference } from "./made-lake.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const folder = scratchFolder("sql-buckets");
const root = join(folder, "lake");
let reference: Reference;
let bucket: StandIn;
let set: Record<string, string>;
let sizes: Map<string, number>;

beforeAll(async () => {
  reference = await Reference.open();
  await makeLake(root, reference.connection);
  await reference.over(root, ["trade", "bbo", "instruments"]);
  sizes = keysOf(root);
  bucket = await startStandIn();
  fill(bucket, root, sizes.keys());
  set = { "storage.backend": "s3", ...bucketSettings("s3", bucket) };
}, 180_000);
afterAll(() => bucket[Symbol.asyncDispose]());

/** Bytes of the files whose keys have some text in them. */
const bytesOf = (...parts: string[]) =>
  [...sizes]
    .filter(([key]) => parts.every((part) => key.includes(part)))
    .reduce((sum, [, bytes]) => sum + bytes, 0);

/** Asks, compares with the reference, and tells what the bucket sent, listings included. */
async function asked(sql: string, more: Record<string, string> = {}) {
  const before = bucket.sent;
  const { rows, cost } = await answerOf(sql, { set: { ...set, ...more } });
  expect(rows, sql).toEqual(await reference.rows(sql));
  return { sent: bucket.sent - before, rows: rows.length, cost };
}

describe("what a query downloads", () => {
  test("one day of one stream: that partition and at most 5 % more, all rows and columns read", async () => {
    const partition = bytesOf("exchange=okx", "stream=trade", "date=2026-11-19");
    const sql = "SELECT * FROM trade WHERE exchange = 'okx' AND date = '2026-11-19' ORDER BY seq";
    const { sent, rows } = await asked(sql);
    console.log(
      `partition ${partition} bytes, sent ${sent}: ${((100 * sent) / partition - 100).toFixed(2)} % more`,
    );
    expect(rows).toBe(DAY_ROWS);
    expect(partition).toBeGreaterThan(300_000);
    expect(sent).toBeLessThanOrEqual(partition * 1.05);
  }, 180_000);

  test("one day of one stream of all exchanges, by whatever words the day is meant", async () => {
    const day = bytesOf("stream=bbo", "date=2026-11-20");
    for (const where of [
      "date = '2026-11-20'",
      "date > DATE '2026-11-19'",
      "date::VARCHAR LIKE '%-20'",
      "day(date) = 20 AND date IN ('2026-11-20', '2026-12-20')",
      "date BETWEEN '2026-11-20' AND '2026-12-01' AND exchange != 'nobody'",
    ]) {
      const { sent, rows } =
        await asked(`SELECT exchange, count(seq), sum(bid_price * 0), max(ring), min(run), count(DISTINCT symbol), max(timestamp),
        max(instrument), max(local_timestamp), max(ask_price), count(connection) FROM bbo WHERE ${where} GROUP BY ALL ORDER BY 1`);
      expect([where, rows]).toEqual([where, 2]);
      expect(sent, where).toBeLessThanOrEqual(day * 1.05);
    }
  }, 180_000);

  test("one symbol: its row groups; one column: its chunks", async () => {
    const day = bytesOf("exchange=okx", "stream=trade", "date=2026-11-19");
    const where = "exchange = 'okx' AND date = '2026-11-19'";
    for (const symbol of ["BTCUSDT", "币安人生USDT", "1000SHIBUSDT"]) {
      const { sent, rows } = await asked(
        `SELECT * FROM trade WHERE ${where} AND symbol = '${symbol}' ORDER BY seq`,
      );
      expect([symbol, rows]).toEqual([symbol, DAY_ROWS / 5]);
      // A fifth of the rows; groups at its ends hold others too.
      expect(sent, symbol).toBeLessThan(day * 0.5);
    }
    const price = await asked(`SELECT max(price) FROM trade WHERE ${where}`);
    expect(price.sent).toBeLessThan(day * 0.5);
    const count = await asked(`SELECT count(*) FROM trade WHERE ${where}`);
    expect(count.sent).toBeLessThan(day * 0.1);
    const whole = await asked(`SELECT max(price) FROM trade WHERE ${where}`, { "sql.whole_files": "true" });
    expect(whole.cost.downloaded).toBe(day);
  }, 180_000);

  test(`whatever is asked, the answer is that of files at hand${LONG ? "" : " (a sample; all with TAPEDECK_TEST_LONG=1)"}`, async () => {
    const random = seeded("questions");
    for (const sql of [
      "SELECT symbol, count(*), sum(seq) FROM trade WHERE symbol IN ('BTCUSDT', '1000PEPEUSDT', 'NOBODY') GROUP BY 1 ORDER BY 1",
      "SELECT * FROM trade WHERE symbol LIKE '1000S%' ORDER BY price DESC LIMIT 5",
      "SELECT count(*) FROM trade WHERE symbol > 'BTC' AND symbol < 'F' AND local_timestamp >= '2026-11-19 03:00:00+00'",
      "SELECT count(*), min(id) FROM trade WHERE local_timestamp BETWEEN '2026-11-19 01:00:00' AND '2026-11-19 01:10:00+00'",
      "SELECT count(*) FROM trade WHERE price > 0.9 OR symbol = 'BTCUSDT'",
      "SELECT count(*) FROM trade WHERE date = (SELECT max(date) FROM bbo)",
      "SELECT count(*) FROM trade WHERE date = '2026-11-18' AND exchange = 'okx' OR date = '2026-11-20' AND seq < 50000",
      "SELECT t.symbol, sum(t.amount_base) > 0, count(*) FROM trade_base t WHERE t.date = '2026-11-18' AND t.exchange = 'okx' GROUP BY 1 ORDER BY 1",
      "SELECT count(*), max(b.bid_price) FROM trade t ASOF JOIN bbo b ON t.exchange = b.exchange AND t.symbol = b.symbol AND t.local_timestamp >= b.local_timestamp WHERE t.date = '2026-11-19' AND t.symbol = 'ETHUSDT'",
      "WITH days AS (SELECT DISTINCT date FROM trade WHERE exchange = 'binance') SELECT count(*) FROM days",
      "SELECT count(*) FROM trade WHERE id = '7' AND side = 'sell' AND seq BETWEEN 5 AND 30000",
      "SELECT count(*) FROM trade WHERE exchange = 'it''s (not' OR date = '2026-11-18' AND stream = 'trade'",
      "SELECT count(*) FROM trade WHERE CASE WHEN date = '2026-11-18' THEN exchange = 'okx' ELSE false END",
      "SELECT count(*) FROM trade WHERE date = '2031-01-01'",
      "SELECT count(*) FROM liquidation",
      "SELECT (SELECT count(*) FROM trade WHERE stream = 'bbo') + (SELECT count(*) FROM bbo WHERE exchange IS NULL)",
      "SELECT 1 + 1 AS two",
    ])
      if (LONG || random.unit() < 0.3) await asked(sql);
  }, 180_000);
});

describe("bounds and faults", () => {
  test("a query that needs more than sql.download_bytes is refused before it is downloaded", async () => {
    const before = bucket.sent;
    await expect(
      answerOf("SELECT * FROM trade", { set: { ...set, "sql.download_bytes": "1MiB" } }),
    ).rejects.toThrow(/would download .* sql\.download_bytes allows 1\.0 MiB: narrow it/);
    expect(bucket.sent - before).toBeLessThan(1_000_000);
    await expect(answerOf("SELECT * FROM trade", { set: { ...set, "sql.max_files": "3" } })).rejects.toThrow(
      /would read 12 files, and sql\.max_files allows 3/,
    );
  });

  test("a key that stands in both destinations counts once", async () => {
    await using other = await startStandIn();
    // The other has all of one exchange, and of the rest nothing; both have that one.
    fill(
      other,
      root,
      [...sizes.keys()].filter((key) => key.includes("exchange=okx")),
    );
    const both = { ...set, "storage.fallback": "gcs", ...bucketSettings("gcs", other) };
    const sql = "SELECT exchange, date, count(*), sum(seq) FROM trade GROUP BY ALL ORDER BY ALL";
    const { rows } = await answerOf(sql, { set: both });
    expect(rows).toEqual(await reference.rows(sql));
    // What one destination lost between the listing and the reading is read from the other.
    const lost = [...sizes.keys()].filter((key) => key.includes("exchange=okx/stream=bbo"));
    bucket.fault = (operation, key) =>
      operation === "get" && lost.includes(key) ? { kind: "error", status: 404, code: "NoSuchKey" } : null;
    try {
      const bbo = "SELECT count(*), max(ask_price) FROM bbo";
      expect((await answerOf(bbo, { set: both })).rows).toEqual(await reference.rows(bbo));
      await expect(answerOf(bbo, { set })).rejects.toThrow(/was moved or removed .* ask again/);
    } finally {
      bucket.back();
    }
  }, 180_000);

  test("a broken file is named, with the mend; other days are answered", async () => {
    const key = [...sizes.keys()].find((one) => one.includes("okx/stream=trade/date=2026-11-20")) ?? "";
    const stored = bucket.objects.get(key);
    if (stored === undefined) throw new Error("no such file");
    try {
      for (const bytes of [
        stored.bytes.subarray(0, stored.bytes.length - 20),
        Buffer.from("PAR1"),
        Buffer.alloc(0),
      ]) {
        bucket.objects.set(key, { ...stored, bytes });
        const failed = answerOf("SELECT count(*) FROM trade WHERE date = '2026-11-20'", { set });
        await expect(failed).rejects.toThrow(`${key} in ${"s3://lake/"}`);
        await expect(failed).rejects.toThrow(/is broken: .*tapedeck verify/);
      }
      await asked("SELECT count(*) FROM trade WHERE date = '2026-11-19'");
    } finally {
      bucket.objects.set(key, stored);
    }
  }, 180_000);

  test("requests that fail are repeated; a bucket that refuses is named", async () => {
    bucket.fail(FAULTS.slowDown, "get", 2);
    await asked("SELECT count(*) FROM bbo WHERE date = '2026-11-19'");
    bucket.away(FAULTS.denied);
    try {
      await expect(answerOf("SELECT count(*) FROM bbo", { set })).rejects.toThrow(/s3:\/\/lake/);
    } finally {
      bucket.back();
    }
  }, 180_000);
});

test.skipIf(VERSITYGW === null)(
  VERSITYGW === null
    ? "a real S3 server: SKIPPED, versitygw is not installed (see .ci/run)"
    : "a real S3 server (versitygw)",
  async () => {
    await using server = await startVersitygw(join(folder, "versitygw"));
    const destination = bucketAt(server, { prefix: "team/lake" });
    const { signal } = new AbortController();
    for (const key of sizes.keys()) await destination.write(key, readFileSync(join(root, key)), signal);
    destination.close();
    const there = {
      "s3.endpoint": server.url,
      "s3.access_key": server.keys.accessKey,
      "s3.secret_key": server.keys.secretKey,
    };
    for (const sql of [
      "SELECT exchange, date, count(*), sum(seq), max(price) FROM trade GROUP BY ALL ORDER BY ALL",
      "SELECT count(*), max(bid_price) FROM bbo WHERE date = '2026-11-20' AND symbol = 'ETHUSDT'",
    ]) {
      const { rows, cost } = await answerOf(sql, { lake: `s3://${server.bucket}/team/lake`, set: there });
      expect(rows).toEqual(await reference.rows(sql));
      expect(cost.downloaded).toBeLessThan(cost.fileBytes);
    }
  },
  180_000,
);
