/** One swap of the simulated OKX: its market, and the channels that carry it. */
import type { Account, Made } from "../account/account.ts";
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

/** A frame of one event, and its entry in the account where one is kept. */
export interface Event {
  readonly text: string;
  readonly made: Made | undefined;
}

/** One channel: who gets it, where its frames are counted, and with what a subscription begins. */
export interface Channel {
  readonly subscribers: Connection[];
  readonly slot: number;
  /** Whether its events are made even if nobody is subscribed: for the account, once somebody was. */
  wanted: boolean;
  /** The frame that a new subscriber gets first, made at `ms`; undefined = it has to wait. */
  first(ms: number): Event | undefined;
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
  readonly account: Account | undefined;
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
  readonly #account: Account | undefined;
  #bookMs = 0;
  #tradedMs = 0;

  constructor({ instrument, rank, seed, slot, live, account }: FeedOptions) {
    const { instId, index, price, tick } = instrument;
    this.rank = rank;
    this.#account = account;
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
    const channel = (kind: OkxKind, of: string, frame?: (ms: number, first: boolean) => Event): Channel => {
      const first = (ms: number) => (live() ? frame?.(ms, true) : undefined);
      const made = { subscribers: [], slot: slot(kind), first, wanted: false };
      channels.set(`${kind}:${of}`, made);
      return made;
    };
    this.book = channel("bbo-tbt", instId, (ms, first) => this.bookFrame(ms, first));
    this.trade = channel("trades", instId);
    this.mark = channel("mark-price", instId, (ms, first) => this.markFrame(ms, first));
    this.index = channel("index-tickers", index, (ms, first) => this.indexFrame(ms, first));
    this.funding = channel("funding-rate", instId, (ms, first) => this.fundingFrame(ms, first));
    this.interest = channel("open-interest", instId, (ms, first) => this.interestFrame(ms, first));
    this.channels = channels;
    this.liquidationSlot = slot("liquidation-orders");
  }

  /** The best prices; their time never goes back. `first` = for one new subscriber. */
  bookFrame(ms: number, first = false): Event {
    this.#bookMs = Math.max(this.#bookMs, ms);
    const text = this.#speller.book(this.market, this.#bookMs);
    return { text, made: this.#made(this.book.slot, this.market.updateId, this.#bookMs, first) };
  }

  /** The last trade; its time never goes back. */
  tradeFrame(ms: number): Event {
    this.#tradedMs = Math.max(this.#tradedMs, ms);
    const { lastFill, firstFill } = this.market;
    const made = this.#account
      ?.frame()
      .add(this.trade.slot, lastFill, this.#tradedMs, lastFill - firstFill + 1);
    return { text: this.#speller.trade(this.market, this.#tradedMs), made };
  }

  markFrame(ms: number, first = false): Event {
    return { text: this.#speller.mark(this.#slow, ms), made: this.#made(this.mark.slot, ms, ms, first) };
  }

  indexFrame(ms: number, first = false): Event {
    return { text: this.#speller.index(this.#slow, ms), made: this.#made(this.index.slot, ms, ms, first) };
  }

  fundingFrame(ms: number, first = false): Event {
    return {
      text: this.#speller.funding(this.#slow, ms),
      made: this.#made(this.funding.slot, ms, ms, first),
    };
  }

  interestFrame(ms: number, first = false): Event {
    return {
      text: this.#speller.interest(this.#slow, ms),
      made: this.#made(this.interest.slot, ms, ms, first),
    };
  }

  /** The liquidation that was drawn last. */
  liquidationFrame(ms: number): Event {
    return {
      text: this.#speller.liquidation(this.market, ms),
      made: this.#made(this.liquidationSlot, ms, ms, false),
    };
  }

  /** A liquidation of long ago: what a subscription begins with. */
  pastLiquidationFrame(ms: number): Event {
    return { text: this.#speller.pastLiquidation(ms), made: this.#made(this.liquidationSlot, ms, ms, true) };
  }

  /** The clock was set: times may go back this once. */
  forgetTimes(): void {
    this.#bookMs = 0;
    this.#tradedMs = 0;
    this.liquidatedSecond = 0;
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

  #made(slot: number, id: number, ms: number, first: boolean): Made | undefined {
    return this.#account?.frame(first).add(slot, id, ms);
  }
}

/** Whether somebody is to be told. */
export function wanted(channel: Channel): boolean {
  return channel.subscribers.length > 0 || channel.wanted;
}

/** One frame to all subscribers of a channel. */
export function deliver(channel: Channel, { text, made }: Event, slot: number = channel.slot): void {
  for (const connection of channel.subscribers) connection.queue(text, slot, made);
}

/** Contracts worth `value` in quote currency, in amount units. */
function contractsFor(instrument: Instrument, value: number): number {
  const { price, priceDecimals, amountDecimals, contractPower } = instrument;
  const worth = (price / 10 ** priceDecimals) * 10 ** contractPower;
  return Math.max(1, Math.round((value / worth) * 10 ** amountDecimals));
}
