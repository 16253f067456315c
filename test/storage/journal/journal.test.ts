/** What is read back from journals that are whole, cut at any byte, or damaged at any bit. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { inspectJournal } from "../../../src/storage/journal/inspect.ts";
import { recoverJournals } from "../../../src/storage/journal/recovery.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { seeded } from "../../lib/seed.ts";
import { FIRST, makeJournal, RUN } from "./rows.ts";

const root = scratchFolder("journal");
let folders = 0;
function newFolder(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

/** Recovers a folder; files go to a quarantine of its own. */
async function recover(folder: string, published: (key: string) => boolean = () => false) {
  const moved: string[] = [];
  const recovery = await recoverJournals({
    folder,
    published,
    quarantine: async (path) => {
      const target = join(newFolder(), basename(path));
      await Bun.write(target, Bun.file(path));
      await Bun.file(path).delete();
      moved.push(basename(path));
      return target;
    },
  });
  return { ...recovery, moved };
}

test("a whole journal says what it holds; sealed by a run, it is taken as it stands", async () => {
  const folder = newFolder();
  const { path } = await makeJournal(folder, { records: [1, 100, 2048, 7], sealed: true });
  const content = inspectJournal(path);
  const span = { rows: 2156, firstLocal: FIRST, lastLocal: FIRST + 2155, firstSeq: 0, lastSeq: 2155 };
  expect(content).toMatchObject({ span, seal: span, torn: 0, lost: [], key: { run: RUN, ring: 0, n: 0 } });
  const before = readFileSync(path);
  const { segments, notices, holes, ends } = await recover(folder);
  expect(segments).toMatchObject([{ path, span, lakeKey: content.seal?.key, damaged: false }]);
  expect(notices).toEqual([]);
  expect(holes).toEqual([]);
  expect(ends).toMatchObject([{ lastLocal: FIRST + 2155, lastSeq: 2155, stream: "trade" }]);
  expect(readFileSync(path).equals(before)).toBe(true);
});

test("a journal cut at any byte holds its whole records; sealed there, it can be recovered again and again", async () => {
  const random = seeded("journal cut");
  const source = await makeJournal(newFolder(), { records: [3, 1, 40, 5], sealed: true });
  const whole = readFileSync(source.path);
  const rowsAt = [0, 3, 4, 44, 49, 49];
  const cuts = new Set([
    ...source.ends,
    ...source.ends.map((end) => end - 1),
    ...source.ends.map((end) => end + 1),
  ]);
  while (cuts.size < 120) cuts.add(random.below(whole.length));
  for (const cut of cuts) {
    if (cut >= whole.length) continue;
    const folder = newFolder();
    const path = join(folder, basename(source.path));
    writeFileSync(path, whole.subarray(0, cut));
    const index = source.ends.findLastIndex((end) => end <= cut);
    const rows = index < 0 ? 0 : (rowsAt[index] ?? 0);
    for (const attempt of ["first", "again"]) {
      // A cut in the zeros behind a record costs nothing.
      const torn = rows > 0 && inspectJournal(path).torn > 0;
      const { segments, notices, moved, unused } = await recover(folder);
      const told = `${attempt} time, cut at ${cut}`;
      if (rows > 0) {
        expect(segments, told).toMatchObject([{ span: { rows, lastSeq: rows - 1 }, damaged: false }]);
        const events = notices.map(({ event }) => event);
        expect(events, told).toEqual(torn ? ["journal_cut"] : []);
        expect(torn && attempt === "again", told).toBe(false);
        expect(inspectJournal(path).seal, told).toMatchObject({ rows, lastSeq: rows - 1 });
      } else {
        expect(segments, told).toEqual([]);
        expect(readdirSync(folder), told).toEqual([]);
        if (attempt === "first") expect(moved.length + unused.length, told).toBe(1);
      }
    }
  }
});

