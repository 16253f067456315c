/** Frames out of bytes: nothing lost, nothing altered, nothing read that the protocol does not allow. */

import { heapSize } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { BYTES, FRAME_BYTES_MAX, INBOX_AT, WORDS } from "../../../src/exchanges/decoding/frame-memory.ts";
import { FrameReader } from "../../../src/exchanges/websocket/frame-reader.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { BINARY, CLOSE, ENDS, frame, GOES_ON, head, PING, PONG, TEXT, TEXT_BEGINS } from "./frames.ts";

const MIB = 2 ** 20;
const MESSAGE_MAX = 4 * MIB;

/** What a reader handed out, as text that can be compared: kind, length, hash of the bytes. */
class Heard {
  readonly all: string[] = [];
  readonly broken: string[] = [];
  /** Messages that were handed out where they stood in the inbox. */
  inPlace = 0;
  readonly reader: FrameReader;

  constructor(messageMax = MESSAGE_MAX, onMessage: (heard: Heard) => void = () => undefined) {
    this.reader = new FrameReader(messageMax, {
      message: (data, from, to) => {
        if (data === BYTES) {
          this.inPlace++;
          expect(from).toBeGreaterThan(INBOX_AT);
          expect(WORDS.getInt32(to, true)).toBe(0);
        }
        this.all.push(told("message", data.subarray(from, to)));
        onMessage(this);
      },
      control: (opcode, payload) => this.all.push(told(String(opcode), payload)),
      broken: (reason) => this.broken.push(reason),
    });
  }
}

function told(kind: string, bytes: Uint8Array): string {
  return `${kind} ${bytes.length} ${Bun.hash(bytes)}`;
}

/** What a server sends, and what has to come of it. */
interface Sent {
  readonly bytes: Buffer;
  readonly expected: readonly string[];
  /** Messages of one frame that are no longer than what is scanned. */
  readonly short: number;
}

/** Bytes of every kind, also those that look like heads of frames. */
function payloadOf(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  const seed = random.uint32();
  const kind = random.below(3);
  for (let i = 0; i < length; i++)
    bytes[i] = kind === 0 ? 0x81 : kind === 1 ? Math.imul(i + seed, 0x9e3779b1) >>> 24 : 0x7f;
  return bytes;
}

/** A length near one where something changes, or any. */
function lengthOf(random: Random, longest: number): number {
  const edges = [0, 1, 2, 3, 4, 125, 126, 127, 128, 255, 256, 65_520, 65_535, 65_536, 65_537, 131_072];
  const rare = [FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1, MIB + 77_777, 2 * MIB + 3];
  const length = random.below(60) === 0 ? pick(random, rare) : pick(random, edges);
  return Math.min(longest, random.below(2) === 0 ? random.below(700) : length);
}

function controlOf(random: Random): { first: number; payload: Buffer } {
  return { first: pick(random, [PING, PONG]), payload: payloadOf(random, random.below(126)) };
}

function sequence(random: Random, count: number, longest = 3 * MIB): Sent {
  const parts: Buffer[] = [];
  const expected: string[] = [];
  let short = 0;
  const control = () => {
    const { first, payload } = controlOf(random);
    parts.push(frame(first, payload));
    expected.push(told(String(first & 0x0f), payload));
  };
  for (let i = 0; i < count; i++) {
    const payload = payloadOf(random, lengthOf(random, longest));
    const kind = pick(random, [TEXT, BINARY]);
    if (random.below(8) === 0) control();
    if (random.below(5) > 0) {
      const isLongForm = random.below(20) === 0;
      parts.push(frame(kind, payload, isLongForm ? 8 : undefined));
      if (payload.length <= FRAME_BYTES_MAX) short++;
    } else {
      const fragments = 2 + random.below(5);
      for (let number = 0, at = 0; number < fragments; number++) {
        if (random.below(4) === 0) control();
        const isLast = number === fragments - 1;
        const end = isLast ? payload.length : at + random.below(payload.length - at + 1);
        parts.push(
          frame((number === 0 ? kind & 0x0f : GOES_ON) | (isLast ? ENDS : 0), payload.subarray(at, end)),
        );
        at = end;
      }
    }
    expected.push(told("message", payload));
  }
  return { bytes: Buffer.concat(parts), expected, short };
}

