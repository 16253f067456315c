/** What a start finds damaged, or foreign, in its data folder: named, put aside, told as a hole; the rest is recovered. */
import { expect, test } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { RECORD } from "../../src/storage/journal/format.ts";
import { inspectJournal } from "../../src/storage/journal/inspect.ts";
import { JournalReader } from "../../src/storage/journal/reader.ts";
import { compareAccount, uncovered } from "../helpers/account.ts";
import { auditFile, lakeFiles } from "../helpers/audit.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { seeded } from "../lib/seed.ts";

const cwd = scratchFolder("damaged");

test("journals with a flipped bit, cut, empty; Parquet of 214 bytes and with a flipped byte; foreign files: each is named, and the rest is in the lake", async () => {
  const random = seeded("damaged");
  const exchange = startBinance({ instruments: 20, rate: 8000, account: true });
  try {
    const args = ["--streams", "bbo,trade"];
    const set = { "flush.interval": "150ms", "flush.min_gap": "0ms", "storage.retry_max": "100ms" };
    // Nothing leaves the outbox, and when it is full nothing leaves the journals.
    const kept = { "lake.disk_floor": "1024TiB", "outbox.max_bytes": "150KiB", "flush.rows": "400" };
    const first = await startRecorder({ cwd, exchange, args, set: { ...set, ...kept } });
    const { data } = first;
    const [journals, outbox, quarantine] = ["journal", "outbox", "quarantine"].map((name) =>
      join(data, name),
    );
    if (journals === undefined || outbox === undefined || quarantine === undefined)
      throw new Error("no folders");
    await first.process.event("outbox_full");
    const sealed = () =>
      readdirSync(journals)
        .filter((name) => name.includes("~bbo~") && statSync(join(journals, name)).size > 20_000)
        // Where one record holds all rows, because the drain was held up, there is no rest.
        .filter((name) => rowRecordsOf(join(journals, name)) > 2)
        .sort((a, b) => numberOf(a) - numberOf(b));
    await waitFor("journals that wait", () => sealed().length > 6, { every: 20 });
    first.process.signal("SIGKILL");
    await first.process.exit();

    const [flipped = "", cut = "", empty = ""] = sealed();
    flip(join(journals, flipped), 0.5);
    const half = Math.floor(statSync(join(journals, cut)).size / 2);
    truncateSync(join(journals, cut), half);
    // Not between two records.
    if (inspectJournal(join(journals, cut)).torn === 0) truncateSync(join(journals, cut), half - 1);
    truncateSync(join(journals, empty), 0);
    const files = readdirSync(outbox).filter((name) => name.endsWith(".parquet"));
    const [short = "", changed = ""] = files.filter((name) => name.includes("stream=bbo"));
    truncateSync(join(outbox, short), 214);
    flip(join(outbox, changed), 0.3 + random.below(100) / 1000);
    for (const folder of [journals, outbox, quarantine]) {
      writeFileSync(join(folder, "notes.txt"), "what somebody left here");
      mkdirSync(join(folder, "somebody's folder"));
      symlinkSync("/nowhere/at/all", join(folder, "a link"));
    }

    const second = await startRecorder({ cwd, exchange, args, set });
    const [, , run = ""] = flipped.split("~");
    const waiting = (folder: string) => readdirSync(folder).filter((name) => name.includes(run));
    await second.until("all of the first run", ({ balance: { received } }) => {
      return received > 1000 && waiting(journals).length + waiting(outbox).length === 0;
    });
    await second.process.event("file_quarantined", ({ path }) => path === join(outbox, changed));
    await exchange.pause();
    const { code, end } = await second.stop();
    expect([code, end.holds, end.inJournal, end.inOutbox, end.lost, end.dropped]).toEqual([
      0,
      true,
      0,
      0,
      0,
      0,
    ]);

    const said = (event: string) => second.process.events(event).map(({ path }) => path);
    expect(said("journal_damaged")).toEqual([join(journals, flipped)]);
    expect(said("journal_cut")).toContain(join(journals, cut));
    const aside = [
      join(journals, empty),
      join(journals, "notes.txt"),
      ...[short, changed, "notes.txt"].map((name) => join(outbox, name)),
    ];
    for (const path of aside) expect(said("file_quarantined"), path).toContain(path);
    const others = [journals, outbox].flatMap((folder) => [
      join(folder, "a link"),
      join(folder, "somebody's folder"),
    ]);
    expect(said("foreign_entry").sort()).toEqual(others.sort());
    const names = readdirSync(quarantine);
    for (const path of [...aside, join(journals, flipped)])
      expect(
        names.some((name) => name.endsWith(basename(path))),
        path,
      ).toBe(true);
    expect(readdirSync(journals).sort()).toEqual(["a link", "somebody's folder"]);

    await withSql(async (sql) => {
      for (const file of lakeFiles(data)) await auditFile(sql, file);
      const { sent, missing } = await compareAccount(sql, exchange, data);
      expect(missing.length).toBeGreaterThan(100);
      expect(await uncovered(sql, data, missing)).toEqual([]);
      const told = await sql.rows(
        `SELECT missed FROM ${streamFrom(data, "gaps")} WHERE reason = 'quarantine' AND affected_stream = 'bbo'`,
      );
      // The flipped record, the journal without a header, the two files; the cut one ends where its successor begins.
      expect(told.length).toBeGreaterThanOrEqual(4);
      console.log(`damaged files: ${sent} events, ${missing.length} not there, all of them in gaps`);
    });
  } finally {
    await exchange.stop();
  }
}, 180_000);

/** Number of the segment in the name of a journal. */
function numberOf(name: string): number {
  return Number(/~(\d+)\.journal$/.exec(name)?.[1]);
}

/** How many records of a journal hold rows. */
function rowRecordsOf(path: string): number {
  using reader = JournalReader.open(path);
  return [...reader.records()].filter(({ head }) => head.type === RECORD.rows).length;
}

/** Turns one bit of a file, at a share of its length. */
function flip(path: string, share: number): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length * share);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
  writeFileSync(path, bytes);
}