test("a flipped bit anywhere costs at most the record that it struck, is told, and never passes for data", async () => {
  const random = seeded("journal flip");
  const records = [3, 1, 40, 5, 9];
  const source = await makeJournal(newFolder(), { records, sealed: true });
  const whole = readFileSync(source.path);
  const [begin = 0] = source.ends;
  for (let round = 0; round < 150; round++) {
    const folder = newFolder();
    const path = join(folder, basename(source.path));
    const bytes = Buffer.from(whole);
    const at = random.below(whole.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    writeFileSync(path, bytes);
    const told = `bit flipped in byte ${at}`;
    const { segments, notices, moved, holes } = await recover(folder);
    if (at < begin) {
      // Preamble, header or symbols: without them no row can be understood. Padding is of no consequence.
      if (segments.length === 0) expect(moved, told).toEqual([basename(path)]);
      else expect(segments, told).toMatchObject([{ span: { rows: 58 } }]);
      continue;
    }
    const struck = source.ends.findIndex((end) => at < end) - 1;
    const rows = records[struck] ?? 0;
    const { span } = inspectJournal(path);
    const [segment] = segments;
    expect(segment?.span, told).toEqual(span as typeof span & object);
    if (span?.rows === 58) continue;
    expect(span?.rows, told).toBe(58 - rows);
    expect(segment?.damaged, told).toBe(true);
    expect(
      notices.map(({ event }) => event),
      told,
    ).toEqual(["journal_damaged"]);
    expect(holes, told).toMatchObject([{ reason: "quarantine", stream: "trade" }]);
    const firstSeq = records.slice(0, struck).reduce((a, b) => a + b, 0);
    const [hole] = holes;
    // The span holds what was lost.
    expect(hole?.from ?? 0, told).toBeLessThanOrEqual(FIRST + firstSeq);
    expect(hole?.to, told).toBeGreaterThanOrEqual(FIRST + firstSeq + rows - 1);
    if (hole?.missed !== null) expect(hole?.missed, told).toBe(rows);
  }
});

test("where the only record is struck the journal is kept aside, and its rows are told as lost", async () => {
  const folder = newFolder();
  const { path, ends } = await makeJournal(folder, { records: [40], sealed: true });
  const bytes = readFileSync(path);
  const at = (ends[1] ?? 0) - 100;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const content = inspectJournal(path);
  expect(content.span).toBeNull();
  const key = content.seal?.key ?? "";
  const copy = newFolder();
  writeFileSync(join(copy, basename(path)), bytes);
  const { moved, notices, holes, unused } = await recover(folder);
  expect(moved).toEqual([basename(path)]);
  expect(notices).toMatchObject([{ event: "file_quarantined", reason: "no row of it can be read" }]);
  expect(holes).toMatchObject([
    { reason: "quarantine", stream: "trade", missed: 40, from: FIRST, to: FIRST + 39 },
  ]);
  expect(unused).toEqual([]);
  // Where its file is there nothing is lost.
  const filed = await recover(copy, (one) => one === key);
  expect(filed).toMatchObject({ moved: [], holes: [], segments: [] });
  expect(filed.notices).toMatchObject([{ event: "journal_removed", why: "its segment is published" }]);
});

describe("files that are no journals", () => {
  const cases: [string, string, Uint8Array | string, string][] = [
    ["an empty one", `binance~bbo~${RUN}~0~0.journal`, "", "it is empty"],
    ["a foreign one", "notes.txt", "hello", "foreign file"],
    [
      "one of another kind under our name",
      `binance~bbo~${RUN}~0~0.journal`,
      "PAR1".repeat(99),
      "does not begin",
    ],
    ["one cut in its first bytes", `binance~bbo~${RUN}~0~0.journal`, "TAPEJRNL\x01", "cut off after 9"],
  ];
  for (const [what, name, content, reason] of cases) {
    test(`${what} goes to quarantine by name, and the rest is recovered`, async () => {
      const folder = newFolder();
      await makeJournal(folder, { records: [5], ring: 3 });
      writeFileSync(join(folder, name), content);
      const { segments, notices, moved } = await recover(folder);
      expect(segments).toMatchObject([{ span: { rows: 5 }, key: { ring: 3 } }]);
      expect(moved).toEqual([name]);
      expect(notices).toMatchObject([{ event: "file_quarantined", path: join(folder, name) }]);
      expect(JSON.stringify(notices)).toContain(reason);
    });
  }

  test("one of a later version is put aside, and how to get it back is said", async () => {
    const folder = newFolder();
    const { path } = await makeJournal(folder, { records: [5] });
    const bytes = readFileSync(path);
    bytes.writeUInt32LE(3, 8);
    bytes.writeUInt32LE((await import("node:zlib")).crc32(bytes.subarray(0, 12)), 12);
    writeFileSync(path, bytes);
    const { notices } = await recover(folder);
    expect(JSON.stringify(notices)).toContain("its version is 3, this program reads up to 2: put it back");
  });

  test("one under a name that is not its own", async () => {
    const folder = newFolder();
    const { path } = await makeJournal(folder, { records: [5], n: 1 });
    writeFileSync(join(folder, `binance~trade~${RUN}~0~7.journal`), readFileSync(path));
    const { segments, moved } = await recover(folder);
    expect(segments).toMatchObject([{ key: { n: 1 } }]);
    expect(moved).toEqual([`binance~trade~${RUN}~0~7.journal`]);
  });
});

describe("what is missing between journals", () => {
  test("a journal that a power loss cut short, and its successor: a crash between them, to the row", async () => {
    const folder = newFolder();
    const first = await makeJournal(folder, { records: [10, 10], n: 0 });
    await makeJournal(folder, { records: [5], n: 1, firstSeq: 20 });
    truncateSync(first.path, (first.ends[1] ?? 0) + 100);
    const { holes, segments } = await recover(folder);
    expect(segments.map(({ key, span }) => [key.n, span.rows])).toEqual([
      [0, 10],
      [1, 5],
    ]);
    expect(holes).toMatchObject([{ reason: "crash", from: FIRST + 9, to: FIRST + 20, missed: 10 }]);
  });

  test("a journal in quarantine: from the row before it to the row behind it", async () => {
    const folder = newFolder();
    await makeJournal(folder, { records: [10], n: 0, sealed: true });
    const second = await makeJournal(folder, { records: [10], n: 1, firstSeq: 10, sealed: true });
    await makeJournal(folder, { records: [5], n: 2, firstSeq: 20 });
    truncateSync(second.path, 20);
    const { holes, moved } = await recover(folder);
    expect(moved).toEqual([basename(second.path)]);
    expect(holes).toMatchObject([{ reason: "quarantine", from: FIRST + 9, to: FIRST + 20, missed: 10 }]);
  });

  test("drops between sealed journals are no hole: they have been told", async () => {
    const folder = newFolder();
    await makeJournal(folder, { records: [10], n: 0, sealed: true });
    await makeJournal(folder, { records: [5], n: 1, firstSeq: 25 });
    expect((await recover(folder)).holes).toEqual([]);
  });
});

test("a segment that is published is not taken again: its journal is removed", async () => {
  const folder = newFolder();
  const { path } = await makeJournal(folder, { records: [10] });
  const asked: string[] = [];
  const { segments, notices } = await recover(folder, (key) => {
    asked.push(key);
    return true;
  });
  expect(segments).toEqual([]);
  expect(asked).toEqual([`v1/exchange=binance/stream=trade/date=2026-11-20/${FIRST}_${RUN}_0_0.parquet`]);
  expect(notices).toMatchObject([{ event: "journal_removed", path }]);
  expect(readdirSync(folder)).toEqual([]);
});
