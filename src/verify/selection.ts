/** Which part of a lake is audited. */

/** Limits of an audit; null = not limited. */
export interface Selection {
  /** First and last day, UTC, both included. */
  readonly from: string | null;
  readonly to: string | null;
  readonly exchanges: readonly string[] | null;
  /** Streams and datasets. */
  readonly streams: readonly string[] | null;
}

/**
 * What is audited of a file, and what is only read since it tells about the rest. A compacted file is audited as a file;
 * its rows are those of the segments in whose place it is, and these are followed like any other.
 */
export type Role = "audit" | "gaps" | "compacted";

/** Whether a day, `2026-11-20`, is within the limits. */
export function hasDay({ from, to }: Selection, date: string): boolean {
  return (from === null || date >= from) && (to === null || date <= to);
}

/**
 * What a file is to an audit; null = nothing. Gaps of a day are written when they are over: so the files of `gaps` of
 * later days are read as well.
 */
export function roleOf(
  selection: Selection,
  file: { readonly exchange: string; readonly stream: string; readonly date: string },
): Role | null {
  const { from, exchanges, streams } = selection;
  if (exchanges !== null && !exchanges.includes(file.exchange)) return null;
  if (hasDay(selection, file.date) && (streams === null || streams.includes(file.stream))) return "audit";
  return file.stream === "gaps" && (from === null || file.date >= from) ? "gaps" : null;
}
