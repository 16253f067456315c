/** Captures are whole files of one exchange and day, within their bounds, whatever stands in a frame. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { RawFile, RecoveredFile, WriterOptions } from "../../src/capture/messages.ts";
import { pack } from "../../src/capture/packed-file.ts";
import { recoverFiles } from "../../src/capture/recover.ts";
import { RawWriter, type ReceivedFrame } from "../../src/capture/writer.ts";
import { ZstdFrames } from "../../src/lib/zstd.ts";
import { seeded } from "../lib/seed.ts";

const scratch = mkdtempSync(join(tmpdir(), "tapedeck-writer-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const RUN = "test-1795000000000000-abcd";
/** 2026-11-20T00:00:00Z, µs. */
const MIDNIGHT = Date.UTC(2026, 10, 20) * 1000;

interface Line {
  ts: number;
  dir: string;
  exchange: string;
  connection: number;
  url?: string;
  raw?: string;
  raw_base64?: string;
}

function start(options: Partial<WriterOptions> = {}) {
  const root = options.root ?? mkdtempSync(join(scratch, "raw-"));
  const told = { files: [] as RawFile[], full: 0, resumed: 0, failed: [] as string[] };
  const writer = new RawWriter(
    {
      root,
      run: RUN,
      segmentBytes: 1 << 20,
      interval: 3_600_000,
      maxBytes: 0,
      blockBytes: 4096,
      blockInterval: 3_600_000,
      level: 3,
      ...options,
    },
    {
      file: (file) => told.files.push(file),
      full: () => told.full++,
      resumed: () => told.resumed++,
      failed: (error) => told.failed.push(error),
    },
  );
  return { root, writer, told };
}

