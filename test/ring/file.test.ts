import { expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { RingConsumer } from "../../src/ring/consumer.ts";
import { createRingFile, findRing, RingFileError, settleRing } from "../../src/ring/file.ts";
import {
  COUNTER,
  HEAD,
  numberOffset,
  ringBytes,
  TAIL,
  textOffset,
  VERSION,
  viewsOf,
} from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const folder = scratchFolder("ring-file");
const SHAPE = { capacity: 16, numbers: 2, texts: 1 };
const ABOUT = new TextEncoder().encode('{"ring":"币安人生"}');
let files = 0;

function newRing() {
  const path = join(folder, `${files++}.ring`);
  return { path, handle: createRingFile(path, SHAPE, ABOUT) };
}

test("the whole file is written when it is made, and is found again with all that was said of it", () => {
  const { path, handle } = newRing();
  expect(statSync(path).size).toBeGreaterThan(ringBytes(SHAPE));
  // No hole in it: to touch one on a full disk would end the process.
  expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(ringBytes(SHAPE));
  expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  const found = findRing(path);
  expect(found.handle).toEqual(handle);
  expect(found.about).toEqual(ABOUT);
});

test("what was published and not released is there for whoever comes after", () => {
  const { path, handle } = newRing();
  const producer = new RingProducer(handle, 0);
  const consumer = new RingConsumer(handle);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 10; i++) {
      producer.row.numbers[1] = round * 10 + i;
      producer.commit();
    }
    producer.publish();
    if (round < 2)
      for (let left = 10; left > 0; ) {
        const count = consumer.available(left);
        consumer.release(count);
        left -= count;
      }
  }
  consumer.available(4);
  consumer.release(4);
  consumer.noted = 7;
  // Staged and not published: nobody was told of it.
  producer.commit();
  const copy = `${path}.copy`;
  copyFileSync(path, copy);
  const { handle: again } = findRing(copy);
  settleRing(again, viewsOf(again));
  const later = new RingConsumer(again);
  expect([later.backlog(), later.noted]).toEqual([6, 7]);
  expect(Array.from({ length: 6 }, (_, i) => [later.number(0, i), later.number(1, i)])).toEqual(
    Array.from({ length: 6 }, (_, i) => [24 + i, 24 + i]),
  );
});

test("a producer ended between its counters and head had accepted; in the middle of its counters it had not", () => {
  for (const version of [2, 3]) {
    const { handle } = newRing();
    const views = viewsOf(handle);
    const producer = new RingProducer(handle, 0);
    for (let i = 0; i < 5; i++) producer.commit();
    producer.publish();
    views.control[VERSION] = version;
    views.control[HEAD] = 3;
    settleRing(handle, views);
    expect(new RingConsumer(handle).backlog()).toBe(version === 2 ? 5 : 3);
  }
  // Counters that cannot be are not believed.
  const { handle } = newRing();
  const views = viewsOf(handle);
  views.counters[COUNTER.accepted] = 17;
  settleRing(handle, views);
  expect(new RingConsumer(handle).backlog()).toBe(0);
});

test("a file that is cut off, damaged, of another version or foreign is refused, and said why", () => {
  const spoilt = (spoil: (path: string, bytes: Buffer) => void) => {
    const { path } = newRing();
    spoil(path, readFileSync(path));
    return () => findRing(path);
  };
  const write = (change: (bytes: Buffer) => Buffer | undefined) =>
    spoilt((path, bytes) => writeFileSync(path, change(bytes) ?? bytes));
  expect(spoilt((path) => truncateSync(path, 0))).toThrow("it is cut off");
  expect(spoilt((path) => truncateSync(path, 31))).toThrow("it is cut off");
  expect(spoilt((path, { length }) => truncateSync(path, length - 1))).toThrow(RingFileError);
  expect(spoilt((path, { length }) => truncateSync(path, length >> 1))).toThrow(
    "does not end as the file of a ring",
  );
  expect(write((bytes) => void bytes.writeUInt8(0, bytes.length - 40))).toThrow("its end is damaged");
  expect(write((bytes) => void bytes.writeUInt32LE(32, bytes.length - 20))).toThrow("its end is damaged");
  expect(write((bytes) => void bytes.writeUInt32LE(2, bytes.length - 24))).toThrow("its version is 2");
  expect(write((bytes) => bytes.subarray(8))).toThrow(/it has \d+ bytes, not \d+/);
  expect(write(() => Buffer.from("hello, this is a foreign file of more than a foot's length"))).toThrow(
    RingFileError,
  );
});

test("where there is no room there is no file, not even an unfinished one", () => {
  const path = join(folder, "taken.ring");
  writeFileSync(`${path}.tmp`, "");
  expect(() => createRingFile(path, SHAPE, ABOUT)).toThrow("EEXIST");
  expect(() => createRingFile(join(folder, "missing", "a.ring"), SHAPE, ABOUT)).toThrow("ENOENT");
  expect(existsSync(path)).toBe(false);
});

test("the memory is laid out as version 1 of the file has it: a change needs another version there", () => {
  const indices = { HEAD, TAIL, VERSION, ...COUNTER };
  expect(indices).toEqual({
    HEAD: 0,
    TAIL: 32,
    VERSION: 64,
    offered: 33,
    accepted: 34,
    dropped: 35,
    highWater: 36,
    pieces: 37,
    released: 48,
    filed: 49,
    parked: 50,
    noted: 51,
  });
  for (const [capacity, columns] of [
    [16, [512, 640, 768, 1024]],
    [4096, [512, 37504, 74496, 144256]],
  ] as const) {
    const shape = { capacity, numbers: 2, texts: 1 };
    const places = [
      numberOffset(shape, 0, 0),
      numberOffset(shape, 1, 0),
      textOffset(shape, 0, 0, 0),
      textOffset(shape, 0, 1, 0),
    ];
    expect(places).toEqual([...columns]);
  }
});
