import { describe, expect, test } from "bun:test";
import { RingConsumer } from "../../src/ring/consumer.ts";
import {
  CAPACITY_MAX,
  COUNTER,
  createRing,
  HEAD,
  numberOffset,
  readRing,
  recordBytes,
  ringBytes,
  TAIL,
  textOffset,
  VERSION,
  viewsOf,
} from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { TEXT_CELL_BYTES, TEXT_PIECES } from "../../src/ring/text.ts";
import { seeded } from "../lib/seed.ts";
import { backings } from "./backings.ts";
import { bytesOf, NUMBERS, numberOf, SEQ, TEXTS, wordsOf } from "./records.ts";

const BACKINGS = backings();
const SHAPE = { numbers: NUMBERS, texts: TEXTS };

function fill(producer: RingProducer, seq: number): boolean {
  const bytes = new Uint8Array(64);
  for (let column = 0; column < NUMBERS; column++) producer.row.numbers[column] = numberOf(seq, column);
  for (let text = 0; text < TEXTS; text++) {
    producer.row.setText(text, bytes, 0, bytesOf(seq, text, bytes));
  }
  // The producer numbers records itself: a wrong number here must not matter.
  producer.row.numbers[SEQ] = -1;
  return producer.commit();
}

describe("memory of a ring", () => {
  test("capacities are powers of two from 2 to the largest", () => {
    for (const capacity of [-2, 0, 1, 3, 2.5, 1000, CAPACITY_MAX * 2, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => createRing({ capacity, ...SHAPE })).toThrow(RangeError);
    }
    expect(() => createRing({ capacity: 3, ...SHAPE })).toThrow("ring capacity 3 is not a power of two");
    expect(createRing({ capacity: CAPACITY_MAX, numbers: 1, texts: 0 }).capacity).toBe(CAPACITY_MAX);
  });

  test("head, tail and the counters of either side stand on 128-byte lines of their own", () => {
    const lines = [HEAD, TAIL, VERSION].map((index) => Math.floor((index * 4) / 128));
    expect(new Set(lines).size).toBe(3);
  });

  test.each([8, 512])("no two cells of a ring of %i overlap and all are inside the buffer", (capacity) => {
    const handle = createRing({ capacity, ...SHAPE });
    const taken = new Map<number, string>();
    const take = (from: number, bytes: number, name: string) => {
      if (from % Math.min(bytes, 8) !== 0) throw new Error(`${name} begins at ${from}`);
      for (let at = from; at < from + bytes; at++) {
        const other = taken.get(at);
        if (other !== undefined) throw new Error(`${name} overlaps ${other}`);
        taken.set(at, name);
      }
    };
    for (let index = 0; index < capacity; index++) {
      for (let column = 0; column < NUMBERS; column++) {
        take(numberOffset(handle, column, index), 8, `number ${column}/${index}`);
      }
      for (let text = 0; text < TEXTS; text++) {
        for (let piece = 0; piece < TEXT_PIECES; piece++) {
          take(textOffset(handle, text, piece, index), TEXT_CELL_BYTES, `text ${text}/${piece}/${index}`);
        }
      }
    }
    expect(taken.size).toBe(capacity * recordBytes(SHAPE));
    const offsets = [...taken.keys()].sort((a, b) => a - b);
    expect(offsets[0]).toBeGreaterThan((COUNTER.parked + 1) * 8 - 1);
    expect(offsets.at(-1)).toBeLessThan(viewsOf(handle).buffer.byteLength);
  });

  test("small rings have nothing between their columns", () => {
    const shape = { capacity: 8, ...SHAPE };
    expect(ringBytes(shape) - numberOffset(shape, 0, 0)).toBe(8 * recordBytes(SHAPE));
  });

  test("cells of one record share no place of a cache, however large the ring is", () => {
    const handle = createRing({ capacity: 2 ** 18, ...SHAPE, numbers: 24 });
    const columns = Array.from({ length: 24 }, (_, column) => numberOffset(handle, column, 0));
    // 64 places for lines, 16 for pages.
    const places = (bytes: number, count: number) =>
      columns.map((at) => Math.floor(at / bytes) % count).sort((a, b) => a - b);
    expect(new Set(places(64, 64)).size).toBe(24);
    expect(new Set(places(4096, 16)).size).toBe(16);
  });
});

