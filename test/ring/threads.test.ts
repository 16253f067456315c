import { afterAll, beforeAll, expect, test } from "bun:test";
import { HEAD, readRing, TAIL, viewsOf } from "../../src/ring/memory.ts";
import { seeded } from "../lib/seed.ts";
import { backings } from "./backings.ts";
import { NUMBERS, TEXTS } from "./records.ts";
import {
  type ConsumerReport,
  FLAG,
  imprint,
  type ProducerReport,
  type ReaderReport,
  type Report,
  type Task,
} from "./threads.ts";

/** Share of the 10 million records that are offered; TAPEDECK_TEST_LONG=1 offers all of them. */
const SHARE = process.env.TAPEDECK_TEST_LONG === "1" ? 1 : 1 / 5;
const HALF = 2 ** 31;
const WHOLE = 2 ** 32;

/** 10 million records in all; indices begin so many `before` a `border` of 32-bit numbers, which the records cross. */
const SCENARIOS = [
  { capacity: 2, records: 700_000, border: 0, before: 0 },
  { capacity: 2, records: 300_000, border: WHOLE, before: 1001 },
  { capacity: 4, records: 1_000_000, border: HALF, before: 1001 },
  { capacity: 16, records: 1_000_000, border: WHOLE, before: 100_000 },
  { capacity: 1024, records: 2_000_000, border: HALF, before: 500_000 },
  { capacity: 65_536, records: 3_000_000, border: WHOLE, before: 1_000_000 },
  { capacity: 256, records: 2_000_000, border: HALF, before: 1 },
].map(({ capacity, records, border, before }) => ({
  capacity,
  records: records * SHARE,
  start: border - Math.ceil(before * SHARE),
}));

/** A file is memory like any other once it is mapped: the larger ones of a ring that is often full show that. */
const RUNS = backings().flatMap((backing) =>
  SCENARIOS.filter(({ capacity }) => backing.name === "memory" || (capacity > 2 && capacity < 65_536)).map(
    (scenario) => ({ backing, ...scenario }),
  ),
);

/** Far above what a scenario takes; Bun's own limit is 5 s. */
const TIMEOUT_MS = 120_000;

const workers = new Map<Task["role"], Worker>();

beforeAll(() => {
  for (const role of ["producer", "consumer", "reader"] as const) {
    workers.set(role, new Worker(new URL("./threads-worker.ts", import.meta.url)));
  }
});
afterAll(() => {
  for (const worker of workers.values()) worker.terminate();
});

function run<R extends Report>(task: Task): Promise<R> {
  const worker = workers.get(task.role);
  if (worker === undefined) throw new Error(`no worker for ${task.role}`);
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(`${task.role}: ${event.message}`));
    worker.onmessage = (event: MessageEvent<Report>) => {
      if (event.data.role === task.role) resolve(event.data as R);
      else reject(new Error(`${task.role}: ${JSON.stringify(event.data)}`));
    };
    worker.postMessage(task);
  });
}

test(`the scenarios offer ${SHARE === 1 ? "" : "a fifth of "}10 million records`, () => {
  expect(SCENARIOS.reduce((sum, { records }) => sum + records, 0)).toBe(10_000_000 * SHARE);
});

for (const { backing, capacity, records, start } of RUNS) {
  const title = `${backing.name}: ${records} records through a ring of ${capacity} from index ${start}, nothing lost uncounted`;
  test(
    title,
    async () => {
      const name = `ring threads ${capacity}/${start}`;
      const seed = `${seeded(name).uint32()}`;
      const handle = backing.create({ capacity, numbers: NUMBERS, texts: TEXTS });
      const views = viewsOf(handle);
      Atomics.store(views.control, HEAD, start | 0);
      Atomics.store(views.control, TAIL, start | 0);
      const flags = new SharedArrayBuffer(16);
      const task = { handle, flags, seed, records };
      const reading = run<ReaderReport>({ role: "reader", ...task });
      const [producer, consumer] = await Promise.all([
        run<ProducerReport>({ role: "producer", ...task }),
        run<ConsumerReport>({ role: "consumer", ...task }),
      ]);
      Atomics.store(new Int32Array(flags), FLAG.stop, 1);
      const reader = await reading;

      expect(consumer.fault).toBeNull();
      expect(producer.offered).toBe(records);
      expect(producer.offered).toBe(producer.accepted + producer.dropped.count);
      expect(consumer.seen).toBe(producer.accepted);
      // Drops at the very end leave no record behind them that would show the hole.
      for (let seq = consumer.next; seq < records; seq++) imprint(consumer.holes, seq);
      expect(consumer.holes).toEqual(producer.dropped);

      expect(readRing(handle, views)).toEqual({
        capacity,
        offered: records,
        accepted: producer.accepted,
        dropped: producer.dropped.count,
        highWater: expect.any(Number),
        released: producer.accepted,
        filed: producer.accepted,
        parked: 0,
        used: 0,
      });
      expect(views.control[HEAD]).toBe((start + producer.accepted) | 0);
      expect(views.control[TAIL]).toBe((start + producer.accepted) | 0);
      const { highWater } = readRing(handle, views);
      expect(highWater).toBeGreaterThan(0);
      expect(highWater).toBeLessThanOrEqual(capacity);
      expect(reader.fault).toBeNull();
      expect(reader.readings).toBeGreaterThan(0);
      expect(producer.rewinds).toBeGreaterThan(0);
      expect(producer.successors).toBeGreaterThan(0);
      const dropped = producer.dropped.count;
      console.log(
        `  ${backing.name} ${capacity}: accepted ${producer.accepted}, dropped ${dropped}, high water ${highWater}, ` +
          `${reader.readings} readings (${reader.distinct} distinct), ${producer.successors} successors`,
      );
    },
    TIMEOUT_MS,
  );
}
