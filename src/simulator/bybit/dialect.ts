/**
 * How Bybit v5 speaks on a linear socket: subscribe, unsubscribe, ping and their acks, REST.
 * Used by the generated exchange and by the replay; what is delivered is theirs.
 */
import { z } from "zod";
import type { Connection, Endpoint } from "../connection.ts";
import type { Dialect } from "../server.ts";
import type { Instrument } from "./instruments.ts";
import { instrumentsInfo, restAnswer } from "./instruments-info.ts";
import { ROUTE, topicOf } from "./topics.ts";

/** Most characters of all args of one connection together, as a list in JSON: Bybit does not say how it counts. */
export const ARGS_CHARS_MAX = 21_000;
/** Instruments on a page unless the client asks for fewer. */
export const PAGE_SIZE = 1000;

/** Told of every subscription. */
export interface SubscriptionSink {
  /** Called once per connection and topic, before the ack is sent. */
  subscribed(connection: Connection, topic: string): void;
  /** Also called for each topic of a connection that ends. */
  unsubscribed(connection: Connection, topic: string): void;
  /** A connection opened or closed; optional. */
  changed?(): void;
}

/** What a Bybit dialect needs. */
export interface BybitDialectOptions {
  /** The instruments as they are now, by symbol, in the order of the list. */
  readonly instruments: ReadonlyMap<string, Instrument>;
  readonly sink: SubscriptionSink;
  /** Body of GET /sim/stats, the simulator's own path. */
  readonly stats: () => unknown;
  /** Symbols for which allLiquidation has no handler, as some have none on the exchange. */
  readonly withoutLiquidations?: readonly string[];
  readonly argsCharsMax?: number;
  readonly pageSize?: number;
  /** Epoch ms by the exchange's clock; absent = the machine's. */
  readonly now?: () => number;
  /** Whether a fault takes away the handler of this topic; absent = never. */
  refuses?(connection: Connection, topic: string): boolean;
}

const REQUEST = z.object({
  op: z.string(),
  req_id: z.string().optional(),
  args: z.array(z.string()).optional(),
});
const PATH = "/v5/public/linear";

/** The dialect of Bybit v5, category linear. */
export class BybitDialect implements Dialect {
  /** Pings answered. */
  pings = 0;
  /** Subscribe requests refused as a whole. */
  refusals = 0;
  readonly #options: BybitDialectOptions;
  readonly #argsCharsMax: number;
  /** When a connection last said something, in ms of performance.now(). */
  readonly #heard = new WeakMap<Connection, number>();

  constructor(options: BybitDialectOptions) {
    this.#options = options;
    this.#argsCharsMax = options.argsCharsMax ?? ARGS_CHARS_MAX;
  }

  upgrade(url: URL): Endpoint | number {
    return url.pathname === PATH ? { route: ROUTE, wrapped: true, streams: [] } : 404;
  }

  opened(connection: Connection): void {
    this.#heard.set(connection, performance.now());
    this.#options.sink.changed?.();
  }

  closed(connection: Connection): void {
    for (const topic of connection.streams) this.#options.sink.unsubscribed(connection, topic);
    this.#options.sink.changed?.();
  }

  /** Time for which a connection has said nothing, ms. */
  silentMs(connection: Connection, now: number): number {
    return now - (this.#heard.get(connection) ?? now);
  }

  /**
   * `{"op":"subscribe","req_id":"1","args":["publicTrade.BTCUSDT"]}` is answered by
   * `{"success":true,"ret_msg":"","conn_id":"sim-1","req_id":"1","op":"subscribe"}`.
   */
  message(connection: Connection, text: string): void {
    this.#heard.set(connection, performance.now());
    const answer = (ret_msg: string, success: boolean, req_id: string, op: string): void => {
      const conn_id = `sim-${connection.id}`;
      connection.reply(JSON.stringify({ success, ret_msg, conn_id, req_id, op }));
    };
    const request = REQUEST.safeParse(parsed(text));
    if (!request.success) {
      answer(`Failed to decode incoming data:${text.slice(0, 50)}`, false, "", "");
      return;
    }
    const { op, req_id = "", args = [] } = request.data;
    switch (op) {
      case "ping":
        this.pings++;
        answer("pong", true, req_id, op);
        return;
      case "subscribe": {
        const error = this.#refusal(connection, args);
        if (error === undefined) for (const topic of args) this.#subscribe(connection, topic);
        else this.refusals++;
        answer(error ?? "", error === undefined, req_id, op);
        return;
      }
      case "unsubscribe":
        for (const topic of args) {
          if (connection.streams.delete(topic)) this.#options.sink.unsubscribed(connection, topic);
        }
        answer("", true, req_id, op);
        return;
      default:
        answer("error:invalid op", false, req_id, op);
    }
  }

  rest(url: URL): Response | undefined {
    const { instruments, stats, pageSize = PAGE_SIZE } = this.#options;
    if (url.pathname === "/sim/stats") return Response.json(stats());
    if (url.pathname === "/v5/market/time") {
      const now = (this.#options.now ?? Date.now)();
      return Response.json(
        restAnswer({ timeSecond: String(Math.floor(now / 1000)), timeNano: `${now}000000` }),
      );
    }
    if (url.pathname !== "/v5/market/instruments-info") return undefined;
    return Response.json(instrumentsInfo([...instruments.values()], url.searchParams, pageSize));
  }

  /**
   * Why a request fails, which it does as a whole; undefined = it does not. Bybit does not document how it
   * words a request of too many characters.
   */
  #refusal(connection: Connection, args: readonly string[]): string | undefined {
    if (args.length === 0) return "error:params error,args is empty";
    const asked = new Set<string>();
    for (const topic of args) {
      if (!this.#handles(topic) || this.#options.refuses?.(connection, topic) === true)
        return `error:handler not found,topic:${topic}`;
      if (connection.streams.has(topic) || asked.has(topic)) return `error:already subscribed,topic:${topic}`;
      asked.add(topic);
    }
    const chars = JSON.stringify([...connection.streams, ...asked]).length;
    if (chars > this.#argsCharsMax) return `error:args are longer than ${this.#argsCharsMax} characters`;
    return undefined;
  }

  #handles(text: string): boolean {
    const topic = topicOf(text);
    if (topic === undefined) return false;
    const { instruments, withoutLiquidations = [] } = this.#options;
    if (topic.kind === "allLiquidation" && withoutLiquidations.includes(topic.symbol)) return false;
    const instrument = instruments.get(topic.symbol);
    return instrument !== undefined && instrument.status !== "Closed";
  }

  #subscribe(connection: Connection, topic: string): void {
    connection.streams.add(topic);
    this.#options.sink.subscribed(connection, topic);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
