import type { Stream } from "../events/streams.ts";
import type { SequenceGap } from "../exchanges/decoding/sequence.ts";
import type { GapNotice } from "./messages.ts";

/** What a gap is of. */
export interface GapOf {
  readonly exchange: string;
  readonly stream: Stream;
  /** null = all. */
  readonly instrument: string | null;
}

/** A span (µs) with its reason, without ids or numbers. */
export function gapOf(
  { exchange, stream, instrument }: GapOf,
  reason: GapNotice["reason"],
  certainty: GapNotice["certainty"],
  from: number | null,
  to: number | null,
): GapNotice {
  return {
    exchange,
    stream,
    instrument,
    reason,
    certainty,
    from,
    to,
    firstId: null,
    lastId: null,
    missed: null,
  };
}

/** What ids told: how many events are missing, or that they tell nothing, so that some may be. */
export function sequenceGapOf(of: GapOf, gap: SequenceGap): GapNotice {
  const { from, to } = gap;
  if (gap.kind !== "missing") return gapOf(of, "sequence", "possible", from, to);
  const { firstId, lastId } = gap;
  const ids = { firstId: String(firstId), lastId: String(lastId), missed: lastId - firstId + 1 };
  return { ...gapOf(of, "sequence", "lost", from, to), ...ids };
}
