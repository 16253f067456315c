/** OKX v5 on loopback: generated markets of USDT swaps behind the exchange's own paths and rules. */
import { Account } from "./account/account.ts";
import { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import { extras } from "./control.ts";
import { Counters, type KindCounts } from "./counters.ts";
import { Faults } from "./faults/faults.ts";
import { Generation } from "./generation.ts";
import { topicOf } from "./okx/channels.ts";
import { OkxDialect, type SubscriptionSink, upgradeNotice } from "./okx/dialect.ts";
import { type Channel, deliver, Feed, OKX_KINDS, type OkxKind, wanted } from "./okx/feed.ts";
import { IdleWatch } from "./okx/idle.ts";
import { instrumentInfo } from "./okx/instrument-info.ts";
import { type Instrument, simulatedInstruments } from "./okx/instruments.ts";
import { Random } from "./random.ts";
import { type ExchangeServer, serveExchange } from "./server.ts";
import {
  ACCOUNT_EVENTS_MAX,
  type SimulatedExchange,
  type SimulationOptions,
  type SimulationStats,
} from "./simulation.ts";
import { Zipf } from "./zipf.ts";

/** Settings of {@link startOkx}; all have defaults. */
export interface OkxOptions extends SimulationOptions {
  /** USDT swaps that are live; three more that discovery must skip are listed besides. */
  readonly instruments?: number;
  /** Swaps that are announced and wait for {@link SimulatedOkx.list}. */
  readonly waiting?: number;
  /**
   * Events per second over bbo-tbt and trades of all instruments, whoever subscribed what; the other
   * channels come on top. "max" = as fast as the slowest subscriber takes them.
   */
  readonly rate?: number | "max";
  /** Liquidations per trade; at most one a second and instrument is sent. */
  readonly liquidationShare?: number;
  /** Seconds between two frames of open-interest of an instrument. */
  readonly interestEverySeconds?: number;
  /** Seconds between two frames of funding-rate of an instrument. */
  readonly fundingEverySeconds?: number;
  /** A connection without any traffic is closed after this time. */
  readonly idleTimeoutMs?: number;
  readonly operationsPerHour?: number;
  /** Connection attempts within a second; OKX allows 3 from one address. Absent = no limit. */
  readonly connectsPerSecond?: number;
}

/** What a simulated OKX has done. */
export interface OkxStats extends SimulationStats {
  /** Frames handed to subscribers, those at the beginning of a subscription among them; each has one row. */
  readonly sent: KindCounts<OkxKind>;
  /** The same by swap, where there were any; index-tickers count for the swap of the index. */
  readonly symbols: Record<string, KindCounts<OkxKind>>;
  /** Frames of the channel `instruments`. */
  readonly announcements: number;
  /** Connections closed because nothing passed on them. */
  readonly idleTotal: number;
}

/** A running simulated OKX. */
export interface SimulatedOkx extends SimulatedExchange<OkxStats> {
  /** All instruments as they are now. */
  readonly instruments: readonly Instrument[];
  /** Lists the next swap that waits, and announces it. @throws Error when none waits. */
  list(): Instrument;
  /** Suspends a live swap for good, and announces it. @throws Error when it is not live. */
  delist(instId: string): void;
}

export { OKX_KINDS, type OkxKind };

const LIQUIDATIONS = "liquidation-orders:SWAP";
const ANNOUNCEMENTS = "instruments:SWAP";
const BOOK_LAG_MS = 10;
const TRADE_LAG_MS = 5;
const LIQUIDATION_LAG_MS = 1000;
/** Age of the liquidation with which a subscription begins. */
const HISTORY_AGE_MS = 3 * 3_600_000;

/** Starts the exchange. Throws (EADDRINUSE) when the port is taken. */
export function startOkx(options: OkxOptions = {}): SimulatedOkx {
  return new Simulation(options);
}

class Simulation implements SimulatedOkx, SubscriptionSink {
  readonly finished: Promise<void>;
  readonly faults: Faults;
  readonly account: Account | undefined;

  readonly #clock = new Clock();
  readonly #instruments: Instrument[];
  readonly #known: ReadonlySet<string>;
  readonly #server: ExchangeServer;
  readonly #generation: Generation;
  readonly #idle: IdleWatch;
  readonly #counters: Counters<OkxKind>;
  readonly #waiting: Feed[];
  readonly #channels = new Map<string, Channel>();
  readonly #liquidations: Channel;
  readonly #announced = new Set<Connection>();
  readonly #random: Random;
  /** Apart from `#random`, so that who listens does not change which swap moves next. */
  readonly #lags: Random;
  readonly #skew: number;
  readonly #liquidationShare: number;
  readonly #interestEvery: number;
  readonly #fundingEvery: number;
  #feeds: Feed[];
  #zipf: Zipf;
  #announcements = 0;

  constructor({
    seed = 1,
    instruments = 200,
    waiting = 1,
    skew = 0.8,
    liquidationShare = 0.002,
    interestEverySeconds = 3,
    fundingEverySeconds = 60,
    idleTimeoutMs = 30_000,
    operationsPerHour,
    connectsPerSecond,
    account = false,
    accountEventsMax = ACCOUNT_EVENTS_MAX,
    ...common
  }: OkxOptions) {
    this.#skew = skew;
    this.#liquidationShare = liquidationShare;
    this.#interestEvery = interestEverySeconds;
    this.#fundingEvery = fundingEverySeconds;
    this.#instruments = simulatedInstruments(instruments, waiting);
    this.#known = new Set(this.#instruments.flatMap(({ instId, index }) => [instId, index]));
    const symbols = this.#instruments.map(({ instId }) => instId);
    this.#counters = new Counters(symbols, OKX_KINDS);
    this.faults = new Faults(seed);
    this.account = account
      ? new Account({ symbols, kinds: OKX_KINDS, eventsMax: accountEventsMax })
      : undefined;
    // The swaps that only discovery sees have no market.
    const feeds = this.#instruments.slice(0, instruments + waiting).map((instrument, rank) => {
      const slot = (kind: OkxKind): number => this.#counters.slot(rank, kind);
      const live = (): boolean => this.#instruments[rank]?.state === "live";
      return new Feed({ instrument, rank, seed, slot, live, account: this.account });
    });
    for (const feed of feeds) for (const [name, channel] of feed.channels) this.#channels.set(name, channel);
    this.#feeds = feeds.slice(0, instruments);
    this.#waiting = feeds.slice(instruments);
    const [first] = this.#feeds;
    this.#liquidations = {
      subscribers: [],
      slot: first?.liquidationSlot ?? 0,
      wanted: false,
      first: (ms) => first?.pastLiquidationFrame(ms - HISTORY_AGE_MS),
    };
    this.#channels.set(LIQUIDATIONS, this.#liquidations);
    this.#random = new Random(`${seed}/okx`);
    this.#lags = new Random(`${seed}/okx/lags`);
    this.#zipf = new Zipf(this.#feeds.length, skew);
    const dialect = new OkxDialect({
      instruments: (type) => (type === "SWAP" ? this.#instruments.map(instrumentInfo) : []),
      exists: (instId) => this.#known.has(instId),
      sink: this,
      stats: () => this.stats(),
      now: () => this.#clock.now(),
      refuses: (connection, channel) => this.faults.refuses(connection, channel),
      ...(operationsPerHour === undefined ? {} : { operationsPerHour }),
      ...(connectsPerSecond === undefined ? {} : { connectsPerSecond }),
    });
    this.#server = serveExchange(
      dialect,
      // OKX neither pings nor ends connections by age; its limit is one of operations an hour.
      {
        messagesPerSecond: 100,
        pingIntervalMs: Number.POSITIVE_INFINITY,
        pongTimeoutMs: Number.POSITIVE_INFINITY,
        lifetimeMs: Number.POSITIVE_INFINITY,
        ...common,
      },
      extras(this.faults, dialect, this.account),
    );
    this.#idle = new IdleWatch(this.#server.connections, idleTimeoutMs);
    this.#generation = new Generation(common, {
      connections: this.#server.connections,
      counts: this.#counters.counts,
      clock: this.#clock,
      restless: account,
      events: (count, ms) => this.#events(count, ms),
      second: (wallMs, ms) => this.#second(wallMs, ms),
      delivered: (connection) => this.#idle.heard(connection),
    });
    const { connections, wire } = this.#server;
    this.faults.attach({
      connections,
      kinds: OKX_KINDS,
      clock: this.#clock,
      ...(wire === undefined ? {} : { wire }),
      symbols: () => this.#feeds.map(({ instId }) => instId),
      describe: (slot) => this.#counters.at(slot),
      topic: topicOf,
      flush: (connection) => this.#generation.flushOne(connection),
      listen: (on) => this.#server.listen(on),
      notice: upgradeNotice,
      clockStepped: () => {
        for (const feed of this.#feeds) feed.forgetTimes();
      },
      list: () => this.list().instId,
      delist: (instId) => this.delist(instId),
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

  stats(): OkxStats {
    return {
      sent: this.#counters.totals(),
      ...this.#generation.stats(),
      announcements: this.#announcements,
      idleTotal: this.#idle.closed,
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
    if (feed === undefined) throw new Error("no swap waits to be listed: start with more of them (waiting)");
    this.#feeds.push(feed);
    this.#zipf = new Zipf(this.#feeds.length, this.#skew);
    return this.#change(feed.rank, { state: "live", listMs: this.#clock.now() });
  }

  delist(instId: string): void {
    const feed = this.#feeds.find((candidate) => candidate.instId === instId);
    if (feed === undefined) throw new Error(`${instId} is no live swap`);
    this.#feeds = this.#feeds.filter((other) => other !== feed);
    this.#zipf = new Zipf(this.#feeds.length, this.#skew);
    this.#change(feed.rank, { state: "suspend", expMs: this.#clock.now() });
  }

  async stop(): Promise<void> {
    this.#generation.stop();
    await this.faults.stop();
    this.#idle.stop();
    await this.#server.stop();
  }

  heard(connection: Connection): void {
    this.#idle.heard(connection);
  }

  subscribed(connection: Connection, name: string): void {
    this.faults.subscribed(connection, name);
    if (name === ANNOUNCEMENTS) {
      this.#announced.add(connection);
      return;
    }
    const channel = this.#channels.get(name);
    if (channel === undefined) {
      this.#generation.subscribed(false);
      return;
    }
    channel.subscribers.push(connection);
    channel.wanted = this.account !== undefined;
    const first = channel.first(this.#clock.now());
    if (first !== undefined) {
      connection.queue(first.text, channel.slot, first.made);
      this.#generation.flushOne(connection);
    }
    this.#generation.subscribed(true);
  }

  unsubscribed(connection: Connection, name: string): void {
    this.faults.unsubscribed(connection, name);
    if (name === ANNOUNCEMENTS) {
      this.#announced.delete(connection);
      return;
    }
    const channel = this.#channels.get(name);
    if (channel === undefined) {
      this.#generation.unsubscribed(connection, false);
      return;
    }
    channel.subscribers.splice(channel.subscribers.indexOf(connection), 1);
    this.#generation.unsubscribed(connection, true);
  }

  /** An instrument changed: tells those who asked to be told. */
  #change(rank: number, change: Partial<Instrument>): Instrument {
    const before = this.#instruments[rank];
    if (before === undefined) throw new Error(`no instrument has rank ${rank}`);
    const after = { ...before, ...change };
    this.#instruments[rank] = after;
    const arg = { channel: "instruments", instType: "SWAP" };
    const frame = JSON.stringify({ arg, data: [instrumentInfo(after)] });
    for (const connection of this.#announced) {
      connection.reply(frame);
      this.#idle.heard(connection);
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
    if (!wanted(feed.book)) return;
    deliver(feed.book, feed.bookFrame(ms - this.#lags.below(BOOK_LAG_MS)));
  }

  #trade(feed: Feed, ms: number): void {
    const liquidated = feed.market.liquidate(this.#liquidationShare);
    if (wanted(feed.trade)) deliver(feed.trade, feed.tradeFrame(ms - this.#lags.below(TRADE_LAG_MS)));
    const second = Math.floor(ms / 1000);
    if (!liquidated || feed.liquidatedSecond === second) return;
    feed.liquidatedSecond = second;
    if (!wanted(this.#liquidations)) return;
    const orderedMs = ms - this.#lags.below(LIQUIDATION_LAG_MS);
    deliver(this.#liquidations, feed.liquidationFrame(orderedMs), feed.liquidationSlot);
  }

  /** Prices each second; open interest and funding now and then, each swap at its own second. */
  #second(wallMs: number, ms: number): void {
    const second = wallMs / 1000;
    for (const feed of this.#feeds) {
      feed.moveSlowly();
      const { rank, mark, index, interest, funding } = feed;
      if (wanted(mark)) deliver(mark, feed.markFrame(ms));
      if (wanted(index)) deliver(index, feed.indexFrame(ms));
      if ((second + rank) % this.#interestEvery === 0 && wanted(interest)) {
        deliver(interest, feed.interestFrame(ms));
      }
      if ((second + rank) % this.#fundingEvery === 0 && wanted(funding)) {
        deliver(funding, feed.fundingFrame(ms));
      }
    }
  }
}
