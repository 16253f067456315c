/** Bybit v5 linear on loopback: generated markets behind the exchange's own route, acks and rules. */
import { BybitDialect, type SubscriptionSink } from "./bybit/dialect.ts";
import { Feed, GENERATED, type Generated } from "./bybit/feed.ts";
import { bybitInstruments, type Instrument, type Status } from "./bybit/instruments.ts";
import { type EventKind, type FrameKind, FrameTally, type Tally } from "./bybit/tally.ts";
import { topicOf } from "./bybit/topics.ts";
import type { Connection } from "./connection.ts";
import { Generation } from "./generation.ts";
import { Random } from "./random.ts";
import { type ExchangeServer, serveExchange } from "./server.ts";
import type { SimulatedExchange, SimulationOptions, SimulationStats } from "./simulation.ts";
import { Zipf } from "./zipf.ts";

/** Settings of {@link startBybit}; all have defaults. */
export interface BybitOptions extends SimulationOptions {
  /** USDT perpetuals that trade; a dated contract and a USDC perpetual are listed besides. */
  readonly instruments?: number;
  /** Perpetuals that are not listed before {@link SimulatedBybit.setStatus} lets them trade. */
  readonly preLaunch?: number;
  /**
   * Moves of the markets per second over all instruments, whoever subscribed what: a quote is a frame of
   * orderbook.1, an order one of publicTrade with one trade or a few. Tickers, liquidations and books
   * pushed again come on top. "max" = as fast as the slowest subscriber takes them.
   */
  readonly rate?: number | "max";
  /** Liquidations per order that trades. */
  readonly liquidationShare?: number;
  /** A book that has not changed for this long is pushed again; looked at once a second. */
  readonly bookResendMs?: number;
  /** A connection from which nothing came for this long is cut. */
  readonly idleTimeoutMs?: number;
  /** Most characters of all args of a connection. */
  readonly argsCharsMax?: number;
  /** Most instruments on a page of instruments-info, whatever the client asks for. */
  readonly pageSize?: number;
  /** Symbols for which allLiquidation has no handler, so that asking for it fails a request. */
  readonly withoutLiquidations?: readonly string[];
}

/** What a simulated Bybit has done. */
export interface BybitStats extends SimulationStats {
  /** Events handed to subscribers: each trade and each liquidation of a frame, each stream of a ticker. */
  readonly sent: Tally<EventKind>;
  /** Frames handed to subscribers; a frame with two subscribers counts twice. */
  readonly frames: Tally<FrameKind>;
  /** `sent` by symbol, where there was anything. */
  readonly symbols: Record<string, Tally<EventKind>>;
  /** Pings answered. */
  readonly pingsTotal: number;
  /** Subscribe requests refused as a whole. */
  readonly refusedRequestsTotal: number;
  /** Connections cut because they said nothing for too long. */
  readonly idleTotal: number;
}

/** A running simulated Bybit. */
export interface SimulatedBybit extends SimulatedExchange<BybitStats> {
  /** As they are now. */
  readonly instruments: readonly Instrument[];
  /**
   * Lists an instrument ("Trading"), or takes it off the list: "Closed" ends its events and its topics,
   * which stay subscribed and silent. Throws for a symbol that does not exist.
   */
  setStatus(symbol: string, status: Status): void;
}

const MATCH_LAG_MS = 3;
const TRADE_LAG_MS = 20;
const LIQUIDATION_EVERY_MS = 500;
const MESSAGES_PER_SECOND = 100;
const IDLE_CHECK_MS_MAX = 1000;

/** Starts the exchange. Throws (EADDRINUSE) when the port is taken. */
export function startBybit(options: BybitOptions = {}): SimulatedBybit {
  return new Simulation(options);
}

class Simulation implements SimulatedBybit, SubscriptionSink {
  readonly finished: Promise<void>;

  readonly #server: ExchangeServer;
  readonly #dialect: BybitDialect;
  readonly #generation: Generation;
  readonly #tally: FrameTally;
  readonly #instruments: Map<string, Instrument>;
  readonly #feeds: readonly Feed[];
  readonly #feedBySymbol: ReadonlyMap<string, Feed>;
  /** Feeds whose liquidations wait for their frame. */
  readonly #liquidated = new Set<Feed>();
  readonly #random: Random;
  /** Apart from `#random`, so that who listens does not change which symbol moves next. */
  readonly #lags: Random;
  readonly #zipf: Zipf;
  readonly #liquidationShare: number;
  readonly #bookResendMs: number;
  readonly #idleCheck: ReturnType<typeof setInterval>;
  #idle = 0;