/** Sizes of reads: single bytes, packets, all that the kernel has. */
function readSize(random: Random): number {
  return 1 + random.below(pick(random, [1, 9, 100, 1448, 5000, 65_536, 65_537, 300 * 1024]));
}

describe("sequences of messages, cut into reads anywhere", () => {
  test("are handed out as they were sent, in order, most of them in place", () => {
    const random = seeded("frames cut anywhere");
    for (let round = 0; round < 12; round++) {
      const { bytes, expected, short } = sequence(random, 150);
      const heard = new Heard();
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + readSize(random));
        heard.reader.read(bytes.subarray(at, end));
        at = end;
      }
      expect(heard.broken).toEqual([]);
      expect(heard.all).toEqual(expected as string[]);
      expect(heard.reader.isBetween).toBe(true);
      expect(heard.inPlace).toBe(short);
      expect(heard.reader.messages).toBe(expected.filter((one) => one.startsWith("message")).length);
    }
  });

  test("byte by byte, and all at once", () => {
    const random = seeded("frames byte by byte");
    const { bytes, expected } = sequence(random, 60, 3000);
    const single = new Heard();
    for (let at = 0; at < bytes.length; at++) single.reader.read(bytes.subarray(at, at + 1));
    const whole = new Heard();
    whole.reader.read(bytes);
    expect(single.all).toEqual(expected as string[]);
    expect(whole.all).toEqual(expected as string[]);
  });

  test("of several readers that share the inbox do not touch each other", () => {
    const random = seeded("frames of several readers");
    const feeds = Array.from({ length: 4 }, () => ({ ...sequence(random, 80), heard: new Heard(), at: 0 }));
    for (let open = feeds; open.length > 0; open = feeds.filter(({ at, bytes }) => at < bytes.length)) {
      const feed = pick(random, open);
      const end = Math.min(feed.bytes.length, feed.at + readSize(random));
      feed.heard.reader.read(feed.bytes.subarray(feed.at, end));
      feed.at = end;
    }
    for (const { heard, expected } of feeds) {
      expect(heard.broken).toEqual([]);
      expect(heard.all).toEqual(expected as string[]);
    }
  });

  test("a read is not written to", () => {
    const random = seeded("frames not written to");
    const { bytes } = sequence(random, 100, 70_000);
    const before = Bun.hash(bytes);
    new Heard().reader.read(bytes);
    expect(Bun.hash(bytes)).toBe(before);
  });
});

describe("single frames", () => {
  test.each([0, 1, 125, 126, 65_535, 65_536, MIB - 1, MIB, MIB + 1, MESSAGE_MAX])("of %d bytes", (length) => {
    const payload = Buffer.alloc(length, 0x61);
    for (const cut of new Set([1, 2, 3, 4, 9, 10, 11, Math.max(1, length), length + 1])) {
      const heard = new Heard();
      const bytes = Buffer.concat([frame(TEXT, payload), frame(PING, "p")]);
      heard.reader.read(bytes.subarray(0, cut));
      const isWhole = [bytes.length - frame(PING, "p").length, bytes.length].includes(
        Math.min(cut, bytes.length),
      );
      expect(heard.reader.isBetween).toBe(isWhole);
      heard.reader.read(bytes.subarray(cut));
      expect(heard.all).toEqual([told("message", payload), told("9", Buffer.from("p"))]);
    }
  });

  test.each([2, 8] as const)("whose length is told in %d bytes without need", (form) => {
    const heard = new Heard();
    heard.reader.read(Buffer.concat([frame(TEXT, "short", form), frame(TEXT, "next")]));
    expect(heard.all).toEqual([told("message", Buffer.from("short")), told("message", Buffer.from("next"))]);
  });

  test("a long one in single bytes costs no more than its bytes: nothing is copied again and again", () => {
    // Copied with every byte that comes, this would move 50 GB.
    const payload = Buffer.alloc(300_000, 0x62);
    const bytes = frame(TEXT, payload);
    const heard = new Heard();
    let moved = 0;
    const { set } = Uint8Array.prototype;
    Uint8Array.prototype.set = function (this: Uint8Array, from: ArrayLike<number>, at?: number) {
      moved += from.length;
      set.call(this, from, at);
    };
    try {
      for (let at = 0; at < bytes.length; at++) heard.reader.read(bytes.subarray(at, at + 1));
    } finally {
      Uint8Array.prototype.set = set;
    }
    expect(heard.all).toEqual([told("message", payload)]);
    expect(moved).toBeGreaterThanOrEqual(bytes.length);
    expect(moved).toBeLessThan(4 * bytes.length);
  });
});

