/**
 * How Binance futures speaks on a socket: paths, SUBSCRIBE and its acks, REST.
 * Used by the generated exchange and by the replay; what is delivered is theirs.
 */
import { z } from "zod";
import type { Connection, Endpoint } from "../connection.ts";
import type { Dialect } from "../server.ts";
import { exchangeInfo } from "./exchange-info.ts";
import type { Instrument } from "./instruments.ts";

/** Streams per connection in the current reference; older mirrors say 200. */
export const STREAMS_PER_CONNECTION = 1024;

/** Told of every subscription, also of those that will stay silent. */
export interface SubscriptionSink {
  /** Called once per connection and stream, after which the ack is sent. */
  subscribed(connection: Connection, stream: string): void;
  /** Also called for each stream of a connection that ends. */
  unsubscribed(connection: Connection, stream: string): void;
  /** A connection opened or closed; optional. */
  changed?(): void;
}

/** What a Binance dialect needs. */
export interface BinanceDialectOptions {
  readonly instruments: readonly Instrument[];
  readonly sink: SubscriptionSink;
  /** Body of GET /sim/stats, the simulator's own path. */
  readonly stats: () => unknown;
  readonly streamsPerConnection?: number;
  /** Epoch ms by the exchange's clock; absent = the machine's. */
  readonly now?: () => number;
  /** A stream that is refused by a fault: the exchange itself knows no bad stream; absent = none is. */
  refuses?(connection: Connection, stream: string): boolean;
}

const REQUEST = z.object({
  method: z.string(),
  params: z.array(z.string()).optional(),
  id: z.int().nonnegative(),
});
/** Error codes and texts follow Binance spot's page; the futures shape is unconfirmed, so both shapes are used. */
const INVALID_REQUEST = 2;
const INVALID_JSON = 3;
const PATH = /^\/(public|market)\/(stream|ws)(?:\/(.+))?$/;

/** The dialect of Binance USD-M futures. */
export class BinanceDialect implements Dialect {
  readonly #options: BinanceDialectOptions;
  readonly #limit: number;
  readonly #now: () => number;
  #usedWeight = 0;
  #weightMinute = 0;

  constructor(options: BinanceDialectOptions) {
    this.#options = options;
    this.#limit = options.streamsPerConnection ?? STREAMS_PER_CONNECTION;
    this.#now = options.now ?? Date.now;
  }

  /** `/public/stream?streams=a/b`, `/market/ws/a`; everything else, the retired `/stream` too, is a 404. */
  upgrade(url: URL): Endpoint | number {
    const [, route, mode, rest] = PATH.exec(url.pathname) ?? [];
    if (route === undefined || (mode === "stream" && rest !== undefined)) return 404;
    const list = mode === "stream" ? (url.searchParams.get("streams") ?? "") : decode(rest ?? "");
    if (list === undefined) return 400;
    const streams = list.split("/").filter((stream) => stream !== "");
    if (streams.length > this.#limit) return 400;
    return { route, wrapped: mode === "stream", streams };
  }

  opened(connection: Connection): void {
    this.#options.sink.changed?.();
    for (const stream of connection.endpoint.streams) this.#subscribe(connection, stream);
  }

  closed(connection: Connection): void {
    for (const stream of connection.streams) this.#options.sink.unsubscribed(connection, stream);
    this.#options.sink.changed?.();
  }

  /** Answers SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS: `{"result":null,"id":1}`. */
  message(connection: Connection, text: string): void {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      connection.reply(JSON.stringify({ code: INVALID_JSON, msg: "Invalid JSON: cannot be parsed" }));
      return;
    }
    const request = REQUEST.safeParse(json);
    if (!request.success) {
      connection.reply(JSON.stringify({ code: INVALID_REQUEST, msg: "Invalid request: method or id" }));
      return;
    }
    connection.reply(JSON.stringify(this.#answerRequest(connection, request.data)));
  }

  rest(url: URL): Response | undefined {
    if (url.pathname === "/sim/stats") return Response.json(this.#options.stats());
    if (url.pathname === "/fapi/v1/time") return this.#answer({ serverTime: this.#now() });
    if (url.pathname === "/fapi/v1/ping") return this.#answer({});
    if (url.pathname !== "/fapi/v1/exchangeInfo") return undefined;
    return this.#answer(exchangeInfo(this.#options.instruments, this.#now()));
  }

  #answerRequest(connection: Connection, { method, params = [], id }: z.infer<typeof REQUEST>): object {
    const refusal = (reason: string): object => ({
      error: { code: INVALID_REQUEST, msg: `Invalid request: ${reason}` },
      id,
    });
    switch (method) {
      case "SUBSCRIBE": {
        const added = new Set(params.filter((stream) => !connection.streams.has(stream)));
        if (connection.streams.size + added.size > this.#limit) {
          return refusal(`more than ${this.#limit} streams on one connection`);
        }
        const bad = params.find((stream) => this.#options.refuses?.(connection, stream) === true);
        if (bad !== undefined) return refusal(`unknown stream \`${bad}\``);
        for (const stream of added) this.#subscribe(connection, stream);
        return { result: null, id };
      }
      case "UNSUBSCRIBE":
        for (const stream of params) {
          if (connection.streams.delete(stream)) this.#options.sink.unsubscribed(connection, stream);
        }
        return { result: null, id };
      case "LIST_SUBSCRIPTIONS":
        return { result: [...connection.streams], id };
      default:
        return refusal(`unknown variant \`${method}\``);
    }
  }

  /** Every endpoint served here weighs 1; the header tells the sum of the running minute. */
  #answer(body: unknown): Response {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.#weightMinute) {
      this.#weightMinute = minute;
      this.#usedWeight = 0;
    }
    this.#usedWeight++;
    return Response.json(body, { headers: { "x-mbx-used-weight-1m": String(this.#usedWeight) } });
  }

  #subscribe(connection: Connection, stream: string): void {
    if (connection.streams.has(stream)) return;
    connection.streams.add(stream);
    this.#options.sink.subscribed(connection, stream);
  }
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