  constructor({
    seed = 1,
    instruments = 200,
    preLaunch = 1,
    skew = 0.8,
    liquidationShare = 0.002,
    bookResendMs = 3000,
    idleTimeoutMs = 600_000,
    argsCharsMax,
    pageSize,
    withoutLiquidations = [],
    ...common
  }: BybitOptions) {
    const list = bybitInstruments(instruments, preLaunch, Date.now());
    this.#instruments = new Map(list.map((instrument) => [instrument.symbol, instrument]));
    this.#tally = new FrameTally(list.map(({ symbol }) => symbol));
    this.#feeds = list.map((instrument, index) => new Feed(instrument, index, seed));
    this.#feedBySymbol = new Map(this.#feeds.map((feed) => [feed.instrument.symbol, feed]));
    this.#random = new Random(`${seed}/exchange`);
    this.#lags = new Random(`${seed}/lags`);
    this.#zipf = new Zipf(this.#feeds.length, skew);
    this.#liquidationShare = liquidationShare;
    this.#bookResendMs = bookResendMs;
    this.#dialect = new BybitDialect({
      instruments: this.#instruments,
      sink: this,
      stats: () => this.stats(),
      withoutLiquidations,
      ...(argsCharsMax === undefined ? {} : { argsCharsMax }),
      ...(pageSize === undefined ? {} : { pageSize }),
    });
    this.#server = serveExchange(this.#dialect, {
      messagesPerSecond: MESSAGES_PER_SECOND,
      // Bybit neither pings nor documents a lifetime.
      pingIntervalMs: Number.POSITIVE_INFINITY,
      lifetimeMs: Number.POSITIVE_INFINITY,
      ...common,
    });
    this.#generation = new Generation(common, {
      connections: this.#server.connections,
      counts: this.#tally.counts,
      events: (count, wallMs) => this.#events(count, wallMs),
      second: (wallMs) => this.#second(wallMs),
    });
    this.finished = this.#generation.finished;
    this.#idleCheck = setInterval(
      () => this.#cutIdle(idleTimeoutMs),
      Math.min(IDLE_CHECK_MS_MAX, idleTimeoutMs),
    );
  }

  get instruments(): readonly Instrument[] {
    return [...this.#instruments.values()];
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

  stats(): BybitStats {
    return {
      sent: this.#tally.events(),
      frames: this.#tally.frames(),
      ...this.#generation.stats(),
      pingsTotal: this.#dialect.pings,
      refusedRequestsTotal: this.#dialect.refusals,
      idleTotal: this.#idle,
      ...this.#server.stats(),
      symbols: this.#tally.bySymbol(),
    };
  }

  setStatus(symbol: string, status: Status): void {
    const instrument = this.#instruments.get(symbol);
    const feed = this.#feedBySymbol.get(symbol);
    if (instrument === undefined || feed === undefined) throw new Error(`there is no instrument ${symbol}`);
    this.#instruments.set(symbol, { ...instrument, status });
    feed.active = status === "Trading";
  }

  pause(): Promise<void> {
    return this.#generation.pause();
  }

  resume(): void {
    this.#generation.resume();
  }

  async stop(): Promise<void> {
    this.#generation.stop();
    clearInterval(this.#idleCheck);
    await this.#server.stop();
  }

  /** The snapshot of a book or ticker leaves at once, before the ack, as it can on the exchange. */
  subscribed(connection: Connection, topic: string): void {
    const found = this.#find(topic);
    if (found === undefined) {
      this.#generation.subscribed(false);
      return;
    }
    const { feed, kind } = found;
    feed.subscribers[kind].push(connection);
    const wallMs = Date.now();
    if (feed.active && kind === "orderbook.1") {
      if (feed.matchedMs === 0) feed.matchedMs = wallMs;
      connection.queue(bookFrame(feed, wallMs), this.#tally.bookSlot(feed.index));
    } else if (feed.active && kind === "tickers") {
      // Later it moves with a delta, so that every subscriber hears of it.
      if (feed.ticker.nextFundingMs === 0) feed.ticker.nextFundingMs = feed.nextFunding(wallMs);
      const frame = feed.speller.tickerSnapshot(feed.market, feed.ticker, wallMs);
      connection.queue(frame, this.#tickerSlot(feed, 255));
    }
    this.#generation.flushOne(connection);
    this.#generation.subscribed(true);
  }

  unsubscribed(connection: Connection, topic: string): void {
    const found = this.#find(topic);
    if (found === undefined) {
      this.#generation.unsubscribed(connection, false);
      return;
    }
    const subscribers = found.feed.subscribers[found.kind];
    subscribers.splice(subscribers.indexOf(connection), 1);
    this.#generation.unsubscribed(connection, true);
  }

  #find(text: string): { feed: Feed; kind: Generated } | undefined {
    const topic = topicOf(text);
    const kind = GENERATED.find((generated) => generated === topic?.kind);
    const feed = this.#feedBySymbol.get(topic?.symbol ?? "");
    return kind === undefined || feed === undefined ? undefined : { feed, kind };
  }

  #events(count: number, wallMs: number): void {
    for (let i = 0; i < count; i++) {
      const feed = this.#feeds[this.#zipf.pick(this.#random)] as Feed;
      if (!feed.active) continue;
      if (feed.market.step()) this.#trade(feed, wallMs);
      else this.#quote(feed, wallMs);
    }
    this.#liquidations(wallMs, this.#generation.ended);
  }

  #quote(feed: Feed, wallMs: number): void {
    feed.updateId++;
    const subscribers = feed.subscribers["orderbook.1"];
    if (subscribers.length === 0) return;
    feed.matchedMs = Math.max(feed.matchedMs, wallMs - this.#lags.below(MATCH_LAG_MS));
    deliver(subscribers, bookFrame(feed, wallMs), this.#tally.bookSlot(feed.index));
  }

  #trade(feed: Feed, wallMs: number): void {
    const { market, speller, index } = feed;
    if (market.liquidate(this.#liquidationShare)) this.#liquidate(feed, wallMs);
    const subscribers = feed.subscribers.publicTrade;
    if (subscribers.length === 0) return;
    feed.tradedMs = Math.max(feed.tradedMs, wallMs - this.#lags.below(TRADE_LAG_MS));
    const slot = this.#tally.tradesSlot(index, speller.tradesOf(market));
    deliver(subscribers, speller.trades(market, feed.tradedMs, wallMs), slot);
  }

  #liquidate(feed: Feed, wallMs: number): void {
    if (feed.subscribers.allLiquidation.length === 0) return;
    const { liquidationSells, liquidationAmount, liquidationPrice } = feed.market;
    if (feed.liquidations.length === 0) feed.liquidationsDueMs = wallMs + LIQUIDATION_EVERY_MS;
    feed.keepLiquidation({
      ms: wallMs,
      long: liquidationSells,
      amount: liquidationAmount,
      price: liquidationPrice,
    });
    this.#liquidated.add(feed);
  }

  /** Sends the liquidations that are due, or all. */
  #liquidations(wallMs: number, all: boolean): void {
    for (const feed of this.#liquidated) {
      if (!all && wallMs < feed.liquidationsDueMs) continue;
      this.#liquidated.delete(feed);
      const frame = feed.speller.liquidations(feed.liquidations, wallMs);
      const slot = this.#tally.liquidationsSlot(feed.index, feed.liquidations.length);
      feed.liquidations = [];
      deliver(feed.subscribers.allLiquidation, frame, slot);
    }
  }

  /** Tickers that changed, and books that did not. */
  #second(wallMs: number): void {
    for (const feed of this.#feeds) {
      if (!feed.active) continue;
      const changed = feed.moveTicker(wallMs);
      const { tickers, "orderbook.1": books } = feed.subscribers;
      if (changed !== 0 && tickers.length > 0) {
        const frame = feed.speller.tickerDelta(feed.market, feed.ticker, changed, wallMs);
        deliver(tickers, frame, this.#tickerSlot(feed, changed));
      }
      if (books.length > 0 && wallMs - feed.bookSentMs >= this.#bookResendMs) {
        deliver(books, bookFrame(feed, wallMs), this.#tally.bookSlot(feed.index));
      }
    }
    this.#liquidations(wallMs, false);
  }

  #tickerSlot(feed: Feed, changed: number): number {
    return this.#tally.tickerSlot(feed.index, changed, feed.instrument.fundingHours > 0);
  }

  #cutIdle(idleTimeoutMs: number): void {
    const now = performance.now();
    for (const connection of this.#server.connections) {
      if (!connection.open || this.#dialect.silentMs(connection, now) < idleTimeoutMs) continue;
      this.#idle++;
      connection.close(1001, "idle");
    }
  }
}

/** The book as it stands; remembers when it was sent. */
function bookFrame(feed: Feed, sentMs: number): string {
  feed.bookSentMs = sentMs;
  return feed.speller.book(feed.market, feed.updateId, feed.matchedMs, sentMs);
}

/** One frame to all subscribers of a topic. */
function deliver(subscribers: readonly Connection[], frame: string, slot: number): void {
  for (const connection of subscribers) connection.queue(frame, slot);
}
