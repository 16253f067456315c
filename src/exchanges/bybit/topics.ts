/** What the topics of Bybit v5 are, by name. */

/** Topics whose frames have a decoder, by what stands before the symbol. */
const RECORDED = {
  "publicTrade.": "trades",
  "orderbook.1.": "book",
  "tickers.": "ticker",
  "allLiquidation.": "liquidations",
} as const;

/** What a topic's frames are; "ignored" = known by name and not recorded. */
export type TopicKind = (typeof RECORDED)[keyof typeof RECORDED] | "ignored" | "ended" | "unknown";

/** First words of v5 topics that are not recorded. */
const NOT_RECORDED: ReadonlySet<string> = new Set([
  "kline",
  "insurance",
  "adlAlert",
  "priceLimit",
  "system",
  "rfq",
  // Leveraged tokens.
  "kline_lt",
  "tickers_lt",
  "lt",
]);

/** Books deeper than one level. */
const DEEP_BOOK = /^orderbook\.(?:\d+|rpi|full)\./;

/** First words of topics that Bybit has ended: those of v2 (until 2023), and v5's `liquidation`. */
const ENDED: ReadonlySet<string> = new Set([
  "trade",
  "orderBookL2_25",
  "orderBook_200",
  "instrument_info",
  "klineV2",
  "candle",
  "liquidation",
]);

/** What the frames of a topic are. */
export function kindOfTopic(topic: string): TopicKind {
  for (const [head, kind] of Object.entries(RECORDED)) {
    if (topic.startsWith(head) && topic.length > head.length) return kind;
  }
  if (DEEP_BOOK.test(topic)) return "ignored";
  const [name = ""] = topic.split(".", 1);
  if (NOT_RECORDED.has(name)) return "ignored";
  return ENDED.has(name) ? "ended" : "unknown";
}