describe("fragments", () => {
  test("without a payload, any number of them, take no memory", () => {
    const heard = new Heard();
    heard.reader.read(frame(TEXT_BEGINS, "a"));
    const nothing = Buffer.concat(Array.from({ length: 10_000 }, () => frame(GOES_ON, "")));
    Bun.gc(true);
    const before = heapSize();
    for (let i = 0; i < 50; i++) heard.reader.read(nothing);
    Bun.gc(true);
    // Kept, they would be half a million objects.
    expect(heapSize() - before).toBeLessThan(5e6);
    expect(heard.reader.isBetween).toBe(false);
    heard.reader.read(frame(ENDS, "b"));
    expect(heard.all).toEqual([told("message", Buffer.from("ab"))]);
    expect(heard.reader.isBetween).toBe(true);
  });

  test("up to the longest message, and not a byte more", () => {
    const bytes = Buffer.alloc(1000, 0x63);
    const fits = new Heard(3000);
    fits.reader.read(Buffer.concat([frame(TEXT_BEGINS, bytes), frame(GOES_ON, bytes), frame(ENDS, bytes)]));
    expect(fits.all).toEqual([told("message", Buffer.alloc(3000, 0x63))]);
    const more = new Heard(2999);
    more.reader.read(Buffer.concat([frame(TEXT_BEGINS, bytes), frame(GOES_ON, bytes), frame(ENDS, bytes)]));
    expect(more.all).toEqual([]);
    expect(more.broken).toHaveLength(1);
  });
});

/** What no server may send, and words of what is said of it. */
const WRONG: readonly (readonly [string, Buffer, RegExp])[] = [
  ["the first reserved bit", frame(TEXT | 0x40, "x"), /bits/],
  ["the second reserved bit", frame(TEXT | 0x20, "x"), /bits/],
  ["the third reserved bit", frame(PING | 0x10, "x"), /bits/],
  ["a mask", Buffer.of(TEXT, 0x81, 1, 2, 3, 4, 0x60), /masked/],
  ["a mask of a frame with a 16-bit length", Buffer.of(TEXT, 0xfe, 0, 1, 1, 2, 3, 4, 5), /masked/],
  ["a mask of a frame with a 64-bit length", Buffer.of(TEXT, 0xff, 0, 0), /masked/],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(
    (kind) => [`the kind ${kind}`, frame(0x80 | kind, "x"), new RegExp(`kind ${kind}$`)] as const,
  ),
  ["a ping in fragments", frame(0x09, "x"), /control frame in fragments/],
  ["a close in fragments", frame(0x08, ""), /control frame in fragments/],
  ["a ping of 126 bytes", frame(PING, Buffer.alloc(126)), /126 bytes/],
  ["a pong of 70,000 bytes", frame(PONG, Buffer.alloc(70_000)), /70000 bytes/],
  ["a close frame of 126 bytes", frame(CLOSE, Buffer.alloc(126)), /126 bytes/],
  ["a fragment of nothing", frame(GOES_ON, "x"), /fragment of no message/],
  ["a last fragment of nothing", frame(ENDS, "x"), /fragment of no message/],
  [
    "a message inside another",
    Buffer.concat([frame(TEXT_BEGINS, "x"), frame(PING, ""), frame(TEXT, "y")]),
    /between the fragments/,
  ],
  [
    "a begin inside another message",
    Buffer.concat([frame(TEXT_BEGINS, "x"), frame(TEXT_BEGINS, "y")]),
    /between the fragments/,
  ],
  ["a message that is too long", head(TEXT, MESSAGE_MAX + 1), /more than/],
  ["a message far too long", head(TEXT, 2 ** 40), /more than/],
  ["a length with the highest bit", Buffer.of(TEXT, 127, 0x80, 0, 0, 0, 0, 0, 0, 1), /more than/],
  [
    "a last fragment too much",
    Buffer.concat([frame(TEXT_BEGINS, "x"), head(ENDS, MESSAGE_MAX)]),
    /more than/,
  ],
];

