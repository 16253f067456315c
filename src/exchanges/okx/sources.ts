import type { ColumnSources } from "../exchange.ts";

const NOT_SENT = null;

/** Where each column comes from in the frames of OKX v5; null = the frames do not have it. `""` is NULL. */
export const okxSources: ColumnSources = {
  bbo: {
    channel: "bbo-tbt, by instId: at most every 10 ms, on change",
    columns: {
      timestamp: "ts, ms",
      published_timestamp: NOT_SENT,
      bid_price: "bids[0][0]; NULL when the side is empty",
      bid_amount: "bids[0][1], contracts; NULL when the side is empty",
      ask_price: "asks[0][0]; NULL when the side is empty",
      ask_amount: "asks[0][1], contracts; NULL when the side is empty",
      update_id: NOT_SENT,
      sequence: "seqId; grows by uneven steps; NULL in old frames",
    },
  },
  trade: {
    channel: "trades, by instId: fills of one taker order at one price; trades-all: each fill",
    columns: {
      timestamp: "ts, ms",
      published_timestamp: NOT_SENT,
      id: "tradeId: the last id of the fills, so that ids jump by count",
      side: "side: of the taker",
      price: "px",
      amount: "sz, contracts",
      count: "count; NULL in trades-all and in frames from before 2023",
      first_id: NOT_SENT,
      sequence: "seqId; NULL in old frames",
      is_block: NOT_SENT,
      is_rpi: "source: 1 = true, 0 = false; NULL in old frames",
    },
  },
  mark_price: {
    channel:
      "mark-price, by instId, and index-tickers, by the id of the index: a row each, with only its own price",
    columns: {
      timestamp: "ts, ms",
      published_timestamp: NOT_SENT,
      mark_price: "markPx; NULL in rows of index-tickers (instrument BTC-USDT)",
      index_price: "idxPx; NULL in rows of mark-price (instrument BTC-USDT-SWAP)",
      settlement_price: NOT_SENT,
      average_price: NOT_SENT,
    },
  },
  funding: {
    channel: "funding-rate, by instId: about every 30 to 90 s",
    columns: {
      timestamp: "ts, ms; NULL in old frames",
      published_timestamp: NOT_SENT,
      funding_rate: "fundingRate; NULL in old frames",
      next_funding_timestamp: "fundingTime, ms: the settlement that comes; nextFundingTime is the one after",
      funding_interval_hours: NOT_SENT,
      predicted_funding_rate: 'nextFundingRate; NULL ("") under method current_period',
      settled_funding_rate: "settFundingRate",
    },
  },
  open_interest: {
    channel: "open-interest, by instId: about every 3 s",
    columns: {
      timestamp: "ts, ms",
      published_timestamp: NOT_SENT,
      open_interest: "oi, contracts",
      open_interest_base: "oiCcy, base",
      open_interest_value: "oiUsd, USD; NULL in old frames",
      open_interest_single: NOT_SENT,
    },
  },
  liquidation: {
    channel:
      "liquidation-orders, for all swaps at once: about one an instrument and second, so sums are lower bounds; a row per entry of details",
    columns: {
      timestamp: "details[].ts, ms",
      published_timestamp: NOT_SENT,
      side: "details[].side: of the liquidation order; where it is missing, from posSide: long = sell, short = buy",
      price: "details[].bkPx: bankruptcy price",
      amount: "details[].sz, contracts",
      average_price: NOT_SENT,
      filled_amount: NOT_SENT,
      is_history:
        "ours: true in the first frame of a connection when its ts is more than 5 s before the receive time, or that is unknown; NULL there without ts",
    },
  },
};
