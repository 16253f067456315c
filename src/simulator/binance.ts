/** Binance USD-M futures on loopback: generated markets behind the exchange's own routes and rules. */
import { Account, type Made } from "./account/account.ts";
import { BinanceDialect, type SubscriptionSink } from "./binance/dialect.ts";
import { contractInfo, FrameSpeller, type MarkState, wrapperHead } from "./binance/frames.ts";
import { type Instrument, simulatedInstruments } from "./binance/instruments.ts";
import { type Route, routeOf, streamSymbol, topicOf } from "./binance/streams.ts";
import { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { extras } from "./control.ts";
import { Counters, type KindCounts } from "./counters.ts";
import { Faults } from "./faults/faults.ts";
import { Generation } from "./generation.ts";
import { Market } from "./market.ts";
import { Random } from "./random.ts";
import { type ExchangeServer, serveExchange } from "./server.ts";
import {
  ACCOUNT_EVENTS_MAX,
  type SimulatedExchange,
  type SimulationOptions,
  type SimulationStats,
} from "./simulation.ts";
import { Zipf } from "./zipf.ts";

/** Kinds of streams that are generated. Other streams of the exchange are acknowledged and stay silent. */
export const BINANCE_KINDS = ["bookTicker", "aggTrade", "markPrice", "forceOrder"] as const;
/** One of {@link BINANCE_KINDS}. */
export type BinanceKind = (typeof BINANCE_KINDS)[number];

/** Settings of {@link startBinance}; all have defaults. */
export interface BinanceOptions extends SimulationOptions {
  /** USDT perpetuals that trade; three more that discovery must skip are listed besides. */
  readonly instruments?: number;
  /** Perpetuals that are announced and wait for {@link SimulatedBinance.list}: one unless told otherwise. */
  readonly waiting?: number;
  /**
   * Events per second over bookTicker and aggTrade of all instruments, whoever subscribed what; mark
   * prices and liquidations come on top. "max" = as fast as the slowest subscriber takes them.
   */
  readonly rate?: number | "max";
  /** Liquidations per trade; at most one a second and symbol is sent, as on the exchange. */
  readonly liquidationShare?: number;
  readonly streamsPerConnection?: number;
}

/** What a simulated Binance has done. */
export interface BinanceStats extends SimulationStats {
  /** Frames handed to subscribers; a frame with two subscribers counts twice. */
  readonly sent: KindCounts<BinanceKind>;
  /** The same by symbol, where there were any. */
  readonly symbols: Record<string, KindCounts<BinanceKind>>;
  /** Frames of `!contractInfo`. */
  readonly announcements: number;
}

/** A running simulated Binance. */
export interface SimulatedBinance extends SimulatedExchange<BinanceStats> {
  /** All instruments as they are now. */
  readonly instruments: readonly Instrument[];
  /** Lets the next perpetual that waits trade, and announces it. @throws Error when none waits. */
  list(): Instrument;
  /** Settles a contract that trades, for good, and announces it. @throws Error when it does not trade. */
  delist(symbol: string): void;
}

/** One stream: who gets it. */
interface Channel {
  readonly route: Route;
  readonly head: string;
  readonly subscribers: Connection[];
  /** Whether its events are made even if nobody is subscribed: for the account, once somebody was. */
  wanted: boolean;
}

/** One symbol: its market and its streams. */
interface Feed {
  /** Number of the instrument in the list. */
  readonly rank: number;
  readonly instrument: Instrument;
  readonly market: Market;
  readonly speller: FrameSpeller;
  readonly random: Random;
  readonly mark: MarkState;
  readonly book: Channel;
  readonly trade: Channel;
  readonly markSecond: Channel;
  readonly markThreeSeconds: Channel;
  readonly liquidation: Channel;
  readonly slots: Readonly<Record<BinanceKind, number>>;
  matchedMs: number;
  tradedMs: number;
  liquidatedSecond: number;
}

const ANNOUNCEMENTS = "!contractInfo";
const MATCH_LAG_MS = 3;
const TRADE_LAG_MS = 150;
const LIQUIDATION_LAG_MS = 1000;
/** What usually stands at the best price, in quote currency. */
const USUAL_QUOTE_VALUE = 20_000;
const FUNDING_STEP = 0.000002;
const FUNDING_MAX = 0.003;

/** Starts the exchange. Throws (EADDRINUSE) when the port is taken. */
export function startBinance(options: BinanceOptions = {}): SimulatedBinance {
  return new Simulation(options);
}

class Simulation implements SimulatedBinance, SubscriptionSink {
  readonly finished: Promise<void>;
  readonly faults: Faults;
  readonly account: Account | undefined;

  readonly #instruments: Instrument[];
  readonly #server: ExchangeServer;
  readonly #generation: Generation;
  readonly #counters: Counters<BinanceKind>;
  readonly #clock = new Clock();
  readonly #waiting: Feed[];
  readonly #channels = new Map<string, Channel>();
  readonly #allBooks: Channel;
  readonly #allLiquidations: Channel;
  readonly #announced = new Set<Connection>();
  readonly #random: Random;
  /** Apart from `#random`, so that who listens does not change which symbol moves next. */
  readonly #lags: Random;
  readonly #skew: number;
  readonly #liquidationShare: number;
  #feeds: Feed[];
  #zipf: Zipf;
  #announcements = 0;

  constructor({
    seed = 1,
    instruments = 200,
    waiting = 1,
    skew = 0.8,
    liquidationShare = 0.002,
    streamsPerConnection,
    account = false,
    accountEventsMax = ACCOUNT_EVENTS_MAX,
    ...common
  }: BinanceOptions) {
    this.#instruments = simulatedInstruments(instruments + waiting, Date.now()).map((instrument, rank) =>
      rank < instruments || rank >= instruments + waiting
        ? instrument
        : { ...instrument, status: "PENDING_TRADING" },
    );
    const symbols = this.#instruments.map((instrument) => instrument.symbol);
    this.#counters = new Counters(symbols, BINANCE_KINDS);
    this.faults = new Faults(seed);
    this.account = account
      ? new Account({ symbols, kinds: BINANCE_KINDS, eventsMax: accountEventsMax })
      : undefined;
    this.#allBooks = this.#channel("!bookTicker");
    this.#allLiquidations = this.#channel("!forceOrder@arr");
    const feeds = this.#instruments.flatMap((instrument, rank) =>
      instrument.status === "SETTLING" ? [] : [this.#feed(instrument, rank, seed)],
    );
    this.#feeds = feeds.filter(({ instrument }) => instrument.status === "TRADING");
    this.#waiting = feeds.filter(({ instrument }) => instrument.status === "PENDING_TRADING");
    this.#random = new Random(`${seed}/exchange`);
    this.#lags = new Random(`${seed}/lags`);
    this.#skew = skew;
    this.#zipf = new Zipf(this.#feeds.length, skew);
    this.#liquidationShare = liquidationShare;
    const dialect = new BinanceDialect({
      instruments: this.#instruments,
      sink: this,
      stats: () => this.stats(),
      now: () => this.#clock.now(),
      refuses: (connection, stream) => this.faults.refuses(connection, stream),
      ...(streamsPerConnection === undefined ? {} : { streamsPerConnection }),
    });
    this.#server = serveExchange(dialect, common, extras(this.faults, dialect, this.account));
    this.#generation = new Generation(common, {
      connections: this.#server.connections,
      counts: this.#counters.counts,
      clock: this.#clock,
      restless: account,
      events: (count, ms) => this.#events(count, ms),
      second: (wallMs, ms) => this.#markPrices(wallMs, ms),
    });
    const { connections, wire } = this.#server;
    this.faults.attach({
      connections,
      kinds: BINANCE_KINDS,
      clock: this.#clock,
      ...(wire === undefined ? {} : { wire }),
      symbols: () => this.#feeds.map(({ instrument }) => instrument.symbol),
      describe: (slot) => this.#counters.at(slot),
      topic: topicOf,
      flush: (connection) => this.#generation.flushOne(connection),
      listen: (on) => this.#server.listen(on),
      clockStepped: () => this.#forgetTimes(),
      list: () => this.list().symbol,
      delist: (symbol) => this.delist(symbol),
    });
    this.finished = this.#generation.finished;
  }

  get port(): number {
    return this.#server.port;
  }

  get url(): string {
    return this.#server.url;
  }

  get restUrl(): string {
    return this.#server.restUrl;
  }

  get instruments(): readonly Instrument[] {
    return this.#instruments;
  }

  stats(): BinanceStats {
    return {
      sent: this.#counters.totals(),
      ...this.#generation.stats(),
      announcements: this.#announcements,
      ...this.#server.stats(),
      symbols: this.#counters.bySymbol(),
    };
  }

  pause(): Promise<void> {
    return this.#generation.pause();
  }

  resume(): void {
    this.#generation.resume();
  }

  list(): Instrument {
    const feed = this.#waiting.shift();
    if (feed === undefined)
      throw new Error("no perpetual waits to be listed: start with more of them (waiting)");
    this.#trading([...this.#feeds, feed]);
    return this.#change(feed.rank, { status: "TRADING", onboardMs: this.#clock.now() });
  }

  delist(symbol: string): void {
    const feed = this.#feeds.find(({ instrument }) => instrument.symbol === symbol);
    if (feed === undefined) throw new Error(`${symbol} is no contract that trades`);
    this.#trading(this.#feeds.filter((other) => other !== feed));
    this.#change(feed.rank, { status: "SETTLING", deliveryMs: this.#clock.now() });
  }

  async stop(): Promise<void> {
    this.#generation.stop();
    await this.faults.stop();
    await this.#server.stop();
  }

  subscribed(connection: Connection, stream: string): void {
    this.faults.subscribed(connection, stream);
    if (stream === ANNOUNCEMENTS && routeOf(stream) === connection.endpoint.route) {
      this.#announced.add(connection);
      return;
    }
    const channel = this.#channels.get(stream);
    // Binance acknowledges a wrong route or unknown stream like any other, and then says nothing for ever.
    if (channel?.route !== connection.endpoint.route) {
      this.#generation.subscribed(false);
      return;
    }
    channel.subscribers.push(connection);
    channel.wanted = this.account !== undefined;
    this.#generation.subscribed(true);
  }

  unsubscribed(connection: Connection, stream: string): void {
    this.faults.unsubscribed(connection, stream);
    if (stream === ANNOUNCEMENTS && this.#announced.delete(connection)) return;
    const channel = this.#channels.get(stream);
    if (channel?.route !== connection.endpoint.route) {
      this.#generation.unsubscribed(connection, false);
      return;
    }
    channel.subscribers.splice(channel.subscribers.indexOf(connection), 1);
    this.#generation.unsubscribed(connection, true);
  }

  /** The clock was set: times may go back this once. */
  #forgetTimes(): void {
    for (const feed of this.#feeds) {
      feed.matchedMs = 0;
      feed.tradedMs = 0;
      feed.liquidatedSecond = 0;
    }
  }

  /** From now on these have markets that move. */
  #trading(feeds: Feed[]): void {
    this.#feeds = feeds;
    this.#zipf = new Zipf(feeds.length, this.#skew);
  }

  /** An instrument changed: tells those who asked to be told. */
  #change(rank: number, change: Partial<Instrument>): Instrument {
    const before = this.#instruments[rank];
    if (before === undefined) throw new Error(`no instrument has rank ${rank}`);
    const after = { ...before, ...change };
    this.#instruments[rank] = after;
    const payload = contractInfo(after, this.#clock.now());
    const wrapped = `${wrapperHead(ANNOUNCEMENTS)}${payload}}`;
    for (const connection of this.#announced) {
      connection.reply(connection.endpoint.wrapped ? wrapped : payload);
      this.#announcements++;
    }
    return after;
  }

  #events(count: number, ms: number): void {
    for (let i = 0; i < count && this.#feeds.length > 0; i++) {
      const feed = this.#feeds[this.#zipf.pick(this.#random)] as Feed;
      if (feed.market.step()) this.#trade(feed, ms);
      else this.#quote(feed, ms);
    }
  }

  #quote(feed: Feed, ms: number): void {
    const all = this.#allBooks;
    if (!wanted(feed.book) && !wanted(all)) return;
    feed.matchedMs = Math.max(feed.matchedMs, ms - this.#lags.below(MATCH_LAG_MS));
    const slot = feed.slots.bookTicker;
    const payload = feed.speller.bookTicker(feed.market, feed.matchedMs, ms);
    const made = this.account?.frame().add(slot, feed.market.updateId, ms);
    deliver(feed.book, payload, slot, made);
    deliver(all, payload, slot, made);
  }

  #trade(feed: Feed, ms: number): void {
    const liquidated = feed.market.liquidate(this.#liquidationShare);
    if (wanted(feed.trade)) {
      feed.tradedMs = Math.max(feed.tradedMs, ms - this.#lags.below(TRADE_LAG_MS));
      const slot = feed.slots.aggTrade;
      const made = this.account?.frame().add(slot, feed.market.tradeId, ms);
      deliver(feed.trade, feed.speller.aggTrade(feed.market, feed.tradedMs, ms), slot, made);
    }
    const second = Math.floor(ms / 1000);
    if (!liquidated || feed.liquidatedSecond === second) return;
    feed.liquidatedSecond = second;
    if (!wanted(feed.liquidation) && !wanted(this.#allLiquidations)) return;
    const orderedMs = ms - this.#lags.below(LIQUIDATION_LAG_MS);
    const payload = feed.speller.forceOrder(feed.market, orderedMs, ms);
    const made = this.account?.frame().add(feed.slots.forceOrder, orderedMs, ms);
    deliver(feed.liquidation, payload, feed.slots.forceOrder, made);
    deliver(this.#allLiquidations, payload, feed.slots.forceOrder, made);
  }

  #markPrices(wallMs: number, ms: number): void {
    const third = wallMs % 3000 === 0;
    for (const feed of this.#feeds) {
      moveMark(feed);
      const { markSecond, markThreeSeconds } = feed;
      if (!wanted(markSecond) && !(third && wanted(markThreeSeconds))) continue;
      const payload = feed.speller.markPrice(feed.mark, ms);
      const made = this.account?.frame().add(feed.slots.markPrice, ms, ms);
      deliver(markSecond, payload, feed.slots.markPrice, made);
      if (third) deliver(markThreeSeconds, payload, feed.slots.markPrice, made);
    }
  }

  #channel(stream: string): Channel {
    const route = routeOf(stream);
    if (route === undefined) throw new Error(`no route serves the stream ${stream}`);
    const channel: Channel = { route, head: wrapperHead(stream), subscribers: [], wanted: false };
    this.#channels.set(stream, channel);
    return channel;
  }

  #feed(instrument: Instrument, rank: number, seed: string | number): Feed {
    const name = streamSymbol(instrument.symbol);
    const price = instrument.price / 10 ** instrument.priceDecimals;
    const random = new Random(`${seed}/${instrument.symbol}/mark`);
    const slots = Object.fromEntries(
      BINANCE_KINDS.map((kind) => [kind, this.#counters.slot(rank, kind)]),
    ) as Record<BinanceKind, number>;
    return {
      rank,
      instrument,
      random,
      market: new Market({
        price: instrument.price,
        tick: instrument.tick,
        amount: (USUAL_QUOTE_VALUE / price) * 10 ** instrument.amountDecimals,
        random: new Random(`${seed}/${instrument.symbol}`),
      }),
      speller: new FrameSpeller(instrument),
      mark: { mark: price, average: price, index: price, settlement: price, rate: random.unit() * 0.0001 },
      book: this.#channel(`${name}@bookTicker`),
      trade: this.#channel(`${name}@aggTrade`),
      markSecond: this.#channel(`${name}@markPrice@1s`),
      markThreeSeconds: this.#channel(`${name}@markPrice`),
      liquidation: this.#channel(`${name}@forceOrder`),
      slots,
      matchedMs: 0,
      tradedMs: 0,
      liquidatedSecond: 0,
    };
  }
}

/** Whether somebody is to be told. */
function wanted(channel: Channel): boolean {
  return channel.subscribers.length > 0 || channel.wanted;
}

/** One payload to all subscribers of one stream; the wrapped text is joined once. */
function deliver(channel: Channel, payload: string, slot: number, made: Made | undefined): void {
  const { subscribers } = channel;
  if (subscribers.length === 0) return;
  const wrapped = `${channel.head}${payload}}`;
  for (const connection of subscribers)
    connection.queue(connection.endpoint.wrapped ? wrapped : payload, slot, made);
}

/** Mark and index follow the market; the funding rate walks on its own. */
function moveMark({ mark, market, instrument, random }: Feed): void {
  const mid = market.mid / 10 ** instrument.priceDecimals;
  mark.mark = mid * (1 + (random.unit() - 0.5) * 0.0001);
  mark.average += (mark.mark - mark.average) * 0.1;
  mark.index = mid * (1 + (random.unit() - 0.5) * 0.0004);
  mark.settlement = mark.index * (1 + (random.unit() - 0.5) * 0.0002);
  const rate = mark.rate + (random.unit() - 0.5) * FUNDING_STEP;
  mark.rate = Math.max(-FUNDING_MAX, Math.min(FUNDING_MAX, rate));
}
