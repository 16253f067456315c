import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import type { Stream } from "../events/streams.ts";
import type { Exchange } from "../exchanges/exchange.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { RestError, type RestGet } from "../exchanges/rest.ts";
import { Backoff } from "../lib/backoff.ts";
import type { Logger } from "../status/log.ts";
import { dialingOf } from "./dialing.ts";
import type { PoolJob } from "./ingest-pool.ts";
import { InstrumentList, type Reading, restReader } from "./instruments.ts";
import { laneBounds } from "./lane-bounds.ts";
import { streamsOf } from "./rings.ts";

/** First wait before an exchange is asked again which instruments there are, ms. */
const DISCOVERY_RETRY_MIN = 1000;

/** An exchange that announces one change after the other has its list read at most this often, ms. */
const ANNOUNCED_APART = 2000;

/** Line of the log about what could not be read of a list: entries are left out, fields are NULL. */
const UNREADABLE = { entries: "instruments_unreadable", fields: "instrument_fields_unreadable" } as const;

/** What discovery is for. */
export interface DiscoveryEvents {
  /** A list was read. Connections are changed when this has resolved. */
  read(exchange: ExchangeName, reading: Reading): Promise<void>;
  /** What is to be subscribed has changed. */
  wanted(job: PoolJob): void;
  /**
   * An exchange told the time of its clock, `server` (epoch ms): it was asked at `asked` (ours, epoch ms), and the
   * answer took `took` ms. Without this it is not asked.
   */
  clock?(exchange: ExchangeName, asked: number, took: number, server: number): void;
}

/**
 * Reads the exchanges' lists of instruments again and again and says what is to be subscribed: so listings
 * and delistings are taken up without a restart. An exchange that does not answer is asked for ever.
 */
export class Discovery {
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #events: DiscoveryEvents;
  readonly #abort = new AbortController();
  /** Ends the wait before an exchange's list is read again. */
  readonly #announced = new Map<string, () => void>();
  /** Exchanges that announced a change while their list was being read: the answer may not know of it. */
  readonly #again = new Set<string>();
  /** µs */
  readonly #startedAt = Date.now() * 1000;
  /** When each exchange's list was read the time before, and last, µs. */
  readonly #readBefore = new Map<string, number>();
  readonly #readAt = new Map<string, number>();
  #stopping = false;

  constructor(options: {
    settings: Settings;
    log: Logger;
    events: DiscoveryEvents;
  }) {
    this.#settings = options.settings;
    this.#log = options.log;
    this.#events = options.events;
  }

