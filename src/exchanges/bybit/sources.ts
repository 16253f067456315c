import type { ColumnSources, Sources } from "../exchange.ts";

const NOT_SENT = null;
const LEVEL = " (of two, the one that stays); NULL where the side is empty (old deltas: unchanged)";
const TICKER = "tickers.<symbol>: one channel for mark_price, funding and open_interest";

/** Where each column comes from in the frames of Bybit v5 linear; null = the frames do not have it. */
export const bybitSources: ColumnSources = {
  bbo: {
    channel: "orderbook.1.<symbol>; pushed again with the same u after 3 s without a change: a row each time",
    columns: {
      timestamp: "cts, ms; NULL in old recordings",
      published_timestamp: "ts, ms",
      bid_price: `data.b: price of the level${LEVEL}`,
      bid_amount: "data.b: amount of that level, base; 0 in an old delta = the level went; NULL as the price",
      ask_price: `data.a: price of the level${LEVEL}`,
      ask_amount: "data.a: amount of that level, base; 0 in an old delta = the level went; NULL as the price",
      update_id: "data.u",
      sequence: "data.seq; grows by uneven steps, over all symbols",
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
      sequence: "seq, the same for all fills of an order; NULL in old recordings",
      is_block: "BT",
      is_rpi: "RPI; NULL in old recordings",
    },
  },
  mark_price: {
    channel: `${TICKER}; a row where markPrice or indexPrice is in the frame`,
    columns: {
      timestamp: NOT_SENT,
      published_timestamp: "ts, ms",
      mark_price: "markPrice; NULL = unchanged",
      index_price: "indexPrice; NULL = unchanged",
      settlement_price: "NULL: perpetuals have none; predictedDeliveryPrice of dated futures is not recorded",
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
      open_interest_value: "openInterestValue, quote (inverse: base), both sides summed; NULL = unchanged",
      open_interest_single:
        "singleOpenInterest, base (inverse: USD), one side; since June 2026; NULL = unchanged",
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

/** Where each column of the dataset `instruments` comes from: an entry of `result.list`. */
export const bybitInstrumentSources: Sources = {
  channel:
    "GET /v5/market/instruments-info?category=linear, result.list[], page after page: what trades, and nothing else",
  columns: {
    symbol: "symbol as it is; of dated contracts with the day in figures: BTCUSDT-27DEC24 = BTCUSDT_241227",
    instrument: "symbol",
    base: "baseCoin",
    quote: "quoteCoin",
    settle: "settleCoin",
    contract_type: "contractType: LinearPerpetual, LinearFutures",
    contract_size: "ours: 1, for amounts are in base",
    contract_multiplier: "ours: 1",
    price_multiplier:
      "ours, from symbol: 1000 of 1000PEPEUSDT and SHIB1000USDT, 10000 of 10000SATSUSDT, 1000000 of 1MBABYDOGEUSDT; else 1",
    tick_size: "priceFilter.tickSize, quote; NULL where it is missing",
    lot_size: "lotSizeFilter.qtyStep, base; NULL where it is missing",
    status: "status: Trading; ours: absent, which is also what becomes of one that no longer trades",
    listed: 'launchTime, ms as text; NULL where it is "0" or missing',
    delisting: 'deliveryTime, ms as text; NULL where it is "0": perpetuals without a date',
    raw: "the entry whole, as it came; NULL where the status is absent, and where it has an unpaired surrogate",
  },
};
