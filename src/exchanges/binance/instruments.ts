import { z } from "zod";
import { type EntryShape, rawEntries, readEntries, type Skipped } from "../decoding/entries.ts";
import { decimalText, timeMs } from "../decoding/listed-fields.ts";
import { priceMultiplierOf } from "../decoding/multiplier.ts";
import type { Instrument } from "../exchange.ts";
import type { RestGet } from "../rest.ts";

/** `GET /fapi/v1/exchangeInfo`. */
const exchangeInfo = z.object({ symbols: z.array(z.unknown()) });

/** A rule for prices or amounts. */
const symbolFilter = z.looseObject({
  filterType: z.string().nullish(),
  tickSize: decimalText.nullish(),
  stepSize: decimalText.nullish(),
});

/** An entry of it: the fields that are read; others stay in the raw answer. */
const symbolEntry = z.looseObject({
  symbol: z.string().min(1),
  contractType: z.string(),
  status: z.string(),
  baseAsset: z.string().nullish(),
  quoteAsset: z.string().nullish(),
  marginAsset: z.string().nullish(),
  onboardDate: timeMs.nullish(),
  deliveryDate: timeMs.nullish(),
  filters: z.array(symbolFilter.nullish()).nullish(),
});

/** What an instrument is, and what decides whether it is recorded. */
const shape: EntryShape<z.infer<typeof symbolEntry>> = {
  schema: symbolEntry,
  keys: ["symbol", "contractType", "status", "quoteAsset"],
};

/** Delivery date of a contract that has none, µs: the year 2100. */
const NEVER_DELIVERED = 4_133_404_800_000_000;

/** Instruments of USD-M are written as the unified symbol already: BTCUSDT, 1000PEPEUSDT, BTCUSDT_260327. */
export function normalizeSymbol(instrument: string): string {
  return instrument;
}

/** The perpetual of a unified symbol: the same text; null for a dated contract. */
export function perpetualOf(symbol: string): string | null {
  return /_\d{6}$/.test(symbol) ? null : symbol;
}

/** Reads the list of instruments; amounts are in base, so that a contract is worth one. */
export async function fetchBinanceInstruments(
  get: RestGet,
  skipped: Skipped = () => undefined,
): Promise<Instrument[]> {
  const path = "/fapi/v1/exchangeInfo";
  const answer = await get(path);
  const info = exchangeInfo.safeParse(answer.body);
  if (!info.success) throw new Error(`${path} has an unexpected shape: ${z.prettifyError(info.error)}`);
  const list = rawEntries(answer, ["symbols"], info.data.symbols);
  return readEntries(path, shape, list, skipped).map(({ entry, raw }): Instrument => {
    const filter = (type: string) => entry.filters?.find((one) => one?.filterType === type);
    const delivery = entry.deliveryDate ?? null;
    return {
      instrument: entry.symbol,
      symbol: normalizeSymbol(entry.symbol),
      // Index prices come with the mark price, under the symbol.
      index: null,
      base: entry.baseAsset ?? null,
      quote: entry.quoteAsset ?? null,
      settle: entry.marginAsset ?? null,
      contractType: entry.contractType,
      contractSize: 1,
      contractMultiplier: 1,
      priceMultiplier: priceMultiplierOf(entry.baseAsset ?? entry.symbol),
      tickSize: filter("PRICE_FILTER")?.tickSize ?? null,
      lotSize: filter("LOT_SIZE")?.stepSize ?? null,
      status: entry.status,
      listed: entry.onboardDate ?? null,
      delisting: delivery !== null && delivery < NEVER_DELIVERED ? delivery : null,
      raw,
      recordable:
        entry.contractType === "PERPETUAL" && entry.quoteAsset === "USDT" && entry.status === "TRADING",
    };
  });
}
