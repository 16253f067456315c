/** What the recorder writes about itself: rows of the datasets. */
import type { Instrument } from "../exchanges/exchange.ts";
import type { GapNotice } from "../ingest/messages.ts";
import type { DatasetRow } from "../storage/dataset-segment.ts";

/** The row of `gaps` for a jump in ids. */
export function sequenceGapRow(gap: GapNotice, symbol: string): DatasetRow {
  return {
    affected_stream: gap.stream,
    symbol,
    from_timestamp: gap.from,
    to_timestamp: gap.to,
    reason: "sequence",
    certainty: "lost",
    first_id: String(gap.firstId),
    last_id: String(gap.lastId),
    missed: gap.lastId - gap.firstId + 1,
  };
}

/** The row of `instruments` for an instrument as it was read at `observedAt` (µs). */
export function instrumentRow(one: Instrument, observedAt: number): DatasetRow {
  return {
    symbol: one.symbol,
    instrument: one.instrument,
    base: one.base,
    quote: one.quote,
    settle: one.settle,
    contract_type: one.contractType,
    contract_size: one.contractSize,
    contract_multiplier: one.contractMultiplier,
    price_multiplier: one.priceMultiplier,
    tick_size: one.tickSize,
    lot_size: one.lotSize,
    status: one.status,
    listed: one.listed,
    delisting: one.delisting,
    observed_at: observedAt,
    raw: JSON.stringify(one.raw),
  };
}
