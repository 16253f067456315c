/** The instruments list as `GET /fapi/v1/exchangeInfo` spells it. */
import { fixed, unitText } from "../decimals.ts";
import type { Instrument } from "./instruments.ts";

/** The body: what discovery reads, in Binance's field order. */
export function exchangeInfo(instruments: readonly Instrument[], serverTime: number): object {
  return {
    timezone: "UTC",
    serverTime,
    futuresType: "U_MARGINED",
    rateLimits: [{ rateLimitType: "REQUEST_WEIGHT", interval: "MINUTE", intervalNum: 1, limit: 2400 }],
    exchangeFilters: [],
    assets: [...new Set(instruments.map((instrument) => instrument.margin))].map((asset) => ({ asset })),
    symbols: instruments.map(symbolInfo),
  };
}

function symbolInfo(instrument: Instrument): object {
  const { priceDecimals, amountDecimals, tick } = instrument;
  const stepSize = unitText(amountDecimals);
  return {
    symbol: instrument.symbol,
    pair: instrument.pair,
    contractType: instrument.contractType,
    deliveryDate: instrument.deliveryMs,
    onboardDate: instrument.onboardMs,
    status: instrument.status,
    baseAsset: instrument.base,
    quoteAsset: instrument.quote,
    marginAsset: instrument.margin,
    pricePrecision: priceDecimals,
    quantityPrecision: amountDecimals,
    baseAssetPrecision: 8,
    quotePrecision: 8,
    underlyingType: "COIN",
    underlyingSubType: [],
    filters: [
      {
        filterType: "PRICE_FILTER",
        minPrice: unitText(priceDecimals, tick),
        maxPrice: fixed(tick * 10_000_000, priceDecimals),
        tickSize: unitText(priceDecimals, tick),
      },
      { filterType: "LOT_SIZE", minQty: stepSize, maxQty: "10000000", stepSize },
    ],
    orderTypes: ["LIMIT", "MARKET"],
    timeInForce: ["GTC", "IOC", "FOK", "GTX"],
  };
}
