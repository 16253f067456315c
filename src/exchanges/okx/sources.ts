import type { ColumnSources, Sources } from "../exchange.ts";

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
      count: "count; NULL in trades-all and in old frames",
      first_id: NOT_SENT,
      sequence: "seqId; NULL in old frames",
      is_block: NOT_SENT,
      is_rpi: "source: 1 (ELP or RPI) = true, 0 = false; NULL in old frames",
    },
  },
  mark_price: {
    channel:
      "mark-price, by instId, and index-tickers, by the id of the index (uly of the instrument): a row each, with only its own price",
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
      funding_interval_hours: "NULL: not sent as such, and nextFundingTime - fundingTime is not recorded",
      predicted_funding_rate: 'nextFundingRate; NULL ("") under method current_period',
      settled_funding_rate: "settFundingRate; NULL in old frames",
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
        "ours: true in the first push with details after a subscription, whatever its ts, as OKX begins with what was; false in later ones; of two copies in a planned replacement, as the first that came has it",
    },
  },
};

/** Where each column of the dataset `instruments` comes from: an entry of `data`. */
export const okxInstrumentSources: Sources = {
  channel:
    "GET /api/v5/public/instruments?instType=SWAP, data[]; a new listing may have no more than its id yet",
  columns: {
    symbol: "instId: base and quote joined, without -SWAP: BTC-USDT-SWAP = BTCUSDT",
    instrument: "instId",
    base: 'baseCcy, which is "" on swaps: then the first part of uly, or else of instId',
    quote: 'quoteCcy, which is "" on swaps: then the second part of uly, or else of instId',
    settle: 'settleCcy; NULL where it is ""',
    contract_type: 'ctType: linear, inverse; NULL where it is ""',
    contract_size: 'ctVal, base (inverse: USD), as ctValCcy says; NULL where it is ""',
    contract_multiplier: 'ctMult; NULL where it is ""',
    price_multiplier:
      "ours, from the head of uly, or else of instId: 1000 of 1000PEPE, 10000 of 10000SATS, 1000000 of 1MBABYDOGE; else 1",
    tick_size: 'tickSz, quote; NULL where it is ""',
    lot_size: 'lotSz, contracts; NULL where it is ""',
    status: 'state: live, preopen, suspend, …; "" where it is missing; ours: absent',
    listed: 'listTime, ms as text; NULL where it is ""',
    delisting: 'expTime, ms as text; NULL where it is "": swaps without a date',
    raw: "the entry whole, as it came; NULL where the status is absent, and where it has an unpaired surrogate",
  },
};
