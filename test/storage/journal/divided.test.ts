/** A segment with a file for each symbol: which files those are, and what happens between two of them. */
import { describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { publishedBefore } from "../../../src/recorder/journals.ts";
import { createLogger } from "../../../src/status/log.ts";
import { HEAD_BYTES, PREAMBLE_BYTES, readHead } from "../../../src/storage/journal/format.ts";
import { inspectJournal } from "../../../src/storage/journal/inspect.ts";
import { type JournaledSegment, recoverJournals } from "../../../src/storage/journal/recovery.ts";
import { Ledger } from "../../../src/storage/ledger.ts";
import { parseKey } from "../../../src/storage/names.ts";
import { RecoveredCounters } from "../../../src/storage/recovered.ts";
import { auditFile, lakeFile } from "../../helpers/audit.ts";
import { quoted, withSql } from "../../helpers/lake.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { waitFor } from "../../helpers/wait.ts";
import { seeded } from "../../lib/seed.ts";
import { auditOf } from "../../verify/lakes.ts";
import { Feed, someMidnight, TestDrain } from "../feed.ts";

const folder = scratchFolder("divided");
const NOON = someMidnight() + 43_200_000_000;
/** One name twice: two instruments of one symbol. Two that can have no folder, between others in the order of names. */
const SYMBOLS = ["ETHUSDT", "BTCUSDT", "币安人生USDT", "A/B%", "BTCUSDT", "C".repeat(80), "", "NULL"];
const FOLDERS = ["A/B%", "BTCUSDT", "ETHUSDT", "NULL", "币安人生USDT"];
let folders = 0;

function newFolder(): string {
  const path = join(folder, String(folders++));
  for (const name of ["lake", "outbox", "journal"]) mkdirSync(join(path, name), { recursive: true });
  return path;
}

/** A drain by symbol, in a data folder. */
async function open(
  data: string,
  options: Parameters<typeof TestDrain.open>[2] = {},
): Promise<TestDrain & { readonly feed: Feed }> {
  const feed = new Feed("trade", { capacity: 16_384 });
  const drain = await TestDrain.open(data, [feed], {
    layout: "symbol",
    outbox: join(data, "outbox"),
    ...options,
    journal: { folder: join(data, "journal"), ...options.journal },
  });
  drain.symbols(SYMBOLS);
  return Object.assign(drain, { feed });
}

/** @param at receive time of the first row, µs @param batch rows that are drained together */
async function fill(
  drain: TestDrain & { readonly feed: Feed },
  rows: number,
  seed: string,
  { at = NOON, batch = 100 } = {},
): Promise<void> {
  const random = seeded(seed);
  for (let i = 0; i < rows; i++) {
    drain.feed.push(random.below(SYMBOLS.length), at + i * 10, { id: String(i), price: i });
    if (i % batch === batch - 1) await drain.drainAll();
  }
  await drain.drainAll();
}

/** Takes the journals of a data folder over, as a start does whose ledger knows nothing. */
async function recovered(data: string): Promise<readonly JournaledSegment[]> {
  const ledger = Ledger.open(join(data, `ledger-${folders++}.db`));
  const lake = join(data, "lake");
  const files = readdirSync(join(data, "outbox"))
    .filter((name) => name.endsWith(".parquet"))
    .map((name) => ({ key: name.replaceAll("~", "/"), path: join(data, "outbox", name) }));
  const log = createLogger({ format: "json", level: "error", write: () => undefined });
  try {
    const { segments } = await recoverJournals({
      folder: join(data, "journal"),
      published: publishedBefore({ files }, ledger.files, lake, log),
      quarantine: (path) => Promise.reject(new Error(path)),
    });
    return segments;
  } finally {
    ledger.close();
  }
}

/** Another life, which finishes what was left. */
async function finish(data: string, segments: readonly JournaledSegment[]) {
  const counters = new RecoveredCounters();
  for (const { rest } of segments) counters.take(rest);
  const drain = await TestDrain.open(data, [new Feed("bbo")], {
    run: "test-1795132900000000-wxyz",
    outbox: join(data, "outbox"),
    journal: { folder: join(data, "journal") },
    recovered: segments,
    recoveredCounters: counters.buffer,
  });
  expect(await drain.stop()).toBe(0);
  expect(readdirSync(join(data, "journal"))).toEqual([]);
  return { drain, counters: counters.read() };
}

/** Ids in all files of outbox and lake, each once, in order. */
async function idsIn(data: string): Promise<number[]> {
  const files = ["outbox", "lake"].flatMap((name) =>
    readdirSync(join(data, name), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".parquet"))
      .map((file) => quoted(join(data, name, file))),
  );
  const rows = await withSql((sql) =>
    sql.rows(
      `SELECT id::BIGINT AS id FROM read_parquet([${files.join(", ")}], hive_partitioning = false) ORDER BY 1`,
    ),
  );
  return rows.map(({ id }) => Number(id));
}

