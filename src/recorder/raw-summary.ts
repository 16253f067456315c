import type { WriterStats } from "../capture/messages.ts";
import type { RawStats } from "../ingest/messages.ts";

/** What became of all raw frames. */
export interface RawSummary {
  /** Frames seen by the tap. */
  readonly frames: number;
  readonly written: number;
  /** Frames that found no room on their way: the disk was too far behind. */
  readonly not_captured: number;
  /** Frames not written because `raw.max_bytes` was reached. */
  readonly full: number;
  /** Frames not written because the disk refused. */
  readonly failed: number;
  /** Frames of which none of this is known: the writer died or did not answer. */
  readonly unaccounted: number;
  readonly files: number;
  /** Bytes written, packed. */
  readonly bytes: number;
}

/** Adds up what tap and writer have counted. */
export function rawSummary(tap: readonly RawStats[], writer: WriterStats): RawSummary {
  const counts = Object.values(writer);
  const captured = tap.reduce((sum, one) => sum + one.captured, 0);
  const notCaptured = tap.reduce((sum, one) => sum + one.notCaptured, 0);
  const total = (key: "written" | "full" | "failed" | "files" | "bytes") =>
    counts.reduce((sum, one) => sum + one[key], 0);
  const written = total("written");
  const full = total("full");
  const failed = total("failed");
  return {
    frames: captured + notCaptured,
    written,
    not_captured: notCaptured,
    full,
    failed,
    unaccounted: captured - written - full - failed,
    files: total("files"),
    bytes: total("bytes"),
  };
}
