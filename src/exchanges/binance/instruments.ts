import { z } from "zod";
import { priceMultiplierOf } from "../decoding/multiplier.ts";
import type { Instrument } from "../exchange.ts";

/** A decimal as text, where it is one. */
const decimal = z.string().transform((text) => {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? value : null;
});

/** `GET /fapi/v1/exchangeInfo`: the fields that are read; others stay in the raw answer. */
const exchangeInfo = z.object({
  symbols: z.array(
    z.looseObject({
      symbol: z.string().min(1),
      contractType: z.string(),
      status: z.string(),
      baseAsset: z.string().nullish(),
      quoteAsset: z.string().nullish(),
      marginAsset: z.string().nullish(),
      onboardDate: z.number().nullish(),
      deliveryDate: z.number().nullish(),
      filters: z
        .array(
          z.looseObject({ filterType: z.string(), tickSize: decimal.nullish(), stepSize: decimal.nullish() }),
        )
        .default([]),
    }),
  ),
});

/** Delivery date of a contract that has none, ms: the year 2100. */
const NEVER_DELIVERED = 4_133_404_800_000;

/** Instruments of USD-M are written as the unified symbol already: BTCUSDT, 1000PEPEUSDT, BTCUSDT_260327. */
export function normalizeSymbol(instrument: string): string {
  return instrument;
}

/** Reads the list of instruments; amounts are in base, so that a contract is worth one. */
export async function fetchBinanceInstruments(
  get: (path: string) => Promise<unknown>,
): Promise<Instrument[]> {
  const path = "/fapi/v1/exchangeInfo";
  const answer = exchangeInfo.safeParse(await get(path));
  if (!answer.success) throw new Error(`${path} has an unexpected shape: ${z.prettifyError(answer.error)}`);
  return answer.data.symbols.map((raw): Instrument => {
    const filter = (type: string) => raw.filters.find(({ filterType }) => filterType === type);
    const { onboardDate, deliveryDate } = raw;
    const delivers = typeof deliveryDate === "number" && deliveryDate > 0 && deliveryDate < NEVER_DELIVERED;
    return {
      instrument: raw.symbol,
      symbol: normalizeSymbol(raw.symbol),
      base: raw.baseAsset ?? null,
      quote: raw.quoteAsset ?? null,
      settle: raw.marginAsset ?? null,
      contractType: raw.contractType,
      contractSize: 1,
      contractMultiplier: 1,
      priceMultiplier: priceMultiplierOf(raw.baseAsset ?? ""),
      tickSize: filter("PRICE_FILTER")?.tickSize ?? null,
      lotSize: filter("LOT_SIZE")?.stepSize ?? null,
      status: raw.status,
      listed: typeof onboardDate === "number" && onboardDate > 0 ? onboardDate * 1000 : null,
      delisting: delivers ? deliveryDate * 1000 : null,
      raw,
      recordable: raw.contractType === "PERPETUAL" && raw.quoteAsset === "USDT" && raw.status === "TRADING",
    };
  });
}
