/** One swap of the simulated OKX: its market, and the channels that carry it. */
import type { Connection } from "../connection.ts";
import { Market } from "../market.ts";
import { Random } from "../random.ts";
import { FrameSpeller, type SlowState } from "./frames.ts";
import type { Instrument } from "./instruments.ts";

/** Channels that are generated, `instruments` aside. Others of the exchange are acknowledged and stay silent. */
export const OKX_KINDS = [
  "bbo-tbt",
  "trades",
  "mark-price",
  "index-tickers",
  "funding-rate",
  "open-interest",
  "liquidation-orders",
] as const;
/** One of {@link OKX_KINDS}. */
export type OkxKind = (typeof OKX_KINDS)[number];

/** One channel: who gets it, where its frames are counted, and with what a subscription begins. */
export interface Channel {
  readonly subscribers: Connection[];
  readonly slot: number;
  /** The frame that a new subscriber gets first, made at `wallMs`; undefined = it has to wait. */
  first(wallMs: number): string | undefined;
}

/** What a feed is made of. */
export interface FeedOptions {
  readonly instrument: Instrument;
  /** Place among all instruments. */
  readonly rank: number;
  readonly seed: string | number;
  /** Where frames of a kind are counted. */
  slot(kind: OkxKind): number;
  /** Whether it trades now. */
  live(): boolean;
}

/** What usually stands at the best price, in quote currency. */
const USUAL_QUOTE_VALUE = 20_000;
const USUAL_INTEREST_VALUE = 5_000_000;
const FUNDING_STEP = 0.000002;
const FUNDING_MAX = 0.00375;

/** See the head of the file. */
export class Feed {
  readonly rank: number;
  readonly instId: string;
  readonly market: Market;
  readonly book: Channel;
  readonly trade: Channel;
  readonly mark: Channel;
  readonly index: Channel;
  readonly funding: Channel;
  readonly interest: Channel;
  /** Its channels by name: `trades:BTC-USDT-SWAP`. */
  readonly channels: ReadonlyMap<string, Channel>;
  readonly liquidationSlot: number;
  /** Second of the last liquidation that was sent. */
  liquidatedSecond = 0;
  readonly #random: Random;
  readonly #speller: FrameSpeller;
  readonly #slow: SlowState;
  #bookMs = 0;
  #tradedMs = 0;

  constructor({ instrument, rank, seed, slot, live }: FeedOptions) {
    const { instId, index, price, tick } = instrument;
    this.rank = rank;
    this.instId = instId;
    this.#random = new Random(`${seed}/${instId}/slow`);
    this.#speller = new FrameSpeller(instrument);
    this.market = new Market({
      price,
      tick,
      amount: contractsFor(instrument, USUAL_QUOTE_VALUE),
      random: new Random(`${seed}/${instId}`),
    });
    this.#slow = {
      mark: price,
      index: price,
      open: price,
      rate: this.#random.unit() * 0.0001,
      settledRate: this.#random.unit() * 0.0001,
      interest: contractsFor(instrument, USUAL_INTEREST_VALUE),
    };
    const channels = new Map<string, Channel>();
    const channel = (kind: OkxKind, of: string, frame?: (ms: number) => string): Channel => {
      const first = (ms: number) => (live() ? frame?.(ms) : undefined);
      const made = { subscribers: [], slot: slot(kind), first };
      channels.set(`${kind}:${of}`, made);
      return made;
    };
    this.book = channel("bbo-tbt", instId, (ms) => this.bookFrame(ms));
    this.trade = channel("trades", instId);
    this.mark = channel("mark-price", instId, (ms) => this.markFrame(ms));
    this.index = channel("index-tickers", index, (ms) => this.indexFrame(ms));
    this.funding = channel("funding-rate", instId, (ms) => this.fundingFrame(ms));
    this.interest = channel("open-interest", instId, (ms) => this.interestFrame(ms));
    this.channels = channels;
    this.liquidationSlot = slot("liquidation-orders");
  }

  /** The best prices; their time never goes back. */
  bookFrame(ms: number): string {
    this.#bookMs = Math.max(this.#bookMs, ms);
    return this.#speller.book(this.market, this.#bookMs);
  }

  /** The last trade; its time never goes back. */
  tradeFrame(ms: number): string {
    this.#tradedMs = Math.max(this.#tradedMs, ms);
    return this.#speller.trade(this.market, this.#tradedMs);
  }

  markFrame(ms: number): string {
    return this.#speller.mark(this.#slow, ms);
  }

  indexFrame(ms: number): string {
    return this.#speller.index(this.#slow, ms);
  }

  fundingFrame(ms: number): string {
    return this.#speller.funding(this.#slow, ms);
  }

  interestFrame(ms: number): string {
    return this.#speller.interest(this.#slow, ms);
  }

  /** The liquidation that was drawn last. */
  liquidationFrame(ms: number): string {
    return this.#speller.liquidation(this.market, ms);
  }

  /** A liquidation of long ago: what a subscription begins with. */
  pastLiquidationFrame(ms: number): string {
    return this.#speller.pastLiquidation(ms);
  }

  /** A second has passed: mark and index follow the market; rate and open interest walk on their own. */
  moveSlowly(): void {
    const random = this.#random;
    const slow = this.#slow;
    const { mid } = this.market;
    slow.mark = Math.max(1, Math.round(mid * (1 + (random.unit() - 0.5) * 0.0001)));
    slow.index = Math.max(1, Math.round(mid * (1 + (random.unit() - 0.5) * 0.0004)));
    const rate = slow.rate + (random.unit() - 0.5) * FUNDING_STEP;
    slow.rate = Math.max(-FUNDING_MAX, Math.min(FUNDING_MAX, rate));
    slow.interest = Math.max(1, Math.round(slow.interest * (1 + (random.unit() - 0.5) * 0.001)));
  }
}

/** One frame to all subscribers of a channel. */
export function deliver(channel: Channel, frame: string, slot: number = channel.slot): void {
  for (const connection of channel.subscribers) connection.queue(frame, slot);
}

/** Contracts worth `value` in quote currency, in amount units. */
function contractsFor(instrument: Instrument, value: number): number {
  const { price, priceDecimals, amountDecimals, contractPower } = instrument;
  const worth = (price / 10 ** priceDecimals) * 10 ** contractPower;
  return Math.max(1, Math.round((value / worth) * 10 ** amountDecimals));
}