const upTo = (rows: number) => Array.from({ length: rows }, (_, i) => i);

/** Damages the first record of rows in a journal. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  for (let at = PREAMBLE_BYTES; ; ) {
    const head = readHead(bytes.subarray(at));
    if (head === null) throw new Error("no record of rows");
    if (head.rows > 0 && head.bytes > 1000) {
      bytes.writeUInt8(bytes.readUInt8(at + HEAD_BYTES + 500) ^ 1, at + HEAD_BYTES + 500);
      break;
    }
    at += HEAD_BYTES + Math.ceil(head.bytes / 8) * 8;
  }
  writeFileSync(path, bytes);
}

describe("the files of a segment", () => {
  test("are those of its symbols, and one of those that can have no folder; a journal foretells them", async () => {
    const data = newFolder();
    const drain = await open(data);
    await fill(drain, 5000, "divided");
    const [name = ""] = readdirSync(drain.journal);
    const told = inspectJournal(join(drain.journal, name)).parts;
    expect(await drain.stop()).toBe(0);
    const files = drain.finished.filter(({ stream }) => stream === "trade");
    expect(files.map(({ key }) => parseKey(key)?.symbol)).toEqual([...FOLDERS, null] as string[]);
    expect(new Set(told.map(({ lakeKey }) => lakeKey))).toEqual(new Set(files.map(({ key }) => key)));
    for (const { key, rows, lastLocal, firstSeq, lastSeq } of files) {
      const span = told.find(({ lakeKey }) => lakeKey === key)?.span;
      expect(span).toMatchObject({ rows, lastLocal, firstSeq: firstSeq ?? -1, lastSeq: lastSeq ?? -1 });
    }
    // Only the last one says up to where the ring is in files.
    expect(files.map(({ until }) => until)).toEqual([null, null, null, null, null, NOON + 49_990]);
    await withSql(async (sql) => {
      for (const { path, key } of files) await auditFile(sql, lakeFile(path, key));
      const rest = files.at(-1)?.path ?? "";
      const names = await sql.rows(`SELECT DISTINCT symbol FROM ${quoted(rest)} ORDER BY 1`);
      expect(names).toEqual([{ symbol: "" }, { symbol: "C".repeat(80) }]);
    });
    expect(await idsIn(data)).toEqual(upTo(5000));
    expect(drain.feed.reading).toMatchObject({ released: 5000, filed: 5000, parked: 0 });
  });

  test("of a journal that knows no layouts are one, whatever is set", async () => {
    const data = newFolder();
    const flat = await open(data, { layout: "flat" });
    await fill(flat, 300, "flat");
    // It stays behind, unsealed, as after kill -9.
    const [name = ""] = readdirSync(flat.journal);
    const journal = readFileSync(join(flat.journal, name));
    await flat.stop();
    for (const { path } of flat.finished) rmSync(path);
    expect(journal.readUInt32LE(8)).toBe(1);
    writeFileSync(join(data, "journal", name), journal);
    const segments = await recovered(data);
    expect(segments.map(({ layout, rest }) => [layout, rest])).toEqual([["flat", 300]]);
    const { drain } = await finish(data, segments);
    expect(drain.finished.map(({ key }) => parseKey(key)?.symbol)).toEqual([null]);
  });
});

describe("between two files of a segment", () => {
  test("the outbox is full: no more is written, the rows are counted, and it goes on where it was", async () => {
    const data = newFolder();
    let files = 0;
    const box: { drain?: TestDrain } = {};
    const drain = await open(data, {
      seal: { rows: 1000 },
      step: (step) => {
        if (step === "accepted" && ++files === 2) box.drain?.drain.hold(true);
      },
    });
    box.drain = drain;
    await fill(drain, 1000, "held");
    await waitFor("two files", () => files === 2 && drain.finished.length === 2);
    await Bun.sleep(50);
    const rows = drain.finished.reduce((sum, file) => sum + file.rows, 0);
    expect(drain.finished.length).toBe(2);
    expect(drain.feed.reading).toMatchObject({ released: 1000, filed: rows, parked: 0 });
    drain.drain.hold(false);
    await waitFor("all files", () => drain.finished.length === 6);
    expect(drain.feed.reading).toMatchObject({ filed: 1000, parked: 0 });
    expect(await drain.stop()).toBe(0);
    expect(await idsIn(data)).toEqual(upTo(1000));
  });

  test("the time for a stop is over: the rest stays in the journal, and comes into files in the next life", async () => {
    const data = newFolder();
    let files = 0;
    const box: { drain?: TestDrain } = {};
    const drain = await open(data, {
      seal: { rows: 1000 },
      step: (step) => {
        if (step === "accepted" && ++files === 3) box.drain?.drain.hold(true);
      },
    });
    box.drain = drain;
    // Of a day gone by: nothing of it is too young to be judged.
    await fill(drain, 1000, "left", { at: NOON - 4 * 86_400_000_000, batch: 1000 });
    await waitFor("three files", () => drain.finished.length === 3);
    expect(await drain.stop(200)).toBe(0);
    const written = drain.finished.reduce((sum, file) => sum + file.rows, 0);
    expect(drain.feed.reading).toMatchObject({ filed: written, parked: 1000 - written });
    // What was published of it is no fault as long as its journal is there.
    const half = newFolder();
    cpSync(join(data, "journal"), join(half, "journal"), { recursive: true });
    for (const { path, key } of drain.finished) {
      mkdirSync(dirname(join(half, "lake", key)), { recursive: true });
      cpSync(path, join(half, "lake", key));
    }
    const set = { "verify.grace": "1ms" };
    const onItsWay = await auditOf(half, { set });
    expect([onItsWay.faults, onItsWay.pending.segments]).toEqual([[], 1]);
    rmSync(join(half, "journal"), { recursive: true });
    const without = await auditOf(half, { set });
    expect(new Set(without.faults.map(({ kind }) => kind))).toEqual(new Set(["sequence"]));

    const segments = await recovered(data);
    expect(segments.map(({ rest, done }) => [rest, done.size])).toEqual([[1000 - written, 3]]);
    const { drain: next, counters } = await finish(data, segments);
    expect(next.finished.map(({ key }) => parseKey(key)?.symbol)).toEqual([
      "NULL",
      "币安人生USDT",
      null,
    ] as string[]);
    expect(counters).toEqual({ taken: 1000 - written, filed: 1000 - written, parked: 0 });
    expect(await idsIn(data)).toEqual(upTo(1000));
  });

  for (const when of ["before the next start", "after it, before it is read"]) {
    test(`the journal is damaged ${when}: what is in files is not written again under another name`, async () => {
      const data = newFolder();
      let files = 0;
      const box: { drain?: TestDrain } = {};
      const drain = await open(data, {
        seal: { rows: 1000 },
        step: (step) => {
          if (step === "accepted" && ++files === 2) box.drain?.drain.hold(true);
        },
      });
      box.drain = drain;
      await fill(drain, 1000, "damaged");
      await waitFor("two files", () => drain.finished.length === 2);
      expect(await drain.stop(200)).toBe(0);
      // One has been published, and the ledger was lost; the other one waits.
      const [published] = drain.finished;
      if (published === undefined) throw new Error("no file");
      const target = join(data, "lake", published.key);
      mkdirSync(dirname(target), { recursive: true });
      renameSync(published.path, target);
      const [name = ""] = readdirSync(join(data, "journal"));
      const before = when === "before the next start";
      if (before) damage(join(data, "journal", name));
      const segments = await recovered(data);
      expect(segments.map(({ done }) => [...done].sort())).toEqual([["A/B%", "BTCUSDT"]]);
      if (!before) damage(join(data, "journal", name));
      const { drain: next, counters } = await finish(data, segments);
      const ids = await idsIn(data);
      // Of the first hundred those in the two files are there, all behind them are there, and none twice.
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.filter((id) => id >= 100)).toEqual(upTo(1000).slice(100));
      const lost = 1000 - ids.length;
      expect(lost).toBeGreaterThan(30);
      expect(lost).toBeLessThan(100);
      expect(next.spoiled.map(({ rows }) => rows)).toEqual(before ? [] : [lost]);
      expect(counters.filed).toBe(counters.taken);
      expect(next.finished.map(({ key }) => parseKey(key)?.symbol)).toEqual([
        "ETHUSDT",
        "NULL",
        "币安人生USDT",
        null,
      ] as string[]);
    });
  }
});
