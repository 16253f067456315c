/** The instruments of the simulated Binance: well-known ones first, then made-up names. */
import { Random } from "../random.ts";

/** A contract with what its market and its entry in exchangeInfo need. */
export interface Instrument {
  readonly symbol: string;
  readonly pair: string;
  readonly base: string;
  readonly quote: string;
  readonly margin: string;
  readonly contractType: "PERPETUAL" | "CURRENT_QUARTER";
  readonly status: "PENDING_TRADING" | "TRADING" | "SETTLING";
  /** Digits after the point of a price. */
  readonly priceDecimals: number;
  /** Tick in units of the last digit: 10 with 2 decimals is 0.10. */
  readonly tick: number;
  /** Digits after the point of an amount; the lot is one unit of the last. */
  readonly amountDecimals: number;
  /** First price in units of the last digit. */
  readonly price: number;
  readonly onboardMs: number;
  readonly deliveryMs: number;
  /** Hours between two fundings; 0 = none, a dated contract. */
  readonly fundingHours: number;
}

/** Binance's delivery date of a perpetual: never. */
export const PERPETUAL_DELIVERY_MS = 4_133_404_800_000;
const FIRST_ONBOARD_MS = Date.UTC(2019, 8, 25, 8);
const DAY_MS = 86_400_000;

/** base, price, price decimals, tick, amount decimals, funding hours */
type Row = readonly [string, number, number, number, number, number];
const KNOWN: readonly Row[] = [
  ["BTC", 83_434.4, 2, 10, 3, 8],
  ["ETH", 3_117.25, 2, 1, 3, 8],
  ["SOL", 141.38, 4, 100, 2, 8],
  ["XRP", 2.2164, 4, 1, 1, 8],
  ["币安人生", 0.1843, 5, 1, 0, 4],
  ["BNB", 902.31, 3, 10, 2, 8],
  ["DOGE", 0.15873, 5, 1, 0, 8],
  ["1000PEPE", 0.0048213, 7, 1, 0, 8],
  ["ADA", 0.4931, 5, 10, 0, 8],
  ["LINK", 13.204, 3, 1, 2, 8],
  ["AVAX", 14.118, 4, 10, 0, 8],
  ["LTC", 94.62, 2, 1, 3, 8],
  ["SUI", 1.6043, 6, 100, 1, 8],
  ["1000SHIB", 0.008713, 6, 1, 0, 8],
  ["TRX", 0.28514, 5, 1, 0, 8],
  ["DOT", 2.745, 3, 1, 1, 8],
  ["BCH", 487.15, 2, 1, 3, 8],
  ["UNI", 7.312, 4, 10, 0, 8],
  ["NEAR", 2.221, 4, 10, 0, 8],
  ["AAVE", 172.55, 3, 10, 1, 8],
  ["HYPE", 37.914, 5, 100, 2, 4],
  ["WLD", 0.6519, 7, 1000, 0, 8],
  ["APT", 2.8877, 5, 10, 1, 8],
  ["ENA", 0.27143, 7, 100, 0, 4],
  ["WIF", 0.3812, 4, 1, 1, 4],
];

/**
 * `count` USDT perpetuals that trade, busiest first, and after them three that discovery must skip: a
 * quarterly, a USDC perpetual and one that settles. The same count gives the same list (the quarterly's
 * date aside, which lies in the future of `nowMs`).
 */
export function simulatedInstruments(count: number, nowMs: number): Instrument[] {
  const list = KNOWN.slice(0, count).map(perpetual);
  const names = new Set(list.map((instrument) => instrument.base));
  for (let index = 0; list.length < count; index++) {
    const base = madeUpName(index);
    if (names.has(base)) continue;
    names.add(base);
    list.push(perpetual(madeUpRow(base), list.length));
  }
  const [bitcoin] = KNOWN;
  if (bitcoin === undefined) return list;
  const delivery = quarterEnd(nowMs);
  const btc = perpetual(bitcoin, 0);
  list.push(
    {
      ...btc,
      symbol: `BTCUSDT_${new Date(delivery).toISOString().slice(2, 10).replaceAll("-", "")}`,
      contractType: "CURRENT_QUARTER",
      tick: 10,
      priceDecimals: 1,
      price: Math.round(btc.price / 10),
      onboardMs: delivery - 180 * DAY_MS,
      deliveryMs: delivery,
      fundingHours: 0,
    },
    { ...btc, symbol: "BTCUSDC", pair: "BTCUSDC", quote: "USDC", margin: "USDC" },
    { ...perpetual(["SETTLED", 0.0431, 5, 1, 0, 8], count), status: "SETTLING" },
  );
  return list;
}

function perpetual(
  [base, price, priceDecimals, tick, amountDecimals, fundingHours]: Row,
  rank: number,
): Instrument {
  const symbol = `${base}USDT`;
  return {
    symbol,
    pair: symbol,
    base,
    quote: "USDT",
    margin: "USDT",
    contractType: "PERPETUAL",
    status: "TRADING",
    priceDecimals,
    tick,
    amountDecimals,
    price: Math.round((price * 10 ** priceDecimals) / tick) * tick,
    onboardMs: FIRST_ONBOARD_MS + rank * 3 * DAY_MS,
    deliveryMs: PERPETUAL_DELIVERY_MS,
    fundingHours,
  };
}

const CONSONANTS = "BDFGKLMNPRSTVZ";
const VOWELS = "AEIOU";

/** Two syllables, from the third round on three: BABA, BABE, … */
function madeUpName(index: number): string {
  const syllables = CONSONANTS.length * VOWELS.length;
  let name = "";
  for (let rest = index, digit = 0; digit < 2 || rest > 0; digit++, rest = Math.floor(rest / syllables)) {
    const syllable = (rest + digit * 17) % syllables;
    name =
      (CONSONANTS[Math.floor(syllable / VOWELS.length)] ?? "") +
      (VOWELS[syllable % VOWELS.length] ?? "") +
      name;
  }
  return name;
}

/** A price from 0.0005 to 500 with four to five significant digits, as real listings have. */
function madeUpRow(base: string): Row {
  const random = new Random(`instrument/${base}`);
  const exponent = random.unit() * 6 - 3.3;
  const price = 10 ** exponent;
  const priceDecimals = Math.max(2, Math.min(8, 4 - Math.floor(exponent)));
  const amountDecimals = price > 50 ? 2 : price > 5 ? 1 : 0;
  return [base, price, priceDecimals, 1, amountDecimals, [8, 4, 4, 1][random.below(4)] ?? 8];
}

/** The next last Friday of March, June, September or December, 08:00 UTC, at least a week ahead. */
function quarterEnd(nowMs: number): number {
  const now = new Date(nowMs);
  for (let quarter = Math.floor(now.getUTCMonth() / 3); ; quarter++) {
    const last = new Date(Date.UTC(now.getUTCFullYear(), quarter * 3 + 3, 0, 8));
    const friday = last.getTime() - ((last.getUTCDay() + 2) % 7) * DAY_MS;
    if (friday > nowMs + 7 * DAY_MS) return friday;
  }
}