for (const backing of BACKINGS)
  describe(`one thread, against a plain list: ${backing.name}`, () => {
    for (const [capacity, start] of [
      [2, 0],
      [4, 2 ** 31 - 3],
      [16, 2 ** 32 - 5],
      [64, 12_345],
    ] as const) {
      test(`capacity ${capacity}, indices from ${start}`, () => {
        const random = seeded(`ring model ${capacity}`);
        const handle = backing.create({ capacity, ...SHAPE });
        const views = viewsOf(handle);
        views.control[HEAD] = start | 0;
        views.control[TAIL] = start | 0;
        const words = new Int32Array(views.buffer);
        const doubles = new Float64Array(views.buffer);
        let producer = new RingProducer(handle, SEQ);
        let consumer = new RingConsumer(handle);
        let staged: number[] = [];
        const ring: number[] = [];
        const model = { seq: 0, offered: 0, accepted: 0, dropped: 0, highWater: 0, released: 0, filed: 0 };
        let pending = { offered: 0, dropped: 0 };
        for (let step = 0; step < 20_000; step++) {
          const action = random.below(100);
          if (action < 45) {
            const room = staged.length + ring.length < capacity;
            expect(fill(producer, model.seq + pending.offered)).toBe(room);
            if (room) staged.push(model.seq + pending.offered);
            else pending.dropped++;
            pending.offered++;
          } else if (action < 50) {
            producer.mark();
            const before = producer.pending;
            for (let i = random.below(4); i > 0; i--) fill(producer, 999);
            producer.rewind();
            expect(producer.pending).toBe(before);
          } else if (action < 72) {
            expect(producer.pending).toBe(pending.offered);
            producer.publish();
            ring.push(...staged);
            model.seq += pending.offered;
            model.offered += pending.offered;
            model.accepted += staged.length;
            model.dropped += pending.dropped;
            if (pending.offered > 0) model.highWater = Math.max(model.highWater, ring.length);
            staged = [];
            pending = { offered: 0, dropped: 0 };
          } else if (action < 95) {
            const limit = 1 + random.below(capacity);
            expect(consumer.backlog()).toBe(ring.length);
            const count = consumer.available(limit);
            expect(count).toBeLessThanOrEqual(Math.min(limit, ring.length));
            expect(count === 0).toBe(ring.length === 0);
            for (let offset = 0; offset < count; offset++) {
              const seq = ring[offset];
              for (let column = 0; column < NUMBERS; column++) {
                const at = consumer.numberOffset(column) + offset * 8;
                const found = [consumer.number(column, offset), doubles[at / 8]];
                if (found.some((value) => !Object.is(value, numberOf(seq, column))))
                  expect(found).toEqual([numberOf(seq, column), numberOf(seq, column)]);
              }
              for (let text = 0; text < TEXTS; text++) {
                for (let piece = 0; piece < TEXT_PIECES; piece++) {
                  const at = consumer.textOffset(text, piece) / 4 + offset * 4;
                  const wanted = wordsOf(seq, text).subarray(piece * 4, piece * 4 + 4);
                  if (wanted.some((word, i) => word !== words[at + i]))
                    expect([...words.subarray(at, at + 4)]).toEqual([...wanted]);
                }
              }
            }
            // A slow reader half of the time, or a ring of 64 would never be full.
            const release = step % 2000 < 1000 ? random.below(count + 1) : random.below(2) & +(count > 0);
            consumer.release(release);
            ring.splice(0, release);
            model.released += release;
          } else if (action < 98) {
            const count = random.below(model.released - model.filed + 1);
            consumer.filed(count);
            model.filed += count;
          } else if (action === 98) {
            // Another producer takes over: what the old one had staged and not published never was.
            producer = new RingProducer(handle, SEQ);
            staged = [];
            pending = { offered: 0, dropped: 0 };
          } else {
            consumer = new RingConsumer(handle);
          }
          const { seq: _, ...counters } = model;
          const wanted = { capacity, ...counters, parked: 0, used: ring.length };
          // Of thousands of steps only the first that is wrong is worth a call of expect: each costs as much as the step.
          const reading = readRing(handle, views);
          if (!Bun.deepEquals(reading, wanted)) expect(reading, `step ${step}`).toEqual(wanted);
        }
        expect(model.dropped).toBeGreaterThan(0);
        expect(model.highWater).toBe(capacity);
        expect(views.control[HEAD]).toBe((start + model.accepted) | 0);
      });
    }
  });

