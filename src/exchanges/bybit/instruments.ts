import { z } from "zod";
import {
  type EntryShape,
  type RawEntry,
  rawEntries,
  readEntries,
  type Skipped,
} from "../decoding/entries.ts";
import { decimalText, timeText } from "../decoding/listed-fields.ts";
import { priceMultiplierOf } from "../decoding/multiplier.ts";
import type { Instrument } from "../exchange.ts";
import { type RestAnswer, RestError, type RestGet } from "../rest.ts";

/** The most pages that are asked for: 50,000 instruments, far more than there are. */
const PAGES_MAX = 50;
const PATH = "/v5/market/instruments-info?category=linear&limit=1000";

/** `retCode` of a request that came too soon: "Too many visits!" */
const RATE_LIMITED = 10_006;

/** How long Bybit is left alone then, ms: the span over which it counts the requests of an address. */
const RATE_WINDOW = 5000;

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
  launchTime: timeText.nullish(),
  deliveryTime: timeText.nullish(),
  priceFilter: z.looseObject({ tickSize: decimalText.nullish() }).nullish(),
  lotSizeFilter: z.looseObject({ qtyStep: decimalText.nullish() }).nullish(),
});

/** What an instrument is, and what decides whether it is recorded. */
const shape: EntryShape<z.infer<typeof instrumentEntry>> = {
  schema: instrumentEntry,
  keys: ["symbol", "contractType", "status", "settleCoin"],
};

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

/** The perpetual of a unified symbol: the same text; null for dated contracts and options. */
export function perpetualOf(symbol: string): string | null {
  return /_\d{6}$|-/.test(symbol) ? null : symbol;
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
  get: RestGet,
  skipped: Skipped = () => undefined,
): Promise<Instrument[]> {
  const entries: RawEntry[] = [];
  const cursors = new Set<string>();
  let path = PATH;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const { list, cursor } = pageOf(path, await get(path));
    entries.push(...list);
    if (cursor === "") {
      return readEntries(PATH, shape, entries, skipped).map(({ entry, raw }) => instrumentOf(entry, raw));
    }
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

function pageOf(path: string, answer: RestAnswer): { list: RawEntry[]; cursor: string } {
  const head = envelope.safeParse(answer.body);
  if (head.success && head.data.retCode !== 0) {
    const { retCode, retMsg } = head.data;
    const words = `${path}: ${retMsg || "no message"} (retCode ${retCode})`;
    throw retCode === RATE_LIMITED ? new RestError(words, RATE_WINDOW) : new Error(words);
  }
  const page = envelope.extend(instrumentsInfo.shape).safeParse(answer.body);
  if (!page.success) throw new Error(`${path} has an unexpected shape: ${z.prettifyError(page.error)}`);
  const { list, nextPageCursor } = page.data.result;
  return { list: rawEntries(answer, ["result", "list"], list), cursor: nextPageCursor ?? "" };
}

type Entry = z.infer<typeof instrumentEntry>;

function instrumentOf(entry: Entry, raw: string | null): Instrument {
  const { symbol, contractType, status, settleCoin } = entry;
  return {
    instrument: symbol,
    symbol: normalizeSymbol(symbol),
    // Index prices come with the ticker, under the symbol.
    index: null,
    base: entry.baseCoin ?? null,
    quote: entry.quoteCoin ?? null,
    settle: settleCoin ?? null,
    contractType: contractType ?? null,
    contractSize: 1,
    contractMultiplier: 1,
    priceMultiplier: priceMultiplier(symbol, entry.quoteCoin ?? settleCoin ?? ""),
    tickSize: entry.priceFilter?.tickSize ?? null,
    lotSize: entry.lotSizeFilter?.qtyStep ?? null,
    status,
    listed: entry.launchTime ?? null,
    delisting: entry.deliveryTime ?? null,
    raw,
    recordable: contractType === "LinearPerpetual" && settleCoin === "USDT" && status === "Trading",
  };
}
