/** Queries that are asked of every lake. Plain SQL over the views, to run as they are and to begin from. */
import { STREAM_NAMES } from "../events/streams.ts";
import { sqlText } from "../storage/projection.ts";

/** What a recipe is narrowed to; null = everything. */
export interface RecipeChoice {
  readonly exchanges: readonly string[] | null;
  readonly symbols: readonly string[] | null;
  /** UTC, `2026-11-20`. */
  readonly from: string | null;
  readonly to: string | null;
}

/** A recipe. */
export interface Recipe {
  readonly name: string;
  readonly meaning: string;
  readonly sql: (where: string) => string;
  /** Rows without a symbol are of all symbols. */
  readonly symbolMayBeNull?: boolean;
}

/** Time of a trade: at the exchange, or of its arrival where the frame says nothing. */
const TRADED = "coalesce(timestamp, published_timestamp, local_timestamp)";
/** Trades in the order in which they happened. */
const IN_ORDER = `${TRADED}, local_timestamp, ring, seq`;

/** All recipes. */
export const RECIPES: readonly Recipe[] = [
  {
    name: "rows",
    meaning: "Rows of each stream, by exchange, symbol and hour of arrival.",
    sql: (where) =>
      `${STREAM_NAMES.map(
        (stream) =>
          `SELECT '${stream}' AS stream, exchange, symbol, time_bucket(INTERVAL 1 hour, local_timestamp) AS hour, count(*) AS rows
FROM ${stream} WHERE ${where} GROUP BY ALL`,
      ).join("\nUNION ALL\n")}
ORDER BY ALL`,
  },
  {
    name: "spread",
    meaning: "Spread between best bid and ask in basis points of the middle, by exchange, symbol and hour.",
    sql: (
      where,
    ) => `SELECT exchange, symbol, time_bucket(INTERVAL 1 hour, local_timestamp) AS hour, count(*) AS quotes,
  avg(bps) AS mean_bps, median(bps) AS median_bps, quantile_cont(bps, 0.99) AS p99_bps
FROM (
  SELECT exchange, symbol, local_timestamp, 2e4 * (ask_price - bid_price) / (ask_price + bid_price) AS bps
  FROM bbo WHERE ${where}
)
GROUP BY ALL ORDER BY ALL`,
  },
  {
    name: "bars",
    meaning:
      "One-minute bars from trades, by the exchange's time: open, high, low and close of one coin, volume in coins " +
      "and in quote, the part that buyers took, trades. Block trades are left out.",
    sql: (where) => `SELECT exchange, symbol, time_bucket(INTERVAL 1 minute, ${TRADED}) AS minute,
  first(price_base ORDER BY ${IN_ORDER}) AS open, max(price_base) AS high, min(price_base) AS low,
  last(price_base ORDER BY ${IN_ORDER}) AS close,
  sum(amount_base) AS volume, sum(amount_base * price_base) AS quote_volume,
  coalesce(sum(amount_base) FILTER (side = 'buy'), 0) AS buy_volume, sum(coalesce(count, 1)) AS trades
FROM trade_base WHERE ${where} AND is_block IS DISTINCT FROM true
GROUP BY ALL ORDER BY ALL`,
  },
  {
    name: "funding",
    meaning: "Funding history: the last rate seen before each settlement.",
    sql: (where) => `SELECT exchange, symbol, next_funding_timestamp AS settled_at,
  last(funding_rate ORDER BY local_timestamp, ring, seq) AS funding_rate, max(local_timestamp) AS last_seen
FROM funding_carried WHERE ${where} AND funding_rate IS NOT NULL AND next_funding_timestamp IS NOT NULL
GROUP BY ALL ORDER BY ALL`,
  },
  {
    name: "gaps",
    meaning: "Spans in which something is or may be missing, docs/gaps.md.",
    symbolMayBeNull: true,
    sql: (where) => `SELECT exchange, affected_stream, symbol, from_timestamp, to_timestamp,
  epoch_us(to_timestamp - from_timestamp) / 1e6 AS seconds, reason, certainty, missed
FROM gaps WHERE ${where}
ORDER BY from_timestamp, exchange, affected_stream, symbol`,
  },
  {
    name: "latency",
    meaning:
      "Milliseconds from the exchange's gateway (or, where frames do not say, from the event) to us, by exchange and " +
      "hour, trades. It holds how far the two clocks are apart.",
    sql: (
      where,
    ) => `SELECT exchange, time_bucket(INTERVAL 1 hour, local_timestamp) AS hour, count(*) AS trades,
  quantile_cont(ms, 0.5) AS p50_ms, quantile_cont(ms, 0.99) AS p99_ms, max(ms) AS max_ms
FROM (
  SELECT exchange, local_timestamp,
    epoch_us(local_timestamp - coalesce(published_timestamp, timestamp)) / 1e3 AS ms
  FROM trade WHERE ${where}
)
GROUP BY ALL ORDER BY ALL`,
  },
];

/** The SQL of a recipe for a choice; null = there is none of that name. */
export function recipeSql(name: string, choice: RecipeChoice): string | null {
  const recipe = RECIPES.find((one) => one.name === name);
  if (recipe === undefined) return null;
  const list = (texts: readonly string[]) => `(${texts.map(sqlText).join(", ")})`;
  const { exchanges, symbols, from, to } = choice;
  const conditions: string[] = [];
  if (from !== null) conditions.push(`date >= DATE '${from}'`);
  if (to !== null) conditions.push(`date <= DATE '${to}'`);
  if (exchanges !== null) conditions.push(`exchange IN ${list(exchanges)}`);
  if (symbols !== null) {
    const named = `symbol IN ${list(symbols)}`;
    conditions.push(recipe.symbolMayBeNull === true ? `(${named} OR symbol IS NULL)` : named);
  }
  return recipe.sql(conditions.length === 0 ? "true" : conditions.join(" AND "));
}