test.each(
  BACKINGS,
)("$name: high water is the fill at a publication, not what was offered, and does not sink", ({ create }) => {
  const handle = create({ capacity: 8, numbers: 1, texts: 0 });
  const views = viewsOf(handle);
  const producer = new RingProducer(handle, 0);
  const consumer = new RingConsumer(handle);
  for (let i = 0; i < 5; i++) producer.commit();
  expect(readRing(handle, views).highWater).toBe(0);
  producer.publish();
  expect(readRing(handle, views).highWater).toBe(5);
  consumer.available(8);
  consumer.release(4);
  for (let i = 0; i < 2; i++) producer.commit();
  producer.publish();
  expect(readRing(handle, views)).toMatchObject({ highWater: 5, used: 3 });
  for (let i = 0; i < 100; i++) producer.commit();
  producer.publish();
  expect(readRing(handle, views)).toMatchObject({ highWater: 8, used: 8, dropped: 95, offered: 107 });
});

test.each(BACKINGS)("$name: a record dropped inside a frame that is taken back is no drop", ({ create }) => {
  const handle = create({ capacity: 2, numbers: 1, texts: 0 });
  const producer = new RingProducer(handle, 0);
  producer.commit();
  producer.mark();
  expect([producer.commit(), producer.commit(), producer.commit()]).toEqual([true, false, false]);
  producer.rewind();
  expect(producer.commit()).toBe(true);
  producer.publish();
  const consumer = new RingConsumer(handle);
  expect(consumer.available(2)).toBe(2);
  expect([consumer.number(0, 0), consumer.number(0, 1)]).toEqual([0, 1]);
  expect(readRing(handle, viewsOf(handle))).toMatchObject({ offered: 2, accepted: 2, dropped: 0 });
});

test.each(
  BACKINGS,
)("$name: a producer that was ended in the middle of a publication does not hang readers", ({ create }) => {
  const handle = create({ capacity: 4, numbers: 1, texts: 0 });
  const views = viewsOf(handle);
  const first = new RingProducer(handle, 0);
  first.commit();
  first.publish();
  Atomics.add(views.control, VERSION, 1);
  expect(readRing(handle, views)).toMatchObject({ offered: 1, accepted: 1, used: 1 });
  const second = new RingProducer(handle, 0);
  expect(Atomics.load(views.control, VERSION) % 2).toBe(0);
  second.commit();
  second.publish();
  expect(Atomics.load(views.control, VERSION) % 2).toBe(0);
  expect(readRing(handle, views)).toMatchObject({ offered: 2, accepted: 2, used: 2 });
  const consumer = new RingConsumer(handle);
  expect([consumer.available(4), consumer.number(0, 0), consumer.number(0, 1)]).toEqual([2, 0, 1]);
});

test.each(
  BACKINGS,
)("$name: a reader that is interrupted between two counters never shows more than the ring can hold", ({
  create,
}) => {
  const handle = create({ capacity: 4, numbers: 1, texts: 0 });
  const views = viewsOf(handle);
  const producer = new RingProducer(handle, 0);
  const consumer = new RingConsumer(handle);
  const releaseAll = () => {
    for (let count = consumer.available(4); count > 0; count = consumer.available(4)) consumer.release(count);
  };
  // Whenever the reader has read what was released, the other two go on by several ring lengths, thrice.
  let interruptions = 0;
  const counters = new Proxy(views.counters, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (property === String(COUNTER.released) && interruptions < 3) {
        interruptions++;
        for (let round = 0; round < 3; round++) {
          releaseAll();
          for (let i = 0; i < 4; i++) producer.commit();
          producer.publish();
        }
      }
      return value;
    },
  });
  expect(readRing(handle, { ...views, counters })).toEqual({
    capacity: 4,
    offered: 36,
    accepted: 36,
    dropped: 0,
    highWater: 4,
    released: 32,
    parked: 0,
    filed: 0,
    used: 4,
  });
  expect(interruptions).toBe(3);
});
