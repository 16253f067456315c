/** Marks stand where they were set, whatever frames around them are lost, and a run begins without any. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { readBlock } from "../../src/capture/block.ts";
import { type HandoverMark, MARKS_MAX, markLine, markOf } from "../../src/capture/mark.ts";
import type { ToWriter } from "../../src/capture/messages.ts";
import { BLOCK_BYTES, RawTap } from "../../src/capture/tap.ts";
import { RawWriter } from "../../src/capture/writer.ts";
import { aggTrade, START_MS } from "../e2e/frames.ts";
import { tapedeck } from "../helpers/process.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const folder = scratchFolder("marks");
const RUN = "test-1795000000000000-abcd";
const NONE: HandoverMark = { handover: "none" };
const BEGINS: HandoverMark = { handover: "begins", connection: 3, remember: 30_000_000 };
const OPENED: HandoverMark = { handover: "opened", connection: 4 };

describe("the tap", () => {
  test("puts marks before the next frame that finds room; beyond the bound the oldest go", () => {
    const sent: Extract<ToWriter, { type: "block" }>[] = [];
    const tap = new RawTap(BLOCK_BYTES, (message) => {
      if (message.type === "block") sent.push(message);
    });
    const seen = () =>
      sent.splice(0).flatMap((block) => {
        const all: unknown[] = [];
        readBlock(block, (_exchange, _connection, ts, bytes, isMark) =>
          all.push(isMark ? JSON.parse(Buffer.from(bytes).toString()) : ts),
        );
        tap.done(block.buffer);
        return all;
      });
    const frame = new Uint8Array(BLOCK_BYTES / 2 - 100);
    tap.mark("okx", 1, NONE);
    expect(tap.take("okx", 3, 2, new Uint8Array(10))).toBe(true);
    tap.mark("okx", 3, BEGINS);
    expect(tap.take("okx", 3, 4, frame)).toBe(true);
    tap.flush();
    // Nothing comes back from the writer: no room.
    expect(tap.take("okx", 3, 5, frame)).toBe(false);
    tap.mark("okx", 6, OPENED);
    expect(tap.take("okx", 4, 7, frame)).toBe(false);
    expect(seen()).toEqual([NONE, 2, BEGINS, 4]);
    expect(tap.take("okx", 4, 8, frame)).toBe(true);
    tap.flush();
    expect(seen()).toEqual([OPENED, 8]);
    expect(tap.counts.get("okx")).toEqual({ captured: 3, notCaptured: 2 });
    for (let i = 0; i < MARKS_MAX + 5; i++) tap.mark("okx", i, { handover: "opened", connection: i });
    tap.take("okx", 1, 9, new Uint8Array(10));
    tap.flush();
    const last = seen();
    expect([last.length, last[0]]).toEqual([MARKS_MAX + 1, { handover: "opened", connection: 5 }]);
    tap.end();
  });
});

describe("the writer", () => {
  test("marks of lines that could not be written stand before the next frame that is; no file is of marks only", () => {
    const root = join(folder, "raw");
    mkdirSync(root);
    const way = join(root, "exchange=okx");
    writeFileSync(way, "in the way");
    const paths: string[] = [];
    const writer = new RawWriter(
      {
        root,
        run: RUN,
        segmentBytes: 1 << 20,
        interval: 3_600_000,
        maxBytes: 0,
        blockBytes: 1,
        blockInterval: 1000,
        level: 3,
      },
      {
        file: ({ path }) => paths.push(path),
        full: () => undefined,
        resumed: () => undefined,
        failed: () => undefined,
      },
    );
    const mark = (ts: number, what: HandoverMark) =>
      writer.mark(1, "okx", ts, Buffer.from(JSON.stringify(what)));
    const add = (ts: number) =>
      writer.add({ worker: 1, exchange: "okx", connection: 3, ts, frame: Buffer.from("{}") });
    mark(1, NONE);
    add(2);
    mark(3, BEGINS);
    rmSync(way);
    add(4);
    mark(5, OPENED);
    writer.close();
    expect(writer.stats().okx).toMatchObject({ written: 1, failed: 1, files: 1 });
    const lines = zstdDecompressSync(readFileSync(paths[0] ?? ""))
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    expect(lines.map(markOf)).toEqual([
      { run: RUN, worker: 1, ...NONE },
      { run: RUN, worker: 1, ...BEGINS },
      null,
    ]);
    expect(lines[0]).toEqual({
      ts: 1,
      dir: "mark",
      exchange: "okx",
      run: RUN,
      worker: 1,
      handover: "none",
    });
  });
});

describe("decode", () => {
  const trade = (ts: number, connection: number, id: number) =>
    `${JSON.stringify({ ts, dir: "in", exchange: "binance", connection, raw: aggTrade("BTCUSDT", id, START_MS + id) })}\n`;
  const mark = (what: HandoverMark, { run = "a", worker = 0 } = {}) =>
    markLine(1, "binance", run, worker, what);
  const idsOf = async (...lines: string[]) => {
    const decode = tapedeck(["decode", "--exchange", "binance"], {
      cwd: folder,
      stdin: new Blob([lines.join("")]),
    });
    expect([await decode.exit(), decode.stderr]).toEqual([0, ""]);
    const events = decode.stdout.trimEnd().split("\n");
    return events.map((line) => Number((JSON.parse(line) as { id: string }).id));
  };

  test("prints one copy of each event, by the worker whose hand-over it is, and passes over what it does not know", async () => {
    expect(
      await idsOf(
        mark(NONE),
        trade(10, 3, 1),
        mark(BEGINS),
        mark({ handover: "begins", connection: 7, remember: 1e7 }, { worker: 1 }),
        mark(OPENED),
        mark({ handover: "opened", connection: 8 }, { worker: 1 }),
        trade(11, 3, 2),
        // Ended on the other worker only.
        mark(NONE, { worker: 1 }),
        trade(12, 4, 2),
        '{"ts":12,"dir":"mark","exchange":"binance","run":"a","worker":0,"handover":"sideways"}\n',
        '{"ts":12,"dir":"aside","exchange":"binance"}\n',
        trade(13, 4, 3),
        trade(14, 3, 3),
        mark({ handover: "ended", connection: 3 }),
        trade(15, 4, 4),
        mark(NONE),
        trade(16, 4, 4),
      ),
    ).toEqual([1, 2, 3, 4, 4]);
  });

  test("what a killed run had begun does not go on in the next one, whose connections have the same numbers", async () => {
    const killed = [mark(NONE), trade(10, 3, 5), mark(BEGINS), mark(OPENED), trade(11, 3, 6)];
    expect(await idsOf(...killed, trade(20, 4, 6))).toEqual([5, 6]);
    expect(await idsOf(...killed, mark(NONE, { run: "b" }), trade(20, 4, 6))).toEqual([5, 6, 6]);
  });
});