test("a message of one frame is bounded too, though it has come whole", () => {
  const heard = new Heard(100);
  const longest = Buffer.alloc(100, 0x65);
  heard.reader.read(
    Buffer.concat([frame(TEXT, longest), frame(TEXT, Buffer.alloc(101)), frame(TEXT, "after")]),
  );
  expect(heard.all).toEqual([told("message", longest)]);
  expect(heard.broken).toEqual(["the server broke the WebSocket protocol: a message of more than 100 bytes"]);
});

describe("what breaks the protocol is told once, and nothing is handed out after it", () => {
  test.each(WRONG)("%s", (_, wrong, words) => {
    const before = [frame(TEXT, "before"), frame(BINARY, Buffer.alloc(70_000, 0x64))];
    const bytes = Buffer.concat([...before, wrong, frame(TEXT, "after"), frame(PING, "after")]);
    for (const size of [1, 7, 1448, bytes.length]) {
      const heard = new Heard();
      for (let at = 0; at < bytes.length; at += size) heard.reader.read(bytes.subarray(at, at + size));
      heard.reader.read(frame(TEXT, "later"));
      expect(heard.broken).toHaveLength(1);
      expect(heard.broken[0]).toMatch(/^the server broke the WebSocket protocol: /);
      expect(heard.broken[0]).toMatch(words);
      expect(heard.all.filter((one) => one.startsWith("message"))).toEqual([
        told("message", Buffer.from("before")),
        told("message", Buffer.alloc(70_000, 0x64)),
      ]);
    }
  });
});

describe("an end in the middle", () => {
  test.each([1, 2, 3])("by the one who gets message %d: nothing follows", (last) => {
    const random = seeded(`end at message ${last}`);
    for (const length of [10, 70_000, MIB + 5]) {
      const messages = Array.from({ length: 5 }, () => payloadOf(random, length));
      const bytes = Buffer.concat(messages.map((one) => frame(TEXT, one)));
      const heard = new Heard(MESSAGE_MAX, ({ all, reader }) => {
        if (all.length === last) reader.end();
      });
      heard.reader.read(bytes);
      heard.reader.read(bytes);
      expect(heard.all).toEqual(messages.slice(0, last).map((one) => told("message", one)));
      expect(heard.broken).toEqual([]);
    }
  });

  test("by the one who gets a control frame, or a message in fragments", () => {
    for (const first of [
      frame(PING, "x"),
      Buffer.concat([frame(TEXT_BEGINS, "x"), frame(ENDS, "y")]),
      frame(CLOSE, ""),
    ]) {
      let count = 0;
      const end = () => {
        count++;
        reader.end();
      };
      const reader: FrameReader = new FrameReader(MESSAGE_MAX, { message: end, control: end, broken: end });
      reader.read(Buffer.concat([first, frame(TEXT, "after"), frame(0x83, "wrong")]));
      expect(count).toBe(1);
    }
  });
});
