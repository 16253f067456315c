/** What the recorder knows of itself at one instant; everything the outside sees derives from it. */
import type { Stream } from "../events/streams.ts";
import type { ExchangeStats } from "../ingest/messages.ts";
import type { RingReading } from "../ring/memory.ts";
import type { Balance } from "./balance.ts";
import type { State } from "./state.ts";

/** One ring and what its counters say. */
export interface RingStatus extends RingReading {
  readonly ring: number;
  readonly exchange: string;
  readonly stream: Stream;
  /** Events published to the destination. */
  readonly published: number;
}

/** See the head of the file. Times in epoch ms. */
export interface Snapshot {
  /** Seconds since the start. */
  readonly uptime: number;
  readonly state: State;
  readonly reason: string;
  /** When this state began. */
  readonly since: number;
  readonly lastEvent: number | null;
  readonly lastWrite: number | null;
  readonly symbols: readonly string[];
  /** Streams that are recorded, by exchange. */
  readonly streams: Readonly<Record<string, readonly Stream[]>>;
  readonly rings: readonly RingStatus[];
  readonly exchanges: readonly ExchangeStats[];
  /** Undecodable frames that stand in quarantine, and those that are counted only. */
  readonly quarantine: { readonly kept: number; readonly notKept: number };
  readonly balance: Balance;
  readonly eventsPerSecond: Readonly<Record<Stream, number>>;
  readonly silence15m: number;
  readonly silenceTotal: number;
  readonly drops15m: number;
  readonly reconnects15m: number;
  readonly reconnects: Readonly<Record<string, number>>;
  readonly writer: {
    readonly filesWritten: number;
    readonly activeBuffers: number;
    readonly inFlightUploads: number;
    readonly uploadFailures: number;
  };
  /** Whole process, MiB. */
  readonly rssMb: number;
}

/** Fill of all rings together and of the fullest one. */
export function queueOf(rings: readonly RingReading[]): { used: number; capacity: number; pct: number } {
  const used = rings.reduce((sum, ring) => sum + ring.used, 0);
  const capacity = rings.reduce((sum, ring) => sum + ring.capacity, 0);
  return { used, capacity, pct: capacity === 0 ? 0 : (100 * used) / capacity };
}
