/**
 * `layout = "symbol"` from the socket to the bucket: killed, without its ledger, set back to flat in between. Nothing is lost,
 * nothing is twice; `verify`, `sql` and `compact` take such a lake as any other, and what is missing in it is found.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { parseKey } from "../../src/storage/names.ts";
import { compactNow, keysOf } from "../compaction/lakes.ts";
import { compareAccount, uncovered } from "../helpers/account.ts";
import { auditLake } from "../helpers/audit.ts";
import { quoted, streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { startStandIn } from "../helpers/s3/stand-in.ts";
import { filesIn, unionLake } from "../helpers/s3/union.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { answerOf } from "../sql/made-lake.ts";
import { auditOf, faultsOf, Patient } from "../verify/lakes.ts";

// The machine may be busy.
setDefaultTimeout(180_000);
const cwd = scratchFolder("layout");
const bucket = await startStandIn();
afterAll(() => bucket[Symbol.asyncDispose]());

const ARGS = ["--streams", "bbo,trade"];
const SET = { "flush.interval": "300ms", "flush.min_gap": "0ms", "destinations.recheck": "100ms" };
const S3 = {
  "storage.backend": "s3",
  "s3.endpoint": bucket.url,
  "s3.bucket": bucket.bucket,
  "s3.access_key": bucket.keys.accessKey,
  "s3.secret_key": bucket.keys.secretKey,
};
/** Nothing is too young to be judged. */
const NOW = { "verify.grace": "1ms" };
const CHINESE = "币安人生USDT";

/** Three lives: by symbol and killed, by symbol without a ledger and killed, flat to a good end. */
async function record(data: string) {
  const exchange = startBinance({ instruments: 6, rate: 3000, account: true });
  const live = (layout: string) =>
    startRecorder({ cwd, data, exchange, args: ARGS, set: { ...SET, ...S3, layout } });
  for (const life of [0, 1]) {
    const recorder = await live("symbol");
    await recorder.until("files", ({ balance: { published } }) => published > 800);
    recorder.process.signal("SIGKILL");
    await recorder.process.exit();
    if (life === 0)
      for (const part of ["", "-wal", "-shm"]) rmSync(join(data, `ledger.db${part}`), { force: true });
  }
  const last = await live("flat");
  await last.until("files", ({ balance: { published } }) => published > 800);
  await exchange.pause();
  const { code, end } = await last.stop();
  expect([code, end.holds, end.inJournal, end.inOutbox, end.lost]).toEqual([0, true, 0, 0, 0]);
  expect(end.recovered).toBeGreaterThan(0);
  expect(end.published).toBe(end.received + end.recovered);
  expect(readdirSync(join(data, "journal"))).toEqual([]);
  return exchange;
}

const recorded = await record(join(cwd, "data"));
const union = unionLake([bucket]);
afterAll(async () => {
  rmSync(union, { recursive: true });
  await recorded.stop();
});

test("every row is there once, and each key was sent once", async () => {
  await recorded.pause();
  await withSql(async (sql) => {
    const { files } = await auditLake(sql, union);
    const divided = files.filter(({ symbol }) => symbol !== null);
    expect(new Set(divided.map(({ stream }) => stream))).toEqual(new Set(["bbo", "trade"]));
    expect(new Set(divided.map(({ symbol }) => symbol))).toContain(CHINESE);
    expect(files.some(({ symbol, stream }) => symbol === null && stream === "bbo")).toBe(true);
    const { sent, missing } = await compareAccount(sql, recorded, union);
    expect(await uncovered(sql, union, missing)).toEqual([]);
    console.log(
      `${files.length} files, ${divided.length} of one symbol: ${sent} events, ${missing.length} between runs`,
    );
  });
  for (const [key, times] of bucket.puts) if (key.endsWith(".parquet")) expect(times, key).toBe(1);
});

test("verify finds the bucket clean, and the manifest an object that was deleted; sql reads both layouts", async () => {
  const set = { ...NOW, ...S3, data: join(cwd, "data") };
  expect((await auditOf(undefined, { deep: true, set })).faults).toEqual([]);
  const lake = `s3://${bucket.bucket}`;
  const count = `SELECT count(*) FROM bbo WHERE symbol = '${CHINESE}'`;
  const { rows } = await answerOf(count, { lake, set });
  await withSql(async (sql) => {
    const found = await sql.number(
      `SELECT count(*) FROM ${streamFrom(union, "bbo")} WHERE symbol = '${CHINESE}'`,
    );
    expect(rows).toEqual([[found]]);
  });
  const key =
    filesIn(bucket).findLast((one) => parseKey(one)?.symbol === CHINESE && parseKey(one)?.stream === "bbo") ??
    "";
  bucket.objects.delete(key);
  expect(faultsOf(await auditOf(undefined, { set }))[key]).toEqual(["missing"]);
  expect(Number((await answerOf(count, { lake, set })).rows[0]?.[0])).toBeLessThan(Number(rows[0]?.[0]));
});

