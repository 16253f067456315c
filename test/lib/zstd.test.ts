/** A capture is read whole or to its last whole part, and a reader is told which of the two it was. */
import { describe, expect, test } from "bun:test";
import { zstdCompressSync } from "node:zlib";
import { pack } from "../../src/capture/packed-file.ts";
import { TornError, unpacked, ZstdFrames } from "../../src/lib/zstd.ts";
import type { Random } from "../../src/simulator/random.ts";
import { digits, seeded } from "./seed.ts";

/** Frames of different kinds: with and without checksum, content size, content. */
function frames(random: Random, count: number): { plain: Buffer; packed: Buffer }[] {
  return Array.from({ length: count }, (_, i) => {
    const lines = Array.from({ length: i === 1 ? 0 : random.below(9000) }, () => `${digits(random, 40)}\n`);
    const plain = Buffer.from(i === 2 ? "a".repeat(300_000) : lines.join(""));
    const packed = i % 2 === 0 ? pack(plain, 1 + random.below(5)) : zstdCompressSync(plain);
    return { plain, packed: Buffer.from(packed) };
  });
}

/** Where each frame ends in all of them together. */
function endsOf(parts: readonly { packed: Buffer }[]): number[] {
  return parts.map((_, i) => parts.slice(0, i + 1).reduce((sum, { packed }) => sum + packed.length, 0));
}

async function* chunks(bytes: Uint8Array, size: () => number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const next = at + size();
    yield bytes.subarray(at, next);
    at = next;
  }
}

async function read(bytes: Uint8Array, size: () => number) {
  const pieces: Uint8Array[] = [];
  let error: unknown = null;
  try {
    for await (const piece of unpacked(chunks(bytes, size))) pieces.push(piece);
  } catch (caught) {
    error = caught;
  }
  return { bytes: Buffer.concat(pieces), error };
}

describe("reading zstd", () => {
  test("frames one after the other, in chunks of any size, and what is no zstd as it is", async () => {
    const random = seeded("zstd whole");
    const parts = frames(random, 8);
    const plain = Buffer.concat(parts.map((part) => part.plain));
    const packed = Buffer.concat(parts.map((part) => part.packed));
    for (const size of [() => packed.length, () => 1 + random.below(5000), () => 50]) {
      expect(await read(packed, size)).toEqual({ bytes: plain, error: null });
    }
    // A skippable frame, as pzstd writes them, counts for nothing.
    const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const mixed = Buffer.concat([packed, skippable, packed]);
    expect(await read(mixed, () => 1000)).toEqual({ bytes: Buffer.concat([plain, plain]), error: null });
    for (const text of ["", "{", '{"ts":1}\n', "(\u00b5/\ufffd"]) {
      expect(await read(Buffer.from(text), () => 1)).toEqual({ bytes: Buffer.from(text), error: null });
    }
  });

  test("cut anywhere: everything before the last frame is there, nothing wrong, and it is said", async () => {
    const random = seeded("zstd torn");
    const parts = frames(random, 5);
    const plain = Buffer.concat(parts.map((part) => part.plain));
    const packed = Buffer.concat(parts.map((part) => part.packed));
    const ends = new Set(endsOf(parts));
    for (let i = 0; i < 60; i++) {
      const cut = i < 12 ? packed.length - i : 5 + random.below(packed.length - 5);
      const { bytes, error } = await read(packed.subarray(0, cut), () => 1 + random.below(100_000));
      if (ends.has(cut)) expect(error).toBeNull();
      else expect(error).toBeInstanceOf(TornError);
      let whole = 0;
      let at = 0;
      for (const part of parts) {
        at += part.packed.length;
        if (at <= cut) whole += part.plain.length;
      }
      expect(bytes.length).toBeGreaterThanOrEqual(whole);
      expect(bytes.equals(plain.subarray(0, bytes.length))).toBe(true);
    }
  });

  test("bytes behind the last frame and damage inside one are said", async () => {
    const parts = frames(seeded("zstd damage"), 3);
    const packed = Buffer.concat(parts.map((part) => part.packed));
    for (const more of [Buffer.alloc(1), Buffer.alloc(4096), Buffer.from("{}\n")]) {
      const { error } = await read(Buffer.concat([packed, more]), () => 777);
      expect(error).toBeInstanceOf(TornError);
    }
    const damaged = Buffer.from(packed);
    const inside = Math.floor((parts[0]?.packed.length ?? 0) / 2);
    damaged[inside] = (damaged[inside] ?? 0) ^ 0xff;
    expect((await read(damaged, () => 777)).error).toBeInstanceOf(TornError);
  });

  test("an error of the input itself is handed on", async () => {
    const packed = pack(Buffer.from("x".repeat(1000)), 3);
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield packed.subarray(0, 9);
      throw new RangeError("the disk is gone");
    }
    const reading = async () => {
      for await (const _ of unpacked(failing()));
    };
    expect(reading()).rejects.toThrow(RangeError);
  });
});

test("the walker finds every end of a frame, whatever the chunks", () => {
  const random = seeded("zstd walker");
  const parts = frames(random, 6);
  const packed = Buffer.concat(parts.map((part) => part.packed));
  const found: number[] = [];
  const walker = new ZstdFrames((end) => found.push(end));
  for (let at = 0; at < packed.length; ) {
    const next = at + 1 + random.below(3000);
    const chunk = packed.subarray(at, next);
    expect(walker.push(chunk)).toBe(chunk.length);
    at = next;
  }
  expect(found).toEqual(endsOf(parts));
  expect(walker).toMatchObject({ whole: packed.length, atBoundary: true, foreign: false });
});
