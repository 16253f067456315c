/** What the recorder knows of itself at one instant; everything the outside sees derives from it. */
import type { Stream } from "../events/streams.ts";
import type { LagReading } from "../ingest/lag-histogram.ts";
import type { ExchangeStats } from "../ingest/messages.ts";
import type { RingReading } from "../ring/memory.ts";
import type { LaneStatus } from "../storage/upload/uploader.ts";
import type { Balance } from "./balance.ts";
import type { Health, LiveGap } from "./live.ts";
import type { LogLine } from "./log.ts";
import type { Check, State } from "./state.ts";

/** One ring and what its counters say. */
export interface RingStatus extends RingReading {
  readonly ring: number;
  readonly exchange: string;
  readonly stream: Stream;
  /** Events published to the destination. */
  readonly published: number;
}

/** A stream of an exchange, over all of its rings. Times in ms. */
export interface StreamStatus {
  readonly exchange: string;
  readonly stream: Stream;
  readonly health: Health;
  readonly perSecond: number;
  readonly offered: number;
  readonly dropped: number;
  readonly used: number;
  readonly capacity: number;
  /** Highest fill that any of its rings has had, events. */
  readonly highWater: number;
  /** Fill of the fullest of its rings, per cent. */
  readonly ringPct: number;
  /** Since its last event; null before the first. */
  readonly age: number | null;
  /** Since the start of the run. */
  readonly lag: LagReading;
  /** Quantiles of the last minute. */
  readonly lagP50: number | null;
  readonly lagP99: number | null;
  readonly lagP999: number | null;
  readonly gaps15m: number;
  /** Intervals of silence that were counted; 0 for streams without a fixed rate. */
  readonly silences: number;
}

/** How many gaps of one kind this run has told of. */
export interface GapCount {
  readonly exchange: string;
  readonly stream: string;
  readonly reason: string;
  readonly certainty: LiveGap["certainty"];
  readonly count: number;
}

/** See the head of the file. Times in epoch ms. */
export interface Snapshot {
  readonly version: string;
  readonly run: string;
  readonly instance: string;
  /** When it was made. */
  readonly at: number;
  /** Seconds since the start. */
  readonly uptime: number;
  readonly state: State;
  readonly reason: string;
  /** When this state began. */
  readonly since: number;
  /** What the state was found from. */
  readonly checks: readonly Check[];
  readonly lastEvent: number | null;
  readonly lastWrite: number | null;
  readonly symbols: readonly string[];
  /** Number of recorded symbols, by exchange. */
  readonly symbolCounts: Readonly<Record<string, number>>;
  /** Streams that are recorded, by exchange. */
  readonly streams: Readonly<Record<string, readonly Stream[]>>;
  readonly rings: readonly RingStatus[];
  readonly lanes: readonly StreamStatus[];
  readonly exchanges: readonly ExchangeStats[];
  /** By how much the wall clock is ahead of receive time, µs. */
  readonly clockOffset: number;
  /** By how much the clocks of exchanges are ahead of ours, and how far that may be off, ms; null = not known. */
  readonly exchangeClocks: Readonly<
    Record<string, { readonly offset: number; readonly error: number } | null>
  >;
  /** Undecodable frames that stand in quarantine, and those that are counted only. */
  readonly quarantine: { readonly kept: number; readonly notKept: number };
  readonly balance: Balance;
  readonly eventsPerSecond: Readonly<Record<Stream, number>>;
  readonly silence15m: number;
  readonly silenceTotal: number;
  readonly drops15m: number;
  readonly reconnects15m: number;
  /** Gaps of the last 15 minutes that were not planned. */
  readonly gaps15m: number;
  readonly gapCounts: readonly GapCount[];
  /** The last ones, last first. */
  readonly recentGaps: readonly LiveGap[];
  /** The last lines of the log, last one last. */
  readonly recentLogs: readonly LogLine[];
  readonly reconnects: Readonly<Record<string, number>>;
  readonly writer: {
    readonly filesWritten: number;
    /** Events in files of earlier runs that stood in the outbox; the balance of this run does not have them. */
    readonly earlierRows: number;
    readonly activeBuffers: number;
    readonly inFlightUploads: number;
    readonly uploadFailures: number;
  };
  /** Journals; bytes. */
  readonly journal: { readonly bytes: number; readonly maxBytes: number };
  /** Rows in the drain's tables, and how often it was rebuilt after an error. */
  readonly drain: { readonly rebuilds: number };
  /** What is not at a destination yet; sizes in bytes, 0 = no bound; `since`: when the oldest was written. */
  readonly outbox: {
    readonly files: number;
    readonly bytes: number;
    readonly maxBytes: number;
    readonly since: number | null;
  };
  /** The primary, then its fallback. */
  readonly destinations: readonly LaneStatus[];
  /** Files that were found in two destinations. */
  readonly doubles: number;
  /** Whole process, MiB. */
  readonly rssMb: number;
  /** CPU time of the whole process, seconds. */
  readonly cpuSeconds: number;
}

/** What was dropped, by reason: a full ring, or a journal or file that was damaged on disk. */
export function droppedByReason({ balance, rings }: Pick<Snapshot, "balance" | "rings">): {
  ring_full: number;
  damaged: number;
} {
  const ring_full = rings.reduce((sum, ring) => sum + ring.dropped, 0);
  return { ring_full, damaged: balance.dropped - ring_full };
}

/** Fill of all rings together and of the fullest one. */
export function queueOf(rings: readonly RingReading[]): { used: number; capacity: number; pct: number } {
  const used = rings.reduce((sum, ring) => sum + ring.used, 0);
  const capacity = rings.reduce((sum, ring) => sum + ring.capacity, 0);
  return { used, capacity, pct: capacity === 0 ? 0 : (100 * used) / capacity };
}

/** Name and fill, per cent, of the fullest ring. */
export function fullestOf(rings: readonly RingStatus[]): { name: string; pct: number } {
  let fullest = { name: "", pct: 0 };
  for (const { exchange, stream, used, capacity } of rings) {
    const pct = (100 * used) / capacity;
    if (fullest.name === "" || pct > fullest.pct) fullest = { name: `${exchange}/${stream}`, pct };
  }
  return fullest;
}
