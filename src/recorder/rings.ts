import { RING_CAPACITY_MIN, type Settings } from "../config/schema.ts";
import { LAYOUTS } from "../events/layout.ts";
import type { Stream } from "../events/streams.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { createLagMemory } from "../ingest/lag-histogram.ts";
import { createRing, type RingViews, viewsOf } from "../ring/memory.ts";
import type { RingSpec } from "../storage/drain.ts";
import type { RingFiles } from "../storage/rings/files.ts";
import { partsWith, workersOf } from "./spread.ts";

/** A ring as the main thread sees it. */
export interface RunRing extends RingSpec {
  /** Number of the ingest worker that fills it. */
  readonly worker: number;
  readonly views: RingViews;
  /** Where the ingest worker counts how late its events come. */
  readonly lag: SharedArrayBuffer;
  /** Rows of it that have arrived at the destination. */
  published: number;
  /** Rows of it that were lost on disk: a journal or file was damaged, or taken away, before it got there. */
  spoiled: number;
}

/** The streams to record of an exchange: those asked for that it has. */
export function streamsOf(exchange: string, settings: Settings): Stream[] {
  return exchangeByName(exchange).streams.filter((stream) => settings.record.streams.includes(stream));
}

/**
 * Capacity of each of `parts` that share one of `capacity` events: a power of two, so that all of them together hold at
 * least `capacity`, itself a power of two.
 */
export function shareOfCapacity(capacity: number, parts: number): number {
  return Math.max(RING_CAPACITY_MIN, 2 ** Math.ceil(Math.log2(capacity / parts)));
}

/**
 * One ring per recorded (exchange, stream) and ingest worker that may get its events, numbered within the run.
 *
 * What a stream has room for is shared out to the exchanges that have it, then to the workers of each. So memory does
 * not grow with exchanges, and the room of all together does not shrink. Unless set otherwise, the least share of three
 * exchanges holds 250 ms of 524,000 quotes a second, or of 262,000 trades.
 *
 * @param files where they are files
 * @throws FolderError where such a file cannot be made
 */
export function createRings(settings: Settings, files: RingFiles | null = null): RunRing[] {
  const { exchanges } = settings.record;
  const rings: RunRing[] = [];
  for (const [index, exchange] of exchanges.entries()) {
    const workers = workersOf(index, exchanges.length, settings.ingest.workers);
    for (const stream of streamsOf(exchange, settings)) {
      const { numbers, texts } = LAYOUTS[stream];
      const parts = partsWith(exchangeByName(exchange), stream, workers.length);
      const sharing = exchanges.filter((other) => streamsOf(other, settings).includes(stream)).length;
      const ofExchange = shareOfCapacity(settings.ring.capacity[stream], sharing);
      const capacity = shareOfCapacity(ofExchange, parts.length);
      for (const part of parts) {
        const worker = workers[part];
        const shape = { capacity, numbers: numbers.length, texts: texts.length };
        const handle = files?.create(shape, { ring: rings.length, exchange, stream }) ?? createRing(shape);
        const views = viewsOf(handle);
        const lag = createLagMemory();
        rings.push({
          ring: rings.length,
          worker,
          exchange,
          stream,
          handle,
          views,
          lag,
          published: 0,
          spoiled: 0,
        });
      }
    }
  }
  return rings;
}