test("what is wrong with a file of a symbol is found, also where nobody knows what was published", async () => {
  expect((await auditOf(union, { set: NOW })).faults).toEqual([]);
  await withSql(async (sql) => {
    let copies = 0;
    const patient = () => Patient.of(union, join(cwd, `copy-${copies++}`), sql, { ledger: false });
    const kindsOf = async (one: Patient) => faultsOf(await auditOf(one.data, { set: NOW }));
    /** A file of the second segment of a run. */
    const chosen = (one: Patient) => {
      const file = one.files("bbo").find(({ symbol, n }) => symbol === "ETHUSDT" && n === 1);
      if (file === undefined) throw new Error("no such file");
      return { file, key: one.key(file) };
    };

    const deleted = patient();
    const { file } = chosen(deleted);
    rmSync(file.path);
    const faults = Object.entries(await kindsOf(deleted));
    // Its numbers are missing in its segment, perhaps also between that and one beside it.
    expect(faults.length).toBeGreaterThan(0);
    for (const [at, kinds] of faults) expect([at, kinds]).toEqual([at, ["sequence"]]);
    expect(faults.some(([at]) => at.endsWith(`_${file.run}_${file.ring}_${file.n}.parquet`))).toBe(true);

    const moved = patient();
    const { file: eth, key } = chosen(moved);
    const elsewhere = key.replace("symbol=ETHUSDT", "symbol=SOLUSDT");
    renameSync(eth.path, join(moved.data, "lake", elsewhere));
    expect((await kindsOf(moved))[elsewhere]).toContain("metadata");

    const doubled = patient();
    const { file: first } = chosen(doubled);
    const half = `SELECT * FROM file WHERE epoch_us(local_timestamp) > ${first.first}`;
    const from = quoted(first.path);
    const facts = await sql.row(
      `SELECT count(*) AS rows, epoch_us(min(local_timestamp)) AS first, min(seq) AS seq
       FROM read_parquet(${from}, hive_partitioning = false) WHERE epoch_us(local_timestamp) > ${first.first}`,
    );
    const twice = first.path.replace(String(first.first), String(facts.first));
    cpSync(first.path, twice);
    const metadata = {
      rows: String(facts.rows),
      first_local_timestamp: String(facts.first),
      first_seq: String(facts.seq),
    };
    await doubled.rewrite({ ...first, path: twice }, { rows: half, metadata });
    expect(Object.values(await kindsOf(doubled)).flat()).toContain("duplicate");

    const misplaced = patient();
    const flat = misplaced.files("bbo").find(({ symbol }) => symbol === null);
    if (flat === undefined) throw new Error("no flat file");
    const inside = join(dirname(flat.path), "symbol=BTCUSDT", basename(flat.path));
    mkdirSync(dirname(inside), { recursive: true });
    renameSync(flat.path, inside);
    expect((await kindsOf(misplaced))[misplaced.key({ ...flat, path: inside })]).toEqual(["schema"]);
  });
});

test("compacted symbol by symbol the rows are the same, and verify and sql agree", async () => {
  const data = join(cwd, "compacted");
  cpSync(union, data, { recursive: true });
  const keys = keysOf(join(data, "lake"));
  const date =
    keys
      .map((one) => parseKey(one)?.date ?? "")
      .sort()
      .at(-1) ?? "";
  const folders = Map.groupBy(
    keys.filter((key) => /stream=(bbo|trade)\//.test(key) && key.includes(date)),
    dirname,
  );
  // A single file stays as it is.
  const several = [...folders.values()].filter(({ length }) => length > 1);
  expect(several.length).toBeGreaterThan(6);
  await withSql(async (sql) => {
    const content = () =>
      sql.row(
        `SELECT count(*) AS rows, count(DISTINCT (run, ring, seq)) AS keys, md5(string_agg(concat_ws('|', symbol, run, ring, seq,
           instrument, epoch_us(local_timestamp), bid_price, ask_amount, update_id), chr(10) ORDER BY run, ring, seq)) AS content
         FROM ${streamFrom(data, "bbo")}`,
      );
    const before = await content();
    const counts = "SELECT symbol, count(*) FROM bbo GROUP BY 1 ORDER BY 1";
    const { rows } = await answerOf(counts, { lake: data });
    const report = await compactNow({ data }, { date });
    expect(report.faults).toEqual([]);
    expect([report.filesBefore, report.filesAfter]).toEqual([several.flat().length, several.length]);
    expect(await content()).toEqual(before);
    expect((await answerOf(counts, { lake: data })).rows).toEqual(rows);
    const found = await auditOf(data, { deep: true, set: NOW });
    expect(found.faults).toEqual([]);
    expect(found.files).toBe(keys.length - report.filesBefore + report.filesAfter);
  });
});
