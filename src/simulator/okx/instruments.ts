/** The swaps of the simulated OKX: well-known ones first, then made-up names, then what discovery must skip. */
import { Random } from "../random.ts";

/** OKX's words for the state of an instrument. */
export type State = "live" | "suspend" | "preopen";

/** A swap with what its market and its entry in the list of instruments need. */
export interface Instrument {
  readonly instId: string;
  /** Id of the index, which is also `uly` and `instFamily`: BTC-USDT. */
  readonly index: string;
  readonly settle: string;
  readonly contractType: "linear" | "inverse";
  /** A contract is worth 10^this of {@link contractCoin}. */
  readonly contractPower: number;
  readonly contractCoin: string;
  readonly state: State;
  /** Digits after the point of a price. */
  readonly priceDecimals: number;
  /** Tick in units of the last digit. */
  readonly tick: number;
  /** Digits after the point of an amount of contracts; the lot is one unit of the last. */
  readonly amountDecimals: number;
  /** First price in units of the last digit. */
  readonly price: number;
  readonly listMs: number;
  /** When it ends; 0 = never. */
  readonly expMs: number;
  /** Hours between two fundings. */
  readonly fundingHours: number;
}

const FIRST_LISTING_MS = Date.UTC(2019, 10, 12, 15);
const DAY_MS = 86_400_000;

/** base, price, price decimals, tick, power of ten of a contract, amount decimals, funding hours */
type Row = readonly [string, number, number, number, number, number, number];
const KNOWN: readonly Row[] = [
  ["BTC", 83_434.4, 1, 1, -2, 2, 8],
  ["ETH", 3_117.25, 2, 1, -1, 2, 8],
  ["SOL", 141.38, 2, 1, 0, 2, 8],
  ["XRP", 2.2164, 4, 1, 2, 2, 8],
  ["币安人生", 0.1843, 5, 1, 1, 0, 4],
  ["DOGE", 0.15873, 5, 1, 3, 2, 8],
  ["PEPE", 0.0000048213, 10, 10, 7, 1, 8],
  ["ADA", 0.4931, 4, 1, 2, 1, 8],
  ["LINK", 13.204, 3, 1, 0, 1, 8],
  ["AVAX", 14.118, 3, 1, 0, 1, 8],
  ["LTC", 94.62, 2, 1, 0, 1, 8],
  ["SUI", 1.6043, 4, 1, 0, 0, 8],
  ["TRX", 0.28514, 5, 1, 3, 2, 8],
  ["BCH", 487.1, 1, 1, -1, 1, 8],
  ["AAVE", 172.55, 2, 1, -1, 1, 8],
  ["HYPE", 37.914, 3, 1, -1, 0, 4],
];

/**
 * `count` linear USDT swaps that are live, busiest first; `waiting` more that are announced and not yet
 * live, whose other fields are still empty; and three that discovery must skip: an inverse swap, one
 * settled in USDC and one that is suspended. The same counts give the same list.
 */
export function simulatedInstruments(count: number, waiting: number): Instrument[] {
  const rows = KNOWN.slice(0, count);
  const names = new Set(rows.map(([base]) => base));
  for (let index = 0; rows.length < count + waiting; index++) {
    const base = madeUpName(index);
    if (names.has(base)) continue;
    names.add(base);
    rows.push(madeUpRow(base));
  }
  const list = rows.map((row, rank) => swap(row, rank, rank < count ? "live" : "preopen"));
  const [bitcoin] = KNOWN;
  if (bitcoin === undefined) return list;
  const btc = swap(bitcoin, 0, "live");
  list.push(
    {
      ...btc,
      instId: "BTC-USD-SWAP",
      index: "BTC-USD",
      settle: "BTC",
      contractType: "inverse",
      contractPower: 2,
      contractCoin: "USD",
    },
    { ...btc, instId: "BTC-USDC-SWAP", index: "BTC-USDC", settle: "USDC", contractPower: -4 },
    swap(["HALTED", 0.0431, 5, 1, 2, 0, 8], count, "suspend"),
  );
  return list;
}

function swap(
  [base, price, priceDecimals, tick, contractPower, amountDecimals, fundingHours]: Row,
  rank: number,
  state: State,
): Instrument {
  return {
    instId: `${base}-USDT-SWAP`,
    index: `${base}-USDT`,
    settle: "USDT",
    contractType: "linear",
    contractPower,
    contractCoin: base,
    state,
    priceDecimals,
    tick,
    amountDecimals,
    price: Math.round((price * 10 ** priceDecimals) / tick) * tick,
    listMs: FIRST_LISTING_MS + rank * 3 * DAY_MS,
    expMs: 0,
    fundingHours,
  };
}

const CONSONANTS = "BDFGKLMNPRSTVZ";
const VOWELS = "AEIOU";

/** Three syllables: BABABA, DABABA, …; 343,000 of them. */
function madeUpName(index: number): string {
  const syllables = CONSONANTS.length * VOWELS.length;
  let name = "";
  for (let rest = index, syllable = 0; syllable < 3; syllable++, rest = Math.floor(rest / syllables)) {
    const one = rest % syllables;
    name += (CONSONANTS[one % CONSONANTS.length] ?? "") + (VOWELS[Math.floor(one / CONSONANTS.length)] ?? "");
  }
  return name;
}

/** A price from 0.0005 to 500 with four to five significant digits; a contract is worth 3 to 30 USDT. */
function madeUpRow(base: string): Row {
  const random = new Random(`okx/instrument/${base}`);
  const exponent = random.unit() * 6 - 3.3;
  const priceDecimals = Math.max(1, Math.min(8, 4 - Math.floor(exponent)));
  const contractPower = Math.round(1 - exponent);
  return [
    base,
    10 ** exponent,
    priceDecimals,
    1,
    contractPower,
    random.below(3),
    [8, 4, 4, 2, 1][random.below(5)] ?? 8,
  ];
}
