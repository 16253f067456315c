/** When a segment is sealed. */
import { dayStart } from "./names.ts";

/** Bounds of the segments of one stream; settings `flush.*`. */
export interface SealBounds {
  readonly rows: number;
  readonly bytes: number;
  /** ms */
  readonly interval: number;
}

/** What the policy looks at. */
export interface SealState {
  readonly rows: number;
  readonly bytes: number;
  /** ms since the segment took its first row. */
  readonly age: number;
  /** Wall time, µs. */
  readonly nowUs: number;
  /** UTC day of its rows. */
  readonly day: number;
}

/** A day's last rows are still in the ring when it ends: they shall not become a segment of their own. */
const DAY_GRACE_US = 1_000_000;

/** Why a segment is due, if it is. `interval` seals are staggered, the others are not. */
export function sealReason(
  state: SealState,
  bounds: SealBounds,
): "rows" | "bytes" | "day" | "interval" | null {
  if (state.rows >= bounds.rows) return "rows";
  if (state.bytes >= bounds.bytes) return "bytes";
  if (state.nowUs >= dayStart(state.day + 1) + DAY_GRACE_US) return "day";
  if (state.age >= bounds.interval) return "interval";
  return null;
}

/** Share of DuckDB's memory limit that the rows of one segment may take while its file is written. */
const SEGMENT_SHARE = 0.2;

/** Bounds with which the rows of a segment find room in DuckDB's memory while its file is written. */
export function withinMemory(bounds: SealBounds, memoryLimit: number): SealBounds {
  return { ...bounds, bytes: Math.min(bounds.bytes, memoryLimit * SEGMENT_SHARE) };
}
