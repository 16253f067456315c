/**
 * Schema v1 as the design page has it, written out by hand: what is in the program must not be what
 * checks the program.
 */

const LEADING = [
  ["symbol", "VARCHAR"],
  ["instrument", "VARCHAR"],
  ["timestamp", "TIMESTAMP WITH TIME ZONE"],
  ["published_timestamp", "TIMESTAMP WITH TIME ZONE"],
  ["local_timestamp", "TIMESTAMP WITH TIME ZONE"],
] as const;

const TRAILING = [
  ["run", "VARCHAR"],
  ["ring", "SMALLINT"],
  ["seq", "BIGINT"],
  ["connection", "INTEGER"],
] as const;

/** Streams: columns with the type that DuckDB reads them as, in order. */
export const STREAM_COLUMNS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  bbo: [
    ...LEADING,
    ["bid_price", "DOUBLE"],
    ["bid_amount", "DOUBLE"],
    ["ask_price", "DOUBLE"],
    ["ask_amount", "DOUBLE"],
    ["update_id", "BIGINT"],
    ["sequence", "BIGINT"],
    ...TRAILING,
  ],
  trade: [
    ...LEADING,
    ["id", "VARCHAR"],
    ["side", "VARCHAR"],
    ["price", "DOUBLE"],
    ["amount", "DOUBLE"],
    ["count", "INTEGER"],
    ["first_id", "BIGINT"],
    ["sequence", "BIGINT"],
    ["is_block", "BOOLEAN"],
    ["is_rpi", "BOOLEAN"],
    ...TRAILING,
  ],
  mark_price: [
    ...LEADING,
    ["mark_price", "DOUBLE"],
    ["index_price", "DOUBLE"],
    ["settlement_price", "DOUBLE"],
    ["average_price", "DOUBLE"],
    ...TRAILING,
  ],
  funding: [
    ...LEADING,
    ["funding_rate", "DOUBLE"],
    ["next_funding_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["funding_interval_hours", "DOUBLE"],
    ["predicted_funding_rate", "DOUBLE"],
    ["settled_funding_rate", "DOUBLE"],
    ...TRAILING,
  ],
  open_interest: [
    ...LEADING,
    ["open_interest", "DOUBLE"],
    ["open_interest_base", "DOUBLE"],
    ["open_interest_value", "DOUBLE"],
    ["open_interest_single", "DOUBLE"],
    ...TRAILING,
  ],
  liquidation: [
    ...LEADING,
    ["side", "VARCHAR"],
    ["price", "DOUBLE"],
    ["amount", "DOUBLE"],
    ["average_price", "DOUBLE"],
    ["filled_amount", "DOUBLE"],
    ["is_history", "BOOLEAN"],
    ...TRAILING,
  ],
};

/** Datasets, the same way. The design fixes which columns there are, not the order of the last two. */
export const DATASET_COLUMNS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  gaps: [
    ["affected_stream", "VARCHAR"],
    ["symbol", "VARCHAR"],
    ["from_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["to_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["reason", "VARCHAR"],
    ["certainty", "VARCHAR"],
    ["first_id", "VARCHAR"],
    ["last_id", "VARCHAR"],
    ["missed", "BIGINT"],
    ["local_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["run", "VARCHAR"],
  ],
  connections: [
    ["url", "VARCHAR"],
    ["opened", "TIMESTAMP WITH TIME ZONE"],
    ["first_data", "TIMESTAMP WITH TIME ZONE"],
    ["closed", "TIMESTAMP WITH TIME ZONE"],
    ["close_code", "INTEGER"],
    ["close_reason", "VARCHAR"],
    ["subscriptions", "INTEGER"],
    ["local_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["run", "VARCHAR"],
    // Not in the design: without it the rows that a connection brought could not be found.
    ["connection", "INTEGER"],
  ],
  instruments: [
    ["symbol", "VARCHAR"],
    ["instrument", "VARCHAR"],
    ["base", "VARCHAR"],
    ["quote", "VARCHAR"],
    ["settle", "VARCHAR"],
    ["contract_type", "VARCHAR"],
    ["contract_size", "DOUBLE"],
    ["contract_multiplier", "DOUBLE"],
    ["price_multiplier", "DOUBLE"],
    ["tick_size", "DOUBLE"],
    ["lot_size", "DOUBLE"],
    ["status", "VARCHAR"],
    ["listed", "TIMESTAMP WITH TIME ZONE"],
    ["delisting", "TIMESTAMP WITH TIME ZONE"],
    ["observed_at", "TIMESTAMP WITH TIME ZONE"],
    ["raw", "JSON"],
    ["local_timestamp", "TIMESTAMP WITH TIME ZONE"],
    ["run", "VARCHAR"],
  ],
};