function linesOf(path: string): Line[] {
  const text = zstdDecompressSync(readFileSync(path)).toString();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

const filesBelow = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const received = (
  exchange: string,
  connection: number,
  ts: number,
  frame: Uint8Array,
  worker = 0,
): ReceivedFrame => ({ worker, exchange, connection, ts, frame });

describe("captures", () => {
  test("lines hold the frames byte for byte, UTF-8 or not", () => {
    const { writer, told } = start();
    const frames = [
      utf8('{"s":"币安人生USDT","q":"\\u20ac \\" \\\\"}'),
      utf8("\ufeffwith a byte order mark, \u2028, \u0000 and a\nline end\r\n"),
      new Uint8Array([0x7b, 0xff, 0xfe, 0x80, 0x7d]),
      // Half of a surrogate pair, as CESU-8 has it: no UTF-8.
      new Uint8Array([0xed, 0xa0, 0x80]),
      new Uint8Array(0),
    ];
    for (const [i, frame] of frames.entries()) writer.add(received("binance", 7, MIDNIGHT + i, frame));
    writer.close();
    const lines = linesOf(told.files[0]?.path ?? "");
    const back = lines.map(({ raw, raw_base64 }) =>
      raw === undefined ? Buffer.from(raw_base64 ?? "", "base64") : Buffer.from(raw),
    );
    expect(back).toEqual(frames.map((frame) => Buffer.from(frame)));
    expect(lines.map(({ raw_base64 }) => raw_base64 !== undefined)).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
    expect(lines[0]).toMatchObject({ ts: MIDNIGHT, dir: "in", exchange: "binance", connection: 7 });
    expect(lines.map(({ ts }) => ts - MIDNIGHT)).toEqual([0, 1, 2, 3, 4]);
  });

  test("a file holds one exchange and one UTC day, and is called by its first frame", () => {
    const { root, writer, told } = start();
    writer.add(received("binance", 0, MIDNIGHT - 2, utf8("a")));
    writer.add(received("okx", 1, MIDNIGHT - 1, utf8("b")));
    writer.add(received("binance", 0, MIDNIGHT - 1, utf8("c")));
    writer.add(received("binance", 0, MIDNIGHT, utf8("d")));
    writer.add(received("okx", 1, MIDNIGHT + 5, utf8("e")));
    writer.close();
    expect(filesBelow(root)).toEqual([
      `exchange=binance/date=2026-11-19/${MIDNIGHT - 2}_${RUN}_0_0.jsonl.zst`,
      `exchange=binance/date=2026-11-20/${MIDNIGHT}_${RUN}_0_1.jsonl.zst`,
      `exchange=okx/date=2026-11-19/${MIDNIGHT - 1}_${RUN}_0_0.jsonl.zst`,
      `exchange=okx/date=2026-11-20/${MIDNIGHT + 5}_${RUN}_0_1.jsonl.zst`,
    ]);
    const texts = told.files.map(({ path }) => linesOf(path).map(({ raw }) => raw));
    expect(texts).toEqual([["a", "c"], ["b"], ["d"], ["e"]]);
  });

  test("workers that share an exchange have files of their own: the times within a file never go back", () => {
    const { root, writer, told } = start();
    writer.opened(0, "ws://127.0.0.1/a");
    writer.opened(1, "ws://127.0.0.1/b");
    // A block of one worker, then an older one of another; around midnight, when files change.
    for (const ts of [MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1]) {
      writer.add(received("okx", 0, ts, utf8(`a${ts}`), 0));
    }
    for (const ts of [MIDNIGHT - 2, MIDNIGHT + 1]) writer.add(received("okx", 1, ts, utf8(`b${ts}`), 3));
    writer.close();
    const day = (date: string) => `exchange=okx/date=2026-11-${date}`;
    expect(filesBelow(root)).toEqual([
      `${day("19")}/${MIDNIGHT - 2}_${RUN}_3_0.jsonl.zst`,
      `${day("19")}/${MIDNIGHT - 1}_${RUN}_0_0.jsonl.zst`,
      `${day("20")}/${MIDNIGHT}_${RUN}_0_1.jsonl.zst`,
      `${day("20")}/${MIDNIGHT + 1}_${RUN}_3_1.jsonl.zst`,
    ]);
    for (const { path } of told.files) {
      const lines = linesOf(path);
      const times = lines.map(({ ts }) => ts);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(new Set(lines.map(({ connection }) => connection)).size).toBe(1);
      expect(lines[0]?.url).toStartWith("ws://127.0.0.1/");
    }
    expect(writer.stats()).toMatchObject({ okx: { written: 5, files: 4 } });
  });

  test("a day that is over is closed by the clock, without another frame", () => {
    const { writer, told } = start({ blockInterval: 0 });
    writer.add(received("binance", 0, MIDNIGHT - 5, utf8("a")));
    writer.tick(MIDNIGHT - 1);
    writer.tick(MIDNIGHT + 999_999);
    expect(told.files).toEqual([]);
    writer.tick(MIDNIGHT + 1_000_000);
    expect(told.files).toMatchObject([{ exchange: "binance", frames: 1 }]);
  });

  test("the address of a connection stands once in each file, at its first frame there", () => {
    const { writer, told } = start();
    writer.opened(3, "ws://127.0.0.1/public");
    writer.opened(4, "ws://127.0.0.1/market");
    for (const [ts, connection] of [
      [MIDNIGHT - 3, 3],
      [MIDNIGHT - 2, 4],
      [MIDNIGHT - 1, 3],
      [MIDNIGHT, 3],
      [MIDNIGHT + 1, 9],
    ] as const) {
      writer.add(received("binance", connection, ts, utf8("{}")));
    }
    writer.close();
    expect(told.files.map(({ path }) => linesOf(path).map(({ url }) => url ?? null))).toEqual([
      ["ws://127.0.0.1/public", "ws://127.0.0.1/market", null],
      ["ws://127.0.0.1/public", null],
    ]);
  });

  test("files end by size and by age; each is many independent blocks; nothing is lost between them", () => {
    const random = seeded("writer segments");
    const { writer, told } = start({ segmentBytes: 20_000, interval: 1 });
    for (let i = 0; i < 4000; i++) {
      const text = `{"i":${i},"x":${random.below(1e9)},"y":${random.below(1e9)}}`;
      writer.add(received("binance", 0, MIDNIGHT + i, utf8(text)));
    }
    writer.tick(MIDNIGHT);
    const bySize = told.files.length;
    expect(bySize).toBeGreaterThan(2);
    for (const { path, bytes } of told.files) {
      expect(bytes).toBe(readFileSync(path).length);
      let blocks = 0;
      new ZstdFrames(() => blocks++).push(readFileSync(path));
      expect(blocks).toBeGreaterThan(2);
    }
    for (const { bytes } of told.files.slice(0, -1)) {
      expect(bytes).toBeGreaterThanOrEqual(20_000);
      expect(bytes).toBeLessThan(20_000 + 8192);
    }
    writer.add(received("binance", 0, MIDNIGHT + 4000, utf8("late")));
    writer.close();
    const all = told.files.flatMap(({ path }) => linesOf(path));
    expect(all.map(({ ts }) => ts - MIDNIGHT)).toEqual(Array.from({ length: 4001 }, (_, i) => i));
    expect(told.files.reduce((sum, { frames }) => sum + frames, 0)).toBe(4001);
    expect(writer.stats().binance).toMatchObject({
      written: 4001,
      full: 0,
      failed: 0,
      files: told.files.length,
    });
  });

  test("at max_bytes, what lies there already included, writing stops and is counted", () => {
    const random = seeded("writer full");
    const noise = () => utf8(Array.from({ length: 20 }, () => random.below(2 ** 31)).join(","));
    const first = start();
    for (let i = 0; i < 400; i++) first.writer.add(received("binance", 0, MIDNIGHT + i, noise()));
    first.writer.close();
    const there = first.told.files[0]?.bytes ?? 0;
    const { root } = first;
    const { writer, told } = start({ root, maxBytes: there + 30_000, run: "test-1795000000000001-abcd" });
    for (let i = 0; i < 4000; i++) writer.add(received("binance", 0, MIDNIGHT + i, noise()));
    writer.close();
    const { written, full, bytes } = writer.stats().binance ?? { written: 0, full: 0, bytes: 0 };
    expect(told).toMatchObject({ full: 1, resumed: 0, failed: [] });
    expect(written).toBeGreaterThan(0);
    expect(full).toBeGreaterThan(0);
    expect(written + full).toBe(4000);
    expect(bytes).toBeLessThanOrEqual(30_000);
    // No holes: what is there is the beginning.
    const lines = told.files.flatMap(({ path }) => linesOf(path));
    expect(lines.map(({ ts }) => ts - MIDNIGHT)).toEqual(Array.from({ length: written }, (_, i) => i));
  });

  test("a disk that refuses costs counted frames, of that exchange alone", () => {
    const { root, writer, told } = start();
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, "exchange=binance"), "a file where a folder should be");
    for (let i = 0; i < 500; i++) {
      writer.add(received("binance", 0, MIDNIGHT + i, utf8(`{"i":${i}}`)));
      writer.add(received("okx", 1, MIDNIGHT + i, utf8(`{"i":${i}}`)));
    }
    writer.close();
    expect(writer.stats()).toMatchObject({
      binance: { written: 0, failed: 500, files: 0 },
      okx: { written: 500, failed: 0, files: 1 },
    });
    expect(told.failed.length).toBeGreaterThan(0);
  });
});

