/** Binance USD-M futures on loopback: generated markets behind the exchange's own routes and rules. */
import { BinanceDialect, type SubscriptionSink } from "./binance/dialect.ts";
import { contractInfo, FrameSpeller, type MarkState, wrapperHead } from "./binance/frames.ts";
import { type Instrument, simulatedInstruments } from "./binance/instruments.ts";
import { type Route, routeOf, streamSymbol } from "./binance/streams.ts";
import type { Connection } from "./connection.ts";
import { Counters, type KindCounts } from "./counters.ts";
import { Generation } from "./generation.ts";
import { Market } from "./market.ts";
import { Random } from "./random.ts";
import { type ExchangeServer, serveExchange } from "./server.ts";
import type { SimulatedExchange, SimulationOptions, SimulationStats } from "./simulation.ts";
import { Zipf } from "./zipf.ts";

/** Kinds of streams that are generated. Other streams of the exchange are acknowledged and stay silent. */
export const BINANCE_KINDS = ["bookTicker", "aggTrade", "markPrice", "forceOrder"] as const;
/** One of {@link BINANCE_KINDS}. */
export type BinanceKind = (typeof BINANCE_KINDS)[number];

/** Settings of {@link startBinance}; all have defaults. */
export interface BinanceOptions extends SimulationOptions {
  /** USDT perpetuals that trade; three more that discovery must skip are listed besides. */
  readonly instruments?: number;
  /** Perpetuals that are announced and wait for {@link SimulatedBinance.list}. */
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

  readonly #instruments: Instrument[];
  readonly #server: ExchangeServer;
  readonly #generation: Generation;
  readonly #counters: Counters<BinanceKind>;
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
    waiting = 0,
    skew = 0.8,
    liquidationShare = 0.002,
    streamsPerConnection,
    ...common
  }: BinanceOptions) {
    this.#instruments = simulatedInstruments(instruments + waiting, Date.now()).map((instrument, rank) =>
      rank < instruments || rank >= instruments + waiting
        ? instrument
        : { ...instrument, status: "PENDING_TRADING" },
    );
    this.#counters = new Counters(
      this.#instruments.map((instrument) => instrument.symbol),
      BINANCE_KINDS,
    );
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
    this.#server = serveExchange(
      new BinanceDialect({
        instruments: this.#instruments,
        sink: this,
        stats: () => this.stats(),
        ...(streamsPerConnection === undefined ? {} : { streamsPerConnection }),
      }),
      common,
    );
    this.#generation = new Generation(common, {
      connections: this.#server.connections,
      counts: this.#counters.counts,
      events: (count, wallMs) => this.#events(count, wallMs),
      second: (wallMs) => this.#markPrices(wallMs),
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
    return this.#change(feed.rank, { status: "TRADING", onboardMs: Date.now() });
  }

  delist(symbol: string): void {
    const feed = this.#feeds.find(({ instrument }) => instrument.symbol === symbol);
    if (feed === undefined) throw new Error(`${symbol} is no contract that trades`);
    this.#trading(this.#feeds.filter((other) => other !== feed));
    this.#change(feed.rank, { status: "SETTLING", deliveryMs: Date.now() });
  }

  async stop(): Promise<void> {
    this.#generation.stop();
    await this.#server.stop();
  }

  subscribed(connection: Connection, stream: string): void {
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
    this.#generation.subscribed(true);
  }

  unsubscribed(connection: Connection, stream: string): void {
    if (stream === ANNOUNCEMENTS && this.#announced.delete(connection)) return;
    const channel = this.#channels.get(stream);
    if (channel?.route !== connection.endpoint.route) {
      this.#generation.unsubscribed(connection, false);
      return;
    }
    channel.subscribers.splice(channel.subscribers.indexOf(connection), 1);
    this.#generation.unsubscribed(connection, true);
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
    const payload = contractInfo(after, Date.now());
    const wrapped = `${wrapperHead(ANNOUNCEMENTS)}${payload}}`;
    for (const connection of this.#announced) {
      connection.reply(connection.endpoint.wrapped ? wrapped : payload);
      this.#announcements++;
    }
    return after;
  }

  #events(count: number, wallMs: number): void {
    for (let i = 0; i < count && this.#feeds.length > 0; i++) {
      const feed = this.#feeds[this.#zipf.pick(this.#random)] as Feed;
      if (feed.market.step()) this.#trade(feed, wallMs);
      else this.#quote(feed, wallMs);
    }
  }

  #quote(feed: Feed, wallMs: number): void {
    const everyone = this.#allBooks.subscribers.length;
    if (feed.book.subscribers.length + everyone === 0) return;
    feed.matchedMs = Math.max(feed.matchedMs, wallMs - this.#lags.below(MATCH_LAG_MS));
    const payload = feed.speller.bookTicker(feed.market, feed.matchedMs, wallMs);
    deliver(feed.book, payload, feed.slots.bookTicker);
    if (everyone > 0) deliver(this.#allBooks, payload, feed.slots.bookTicker);
  }

  #trade(feed: Feed, wallMs: number): void {
    const liquidated = feed.market.liquidate(this.#liquidationShare);
    if (feed.trade.subscribers.length > 0) {
      feed.tradedMs = Math.max(feed.tradedMs, wallMs - this.#lags.below(TRADE_LAG_MS));
      deliver(feed.trade, feed.speller.aggTrade(feed.market, feed.tradedMs, wallMs), feed.slots.aggTrade);
    }
    const second = Math.floor(wallMs / 1000);
    if (!liquidated || feed.liquidatedSecond === second) return;
    feed.liquidatedSecond = second;
    const { subscribers } = this.#allLiquidations;
    if (feed.liquidation.subscribers.length + subscribers.length === 0) return;
    const orderedMs = wallMs - this.#lags.below(LIQUIDATION_LAG_MS);
    const payload = feed.speller.forceOrder(feed.market, orderedMs, wallMs);
    deliver(feed.liquidation, payload, feed.slots.forceOrder);
    deliver(this.#allLiquidations, payload, feed.slots.forceOrder);
  }

  #markPrices(wallMs: number): void {
    const third = wallMs % 3000 === 0;
    for (const feed of this.#feeds) {
      moveMark(feed);
      const { markSecond, markThreeSeconds } = feed;
      if (markSecond.subscribers.length === 0 && !(third && markThreeSeconds.subscribers.length > 0))
        continue;
      const payload = feed.speller.markPrice(feed.mark, wallMs);
      deliver(markSecond, payload, feed.slots.markPrice);
      if (third) deliver(markThreeSeconds, payload, feed.slots.markPrice);
    }
  }

  #channel(stream: string): Channel {
    const route = routeOf(stream);
    if (route === undefined) throw new Error(`no route serves the stream ${stream}`);
    const channel: Channel = { route, head: wrapperHead(stream), subscribers: [] };
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

/** One payload to all subscribers of one stream; the wrapped text is joined once. */
function deliver(channel: Channel, payload: string, slot: number): void {
  const { subscribers } = channel;
  if (subscribers.length === 0) return;
  const wrapped = `${channel.head}${payload}}`;
  for (const connection of subscribers)
    connection.queue(connection.endpoint.wrapped ? wrapped : payload, slot);
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
