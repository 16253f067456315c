import { type Settings, SLOW_STREAMS } from "../config/schema.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import type { DrainOptions } from "../storage/drain.ts";
import type { SealBounds } from "../storage/seal-policy.ts";
import type { OpenedRun } from "./opened-run.ts";
import type { RunRing } from "./rings.ts";
import { VERSION } from "./version.ts";

/** A segment of a dataset is written at this many rows at the latest. */
const DATASET_SEGMENT_ROWS = 50_000;

/** The drain of a run as it is set. @param taken what it takes over from journals */
export function drainSettings(
  settings: Settings,
  { run, folder }: Pick<OpenedRun, "run" | "folder">,
  rings: readonly RunRing[],
  taken: Pick<DrainOptions, "recovered" | "recoveredCounters">,
): DrainOptions {
  return {
    run,
    version: VERSION,
    rings: rings.map(({ ring, exchange, stream, handle }) => ({ ring, exchange, stream, handle })),
    outbox: folder.outbox,
    quarantine: folder.quarantine,
    layout: settings.layout,
    journal: {
      folder: folder.journal,
      fsync: settings.journal.fsync,
      fsyncInterval: settings.journal.fsync_interval,
      maxBytes: settings.journal.max_bytes,
    },
    ...taken,
    seal: sealBounds(settings),
    datasetSeal: {
      rows: Math.min(settings.flush.rows, DATASET_SEGMENT_ROWS),
      bytes: settings.flush.bytes,
      interval: settings.flush.slow_interval,
    },
    firstDatasetRing: rings.length,
    minGap: settings.flush.min_gap,
    memoryLimit: settings.duckdb.memory_limit,
    threads: settings.duckdb.threads,
    retryMax: settings.storage.retry_max,
  };
}

/** When segments of each stream are sealed. */
export function sealBounds(settings: Settings): Record<Stream, SealBounds> {
  const { flush } = settings;
  const entries = STREAM_NAMES.map((stream) => {
    const own = flush.streams[stream];
    const interval = SLOW_STREAMS.includes(stream) ? flush.slow_interval : flush.interval;
    return [
      stream,
      { rows: own.rows ?? flush.rows, bytes: own.bytes ?? flush.bytes, interval: own.interval ?? interval },
    ] as const;
  });
  return Object.fromEntries(entries) as Record<Stream, SealBounds>;
}
