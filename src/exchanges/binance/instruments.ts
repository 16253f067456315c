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

/** The same list as it came. */
const rawSymbols = z.object({ symbols: z.array(z.unknown()) });

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
  const json = await get(path);
  const answer = exchangeInfo.safeParse(json);
  if (!answer.success) throw new Error(`${path} has an unexpected shape: ${z.prettifyError(answer.error)}`);
  // As it came: reading checks and converts.
  const raws = rawSymbols.parse(json).symbols;
  return answer.data.symbols.map((entry, index): Instrument => {
    const filter = (type: string) => entry.filters.find(({ filterType }) => filterType === type);
    const { onboardDate, deliveryDate } = entry;
    const delivers = typeof deliveryDate === "number" && deliveryDate > 0 && deliveryDate < NEVER_DELIVERED;
    return {
      instrument: entry.symbol,
      symbol: normalizeSymbol(entry.symbol),
      base: entry.baseAsset ?? null,
      quote: entry.quoteAsset ?? null,
      settle: entry.marginAsset ?? null,
      contractType: entry.contractType,
      contractSize: 1,
      contractMultiplier: 1,
      priceMultiplier: priceMultiplierOf(entry.baseAsset ?? ""),
      tickSize: filter("PRICE_FILTER")?.tickSize ?? null,
      lotSize: filter("LOT_SIZE")?.stepSize ?? null,
      status: entry.status,
      listed: typeof onboardDate === "number" && onboardDate > 0 ? onboardDate * 1000 : null,
      delisting: delivers ? deliveryDate * 1000 : null,
      raw: raws[index],
      recordable:
        entry.contractType === "PERPETUAL" && entry.quoteAsset === "USDT" && entry.status === "TRADING",
    };
  });
}
