/** The instruments of the simulated Bybit. */
import { type Instrument as Contract, simulatedInstruments } from "../binance/instruments.ts";

/** States of an instrument, in Bybit's words. */
export type Status = "PreLaunch" | "Trading" | "Closed";

/** A contract with what its market and its entry in instruments-info need. */
export interface Instrument {
  readonly symbol: string;
  /** The exchange's own number of it, from 1: the same for as long as it lives, whatever else is listed. */
  readonly symbolId: number;
  readonly base: string;
  readonly quote: string;
  readonly settle: string;
  readonly contractType: "LinearPerpetual" | "LinearFutures";
  readonly status: Status;
  /** Digits after the point of a price. */
  readonly priceDecimals: number;
  /** Tick in units of the last digit. */
  readonly tick: number;
  /** Digits after the point of an amount; the lot is one unit of the last. */
  readonly amountDecimals: number;
  /** First price in units of the last digit. */
  readonly price: number;
  readonly launchMs: number;
  /** 0 = a perpetual. */
  readonly deliveryMs: number;
  /** Hours between two fundings; 0 = none, a dated contract. */
  readonly fundingHours: number;
}

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/**
 * `count` USDT perpetuals that trade, busiest first; after them a dated contract and a USDC perpetual,
 * which discovery must skip, a closed contract, and `preLaunch` perpetuals whose trading has not begun.
 * The same counts give the same list (the dated contract's day aside).
 */
export function bybitInstruments(count: number, preLaunch: number, nowMs: number): Instrument[] {
  const contracts = simulatedInstruments(count + preLaunch, nowMs);
  const perpetuals = contracts.slice(0, count + preLaunch).map(bybitInstrument);
  const all = [
    ...perpetuals.slice(0, count),
    ...contracts.slice(count + preLaunch).map(bybitInstrument),
    ...perpetuals.slice(count).map((instrument) => ({ ...instrument, status: "PreLaunch" as const })),
  ];
  return all.map((instrument, index) => ({ ...instrument, symbolId: index + 1 }));
}

function bybitInstrument(contract: Contract): Omit<Instrument, "symbolId"> {
  const { base, quote, priceDecimals, tick, amountDecimals, price } = contract;
  const dated = contract.contractType !== "PERPETUAL";
  // The exchange's own spelling: one multiplier stands behind the coin, all others before it.
  const coin = base === "1000SHIB" ? "SHIB1000" : base;
  const pair = quote === "USDC" ? `${coin}PERP` : coin + quote;
  return {
    symbol: dated ? `${pair}-${dayOf(contract.deliveryMs)}` : pair,
    base: coin,
    quote,
    settle: quote,
    contractType: dated ? "LinearFutures" : "LinearPerpetual",
    status: contract.status === "TRADING" ? "Trading" : "Closed",
    priceDecimals,
    tick,
    amountDecimals,
    price,
    launchMs: contract.onboardMs,
    deliveryMs: dated ? contract.deliveryMs : 0,
    fundingHours: contract.fundingHours,
  };
}

/** 27DEC24, without a leading zero. */
function dayOf(ms: number): string {
  const day = new Date(ms);
  return `${day.getUTCDate()}${MONTHS[day.getUTCMonth()] ?? ""}${String(day.getUTCFullYear()).slice(2)}`;
}
