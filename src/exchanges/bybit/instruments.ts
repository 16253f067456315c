import { z } from "zod";
import { readEntries, type Skipped } from "../decoding/entries.ts";
import { priceMultiplierOf } from "../decoding/multiplier.ts";
import type { Instrument } from "../exchange.ts";

/** The most pages that are asked for: 50,000 instruments, far more than there are. */
const PAGES_MAX = 50;
const PATH = "/v5/market/instruments-info?category=linear&limit=1000";

/** A decimal as text, where it is one. */
const decimal = z.string().transform((text) => {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? value : null;
});

/** A time in ms as text (a number would be taken too), in µs; "0" and "" = none. */
const time = z.union([z.string(), z.number()]).transform((value) => {
  const ms = Number(value);
  return Number.isSafeInteger(ms) && ms > 0 ? ms * 1000 : null;
});

/** What every REST answer has. */
const envelope = z.looseObject({ retCode: z.number(), retMsg: z.string().default("") });

/** `GET /v5/market/instruments-info`. */
const instrumentsInfo = z.object({
  result: z.object({ list: z.array(z.unknown()), nextPageCursor: z.string().nullish() }),
});

/** An entry of it: the fields that are read; others stay in the raw answer. */
const instrumentEntry = z.looseObject({
  symbol: z.string().min(1),
  contractType: z.string().nullish(),
  status: z.string(),
  baseCoin: z.string().nullish(),
  quoteCoin: z.string().nullish(),
  settleCoin: z.string().nullish(),
  launchTime: time.nullish(),
  deliveryTime: time.nullish(),
  priceFilter: z.looseObject({ tickSize: decimal.nullish() }).nullish(),
  lotSizeFilter: z.looseObject({ qtyStep: decimal.nullish() }).nullish(),
});

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DATED = new RegExp(`^(.+)-(\\d{1,2})(${MONTHS.join("|")})(\\d{2})$`);

/**
 * Perpetuals are written as the unified symbol already: BTCUSDT, 1000PEPEUSDT, BTCPERP. A dated contract's
 * day is written as everywhere else: BTCUSDT-27DEC24 is BTCUSDT_241227.
 */
export function normalizeSymbol(instrument: string): string {
  const [, pair, day = "", month = "", year = ""] = DATED.exec(instrument) ?? [];
  if (pair === undefined) return instrument;
  return `${pair}_${year}${String(MONTHS.indexOf(month) + 1).padStart(2, "0")}${day.padStart(2, "0")}`;
}

/** A multiplier behind the coin, as only Bybit has it: SHIB1000USDT. */
const SUFFIX = /[A-Z](10{3,})$/;

/** How many coins the price of an instrument is for: 1000 for 1000PEPEUSDT and SHIB1000USDT, else 1. */
export function priceMultiplier(instrument: string, quote: string): number {
  const pair = instrument.split("-", 1)[0] ?? instrument;
  const coin = pair.endsWith(quote) ? pair.slice(0, pair.length - quote.length) : pair;
  const suffix = SUFFIX.exec(coin)?.[1];
  return suffix === undefined ? priceMultiplierOf(coin) : Number(suffix);
}

/**
 * Reads the list of instruments, page after page; amounts are in base, so that a contract is worth one.
 *
 * @throws Error with Bybit's own words, or naming what is wrong with the answer
 */
export async function fetchBybitInstruments(
  get: (path: string) => Promise<unknown>,
  skipped: Skipped = () => undefined,
): Promise<Instrument[]> {
  const instruments: Instrument[] = [];
  const cursors = new Set<string>();
  let path = PATH;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const { list, cursor } = pageOf(path, await get(path), skipped);
    instruments.push(...list);
    if (cursor === "") return instruments;
    if (cursors.has(cursor)) throw new Error(`${PATH}: page ${page} names the cursor of an earlier page`);
    cursors.add(cursor);
    path = `${PATH}&cursor=${escapedOnce(cursor)}`;
  }
  throw new Error(`${PATH} has more than ${PAGES_MAX} pages`);
}

/** A cursor as part of an address: Bybit gives it percent-encoded already ("first%3DA%26last%3DB"). */
function escapedOnce(cursor: string): string {
  return /^(?:[\w.~-]|%[0-9A-Fa-f]{2})*$/.test(cursor) ? cursor : encodeURIComponent(cursor);
}

function pageOf(path: string, answer: unknown, skipped: Skipped): { list: Instrument[]; cursor: string } {
  const head = envelope.safeParse(answer);
  if (head.success && head.data.retCode !== 0) {
    throw new Error(`${path}: ${head.data.retMsg || "no message"} (retCode ${head.data.retCode})`);
  }
  const page = envelope.extend(instrumentsInfo.shape).safeParse(answer);
  if (!page.success) throw new Error(`${path} has an unexpected shape: ${z.prettifyError(page.error)}`);
  const { list, nextPageCursor } = page.data.result;
  const entries = readEntries(path, instrumentEntry, list, skipped);
  return { list: entries.map(({ entry, raw }) => instrumentOf(entry, raw)), cursor: nextPageCursor ?? "" };
}

type Entry = z.infer<typeof instrumentEntry>;

function instrumentOf(entry: Entry, raw: unknown): Instrument {
  const { symbol, contractType, status, settleCoin } = entry;
  return {
    instrument: symbol,
    symbol: normalizeSymbol(symbol),
    base: entry.baseCoin ?? null,
    quote: entry.quoteCoin ?? null,
    settle: settleCoin ?? null,
    contractType: contractType ?? null,
    contractSize: 1,
    contractMultiplier: 1,
    priceMultiplier: priceMultiplier(symbol, entry.quoteCoin ?? ""),
    tickSize: entry.priceFilter?.tickSize ?? null,
    lotSize: entry.lotSizeFilter?.qtyStep ?? null,
    status,
    listed: entry.launchTime ?? null,
    delisting: entry.deliveryTime ?? null,
    raw,
    recordable: contractType === "LinearPerpetual" && settleCoin === "USDT" && status === "Trading",
  };
}
