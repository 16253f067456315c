/** Journals that are damaged while their segments wait for their files: told, counted, and nothing waits behind them. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HEAD_BYTES, PREAMBLE_BYTES, readHead } from "../../../src/storage/journal/format.ts";
import { quoted, withSql } from "../../helpers/lake.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { waitFor } from "../../helpers/wait.ts";
import { seeded } from "../../lib/seed.ts";
import { Feed, someMidnight, TestDrain } from "../feed.ts";

const folder = scratchFolder("salvage");
const NOON = someMidnight() + 43_200_000_000;
const SEGMENTS = 12;
const ROWS = 100;
/** Records of rows in each journal. */
const BATCH = 25;

/** Where the records of a journal begin that hold rows. */
function rowRecords(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = PREAMBLE_BYTES; at + HEAD_BYTES <= bytes.length; ) {
    const head = readHead(bytes.subarray(at));
    if (head === null) break;
    if (head.rows > 0 && head.bytes > 1000) found.push(at);
    at += HEAD_BYTES + Math.ceil(head.bytes / 8) * 8;
  }
  return found;
}

test("a flipped bit, a cut, a lost header, an empty one, one that is gone: the rest comes into files, what is lost is told to the row", async () => {
  const random = seeded("salvage");
  const feed = new Feed("trade", { capacity: 16_384 });
  const drain = await TestDrain.open(folder, [feed], { seal: { rows: ROWS }, retryMax: 50 });
  await drain.symbols(["BTCUSDT"]);
  renameSync(drain.outbox, `${drain.outbox}-aside`);
  writeFileSync(drain.outbox, "in the way");
  for (let i = 0; i < SEGMENTS * ROWS; i++) {
    feed.push(0, NOON + i, { id: String(i) });
    if (i % BATCH !== BATCH - 1) continue;
    feed.publish();
    await drain.drain.step();
  }
  // The first is in memory and being tried again and again; the others are in journals alone.
  const name = (n: number) => join(drain.journal, `binance~trade~${runOf(drain)}~0~${n}.journal`);
  const flip = (n: number, record: number) => {
    const bytes = readFileSync(name(n));
    const at = rowRecords(bytes)[record] ?? 0;
    const byte = at + HEAD_BYTES + random.below(1000);
    bytes.writeUInt8(bytes.readUInt8(byte) ^ (1 << random.below(8)), byte);
    writeFileSync(name(n), bytes);
  };
  const before = readFileSync(name(6));
  flip(2, 1);
  flip(3, 0);
  flip(4, 3);
  truncateSync(name(5), (rowRecords(readFileSync(name(5)))[2] ?? 0) + 100);
  before.fill(0, PREAMBLE_BYTES, PREAMBLE_BYTES + 200);
  writeFileSync(name(6), before);
  // One that is gone is open still: nothing of it is lost.
  rmSync(name(7));
  writeFileSync(name(8), "");

  rmSync(drain.outbox);
  renameSync(`${drain.outbox}-aside`, drain.outbox);
  await waitFor("all that can be written", async () => {
    await drain.drain.step();
    return drain.finished.length === SEGMENTS - 2;
  });
  expect(await drain.stop()).toBe(0);
  const spans = drain.spoiled.map(({ lost }) =>
    lost.map(({ from, to, rows }) => [(from ?? 0) - NOON, to - NOON, rows ?? 0]),
  );
  expect(drain.spoiled.map(({ rows, ring }) => [rows, ring])).toEqual([
    [25, 0],
    [25, 0],
    [25, 0],
    [50, 0],
    [100, 0],
    [100, 0],
  ]);
  expect(spans).toEqual([
    [[225, 249, 25]],
    [[300, 324, 25]],
    [[475, 499, 25]],
    [[549, 599, 50]],
    [[600, 699, 100]],
    [[800, 899, 100]],
  ]);
  const rows = SEGMENTS * ROWS;
  expect(feed.reading).toMatchObject({ accepted: rows, released: rows, filed: rows, parked: 0 });
  expect(drain.drain.journalBytes).toBe(0);
  const files = drain.finished.map(({ path }) => quoted(path)).join(", ");
  const ids = await withSql((sql) =>
    sql.rows(`SELECT id::BIGINT AS id FROM read_parquet([${files}]) ORDER BY 1`),
  );
  const lost = spans.flat().map(([, to = 0, missing = 0]) => [to - missing + 1, to]);
  expect(ids.map(({ id }) => Number(id))).toEqual(
    Array.from({ length: rows }, (_, i) => i).filter(
      (i) => !lost.some(([from = 0, to = 0]) => i >= from && i <= to),
    ),
  );
  // What is damaged stays for whoever wants to look at it; nothing else does.
  expect(readdirSync(drain.journal)).toEqual([]);
  expect(readdirSync(drain.outbox.replace("outbox-", "quarantine-")).length).toBe(6);
});

function runOf({ journal }: TestDrain): string {
  return readdirSync(journal)[0]?.split("~")[2] ?? "";
}
