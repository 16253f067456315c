/** The ingest worker never waits for the disk: what finds no room is counted, and only that is missing. */
import { afterEach, describe, expect, test } from "bun:test";
import { readBlock } from "../../src/capture/block.ts";
import type { ToWriter } from "../../src/capture/messages.ts";
import { BLOCK_BYTES, RawTap } from "../../src/capture/tap.ts";
import type { Random } from "../../src/simulator/random.ts";
import { seeded } from "../lib/seed.ts";

type Block = Extract<ToWriter, { type: "block" }>;

const open: RawTap[] = [];
afterEach(() => {
  for (const tap of open.splice(0)) tap.end();
});

/** A tap whose messages arrive in a list, their buffers really transferred. */
function tapInto(inFlight: number): { tap: RawTap; sent: ToWriter[]; blocks: () => Block[] } {
  const sent: ToWriter[] = [];
  const tap = new RawTap(inFlight, (message, transfer) => sent.push(structuredClone(message, { transfer })));
  open.push(tap);
  return { tap, sent, blocks: () => sent.filter((message) => message.type === "block") };
}

function frameOf(random: Random, length: number): Uint8Array {
  const frame = new Uint8Array(length);
  for (let i = 0; i < length; i++) frame[i] = random.below(256);
  return frame;
}

interface Taken {
  exchange: string;
  connection: number;
  ts: number;
  frame: Buffer;
}

function framesOf(blocks: readonly Block[]): Taken[] {
  const frames: Taken[] = [];
  for (const block of blocks) {
    readBlock(block, (exchange, connection, ts, frame) =>
      frames.push({ exchange, connection, ts, frame: Buffer.from(frame) }),
    );
  }
  return frames;
}

describe("the tap", () => {
  test("hands over every frame, byte for byte and in order, of any length, also above a block's", () => {
    const random = seeded("tap");
    const { tap, sent, blocks } = tapInto(64 << 20);
    const taken: Taken[] = [];
    for (let i = 0; i < 3000; i++) {
      const length = i === 1500 ? BLOCK_BYTES * 3 + 5 : i % 100 === 0 ? 0 : random.below(700);
      const exchange = ["binance", "bybit", "okx"][random.below(3)] ?? "";
      const frame = frameOf(random, length);
      const ts = 1_795_000_000_000_000 + i * 3;
      expect(tap.take(exchange, random.below(9) === 0 ? 2 ** 31 - 1 : i, ts, frame)).toBe(true);
      taken.push({ exchange, connection: 0, ts, frame: Buffer.from(frame) });
      // What the caller does with its buffer afterwards does not matter.
      frame.fill(0);
    }
    tap.end();
    const frames = framesOf(blocks());
    expect(frames.map((one) => ({ ...one, connection: 0 }))).toEqual(taken);
    expect(sent.at(-1)).toEqual({ type: "end" });
    const captured = [...tap.counts.values()].reduce((sum, counts) => sum + counts.captured, 0);
    expect(captured).toBe(3000);
  });

  test("a writer that stalls costs counted frames and bounded memory, and capturing goes on when it comes back", () => {
    const inFlight = 4 * BLOCK_BYTES;
    const { tap, blocks } = tapInto(inFlight);
    const frame = new Uint8Array(1000);
    let accepted = 0;
    for (let i = 0; i < 5000; i++) if (tap.take("binance", 1, i, frame)) accepted++;
    expect(accepted).toBeLessThan(5000);
    expect(tap.counts.get("binance")).toEqual({ captured: accepted, notCaptured: 5000 - accepted });
    expect(blocks().reduce((sum, { buffer }) => sum + buffer.byteLength, 0)).toBeLessThanOrEqual(inFlight);
    // Those that were accepted are the first ones, without a hole.
    const before = framesOf(blocks()).map(({ ts }) => ts);
    expect(before).toEqual(Array.from({ length: before.length }, (_, i) => i));
    for (const { buffer } of blocks().splice(0)) tap.done(buffer);
    expect(tap.take("binance", 1, 5000, frame)).toBe(true);
  });

  test("a frame that is larger than all room is counted, and smaller ones go on", () => {
    const { tap } = tapInto(2 * BLOCK_BYTES);
    expect(tap.take("okx", 1, 1, new Uint8Array(2 * BLOCK_BYTES))).toBe(false);
    expect(tap.take("okx", 1, 2, new Uint8Array(10))).toBe(true);
    expect(tap.counts.get("okx")).toEqual({ captured: 1, notCaptured: 1 });
  });

  test("a block that is not full is sent after a while by itself, unless many are on their way", async () => {
    const { tap, blocks } = tapInto(64 << 20);
    tap.take("binance", 1, 1, new Uint8Array(10));
    while (blocks().length === 0) await Bun.sleep(10);
    expect(framesOf(blocks()).length).toBe(1);
  });

  test("memory that comes back is used again", () => {
    const { tap, blocks } = tapInto(2 * BLOCK_BYTES);
    const frame = new Uint8Array(BLOCK_BYTES / 2 - 100);
    let done = 0;
    for (let i = 0; i < 400; i++) {
      expect(tap.take("binance", 1, i, frame)).toBe(true);
      for (const { buffer } of blocks().slice(done)) {
        done++;
        tap.done(buffer);
      }
    }
    expect(done).toBeGreaterThan(100);
  });

  test("after its end nothing is taken, and that is counted too", () => {
    const { tap, sent } = tapInto(1 << 20);
    tap.end();
    tap.end();
    expect(tap.take("binance", 1, 1, new Uint8Array(10))).toBe(false);
    tap.opened("binance", 2, "ws://127.0.0.1/x");
    expect(sent).toEqual([{ type: "end" }]);
    expect(tap.counts.get("binance")).toEqual({ captured: 0, notCaptured: 1 });
  });
});
