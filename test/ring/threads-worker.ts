/** One of the three threads of ring/threads.test.ts. */
import { RingConsumer } from "../../src/ring/consumer.ts";
import { HEAD, type RingReading, readRing, TAIL, viewsOf } from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { TEXT_PIECES } from "../../src/ring/text.ts";
import { Random } from "../../src/simulator/random.ts";
import { bytesOf, NUMBERS, numberOf, SEQ, TEXTS, wordsOf } from "./records.ts";
import {
  type ConsumerReport,
  FLAG,
  imprint,
  type ProducerReport,
  type ReaderReport,
  type Report,
  type SetPrint,
  type Task,
} from "./threads.ts";

/** Loads of tail before a patient producer gives up: a consumer without a core must not stop the test. */
const PATIENCE = 400;

/** Longest stall: enough for a producer at full speed to fill the largest ring. */
const STALL_MAX_MS = 80;

function stall(random: Random, flags: Int32Array, longest = 1): void {
  Atomics.wait(flags, FLAG.idle, 0, random.unit() * longest);
}

function produce({ handle, records, seed, ...rest }: Task): ProducerReport {
  const random = new Random(`${seed}/producer`);
  const flags = new Int32Array(rest.flags);
  const { control } = viewsOf(handle);
  const bytes = new Uint8Array(64);
  const dropped: SetPrint = { count: 0, sum: 0, mix: 0 };
  let producer = new RingProducer(handle, SEQ);
  let offered = 0;
  let accepted = 0;
  let rewinds = 0;
  let successors = 0;
  const put = (seq: number): boolean => {
    const { row } = producer;
    for (let column = 0; column < NUMBERS; column++) row.numbers[column] = numberOf(seq, column);
    for (let text = 0; text < TEXTS; text++) row.setText(text, bytes, 0, bytesOf(seq, text, bytes));
    return producer.commit();
  };
  const garbage = (count: number) => {
    for (let i = 0; i < count; i++) {
      producer.row.numbers.fill(-777);
      producer.row.setText(0, bytes, 0, 48);
      producer.commit();
    }
  };
  while (offered < records) {
    // A phase of many batches: patient (waits for room, few drops) or not (drops at will).
    const patient = random.below(2) === 0;
    for (let batch = random.below(200); batch >= 0 && offered < records; batch--) {
      const size = Math.min(1 + random.below(random.below(8) === 0 ? 200 : 8), records - offered);
      for (let i = 0; i < size; i++) {
        if (patient) {
          const head = (Atomics.load(control, HEAD) + i) | 0;
          for (let spin = 0; spin < PATIENCE; spin++) {
            if (((head - Atomics.load(control, TAIL)) | 0) < handle.capacity) break;
          }
        }
        if (put(offered)) accepted++;
        else imprint(dropped, offered);
        offered++;
      }
      if (random.below(16) === 0) {
        producer.mark();
        garbage(random.below(6));
        producer.rewind();
        rewinds++;
      }
      producer.publish();
      if (random.below(1000) === 0) {
        // This one dies with records staged, another takes over.
        garbage(random.below(4));
        producer = new RingProducer(handle, SEQ);
        successors++;
      }
      if (random.below(200) === 0) stall(random, flags);
    }
  }
  Atomics.store(flags, FLAG.finished, 1);
  return { role: "producer", offered, accepted, dropped, rewinds, successors };
}

function consume({ handle, seed, ...rest }: Task): ConsumerReport {
  const random = new Random(`${seed}/consumer`);
  const flags = new Int32Array(rest.flags);
  const { buffer } = viewsOf(handle);
  const numbers = new Float64Array(buffer);
  const words = new Int32Array(buffer);
  const consumer = new RingConsumer(handle);
  const holes: SetPrint = { count: 0, sum: 0, mix: 0 };
  let seen = 0;
  let next = 0;
  let unfiled = 0;
  let fault: string | null = null;

  const check = (offset: number): void => {
    const seq = numbers[consumer.numberOffset(SEQ) / 8 + offset];
    if (!(seq >= next)) {
      fault ??= `after ${next - 1} came ${seq}`;
      return;
    }
    while (next < seq) imprint(holes, next++);
    next++;
    for (let column = 0; column < NUMBERS; column++) {
      const value = numbers[consumer.numberOffset(column) / 8 + offset];
      if (!Object.is(value, numberOf(seq, column))) fault ??= `record ${seq}, number ${column}: ${value}`;
    }
    for (let text = 0; text < TEXTS; text++) {
      const wanted = wordsOf(seq, text);
      for (let piece = 0; piece < TEXT_PIECES; piece++) {
        const at = consumer.textOffset(text, piece) / 4 + offset * 4;
        for (let word = 0; word < 4; word++) {
          if (words[at + word] !== wanted[piece * 4 + word]) fault ??= `record ${seq}, text ${text}/${piece}`;
        }
      }
    }
  };

  for (;;) {
    const finished = Atomics.load(flags, FLAG.finished) === 1;
    const count = consumer.available(1 + random.below(5000));
    if (count === 0) {
      if (finished && consumer.backlog() === 0) break;
      continue;
    }
    for (let offset = 0; offset < count; offset++) check(offset);
    consumer.release(count);
    seen += count;
    unfiled += count;
    if (random.below(50) === 0) {
      const filed = random.below(unfiled + 1);
      consumer.filed(filed);
      unfiled -= filed;
    }
    if (random.below(count < 8 ? 3000 : 200) === 0) {
      stall(random, flags, handle.capacity > 4096 && random.below(4) === 0 ? STALL_MAX_MS : 1);
    }
  }
  consumer.filed(unfiled);
  return { role: "consumer", seen, holes, next, fault };
}

function watch({ handle, seed, ...rest }: Task): ReaderReport {
  const random = new Random(`${seed}/reader`);
  const flags = new Int32Array(rest.flags);
  const views = viewsOf(handle);
  let last: RingReading | null = null;
  let readings = 0;
  let distinct = 0;
  let faults = 0;
  let fault: string | null = null;
  const wrong = (what: string, reading: RingReading) => {
    faults++;
    fault ??= `${what}: ${JSON.stringify(reading)}`;
  };
  while (Atomics.load(flags, FLAG.stop) === 0) {
    for (let i = 0; i < 500; i++) {
      const now = readRing(handle, views);
      readings++;
      if (now.offered !== now.accepted + now.dropped) wrong("offered is not accepted + dropped", now);
      if (now.used < 0 || now.used > now.capacity) wrong("used is not from 0 to the capacity", now);
      if (now.used !== now.accepted - now.released) wrong("used is not accepted - released", now);
      if (now.filed > now.released || now.released > now.accepted) wrong("filed, released, accepted", now);
      if (now.highWater > now.capacity) wrong("high water above the capacity", now);
      if (last !== null) {
        if (now.offered !== last.offered) distinct++;
        for (const key of ["offered", "accepted", "dropped", "highWater", "released", "filed"] as const) {
          if (now[key] < last[key]) wrong(`${key} went back from ${last[key]}`, now);
        }
      }
      last = now;
    }
    stall(random, flags);
  }
  return { role: "reader", readings, distinct, faults, fault };
}

declare const self: Worker;

const ROLES = { producer: produce, consumer: consume, reader: watch } as const;

self.onmessage = (event: MessageEvent<Task>) => {
  let report: Report;
  try {
    report = ROLES[event.data.role](event.data);
  } catch (error) {
    report = { role: "failed", error: String(error) };
  }
  postMessage(report);
};