describe("what a killed run left", () => {
  /** An open capture of some blocks in a new root. */
  function leave(blocks: readonly Uint8Array[]): {
    root: string;
    open: string;
    closed: string;
    size: number;
  } {
    const root = mkdtempSync(join(scratch, "left-"));
    const folder = join(root, "exchange=binance/date=2026-11-20");
    mkdirSync(folder, { recursive: true });
    const name = `${MIDNIGHT}_${RUN}_0_0.jsonl.zst`;
    const bytes = Buffer.concat(blocks);
    writeFileSync(join(folder, `.${name}.tmp`), bytes);
    return { root, open: join(folder, `.${name}.tmp`), closed: join(folder, name), size: bytes.length };
  }

  function recover(root: string): { files: RecoveredFile[]; failed: string[] } {
    const files: RecoveredFile[] = [];
    const failed: string[] = [];
    recoverFiles(
      root,
      (file) => files.push(file),
      (path) => failed.push(path),
    );
    return { files, failed };
  }

  const block = (i: number): Uint8Array => pack(utf8(`{"ts":${i},"dir":"in","raw":"${"x".repeat(i)}"}\n`), 3);
  const blocks = Array.from({ length: 6 }, (_, i) => block(100 + i));
  const sizeOf = (count: number): number =>
    blocks.slice(0, count).reduce((sum, { length }) => sum + length, 0);

  test("whole blocks get the file's own name", () => {
    const { root, open, closed, size } = leave(blocks);
    expect(recover(root)).toEqual({
      files: [{ path: closed, from: open, blocks: 6, bytes: size, cut: 0 }],
      failed: [],
    });
    expect(readdirSync(dirname(closed))).toEqual([basename(closed)]);
    expect(linesOf(closed).map(({ ts }) => ts)).toEqual([100, 101, 102, 103, 104, 105]);
    // Again: nothing is left to do.
    expect(recover(root)).toEqual({ files: [], failed: [] });
  });

  test("a torn tail costs the block it tears, wherever", () => {
    for (let cut = 1; cut < sizeOf(6) - sizeOf(4); cut++) {
      const { root, open, closed, size } = leave(blocks);
      truncateSync(open, size - cut);
      const whole = size - cut >= sizeOf(5) ? 5 : 4;
      expect(recover(root).files).toEqual([
        { path: closed, from: open, blocks: whole, bytes: sizeOf(whole), cut: size - cut - sizeOf(whole) },
      ]);
      expect(linesOf(closed).length).toBe(whole);
      rmSync(root, { recursive: true });
    }
  });

  test("what a power loss makes of a file: zeros behind the last block, zeros inside of one", () => {
    const zeros = leave([...blocks, Buffer.alloc(5000)]);
    expect(recover(zeros.root).files).toMatchObject([{ blocks: 6, cut: 5000 }]);
    const inside = leave(blocks);
    const bytes = readFileSync(inside.open);
    bytes.fill(0, sizeOf(3) + 20, sizeOf(4) - 6);
    writeFileSync(inside.open, bytes);
    expect(recover(inside.root).files).toMatchObject([{ blocks: 3, bytes: sizeOf(3) }]);
    expect(linesOf(inside.closed).length).toBe(3);
  });

  test("a file without a whole block goes; others are not touched; a taken name is kept", () => {
    const { root, open, closed } = leave([block(100).subarray(0, 30)]);
    const other = join(dirname(open), "notes.txt");
    writeFileSync(other, "mine");
    expect(recover(root)).toMatchObject({
      files: [{ path: null, from: open, blocks: 0, cut: 30 }],
      failed: [],
    });
    expect(readdirSync(dirname(open))).toEqual(["notes.txt"]);
    writeFileSync(open, block(100));
    writeFileSync(closed, "another");
    expect(recover(root)).toEqual({ files: [], failed: [open] });
    expect(readFileSync(closed, "utf8")).toBe("another");
  });
});
