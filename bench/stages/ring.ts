import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS, LOCAL } from "../../src/events/layout.ts";
import { RingConsumer } from "../../src/ring/consumer.ts";
import { createRingFile } from "../../src/ring/file.ts";
import { createRing, type RingHandle, recordBytes } from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { cpuTime, interleaved, type Variant } from "../lib/measure.ts";
import type { StageReport } from "../lib/report.ts";
import type { Stage, StageOptions } from "../lib/stage.ts";
import { spreadOf } from "../lib/statistics.ts";

const CAPACITY = 262_144;
const BATCH = 64;
const LOT = 65_536;
const CROSSING = 20_000_000;

const { numbers, texts, seq } = LAYOUTS.bbo;
const SHAPE = { capacity: CAPACITY, numbers: numbers.length, texts: texts.length };

const MEMORY = "memory";
/** Linux's file system in memory. */
const SHARED_MEMORY = "/dev/shm";

/** Where the ring's memory is. */
interface Backing {
  readonly name: string;
  create(): RingHandle;
}

function fileBacking(name: string, folder: string): Backing {
  let files = 0;
  const create = () => createRingFile(join(folder, `${files++}.ring`), SHAPE, new Uint8Array(0));
  return { name, create };
}

/** Staging rows that are ready, published every {@link BATCH}; what is read is only given back. */
function encodeVariant({ name, create }: Backing): Variant {
  const handle = create();
  const producer = new RingProducer(handle, seq);
  const consumer = new RingConsumer(handle);
  return {
    name,
    run() {
      for (let i = 0; i < LOT; i++) {
        producer.row.numbers[LOCAL] = i;
        producer.commit();
        if (i % BATCH !== BATCH - 1) continue;
        producer.publish();
        consumer.release(consumer.available(BATCH));
      }
      return LOT;
    },
  };
}

/** A producer in a worker, the consumer here; both at full speed. */
async function cross({ create }: Backing): Promise<{ cpuNs: number; perSecond: number }> {
  const handle = create();
  const consumer = new RingConsumer(handle);
  const worker = new Worker(new URL("../lib/ring-worker.ts", import.meta.url));
  const begun = new Promise<void>((resolve) => {
    worker.onmessage = () => resolve();
  });
  worker.postMessage({ handle, seq, count: CROSSING, batch: BATCH });
  await begun;
  const cpu = cpuTime();
  const began = performance.now();
  for (let seen = 0; seen < CROSSING; ) {
    const count = consumer.available(CAPACITY);
    if (count === 0) continue;
    consumer.release(count);
    seen += count;
  }
  const result = {
    cpuNs: ((cpuTime() - cpu) * 1000) / CROSSING,
    perSecond: (CROSSING * 1000) / (performance.now() - began),
  };
  worker.terminate();
  return result;
}

/** What a row costs from hand to hand. */
export const ringStage: Stage = {
  name: "ring",
  about: "rows into a ring, and through a ring from thread to thread, its memory shared or a mapped file",
  always: true,
  async run(options): Promise<StageReport> {
    const backings = [
      { name: MEMORY, create: () => createRing(SHAPE) },
      fileBacking("mapped file on disk", options.scratch),
    ];
    if (!existsSync(SHARED_MEMORY)) return report(backings, options);
    const folder = mkdtempSync(join(SHARED_MEMORY, "tapedeck-bench-"));
    try {
      return await report([...backings, fileBacking(`mapped file in ${SHARED_MEMORY}`, folder)], options);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function report(backings: readonly Backing[], options: StageOptions): Promise<StageReport> {
  const encoded = await interleaved(backings.map(encodeVariant), options);
  const crossings = backings.map(() => ({ cpuNs: [] as number[], perSecond: [] as number[] }));
  for (let repeat = -1; repeat < options.repeats; repeat++) {
    for (let turn = 0; turn < backings.length; turn++) {
      const index = (turn + Math.max(0, repeat)) % backings.length;
      const { cpuNs, perSecond } = await cross(backings[index] as Backing);
      if (repeat < 0) continue;
      crossings[index]?.cpuNs.push(cpuNs);
      crossings[index]?.perSecond.push(perSecond);
    }
  }
  const bytes = recordBytes(SHAPE);
  const overMemory = (all: readonly (readonly number[])[], index: number) => {
    const [memory = []] = all;
    const ratio = spreadOf((all[index] ?? []).map((one, repeat) => one / (memory[repeat] ?? Number.NaN)));
    return index === 0 ? "" : `${ratio.median.toFixed(2)} of memory`;
  };
  const encodings = encoded.map(({ name, cpu, rate }, index) => ({
    name: `encode to ring: ${name}`,
    cpuNs: cpu,
    perSecond: rate,
    bytes,
    note: overMemory(
      encoded.map(({ cpuNs }) => cpuNs),
      index,
    ),
  }));
  const ways = crossings.map(({ cpuNs, perSecond }, index) => ({
    name: `ring across threads: ${backings[index]?.name}`,
    cpuNs: spreadOf(cpuNs),
    perSecond: spreadOf(perSecond),
    bytes,
    note: overMemory(
      crossings.map((one) => one.cpuNs),
      index,
    ),
  }));
  const notes = [
    `Rows of bbo, published every ${BATCH}. Across threads both are busy, the consumer spinning; CPU of both.`,
    "Of memory: median of the CPU time's ratios, repeat by repeat.",
  ];
  return { stage: "ring", figures: [...encodings, ...ways], bars: [], notes };
}
