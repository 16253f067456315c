/** Binance USD-M futures on loopback: generated markets behind the exchange's own routes and rules. */
import { BinanceDialect, type SubscriptionSink } from "./binance/dialect.ts";
import { FrameSpeller, type MarkState, wrapperHead } from "./binance/frames.ts";
import { type Instrument, simulatedInstruments } from "./binance/instruments.ts";
import { type Route, routeOf, streamSymbol } from "./binance/streams.ts";
import type { Connection } from "./connection.ts";
import { Counters, type KindCounts } from "./counters.ts";
import { Market } from "./market.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { type ExchangeServer, type ServerOptions, type ServerStats, serveExchange } from "./server.ts";
import { Zipf } from "./zipf.ts";

/** Kinds of streams that are generated. Other streams of the exchange are acknowledged and stay silent. */
export const BINANCE_KINDS = ["bookTicker", "aggTrade", "markPrice", "forceOrder"] as const;
/** One of {@link BINANCE_KINDS}. */
export type BinanceKind = (typeof BINANCE_KINDS)[number];

/** Settings of {@link startBinance}; all have defaults. */
export interface BinanceOptions extends ServerOptions {
  /** The same seed gives each symbol the same prices, amounts and ids, event by event. */
  readonly seed?: string | number;
  /** USDT perpetuals that trade; three more that discovery must skip are listed besides. */
  readonly instruments?: number;
  /**
   * Events per second over bookTicker and aggTrade of all instruments, whoever subscribed what; mark
   * prices and liquidations come on top. "max" = as fast as the slowest subscriber takes them.
   */
  readonly rate?: number | "max";
  /** During a burst the rate is multiplied by this. */
  readonly burstFactor?: number;
  /** Time from one burst to the next. */
  readonly burstEveryMs?: number;
  /** Length of a burst. */
  readonly burstLengthMs?: number;
  /** How unevenly activity is spread: 0 = all alike, 1 = Zipf. */
  readonly skew?: number;
  /** Liquidations per trade; at most one a second and symbol is sent, as on the exchange. */
  readonly liquidationShare?: number;
  /** Stop after so many events of bookTicker and aggTrade, subscribed or not. */
  readonly events?: number;
  /** Time between two ticks of the generator. */
  readonly tickMs?: number;
  /** After a longer stall only this much is caught up. */
  readonly maxCatchUpMs?: number;
  /** At a set rate a connection with more unsent bytes is cut, as a slow consumer is. */
  readonly slowConsumerBytes?: number;
  /** At rate "max" nothing is generated while a connection has more unsent bytes than this. */
  readonly backPressureBytes?: number;
  /** At rate "max" a connection that blocks all others for this long is cut. */
  readonly stallTimeoutMs?: number;
  readonly streamsPerConnection?: number;
}

/** What a simulated Binance has done. */
export interface BinanceStats extends ServerStats {
  /** Frames handed to subscribers; a frame with two subscribers counts twice. */
  readonly sent: KindCounts<BinanceKind>;
  /** The same by symbol, where there were any. */
  readonly symbols: Record<string, KindCounts<BinanceKind>>;
  /** Moves of the markets so far, subscribed or not. */
  readonly events: number;
  /** Subscriptions that deliver, and those acknowledged that never will (wrong route, unknown stream). */
  readonly subscriptions: number;
  readonly silentSubscriptions: number;
  /** Connections cut because they did not read. */
  readonly slowConsumersTotal: number;
  /** Time in ms for which the set rate was not kept because the process was stalled. */
  readonly skippedMs: number;
}

/** A running simulated exchange. */
export interface SimulatedBinance {
  /** Base for `exchanges.binance.ws_url`. */
  readonly url: string;
  /** Base for `exchanges.binance.rest_url`. */
  readonly restUrl: string;
  readonly port: number;
  readonly instruments: readonly Instrument[];
  /** Resolves when `events` were made and every socket has taken its share; never without a limit. */
  readonly finished: Promise<void>;
  stats(): BinanceStats;
  /** Stops the markets and resolves when every socket has taken what it was sent. */
  pause(): Promise<void>;
  /** Lets the markets go on after `pause`. */
  resume(): void;
  stop(): Promise<void>;
}

/** One stream: who gets it. */
interface Channel {
  readonly route: Route;
  readonly head: string;
  readonly subscribers: Connection[];
}

/** One symbol: its market and its streams. */
interface Feed {
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

const EVENTS_PER_BATCH = 1000;
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
  readonly instruments: readonly Instrument[];
  readonly finished: Promise<void>;

  readonly #server: ExchangeServer;
  readonly #scheduler: Scheduler;
  readonly #counters: Counters<BinanceKind>;
  readonly #feeds: Feed[];
  readonly #channels = new Map<string, Channel>();
  readonly #allBooks: Channel;
  readonly #allLiquidations: Channel;
  readonly #random: Random;
  /** Apart from `#random`, so that who listens does not change which symbol moves next. */
  readonly #lags: Random;
  readonly #zipf: Zipf;
  readonly #liquidationShare: number;
  readonly #maxRate: boolean;
  readonly #slowConsumerBytes: number;
  readonly #backPressureBytes: number;
  readonly #stallTimeoutMs: number;
  readonly #blockedSince = new Map<Connection, number>();
  readonly #finish: () => void;
  #paused = false;
  #subscriptions = 0;
  #silent = 0;
  #slowConsumers = 0;

