/** A run is killed with rows in its ring: whatever had been published into it is in a journal afterwards, once. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isSameBoot } from "../../../src/lib/boot.ts";
import { createRingFile, findRing } from "../../../src/ring/file.ts";
import { COUNTER, HEAD, readRing, TAIL, VERSION, viewsOf } from "../../../src/ring/memory.ts";
import { inspectJournal } from "../../../src/storage/journal/inspect.ts";
import { recoverJournals } from "../../../src/storage/journal/recovery.ts";
import { JournalWriter, Stage } from "../../../src/storage/journal/writer.ts";
import { RingFolders } from "../../../src/storage/rings/folders.ts";
import { readAbout, writeAbout } from "../../../src/storage/rings/format.ts";
import { scratchFolder } from "../../helpers/scratch.ts";
import { seeded } from "../../lib/seed.ts";
import { someMidnight } from "../feed.ts";
import {
  addSymbols,
  journaledRows,
  killed,
  newWorld,
  rescueIn,
  ringBytesIn,
  ringsIn,
  SEGMENT_ROWS,
  SYMBOLS,
  type World,
} from "./world.ts";

const root = scratchFolder("rescue");
const MIDNIGHT = someMidnight();
let folders = 0;
const newFolder = () => join(root, String(folders++));

class Interrupted extends Error {}

/** A run that pushes, publishes and drains at random; what is published is noted. */
class Life {
  /** By seq: rows that were accepted. */
  readonly accepted = new Map<number, { local: number; symbol: string }>();
  #staged: [number, { local: number; symbol: string }][] = [];
  #seq = 0;
  #symbols = SYMBOLS.length;

  constructor(
    readonly world: World,
    readonly random: ReturnType<typeof seeded>,
    public local: number,
  ) {}

