import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import type { Stream } from "../events/streams.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import type { ExchangeJob } from "../ingest/messages.ts";
import { Backoff } from "../lib/backoff.ts";
import type { Logger } from "../status/log.ts";
import { InstrumentList, type Reading, RestError, restReader } from "./instruments.ts";
import { streamsOf } from "./rings.ts";

/** First wait before an exchange is asked again which instruments there are, ms. */
const DISCOVERY_RETRY_MIN = 1000;

/** What discovery is for. */
export interface DiscoveryEvents {
  /** A list was read. Connections are changed when this has resolved. */
  read(exchange: ExchangeName, reading: Reading): Promise<void>;
  /** What is to be subscribed has changed. */
  wanted(job: ExchangeJob): void;
}

/**
 * Reads the exchanges' lists of instruments again and again and says what is to be subscribed: so listings
 * and delistings are taken up without a restart. An exchange that does not answer is asked for ever.
 */
export class Discovery {
  readonly #settings: Settings;
  readonly #log: Logger;
  readonly #ringsOf: (exchange: string) => ExchangeJob["rings"];
  readonly #events: DiscoveryEvents;
  readonly #abort = new AbortController();
  /** Ends the wait before an exchange's list is read again. */
  readonly #announced = new Map<string, () => void>();
  /** Exchanges that announced a change while their list was being read: the answer may not know of it. */
  readonly #again = new Set<string>();
  #stopping = false;

  constructor(options: {
    settings: Settings;
    log: Logger;
    /** Where the rows of an exchange go. */
    ringsOf(exchange: string): ExchangeJob["rings"];
    events: DiscoveryEvents;
  }) {
    this.#settings = options.settings;
    this.#log = options.log;
    this.#ringsOf = options.ringsOf;
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
      signal: this.#abort.signal,
    });
    const backoff = new Backoff(DISCOVERY_RETRY_MIN, discovery.retry_max);
    let first = true;
    while (!this.#stopping) {
      try {
        this.#again.delete(name);
        const reading = await list.read(get, (count, example) =>
          this.#log.warn("instruments_unreadable", { exchange: name, count, example }),
        );
        if (this.#stopping) return;
        backoff.reset();
        await this.#apply(name, list, reading, streams, first);
        first = false;
        if (!this.#again.has(name)) await this.#pause(discovery.interval, name);
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

  async #apply(
    name: ExchangeName,
    list: InstrumentList,
    reading: Reading,
    streams: readonly Stream[],
    first: boolean,
  ): Promise<void> {
    const { wanted, listed, delisted, unknown } = reading;
    if (first && unknown.length > 0) {
      this.#log.warn("symbols_unknown", {
        exchange: name,
        symbols: unknown,
        mend: "check --symbols; only USDT perpetuals that trade now can be recorded",
      });
    }
    if (wanted.length === 0 && first) this.#log.warn("nothing_to_record", { exchange: name });
    await this.#events.read(name, reading);
    if (this.#stopping || (listed.length === 0 && delisted.length === 0)) return;
    this.#events.wanted(this.#job(name, list, reading, streams));
    if (first) this.#log.info("instruments", { exchange: name, count: wanted.length });
    else this.#log.info("instruments_changed", { exchange: name, listed, delisted, count: wanted.length });
  }

  #job(
    name: ExchangeName,
    list: InstrumentList,
    { wanted }: Reading,
    streams: readonly Stream[],
  ): ExchangeJob {
    const exchange = exchangeByName(name);
    const { connection, exchanges } = this.#settings;
    return {
      exchange: name,
      wsUrl: exchanges[name].ws_url,
      subscriptions: exchange.subscriptions(
        streams,
        wanted.map(({ instrument }) => instrument),
      ),
      limits: {
        channels: exchanges[name].streams_per_connection,
        characters: exchange.limits.charactersPerConnection,
      },
      instruments: list.numbered,
      rings: this.#ringsOf(name),
      bounds: {
        handshakeTimeout: connection.handshake_timeout,
        backoffMin: connection.backoff_min,
        backoffMax: connection.backoff_max,
        ackTimeout: connection.ack_timeout,
        refusedRetry: connection.refused_retry,
      },
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
