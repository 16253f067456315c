/** Frames that cannot be decoded are kept as they came, within a bound. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type KeptFrame, Quarantine } from "../../src/storage/quarantine.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const folder = scratchFolder("quarantine");
const RUN = "test-1795132800000000-abcd";
const FILE = `frames-${RUN}.jsonl`;

function subfolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

function frame(bytes: Uint8Array | string, more: Partial<KeptFrame> = {}): KeptFrame {
  return {
    exchange: "binance",
    connection: 3,
    local: 1_795_132_800_123_456,
    reason: "no event type",
    frame: Buffer.from(bytes),
    ...more,
  };
}

const linesOf = (path: string): Record<string, unknown>[] =>
  readFileSync(join(path, FILE), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("one JSON line a frame, in order, with what went wrong; bytes that are no UTF-8 as base64", async () => {
  const path = subfolder("lines");
  const quarantine = await Quarantine.open(path, RUN, 1 << 20);
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  const texts = ['{"a":"币安"}', "", 'two\nlines\r\n"quoted"\u0000', "\ufeffwith a mark"];
  for (const text of texts) void quarantine.keep(frame(text));
  void quarantine.keep(frame(bytes, { reason: "not JSON", connection: 4 }));
  await quarantine.flush();
  const common = { ts: 1_795_132_800_123_456, dir: "in", exchange: "binance" };
  expect(linesOf(path)).toEqual([
    ...texts.map((raw) => ({ ...common, connection: 3, reason: "no event type", raw })),
    {
      ...common,
      connection: 4,
      reason: "not JSON",
      raw_base64: Buffer.from(bytes).toString("base64"),
    },
  ]);
  expect([quarantine.kept, quarantine.notKept]).toEqual([5, 0]);
});

test("the bound holds for the folder with what was there before; frames beyond it are counted", async () => {
  const path = subfolder("bound");
  writeFileSync(join(path, "frames-of-an-earlier-run.jsonl"), "x".repeat(1000));
  const quarantine = await Quarantine.open(path, RUN, 3000);
  await Promise.all(Array.from({ length: 30 }, (_, i) => quarantine.keep(frame(`${i} ${"y".repeat(100)}`))));
  const total = readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  expect(total).toBeLessThanOrEqual(3000);
  expect(total).toBeGreaterThan(2500);
  expect(quarantine.kept + quarantine.notKept).toBe(30);
  expect(linesOf(path).length).toBe(quarantine.kept);
  // A small one still fits where a large one did not.
  const before = quarantine.kept;
  await quarantine.keep(frame("z".repeat(5000)));
  expect(quarantine.kept).toBe(before);
});

test("a bound of nothing keeps nothing and counts all", async () => {
  const path = subfolder("nothing");
  const quarantine = await Quarantine.open(path, RUN, 0);
  await quarantine.keep(frame("a"));
  expect([quarantine.kept, quarantine.notKept]).toEqual([0, 1]);
  expect(readdirSync(path)).toEqual([]);
});

test("a disk that refuses is counted, not thrown", async () => {
  const path = subfolder("refused");
  const quarantine = await Quarantine.open(path, RUN, 1 << 20);
  mkdirSync(join(path, FILE));
  await quarantine.keep(frame("a"));
  expect([quarantine.kept, quarantine.notKept]).toEqual([0, 1]);
});

test("files are moved in under a name of their own", async () => {
  const path = subfolder("files");
  const quarantine = await Quarantine.open(path, RUN, 1 << 20);
  for (const text of ["one", "two"]) {
    const file = join(folder, ".v1~half.0.tmp");
    writeFileSync(file, text);
    const now = await quarantine.moveFile(file);
    expect(readFileSync(now, "utf8")).toBe(text);
    expect(now).toMatch(/\/[0-9a-f]{8}-v1~half\.0\.tmp$/);
  }
  expect(readdirSync(path).length).toBe(2);
});