  push(count: number): void {
    for (let i = 0; i < count; i++) {
      this.local += this.random.below(40);
      const number = this.random.below(this.#symbols);
      const symbol = number < SYMBOLS.length ? (SYMBOLS[number] ?? "") : `NEW${number}USDT`;
      const row = { local: this.local, symbol };
      const values = { id: `id-${this.#seq}`, price: this.#seq, amount: 0.5 };
      if (this.world.feed.push(number, this.local, values)) this.#staged.push([this.#seq, row]);
      this.#seq++;
    }
  }

  publish(): void {
    this.world.feed.publish();
    for (const [seq, row] of this.#staged) this.accepted.set(seq, row);
    this.#staged = [];
  }

  list(): void {
    addSymbols(this.world, [`NEW${this.#symbols}USDT`], this.#symbols);
    this.#symbols++;
  }

  async act(): Promise<void> {
    const action = this.random.below(100);
    if (action < 50) this.push(1 + this.random.below(30));
    else if (action < 75) this.publish();
    else if (action < 97) await this.world.test.drain.step();
    else this.list();
  }
}

/** Every row that was accepted is in a journal, once, with its own time and symbol, no journal over a day or too long. */
function expectAll(folder: string, accepted: Life["accepted"]): void {
  const rows = journaledRows(folder);
  expect(rows.map(({ seq }) => seq)).toEqual([...accepted.keys()]);
  for (const { seq, local, symbol } of rows) expect({ local, symbol }).toEqual(accepted.get(seq) as never);
  for (const [n, own] of Map.groupBy(rows, (row) => row.n)) {
    expect(own.length, `journal ${n}`).toBeLessThanOrEqual(SEGMENT_ROWS);
    expect(new Set(own.map((row) => row.local < MIDNIGHT)).size, `journal ${n}`).toBe(1);
  }
}

/** As if the drain had made files of all sealed journals, and removed them. @returns their numbers */
function fileSealed(folder: string, accepted: Map<number, unknown>): number[] {
  const filed = readdirSync(join(folder, "journal")).flatMap((name) => {
    const path = join(folder, "journal", name);
    const { seal, key, span } = inspectJournal(path);
    if (seal === null || span === null) return [];
    rmSync(path);
    return [{ n: key.n, lastSeq: span.lastSeq }];
  });
  const last = Math.max(-1, ...filed.map(({ lastSeq }) => lastSeq));
  for (const seq of accepted.keys()) if (seq <= last) accepted.delete(seq);
  return filed.map(({ n }) => n);
}

test("at any moment of any life: what was accepted is in journals, once, however often the rescue is killed", async () => {
  const random = seeded("rescue");
  let interrupted = 0;
  for (const capacity of [16, 64, 512, 2048]) {
    const layout = capacity === 64 ? "symbol" : "flat";
    const life = new Life(await newWorld(newFolder(), { capacity, layout }), random, MIDNIGHT - 400_000);
    for (let moment = 0; moment < 8; moment++) {
      for (let i = random.below(120); i >= 0; i--) await life.act();
      if (moment === 3) {
        // Rows of two days in one ring.
        await life.world.test.drainAll();
        expect(life.local).toBeLessThan(MIDNIGHT - 60);
        life.local = MIDNIGHT - 60;
        life.push(12);
      }
      if (moment % 2 === 1) life.publish();
      const accepted = new Map(life.accepted);
      const left = killed(life.world, newFolder());
      const used = random.below(2) === 0 ? fileSealed(left, accepted) : [];
      // Killed at every step in turn, until one comes to its end.
      for (let kills = 0; ; kills++) {
        let steps = 0;
        const step = () => {
          if (steps++ >= random.below(3)) throw new Interrupted();
        };
        try {
          const notices = await rescueIn(left, kills > 200 ? {} : { step });
          expect(notices.every(({ event }) => event === "ring_rescued")).toBe(true);
          break;
        } catch (error) {
          if (!(error instanceof Interrupted)) throw error;
          interrupted++;
        }
      }
      expectAll(left, accepted);
      expect(journaledRows(left).filter(({ n }) => used.includes(n))).toEqual([]);
      expect(readdirSync(join(left, "rings"))).toEqual([]);
      // Recovery finds journals as it always does: whole, each sealed and followed by the next.
      const recovery = await recoverJournals({
        folder: join(left, "journal"),
        published: () => false,
        quarantine: (path) => Promise.reject(new Error(path)),
      });
      expect(recovery.holes).toEqual([]);
      expect(recovery.segments.reduce((sum, { span }) => sum + span.rows, 0)).toBe(accepted.size);
      expect(await rescueIn(left)).toEqual([]);
    }
    await life.world.test.stop();
    life.world.files.remove();
    expect(readdirSync(join(life.world.root, "rings"))).toEqual([]);
  }
  expect(interrupted).toBeGreaterThan(20);
}, 180_000);

/** A life with rows in a journal that goes on, and 100 in the ring; and what kill -9 left of it. */
async function killedLife(name: string, { drained = 50, inRing = 100 } = {}) {
  const life = new Life(await newWorld(newFolder(), { capacity: 512 }), seeded(name), MIDNIGHT + 1_000_000);
  life.push(drained);
  await life.world.test.drainAll();
  life.publish();
  life.push(inRing);
  life.publish();
  const folder = killed(life.world, newFolder());
  await life.world.test.stop();
  return { life, folder, accepted: new Map(life.accepted) };
}

/** Changes the memory of the ring that is left in a folder. */
function change(folder: string, act: (views: ReturnType<typeof viewsOf>) => void): void {
  act(viewsOf(findRing(ringBytesIn(folder).path).handle));
}

test("a producer killed in its counters loses what it had not published, one killed behind them nothing", async () => {
  for (const version of [1, 2]) {
    const { life, folder, accepted } = await killedLife("odd");
    const { counters } = viewsOf(life.world.feed.spec.handle);
    expect(counters[COUNTER.accepted]).toBe(150);
    change(folder, ({ control }) => {
      control[VERSION] = version;
      control[HEAD] = 140;
    });
    const [told] = await rescueIn(folder);
    expect(told).toMatchObject({ event: "ring_rescued", rows: version === 1 ? 90 : 100 });
    expect(journaledRows(folder).map(({ seq }) => seq)).toEqual(
      [...accepted.keys()].slice(0, version === 1 ? 140 : 150),
    );
  }
});

test("what found the ring full behind its last row is told by number", async () => {
  const life = new Life(await newWorld(newFolder(), { capacity: 64 }), seeded("full"), MIDNIGHT + 1_000_000);
  life.push(100);
  life.publish();
  const folder = killed(life.world, newFolder());
  expect(await rescueIn(folder)).toMatchObject([{ event: "ring_rescued", rows: 64, dropped: 36 }]);
  expect(journaledRows(folder).length).toBe(64);
  await life.world.test.stop();
});

test("the torn tail of the journal is cut, and its rows come from the ring", async () => {
  const { folder, accepted } = await killedLife("torn", { drained: 0 });
  // The drain was killed in the middle of writing what it had not given back.
  const first = await killedLife("torn");
  const [journal = ""] = readdirSync(join(first.folder, "journal"));
  const path = join(first.folder, "journal", journal);
  const size = Bun.file(path).size;
  const { end, header } = inspectJournal(path);
  expect(end).toBe(size);
  writeFileSync(path, Buffer.concat([Buffer.from(await Bun.file(path).arrayBuffer()), Buffer.alloc(500, 7)]));
  await rescueIn(first.folder);
  expectAll(first.folder, first.accepted);
  expect(header.n).toBe(0);
  // And where there is no journal at all, one begins.
  await rescueIn(folder);
  expectAll(folder, accepted);
});

test("no number of a segment is used twice, where its journals are gone and where its file is there", async () => {
  const gone = await killedLife("numbers", { drained: 0 });
  change(gone.folder, ({ counters }) => {
    counters[COUNTER.noted] = 7;
  });
  await rescueIn(gone.folder);
  expect(new Set(journaledRows(gone.folder).map(({ n }) => n))).toEqual(new Set([7]));
  // Its only segment was full, sealed, and has become a file before the kill.
  const full = await killedLife("numbers", { drained: SEGMENT_ROWS });
  expect(fileSealed(full.folder, full.accepted)).toEqual([0]);
  await rescueIn(full.folder);
  expectAll(full.folder, full.accepted);
  expect(new Set(journaledRows(full.folder).map(({ n }) => n))).toEqual(new Set([1]));
  // Its seal could not be written, but its file was: the journal is about to be removed.
  const filed = await killedLife("numbers");
  await rescueIn(filed.folder, { published: (key) => key.endsWith("_0_0.parquet") });
  const rows = journaledRows(filed.folder);
  expect(rows.filter(({ n }) => n === 0).length).toBe(50);
  expect(rows.filter(({ n }) => n === 1).length).toBe(100);
});

test("rows in a journal that cannot be sealed are given back all the same: a later start does not find them again", async () => {
  const { folder, accepted } = await killedLife("unsealed");
  // Killed when ten rows were in the journal, and not yet given back.
  change(folder, ({ control }) => Atomics.sub(control, TAIL, 10));
  const path = join(folder, "journal", readdirSync(join(folder, "journal"))[0] ?? "");
  const published = () => {
    rmSync(path);
    mkdirSync(path);
    return true;
  };
  const kept = await rescueIn(folder, { published });
  expect(kept).toMatchObject([
    { event: "ring_not_rescued", why: expect.stringContaining("EISDIR"), kept: true },
  ]);
  // Its file is there, so recovery removes it.
  rmSync(path, { recursive: true });
  await rescueIn(folder);
  for (let seq = 0; seq < 50; seq++) accepted.delete(seq);
  expectAll(folder, accepted);
});

test("a list of folders that cannot be written ends neither a stop nor a start in a folder that stands in it", () => {
  const [data, parent] = [newFolder(), newFolder()];
  const folders = new RingFolders(data);
  const folder = folders.use(parent);
  // As a full disk would be.
  mkdirSync(join(data, "rings", "places.json.tmp"));
  folders.leave(folder);
  expect(existsSync(folder)).toBe(false);
  const later = new RingFolders(data);
  expect(later.all).toContain(folder);
  expect(later.use(parent)).toBe(folder);
  expect(existsSync(folder)).toBe(true);
  expect(() => later.use(newFolder())).toThrow("EISDIR");
});

test("a symbol that has no name, or a torn one: the ring is kept aside, and nothing is made of it", async () => {
  const { folder } = await killedLife("symbols", { drained: 0 });
  const symbols = readdirSync(join(folder, "rings")).find((name) => name.endsWith(".symbols")) ?? "";
  const path = join(folder, "rings", symbols);
  truncateSync(path, Bun.file(path).size - 1);
  const notices = await rescueIn(folder);
  expect(notices).toMatchObject([
    { event: "file_quarantined", reason: expect.stringMatching(/the name of its symbol [01] is missing/) },
  ]);
  expect(readdirSync(join(folder, "journal"))).toEqual([]);
  expect(readdirSync(join(folder, "aside")).length).toBe(1);
  expect(readdirSync(join(folder, "rings"))).toEqual([]);
});

test("symbols that could not be written are written with the next ones", async () => {
  const world = await newWorld(newFolder(), { capacity: 64 });
  const path = join(
    world.root,
    "rings",
    readdirSync(join(world.root, "rings")).find((name) => name.endsWith(".symbols")) ?? "",
  );
  rmSync(path);
  mkdirSync(path);
  expect(() => world.files.keepSymbols("binance", [[2, "A", "A-X"]])).toThrow("EISDIR");
  rmSync(path, { recursive: true });
  // What a full disk may leave of the first attempt.
  writeFileSync(path, '{"exchange":"binance","sym');
  world.files.keepSymbols("binance", [[3, "B", "B-X"]]);
  world.feed.push(2, MIDNIGHT + 1, {});
  world.feed.push(3, MIDNIGHT + 2, {});
  world.feed.publish();
  const folder = killed(world, newFolder());
  await rescueIn(folder);
  expect(journaledRows(folder).map(({ symbol }) => symbol)).toEqual(["A", "B"]);
  await world.test.stop();
});

test("files that are cut off, foreign or hold no rows that could be are kept aside and named; others are rescued", async () => {
  const spoilt: [string, (folder: string) => void, RegExp][] = [
    [
      "cut off",
      (folder) => truncateSync(ringBytesIn(folder).path, 5000),
      /does not end as the file of a ring/,
    ],
    ["empty", (folder) => truncateSync(ringBytesIn(folder).path, 0), /cut off/],
    [
      "tail beyond head",
      (folder) => change(folder, ({ control }) => Atomics.store(control, TAIL, 190)),
      /claims to hold -40 rows/,
    ],
    [
      "more than it can hold",
      (folder) => change(folder, ({ control }) => Atomics.store(control, HEAD, 3000)),
      /claims to hold 2950/,
    ],
    [
      "rows out of order",
      (folder) => change(folder, ({ numbers }) => void numbers.fill(3)),
      /row \d+ of 100 is none/,
    ],
    [
      "rows of nothing",
      (folder) => change(folder, ({ numbers }) => void numbers.fill(Number.NaN)),
      /row 0 of 100 is none/,
    ],
  ];
  for (const [name, spoil, reason] of spoilt) {
    const { folder } = await killedLife("spoilt");
    writeFileSync(join(folder, "rings", "foreign.txt"), "hello");
    mkdirSync(join(folder, "rings", "folder"));
    writeFileSync(join(folder, "rings", `binance~trade~test-1-abcd~3.ring.tmp`), "");
    spoil(folder);
    const notices = await rescueIn(folder);
    expect(notices.map(({ event }) => event).sort(), name).toEqual([
      "file_quarantined",
      "file_quarantined",
      "foreign_entry",
    ]);
    expect(
      notices.some((one) => "reason" in one && reason.test(one.reason)),
      `${name}: ${JSON.stringify(notices)}`,
    ).toBe(true);
    expect(readdirSync(join(folder, "aside")).length).toBe(2);
    expect(readdirSync(join(folder, "rings"))).toEqual(["folder"]);
    expect(journaledRows(folder).length, name).toBe(50);
  }
});

test("a ring of an earlier start of the machine is not trusted; an empty one is nothing", async () => {
  const { folder } = await killedLife("boot");
  const { path, bytes } = ringBytesIn(folder);
  const { handle, about } = findRing(path);
  rmSync(path);
  createRingFile(
    path,
    { capacity: 512, numbers: handle.numbers, texts: handle.texts },
    writeAbout({ ...readAbout(about), boot: "id:another" }),
  );
  const memory = bytes.subarray(0, bytes.length - about.length - 32);
  const views = viewsOf(findRing(path).handle);
  new Uint8Array(views.buffer).set(memory);
  expect(readRing(findRing(path).handle, views).used).toBe(100);
  expect(await rescueIn(folder)).toMatchObject([{ event: "ring_not_rescued", kept: false }]);
  expect(journaledRows(folder).length).toBe(50);
  expect(ringsIn(folder)).toEqual([]);
  expect([
    isSameBoot("at:100", "at:102"),
    isSameBoot("at:100", "at:103"),
    isSameBoot("id:a", "at:100"),
  ]).toEqual([true, false, false]);
});

test("where journals cannot be written the ring stays for the next start", async () => {
  const { folder, accepted } = await killedLife("full disk", { drained: 0 });
  const create = JournalWriter.create;
  try {
    JournalWriter.create = () => {
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), {
        code: "ENOSPC",
        syscall: "write",
      });
    };
    expect(await rescueIn(folder)).toMatchObject([
      { event: "ring_not_rescued", kept: true, why: expect.stringContaining("ENOSPC") },
    ]);
  } finally {
    JournalWriter.create = create;
  }
  expect(ringsIn(folder).length).toBe(1);
  expect(readdirSync(join(folder, "rings")).length).toBe(2);
  await rescueIn(folder);
  expectAll(folder, accepted);
});

test("rings in a folder elsewhere are found there, whatever the next start is told, and the folder is left clean", async () => {
  const parent = newFolder();
  const life = new Life(await newWorld(newFolder(), { capacity: 64, parent }), seeded("elsewhere"), MIDNIGHT);
  life.push(20);
  life.publish();
  const { root } = life.world;
  expect(ringsIn(root)).toEqual([]);
  expect(readdirSync(parent).length).toBe(1);
  // A second data folder may use the same place: neither sees the other's.
  const other = await newWorld(newFolder(), { capacity: 64, parent });
  expect(readdirSync(parent).length).toBe(2);
  await life.world.test.drain.giveUp();
  await life.world.test.drain.abort();
  expect(await rescueIn(root)).toMatchObject([{ event: "ring_rescued", rows: 20 }]);
  expectAll(root, life.accepted);
  expect(readdirSync(parent).length).toBe(1);
  expect(new RingFolders(root).all).toEqual([join(root, "rings")]);
  other.files.remove();
  expect(readdirSync(parent)).toEqual([]);
  // Gone with a machine that was started anew.
  const third = await newWorld(newFolder(), { capacity: 64, parent });
  rmSync(parent, { recursive: true });
  expect(await rescueIn(third.root)).toEqual([]);
  expect(new RingFolders(third.root).all).toEqual([join(third.root, "rings")]);
  for (const { test: drain } of [other, third]) await drain.stop();
});

test("a journal goes on behind its last whole record", async () => {
  const { folder } = await killedLife("goes on");
  const [name = ""] = readdirSync(join(folder, "journal"));
  const path = join(folder, "journal", name);
  const { header, end } = inspectJournal(path);
  const writer = JournalWriter.goOn(path, header, end, { stage: new Stage(), always: false });
  writer.symbols([[9, "X", "X-X"]]);
  await writer.close();
  expect(inspectJournal(path)).toMatchObject({ torn: 0, lost: [], span: { rows: 50 } });
  expect(inspectJournal(path).size).toBeGreaterThan(end);
});
