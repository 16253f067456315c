/**
 * THE table of schema v1: every stream and dataset with its columns.
 *
 * Ring layout, row slots of the decoders, the columns of Parquet files, `decode` output and
 * docs/schema.md all derive from it. It is frozen at the first release: a later change is a v2 beside
 * it, never an edit inside it.
 */
import type { Column } from "./columns.ts";

/** Version of the schema; a path segment of the lake and part of every file's metadata. */
export const SCHEMA_VERSION = "v1";

/** Values of `side`, in the order of their ring codes 1, 2. */
export const SIDES = ["buy", "sell"] as const;
/** Ring code of `side = buy`. */
export const SIDE_BUY = 1;
/** Ring code of `side = sell`. */
export const SIDE_SELL = 2;

const price = (name: string, meaning: string): Column => ({ name, type: "DOUBLE", meaning, unit: "quote" });
const amount = (name: string, meaning: string): Column => ({ name, type: "DOUBLE", meaning });
const rate = (name: string, meaning: string): Column => ({ name, type: "DOUBLE", meaning, unit: "fraction" });
const big = (name: string, meaning: string): Column => ({ name, type: "BIGINT", meaning });
const flag = (name: string, meaning: string): Column => ({ name, type: "BOOLEAN", meaning });
const text = (name: string, meaning: string): Column => ({ name, type: "VARCHAR", meaning });
const time = (name: string, meaning: string): Column => ({
  name,
  type: "TIMESTAMPTZ",
  meaning,
  unit: "µs, UTC",
});

/** Columns before those of the stream itself; `symbol` and `instrument` travel as one symbol number. */
export const LEADING = [
  text("symbol", "Unified symbol, for example BTCUSDT."),
  text("instrument", "The exchange's own id, for example BTC-USDT-SWAP."),
  time("timestamp", "When it happened at the exchange (match, trade or mark time)."),
  time("published_timestamp", "When the exchange's gateway made the frame."),
  time("local_timestamp", "When we received the frame; never goes back within a run."),
] as const;

/** Columns after those of the stream itself: (run, ring, seq) is the key of a row. */
export const TRAILING = [
  text("run", "The recorder's life that recorded the row."),
  { name: "ring", type: "SMALLINT", meaning: "Number of the ring within the run." } as Column,
  big("seq", "Grows by one for each event accepted or dropped: a hole is a counted drop."),
  { name: "connection", type: "INTEGER", meaning: "Number of the connection within the run." } as Column,
] as const;

const SIDE: Column = {
  name: "side",
  type: "VARCHAR",
  values: SIDES,
  meaning: "",
};

/** The streams, each with the columns between the leading and the trailing ones. */
export const STREAMS = {
  bbo: [
    price("bid_price", "Best bid."),
    amount("bid_amount", "Amount at the best bid."),
    price("ask_price", "Best ask."),
    amount("ask_amount", "Amount at the best ask."),
    big("update_id", "The exchange's id of the order book update."),
    big("sequence", "The exchange's sequence number."),
  ],
  trade: [
    text("id", "The exchange's trade id, as text."),
    { ...SIDE, meaning: "Side of the aggressor (taker)." },
    price("price", "Trade price."),
    amount("amount", "Traded amount."),
    { name: "count", type: "INTEGER", meaning: "Fills in this row." } as Column,
    big("first_id", "Id of the first fill in this row."),
    big("sequence", "The exchange's sequence number."),
    flag("is_block", "Block trade."),
    flag("is_rpi", "Retail price improvement."),
  ],
  mark_price: [
    price("mark_price", "Mark price."),
    price("index_price", "Index price."),
    price("settlement_price", "Estimated settlement price."),
    price("average_price", "Moving average of the mark price."),
  ],
  funding: [
    rate("funding_rate", "Rate to be applied at next_funding_timestamp."),
    time("next_funding_timestamp", "The upcoming settlement."),
    {
      name: "funding_interval_hours",
      type: "DOUBLE",
      meaning: "Interval of settlements.",
      unit: "hours",
    } as Column,
    rate("predicted_funding_rate", "Rate predicted for the settlement after."),
    rate("settled_funding_rate", "Rate settled last."),
  ],
  open_interest: [
    amount("open_interest", "Open interest as published."),
    amount("open_interest_base", "Open interest in base coins, where the exchange publishes it."),
    {
      name: "open_interest_value",
      type: "DOUBLE",
      meaning: "Value of the open interest.",
      unit: "quote",
    } as Column,
    amount("open_interest_single", "Open interest counting one side, where both are published."),
  ],
  liquidation: [
    { ...SIDE, meaning: "Side of the liquidation order: sell closes a long." },
    price("price", "Order or bankruptcy price."),
    amount("amount", "Order size."),
    price("average_price", "Average fill price."),
    amount("filled_amount", "Filled amount."),
    { ...flag("is_history", "Sent as history at subscription."), ours: true },
  ],
} as const satisfies Record<string, readonly Column[]>;

