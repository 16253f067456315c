import { z } from "zod";
import { readEntries, type Skipped } from "../decoding/entries.ts";
import { priceMultiplierOf } from "../decoding/multiplier.ts";
import type { Instrument } from "../exchange.ts";

/** A decimal as text, where it is one. */
const decimal = z.string().transform((text) => {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? value : null;
});

/** `GET /fapi/v1/exchangeInfo`. */
const exchangeInfo = z.object({ symbols: z.array(z.unknown()) });

/** An entry of it: the fields that are read; others stay in the raw answer. */
const symbolEntry = z.looseObject({
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
  skipped: Skipped = () => undefined,
): Promise<Instrument[]> {
  const path = "/fapi/v1/exchangeInfo";
  const answer = exchangeInfo.safeParse(await get(path));
  if (!answer.success) throw new Error(`${path} has an unexpected shape: ${z.prettifyError(answer.error)}`);
  return readEntries(path, symbolEntry, answer.data.symbols, skipped).map(({ entry, raw }): Instrument => {
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
      raw,
      recordable:
        entry.contractType === "PERPETUAL" && entry.quoteAsset === "USDT" && entry.status === "TRADING",
    };
  });
}
