import type { ColumnSources, Sources } from "../exchange.ts";

const NOT_SENT = null;

/** Where each column comes from in the frames of Binance USD-M futures; null = the frames do not have it. */
export const binanceSources: ColumnSources = {
  bbo: {
    channel: "<symbol>@bookTicker, route /public",
    columns: {
      timestamp: "T, ms",
      published_timestamp: "E, ms",
      bid_price: "b",
      bid_amount: "B, base",
      ask_price: "a",
      ask_amount: "A, base",
      update_id: "u",
      sequence: NOT_SENT,
    },
  },
  trade: {
    channel: "<symbol>@aggTrade, route /market: fills of one taker order at one price within 100 ms",
    columns: {
      timestamp: "T, ms",
      published_timestamp: "E, ms",
      id: "a (t in @trade, of which only X MARKET is recorded); NULL in old frames",
      side: "m: true = sell, for then the buyer is the maker",
      price: "p",
      amount: "q, base, fills against RPI orders included",
      count: "l - f + 1; NULL in @trade",
      first_id: "f; NULL in @trade",
      sequence: NOT_SENT,
      is_block: NOT_SENT,
      is_rpi: NOT_SENT,
    },
  },
  mark_price: {
    channel: "<symbol>@markPrice@1s, route /market",
    columns: {
      timestamp: NOT_SENT,
      published_timestamp: "E, ms",
      mark_price: "p",
      index_price: "i; NULL in old frames",
      settlement_price: "P; means something in the last hour before a settlement; NULL in old frames",
      average_price: "ap; NULL in old frames",
    },
  },
  funding: {
    channel: "<symbol>@markPrice@1s, route /market: the same frame as mark_price",
    columns: {
      timestamp: NOT_SENT,
      published_timestamp: "E, ms",
      funding_rate: 'r; no row where T is 0 and r is "" or zero (dated futures have no funding)',
      next_funding_timestamp: "T, ms",
      funding_interval_hours: NOT_SENT,
      predicted_funding_rate: NOT_SENT,
      settled_funding_rate: NOT_SENT,
    },
  },
  liquidation: {
    channel:
      "!forceOrder@arr, route /market: at most one order a symbol and second, so sums are lower bounds",
    columns: {
      timestamp: "o.T, ms",
      published_timestamp: "E, ms",
      side: "o.S: side of the liquidation order",
      price: "o.p: price of the order",
      amount: "o.q: size of the order, base",
      average_price: "o.ap",
      filled_amount: "o.z, base",
      is_history: NOT_SENT,
    },
  },
};

/** Where each column of the dataset `instruments` comes from: an entry of `symbols`. */
export const binanceInstrumentSources: Sources = {
  channel: "GET /fapi/v1/exchangeInfo, symbols[]",
  columns: {
    symbol: "symbol as it is",
    instrument: "symbol",
    base: "baseAsset",
    quote: "quoteAsset",
    settle: "marginAsset",
    contract_type: "contractType: PERPETUAL, CURRENT_QUARTER, …",
    contract_size: "ours: 1, for amounts are in base",
    contract_multiplier: "ours: 1",
    price_multiplier:
      "ours, from the head of baseAsset, or else of symbol: 1000 of 1000PEPE, 10000 of 10000SATS, 1000000 of 1MBABYDOGE; else 1",
    tick_size: "filters[] of filterType PRICE_FILTER: tickSize, quote; NULL without the filter",
    lot_size: "filters[] of filterType LOT_SIZE: stepSize, base; NULL without the filter",
    status: "status: TRADING, PENDING_TRADING, SETTLING, …; ours: absent",
    listed: "onboardDate, ms; NULL where it is 0 or missing",
    delisting: "deliveryDate, ms; NULL from 4133404800000 (December 2100) on, which stands for never",
    raw: "the entry whole, as it came; NULL where the status is absent, and where it has an unpaired surrogate",
  },
};
