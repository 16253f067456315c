import { z } from "zod";
import { type EntryShape, rawEntries, readEntries, type Skipped } from "../decoding/entries.ts";
import { decimalText, timeText } from "../decoding/listed-fields.ts";
import { priceMultiplierOf } from "../decoding/multiplier.ts";
import type { Instrument } from "../exchange.ts";
import type { RestGet } from "../rest.ts";

const PATH = "/api/v5/public/instruments?instType=SWAP";

/** OKX's word for success. */
const OK = "0";

/** `""` stands for what is not available: a new listing may have no other field than its id. */
const text = z
  .string()
  .nullish()
  .transform((value) => value || null);

/** A positive decimal as text. */
const decimal = decimalText
  .nullish()
  .transform((value) => (value !== null && value !== undefined && value > 0 ? value : null));

/** A time in ms as text, as whole µs. */
const time = timeText.nullish().transform((value) => value ?? null);

/** `GET /api/v5/public/instruments`: the fields that are read; others stay in the raw answer. */
const instrument = z.looseObject({
  instId: z.string(),
  baseCcy: text,
  quoteCcy: text,
  settleCcy: text,
  uly: text,
  ctType: text,
  ctVal: decimal,
  ctMult: decimal,
  tickSz: decimal,
  lotSz: decimal,
  state: text,
  listTime: time,
  expTime: time,
});

/** What an instrument is, and what decides whether it is recorded. */
const shape: EntryShape<z.infer<typeof instrument>> = {
  schema: instrument,
  keys: ["instId", "settleCcy", "ctType", "state"],
};

const envelope = z.object({
  code: z.string(),
  msg: z.string().nullish(),
  data: z.array(z.unknown()).nullish(),
});

/**
 * The unified symbol: base and quote joined, `-SWAP` left out, anything else behind `_`.
 *
 * BTC-USDT-SWAP, and its index BTC-USDT, is BTCUSDT; BTC-USDT-240329 is BTCUSDT_240329;
 * BTC-USD_UM_XPERP-310404 is BTCUSD_UM_XPERP_310404.
 */
export function normalizeSymbol(instrument: string): string {
  const [base = "", quote = "", ...rest] = instrument.split("-");
  if (rest.at(-1) === "SWAP") rest.pop();
  return [base + quote, ...rest].join("_");
}

/** A symbol without a day: the coin, what it is quoted in (`USDT` is no `USD` and a T), and what may be behind that. */
const PERPETUAL = /^(.+)(USDT|USDC|USD)((?:_[A-Z]+)*)$/;

/**
 * The swap of a unified symbol: BTC-USDT-SWAP for BTCUSDT, BTC-USD_UM-SWAP for BTCUSD_UM; null for what is dated or is
 * quoted in something else.
 */
export function perpetualOf(symbol: string): string | null {
  const [, base, quote, rest] = PERPETUAL.exec(symbol) ?? [];
  return base === undefined ? null : `${base}-${quote}${rest}-SWAP`;
}

/**
 * Id of the index of a derivative as far as its own id tells: BTC-USDT for BTC-USDT-SWAP, BTC-USD for
 * BTC-USD_UM_XPERP-310404; null for a spot pair. A guess, for where OKX's word for it (`uly`) is not at hand.
 */
export function indexOf(instrument: string): string | null {
  const [base = "", quote = "", ...rest] = instrument.split("-");
  return rest.length === 0 ? null : `${base}-${quote.replace(/_.*$/, "")}`;
}

/**
 * Reads the list of swaps.
 *
 * @throws Error with OKX's own words, or that says what was unexpected
 */
export async function fetchOkxInstruments(
  get: RestGet,
  skipped: Skipped = () => undefined,
): Promise<Instrument[]> {
  const answer = await get(PATH);
  const head = envelope.safeParse(answer.body);
  if (!head.success) throw new Error(`${PATH} has an unexpected shape: ${z.prettifyError(head.error)}`);
  const { code, msg, data } = head.data;
  if (code !== OK) throw new Error(`${PATH} answered: ${msg || "no message"} (code ${code})`);
  if (!Array.isArray(data)) throw new Error(`${PATH} has an unexpected shape: data is not a list`);
  const entries = readEntries(PATH, shape, rawEntries(answer, ["data"], data), skipped);
  return entries.flatMap(({ entry, raw }) => (entry.instId === "" ? [] : toInstrument(entry, raw)));
}

function toInstrument(one: z.infer<typeof instrument>, raw: string | null): Instrument {
  const [base, quote] = (one.uly ?? indexOf(one.instId) ?? one.instId).split("-");
  return {
    instrument: one.instId,
    symbol: normalizeSymbol(one.instId),
    index: one.uly,
    base: one.baseCcy ?? base ?? null,
    quote: one.quoteCcy ?? quote ?? null,
    settle: one.settleCcy,
    contractType: one.ctType,
    contractSize: one.ctVal,
    contractMultiplier: one.ctMult,
    priceMultiplier: priceMultiplierOf(base ?? ""),
    tickSize: one.tickSz,
    lotSize: one.lotSz,
    status: one.state ?? "",
    listed: one.listTime,
    delisting: one.expTime,
    raw,
    recordable: one.settleCcy === "USDT" && one.ctType === "linear" && one.state === "live",
  };
}
