/** The instruments list as `GET /v5/market/instruments-info` spells it, page by page. */
import { fixed, unitText } from "../decimals.ts";
import type { Instrument } from "./instruments.ts";

const PAGE_DEFAULT = 500;
const PAGE_MAX = 1000;
const PARAMS_ERROR = 10001;

/** The envelope of every REST answer. */
export function restAnswer(result: object, retCode = 0, retMsg = "OK"): object {
  return { retCode, retMsg, result, retExtInfo: {}, time: Date.now() };
}

/**
 * Answers one request. Without `status` only instruments that trade are listed. A cursor is given percent-
 * encoded, as the exchange does; `pageSize` bounds a page below what the client asks for.
 */
export function instrumentsInfo(
  instruments: readonly Instrument[],
  query: URLSearchParams,
  pageSize: number,
): object {
  const refused = (words: string) => restAnswer({}, PARAMS_ERROR, `params error: ${words}`);
  if (query.get("category") !== "linear") return refused("category invalid");
  const asked = Number(query.get("limit") ?? PAGE_DEFAULT);
  if (!Number.isInteger(asked) || asked < 1 || asked > PAGE_MAX) return refused("limit invalid");
  const limit = Math.min(asked, pageSize);
  const symbol = query.get("symbol");
  const status = query.get("status") ?? "Trading";
  const listed = instruments.filter(
    (instrument) => instrument.status === status && (symbol === null || instrument.symbol === symbol),
  );
  const cursor = query.get("cursor") ?? "";
  const after = cursor === "" ? undefined : new URLSearchParams(cursor).get("last");
  const from = after === undefined ? 0 : listed.findIndex((instrument) => instrument.symbol === after) + 1;
  if (after !== undefined && from === 0) return refused("cursor invalid");
  const page = listed.slice(from, from + limit);
  const [first] = page;
  const last = page.at(-1);
  const more = first !== undefined && last !== undefined && from + limit < listed.length;
  const next = more ? encodeURIComponent(`first=${escaped(first)}&last=${escaped(last)}`) : "";
  return restAnswer({ category: "linear", list: page.map(entry), nextPageCursor: next });
}

function escaped({ symbol }: Instrument): string {
  return encodeURIComponent(symbol);
}

function entry(instrument: Instrument): object {
  const { priceDecimals, amountDecimals, tick } = instrument;
  const qtyStep = unitText(amountDecimals);
  return {
    symbol: instrument.symbol,
    symbolId: instrument.symbolId,
    contractType: instrument.contractType,
    status: instrument.status,
    baseCoin: instrument.base,
    quoteCoin: instrument.quote,
    launchTime: String(instrument.launchMs),
    deliveryTime: String(instrument.deliveryMs),
    deliveryFeeRate: "",
    priceScale: String(priceDecimals),
    leverageFilter: { minLeverage: "1", maxLeverage: "50.00", leverageStep: "0.01" },
    priceFilter: {
      minPrice: unitText(priceDecimals, tick),
      maxPrice: fixed(tick * 10_000_000, priceDecimals),
      tickSize: unitText(priceDecimals, tick),
    },
    lotSizeFilter: {
      maxOrderQty: "1000000",
      minOrderQty: qtyStep,
      qtyStep,
      postOnlyMaxOrderQty: "1000000",
      maxMktOrderQty: "100000",
      minNotionalValue: "5",
    },
    unifiedMarginTrade: true,
    fundingInterval: instrument.fundingHours * 60,
    settleCoin: instrument.settle,
    copyTrading: "none",
    upperFundingRate: "0.00375",
    lowerFundingRate: "-0.00375",
    isPreListing: instrument.status === "PreLaunch",
    preListingInfo: null,
    riskParameters: { priceLimitRatioX: "0.05", priceLimitRatioY: "0.1" },
    symbolType: "",
  };
}