/** A stream: a kind of event that has a ring. */
export type Stream = keyof typeof STREAMS;

/** All streams, in the order of the schema. */
export const STREAM_NAMES = Object.keys(STREAMS) as Stream[];

const WRITTEN = time("local_timestamp", "When the row was written.");
const RUN = text("run", "The recorder's life that wrote the row.");

/** The datasets: rows that go by message to the main thread, not through a ring. */
export const DATASETS = {
  gaps: [
    text("affected_stream", "The stream that is or may be incomplete."),
    text("symbol", "The symbol; NULL = all."),
    time("from_timestamp", "Begin of the span."),
    time("to_timestamp", "End of the span."),
    text(
      "reason",
      "start, disconnect, silence, lag, sequence, overflow, decode_error, storage, quarantine, clock, crash, stop.",
    ),
    text("certainty", "lost, possible, planned."),
    text("first_id", "First missing id, where ids are followed."),
    text("last_id", "Last missing id."),
    big("missed", "Number of missing events, where it is known."),
    WRITTEN,
    RUN,
  ],
  connections: [
    text("url", "Where it went, without secrets."),
    time("opened", "Handshake done."),
    time("first_data", "First event."),
    time("closed", "Socket closed."),
    {
      name: "close_code",
      type: "INTEGER",
      meaning: "WebSocket close code; NULL = none came: it broke, or was given up.",
    } as Column,
    text("close_reason", "Why it ended: the words of the side that closed it."),
    { name: "subscriptions", type: "INTEGER", meaning: "Subscriptions it carried." } as Column,
    WRITTEN,
    RUN,
    {
      name: "connection",
      type: "INTEGER",
      meaning: "Its number within the run: (run, connection) joins it with the rows it brought.",
    } as Column,
  ],
  instruments: [
    text("symbol", "Unified symbol."),
    text("instrument", "The exchange's own id."),
    text("base", "Base asset."),
    text("quote", "Quote asset."),
    text("settle", "Settlement asset."),
    text("contract_type", "The exchange's own word for the kind of contract."),
    { name: "contract_size", type: "DOUBLE", meaning: "Base (or quote, inverse) per contract." } as Column,
    { name: "contract_multiplier", type: "DOUBLE", meaning: "Multiplier of contract_size." } as Column,
    { name: "price_multiplier", type: "DOUBLE", meaning: "1000 for 1000PEPE." } as Column,
    { name: "tick_size", type: "DOUBLE", meaning: "Smallest price step.", unit: "quote" } as Column,
    { name: "lot_size", type: "DOUBLE", meaning: "Smallest amount step." } as Column,
    text("status", "The exchange's own word for the state."),
    time("listed", "Listing time."),
    time("delisting", "Delisting or delivery time."),
    time("observed_at", "When the answer was read."),
    { name: "raw", type: "JSON", meaning: "The raw answer for this instrument." } as Column,
    WRITTEN,
    RUN,
  ],
} as const satisfies Record<string, readonly Column[]>;

/** A dataset: rows about the recording, published like a stream. */
export type Dataset = keyof typeof DATASETS;

/** Every column of a stream's file, in order. */
export function columnsOf(stream: Stream): readonly Column[] {
  return [...LEADING, ...STREAMS[stream], ...TRAILING];
}