  start(): void {
    for (const exchange of this.#settings.record.exchanges) void this.#watch(exchange);
  }

  /** The exchange itself said that something has changed: its list is read now, or once more after this time. */
  announced(exchange: string): void {
    const read = this.#announced.get(exchange);
    if (read === undefined) this.#again.add(exchange);
    else read();
  }

  /** Nothing is asked and nothing is told any more. */
  stop(): void {
    this.#stopping = true;
    this.#abort.abort();
  }

  async #watch(name: ExchangeName): Promise<void> {
    const exchange = exchangeByName(name);
    const streams = streamsOf(name, this.#settings);
    if (streams.length === 0) {
      const asked = [...this.#settings.record.streams];
      this.#log.warn("nothing_to_record", {
        exchange: name,
        streams: asked,
        reason: "it has none of these streams",
      });
      return;
    }
    const { record, discovery, exchanges } = this.#settings;
    const endpoint = exchanges[name];
    const list = new InstrumentList(exchange, record.symbols);
    const get = restReader({
      restUrl: endpoint.rest_url,
      timeout: discovery.timeout,
      dialing: dialingOf(this.#settings, name),
      signal: this.#abort.signal,
      waits: exchange.restWaits,
    });
    const backoff = new Backoff(DISCOVERY_RETRY_MIN, discovery.retry_max);
    let first = true;
    while (!this.#stopping) {
      try {
        this.#again.delete(name);
        const askedAt = Date.now() * 1000;
        const begun = performance.now();
        const reading = await list.read(get, (what, count, example) =>
          this.#log.warn(UNREADABLE[what], { exchange: name, count, example }),
        );
        if (this.#stopping) return;
        this.#readBefore.set(name, this.#readAt.get(name) ?? this.#startedAt);
        this.#readAt.set(name, askedAt);
        backoff.reset();
        await this.#apply(name, list, reading, streams, first);
        first = false;
        await this.#askTime(exchange, name, get);
        if (!this.#again.has(name)) await this.#pause(discovery.interval, name);
        // What is announced meanwhile is in the answer to come.
        const apart = Math.min(ANNOUNCED_APART, discovery.interval) - (performance.now() - begun);
        if (apart > 0) await this.#pause(apart);
      } catch (cause) {
        if (this.#stopping) return;
        const error = cause instanceof Error ? cause.message : String(cause);
        // An exchange that names a time is not asked before: that would prolong a ban.
        const asked = cause instanceof RestError ? cause.retryAfter : 0;
        const retryIn = backoff.next(Math.max(asked, Math.min(DISCOVERY_RETRY_MIN, discovery.retry_max)));
        const url = endpoint.rest_url;
        this.#log.warn("discovery_failed", { exchange: name, url, error, retry_in_ms: retryIn });
        await this.#pause(retryIn);
      }
    }
  }

  /** Right after the list, while the way there is warm: what the answer takes beyond the way makes it worse. */
  async #askTime(exchange: Exchange, name: ExchangeName, get: RestGet): Promise<void> {
    if (this.#events.clock === undefined || this.#stopping) return;
    try {
      const asked = Date.now();
      const before = performance.now();
      const server = await exchange.fetchServerTime(get);
      this.#events.clock(name, asked, performance.now() - before, server);
    } catch (cause) {
      // It wants to be left alone: its list is not asked for either.
      if (cause instanceof RestError && cause.retryAfter > 0) throw cause;
      // Anything else only means that its offset is not known, which is shown.
    }
  }

  async #apply(
    name: ExchangeName,
    list: InstrumentList,
    reading: Reading,
    streams: readonly Stream[],
    first: boolean,
  ): Promise<void> {
    const { wanted, listed, delisted, same, unknown } = reading;
    if (first && unknown.length > 0) {
      this.#log.warn("symbols_unknown", {
        exchange: name,
        symbols: unknown.map(({ symbol }) => symbol),
        looked_for: unknown.map(({ lookedFor }) => lookedFor),
        similar: unknown.flatMap(({ similar }) => similar),
        mend: "check --symbols: only USDT perpetuals that trade now can be recorded, and names differ between exchanges",
      });
    }
    if (wanted.length === 0 && first) {
      const reason = "none of its instruments is a USDT perpetual that trades now and was asked for";
      this.#log.warn("nothing_to_record", { exchange: name, reason });
    }
    await this.#events.read(name, reading);
    if (this.#stopping || same) return;
    this.#events.wanted(this.#job(name, list, reading, streams));
    if (first) this.#log.info("instruments", { exchange: name, count: wanted.length });
    else this.#log.info("instruments_changed", { exchange: name, listed, delisted, count: wanted.length });
  }

  #job(name: ExchangeName, list: InstrumentList, { wanted }: Reading, streams: readonly Stream[]): PoolJob {
    const exchange = exchangeByName(name);
    const { exchanges } = this.#settings;
    const listed = new Map(wanted.map((one) => [one.instrument, one.listed]));
    return {
      exchange: name,
      wsUrl: exchanges[name].ws_url,
      subscriptions: exchange.subscriptions(streams, wanted),
      limits: {
        channels: exchanges[name].streams_per_connection,
        characters: exchange.limits.charactersPerConnection,
      },
      instruments: list.numbered.map(({ instrument, number }) => ({
        instrument,
        number,
        listed: listed.get(instrument) ?? null,
      })),
      bounds: laneBounds(this.#settings, name),
      dialing: dialingOf(this.#settings, name),
      since: this.#startedAt,
      readBefore: this.#readBefore.get(name) ?? this.#startedAt,
    };
  }

  /** Waits; shorter when discovery stops or when `exchange` announces a change of instruments. */
  #pause(ms: number, exchange?: string): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#abort.signal.removeEventListener("abort", end);
        if (exchange !== undefined) this.#announced.delete(exchange);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#abort.signal.addEventListener("abort", end);
      if (exchange !== undefined) this.#announced.set(exchange, end);
    });
  }
}
