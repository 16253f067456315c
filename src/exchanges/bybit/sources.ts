import type { ColumnSources } from "../exchange.ts";

const NOT_SENT = null;
const TICKER = "tickers.<symbol>: one channel for mark_price, funding and open_interest";

/** Where each column comes from in the frames of Bybit v5 linear; null = the frames do not have it. */
export const bybitSources: ColumnSources = {
  bbo: {
    channel: "orderbook.1.<symbol>; pushed again with the same u after 3 s without a change: a row each time",
    columns: {
      timestamp: "cts, ms; NULL in old recordings",
      published_timestamp: "ts, ms",
      bid_price:
        "data.b: price of the level (of two, the one that stays); NULL where the side is empty (old deltas: unchanged)",
      bid_amount: "data.b[0][1], base; 0 in an old delta = the level went",
      ask_price: "data.a[0][0]; NULL where the side is empty (old deltas: unchanged)",
      ask_amount: "data.a[0][1], base; 0 in an old delta = the level went",
      update_id: "data.u",
      sequence: "data.seq",
    },
  },
  trade: {
    channel: "publicTrade.<symbol>: every fill, up to 1024 in a frame, in their order",
    columns: {
      timestamp: "T, ms",
      published_timestamp: "ts, ms",
      id: "i: a UUID (spot: up to 19 digits)",
      side: "S, lower case: the taker's",
      price: "p",
      amount: "v, base",
      count: NOT_SENT,
      first_id: NOT_SENT,
      sequence: "seq, the same for all fills of an order; NULL in recordings from before 2025",
      is_block: "BT",
      is_rpi: "RPI; NULL in recordings from before 2025",
    },
  },
  mark_price: {
    channel: `${TICKER}; a row where markPrice or indexPrice is in the frame`,
    columns: {
      timestamp: NOT_SENT,
      published_timestamp: "ts, ms",
      mark_price: "markPrice; NULL = unchanged",
      index_price: "indexPrice; NULL = unchanged",
      settlement_price: NOT_SENT,
      average_price: NOT_SENT,
    },
  },
  funding: {
    channel: `${TICKER}; a row where fundingRate, nextFundingTime or fundingIntervalHour is in the frame`,
    columns: {
      timestamp: NOT_SENT,
      published_timestamp: "ts, ms",
      funding_rate: 'fundingRate; NULL = unchanged ("" of dated futures: no row)',
      next_funding_timestamp: "nextFundingTime, ms as text; NULL = unchanged",
      funding_interval_hours: "fundingIntervalHour; NULL = unchanged",
      predicted_funding_rate: NOT_SENT,
      settled_funding_rate: NOT_SENT,
    },
  },
  open_interest: {
    channel: `${TICKER}; a row where openInterest, openInterestValue or singleOpenInterest is in the frame`,
    columns: {
      timestamp: NOT_SENT,
      published_timestamp: "ts, ms",
      open_interest: "openInterest, base (inverse: USD), both sides summed; NULL = unchanged",
      open_interest_base: NOT_SENT,
      open_interest_value: "openInterestValue, both sides summed; NULL = unchanged",
      open_interest_single: "singleOpenInterest, one side, base; since June 2026; NULL = unchanged",
    },
  },
  liquidation: {
    channel: "allLiquidation.<symbol>: all liquidations, every 500 ms",
    columns: {
      timestamp: "T, ms",
      published_timestamp: "ts, ms",
      side: "S, turned round: it is the position's side, so Buy (a long) = sell",
      price: "p: bankruptcy price, not a fill price",
      amount: "v, base",
      average_price: NOT_SENT,
      filled_amount: NOT_SENT,
      is_history: NOT_SENT,
    },
  },
};
