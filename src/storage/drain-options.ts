import type { Stream } from "../events/streams.ts";
import type { RingHandle } from "../ring/memory.ts";
import type { JournaledSegment } from "./journal/recovery.ts";
import type { FileLayout } from "./names.ts";
import type { SealBounds } from "./seal-policy.ts";

/** A ring to drain. */
export interface RingSpec {
  /** Number of the ring within the run. */
  readonly ring: number;
  readonly exchange: string;
  readonly stream: Stream;
  readonly handle: RingHandle;
}

/** An instrument as the drain knows it: by the number that stands in the rows. */
export interface SymbolSpec {
  readonly number: number;
  readonly symbol: string;
  readonly instrument: string;
}

/** When what was appended to a journal is brought to disk. */
export type Fsync = "interval" | "always" | "off";

/** Settings of the journals; times in ms, sizes in bytes. */
export interface JournalOptions {
  readonly folder: string;
  readonly fsync: Fsync;
  readonly fsyncInterval: number;
  /** Bytes of all journals together at which draining stops and rings begin to fill. */
  readonly maxBytes: number;
}

/** Settings of the drain; times in ms, sizes in bytes. */
export interface DrainOptions {
  readonly run: string;
  readonly version: string;
  readonly rings: readonly RingSpec[];
  readonly outbox: string;
  readonly quarantine: string;
  /** To what files the rows of segments that are begun now are dealt out. Datasets are always flat. */
  readonly layout: FileLayout;
  readonly journal: JournalOptions;
  readonly seal: Readonly<Record<Stream, SealBounds>>;
  /** Bounds of the segments of datasets. */
  readonly datasetSeal: SealBounds;
  /** First number that no ring has: the datasets' segments count from here. */
  readonly firstDatasetRing: number;
  /** Least time between two seals that are due by their interval. */
  readonly minGap: number;
  readonly memoryLimit: number;
  readonly threads: number;
  /** Longest wait between two attempts at a segment that cannot be written, ms. */
  readonly retryMax: number;
  /** Journals of earlier runs, sealed, to be brought into files; their rows are counted as taken over. */
  readonly recovered: readonly JournaledSegment[];
  /** Counters of their rows. */
  readonly recoveredCounters: SharedArrayBuffer;
}