  constructor({
    seed = 1,
    instruments = 200,
    rate = 10_000,
    burstFactor = 1,
    burstEveryMs = 60_000,
    burstLengthMs = 1000,
    skew = 0.8,
    liquidationShare = 0.002,
    events = Number.POSITIVE_INFINITY,
    tickMs = 5,
    maxCatchUpMs = 250,
    slowConsumerBytes = 64 << 20,
    backPressureBytes = 1 << 20,
    stallTimeoutMs = 10_000,
    streamsPerConnection,
    ...server
  }: BinanceOptions) {
    this.instruments = simulatedInstruments(instruments, Date.now());
    this.#counters = new Counters(
      this.instruments.map((instrument) => instrument.symbol),
      BINANCE_KINDS,
    );
    this.#allBooks = this.#channel("!bookTicker");
    this.#allLiquidations = this.#channel("!forceOrder@arr");
    this.#feeds = this.instruments.flatMap((instrument, index) =>
      instrument.status === "TRADING" ? [this.#feed(instrument, index, seed)] : [],
    );
    this.#random = new Random(`${seed}/exchange`);
    this.#lags = new Random(`${seed}/lags`);
    this.#zipf = new Zipf(this.#feeds.length, skew);
    this.#liquidationShare = liquidationShare;
    this.#maxRate = rate === "max";
    this.#slowConsumerBytes = slowConsumerBytes;
    this.#backPressureBytes = backPressureBytes;
    this.#stallTimeoutMs = stallTimeoutMs;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
    this.#scheduler = new Scheduler(
      {
        rate,
        burstFactor,
        burstEveryMs,
        burstLengthMs,
        maxCatchUpMs,
        tickMs,
        batch: EVENTS_PER_BATCH,
        events,
      },
      {
        events: (count, wallMs) => this.#events(count, wallMs),
        second: (wallMs) => this.#markPrices(wallMs),
        blocked: () => this.#blocked(),
      },
    );
    this.#server = serveExchange(
      new BinanceDialect({
        instruments: this.instruments,
        sink: this,
        stats: () => this.stats(),
        ...(streamsPerConnection === undefined ? {} : { streamsPerConnection }),
      }),
      server,
    );
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

  stats(): BinanceStats {
    return {
      sent: this.#counters.totals(),
      events: this.#scheduler.made,
      subscriptions: this.#subscriptions,
      silentSubscriptions: this.#silent,
      slowConsumersTotal: this.#slowConsumers,
      skippedMs: Math.round(this.#scheduler.skippedMs),
      ...this.#server.stats(),
      symbols: this.#counters.bySymbol(),
    };
  }

  async pause(): Promise<void> {
    this.#paused = true;
    this.#scheduler.stop();
    await this.#drained();
  }

  resume(): void {
    this.#paused = false;
    if (this.#subscriptions > 0) this.#scheduler.start();
  }

  async stop(): Promise<void> {
    this.#paused = true;
    this.#scheduler.stop();
    await this.#server.stop();
  }

  subscribed(connection: Connection, stream: string): void {
    const channel = this.#channels.get(stream);
    // Binance acknowledges a wrong route or unknown stream like any other, and then says nothing for ever.
    if (channel?.route !== connection.endpoint.route) {
      this.#silent++;
      return;
    }
    channel.subscribers.push(connection);
    this.#subscriptions++;
    if (!this.#paused) this.#scheduler.start();
  }

  unsubscribed(connection: Connection, stream: string): void {
    const channel = this.#channels.get(stream);
    if (channel?.route !== connection.endpoint.route) {
      this.#silent--;
      return;
    }
    channel.subscribers.splice(channel.subscribers.indexOf(connection), 1);
    this.#subscriptions--;
    if (this.#subscriptions === 0) this.#scheduler.stop();
    this.#blockedSince.delete(connection);
  }

  #events(count: number, wallMs: number): void {
    for (let i = 0; i < count; i++) {
      const feed = this.#feeds[this.#zipf.pick(this.#random)] as Feed;
      if (feed.market.step()) this.#trade(feed, wallMs);
      else this.#quote(feed, wallMs);
    }
    this.#flush();
    if (this.#scheduler.finished) void this.#drained().then(this.#finish);
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
    this.#flush();
  }

  #flush(): void {
    for (const connection of this.#server.connections) {
      if (connection.queued === 0) continue;
      connection.flush(this.#counters.counts);
      if (!this.#maxRate && connection.bufferedBytes > this.#slowConsumerBytes) this.#cut(connection);
    }
  }

  /** The slowest subscriber sets the pace, and one that takes nothing for long is cut. */
  #blocked(): boolean {
    const now = performance.now();
    let blocked = false;
    for (const connection of this.#server.connections) {
      if (connection.bufferedBytes <= this.#backPressureBytes) {
        this.#blockedSince.delete(connection);
        continue;
      }
      blocked = true;
      const since = this.#blockedSince.get(connection) ?? now;
      this.#blockedSince.set(connection, since);
      if (now - since > this.#stallTimeoutMs) this.#cut(connection);
    }
    return blocked;
  }

  #cut(connection: Connection): void {
    this.#slowConsumers++;
    this.#blockedSince.delete(connection);
    connection.terminate();
  }

  async #drained(): Promise<void> {
    await Promise.all([...this.#server.connections].map((connection) => connection.drainedTo(0)));
  }

  #channel(stream: string): Channel {
    const route = routeOf(stream);
    if (route === undefined) throw new Error(`no route serves the stream ${stream}`);
    const channel: Channel = { route, head: wrapperHead(stream), subscribers: [] };
    this.#channels.set(stream, channel);
    return channel;
  }

  #feed(instrument: Instrument, index: number, seed: string | number): Feed {
    const name = streamSymbol(instrument.symbol);
    const price = instrument.price / 10 ** instrument.priceDecimals;
    const random = new Random(`${seed}/${instrument.symbol}/mark`);
    const slots = Object.fromEntries(
      BINANCE_KINDS.map((kind) => [kind, this.#counters.slot(index, kind)]),
    ) as Record<BinanceKind, number>;
    return {
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
