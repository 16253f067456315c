/** What the recorder writes about itself: rows of the datasets. */
import type { Instrument } from "../exchanges/exchange.ts";
import type { ConnectionNotice, GapNotice } from "../ingest/messages.ts";
import type { DatasetRow } from "../storage/dataset-segment.ts";

/** The row of `gaps` for a span in which something is or may be missing. `symbol`: null = all. */
export function gapRow(gap: GapNotice, symbol: string | null): DatasetRow {
  return {
    affected_stream: gap.stream,
    symbol,
    from_timestamp: gap.from,
    to_timestamp: gap.to,
    reason: gap.reason,
    certainty: gap.certainty,
    first_id: gap.firstId,
    last_id: gap.lastId,
    missed: gap.missed,
  };
}

/** The row of `connections` for a socket that has ended. */
export function connectionRow(ended: ConnectionNotice): DatasetRow {
  return {
    url: ended.url,
    opened: ended.opened,
    first_data: ended.firstData,
    closed: ended.closed,
    close_code: ended.code,
    close_reason: ended.reason,
    subscriptions: ended.subscriptions,
    connection: ended.connection,
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
    raw: one.raw,
  };
}
