/**
 * How OKX speaks on a socket: paths, one ack per arg, errors without one, ping and pong as text, REST.
 * Used by the generated exchange and by the replay; what is delivered is theirs.
 */
import { z } from "zod";
import type { Connection, Endpoint } from "../connection.ts";
import type { Dialect } from "../server.ts";
import { Window } from "../window.ts";
import { ARG, type Arg, channelOf, routeOf } from "./channels.ts";
import { envelope } from "./instrument-info.ts";

/** Subscribe, unsubscribe and login requests an hour and connection. */
export const OPERATIONS_PER_HOUR = 480;
/** Most bytes of all args of a request. */
export const ARGS_BYTES_MAX = 64 << 10;

/** Told of every subscription, also of those that will stay silent. */
export interface SubscriptionSink {
  /** Called once per connection and channel, after its ack was sent. */
  subscribed(connection: Connection, channel: string): void;
  /** Also called for each channel of a connection that ends. */
  unsubscribed(connection: Connection, channel: string): void;
  /** A connection opened or closed; optional. */
  changed?(): void;
  /** A message came, and will be answered; optional. */
  heard?(connection: Connection): void;
}

/** What an OKX dialect needs. */
export interface OkxDialectOptions {
  /** Entries of the list of instruments of a type: SWAP, SPOT, FUTURES. */
  instruments(type: string): readonly object[];
  /** Whether there is an instrument or index of this id. */
  exists(instId: string): boolean;
  readonly sink: SubscriptionSink;
  /** Body of GET /sim/stats, the simulator's own path. */
  readonly stats: () => unknown;
  readonly operationsPerHour?: number;
  /** Connection attempts within a second from one address; absent = no limit. */
  readonly connectsPerSecond?: number;
  /** Epoch ms by the exchange's clock; absent = the machine's. */
  readonly now?: () => number;
  /** Whether a fault makes this channel one that does not exist; absent = never. */
  refuses?(connection: Connection, channel: string): boolean;
}

const REQUEST = z.object({
  id: z
    .string()
    .regex(/^[A-Za-z0-9]{1,32}$/)
    .optional(),
  op: z.enum(["subscribe", "unsubscribe"]),
  args: z.array(ARG).min(1),
});
const PATH = /^\/ws\/v5\/(public|business)$/;
const TYPES: ReadonlySet<string> = new Set(["SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "ANY"]);
const INVALID_REQUEST = "60012";
const TOO_FREQUENT = "60014";
const NO_SUCH_CHANNEL = "60018";
const PARAMETER_EMPTY = "50014";
const HOUR_MS = 3_600_000;

/** The dialect of OKX v5. */
export class OkxDialect implements Dialect {
  readonly #options: OkxDialectOptions;
  readonly #operations = new WeakMap<Connection, Window>();
  readonly #connects: Window;

  constructor(options: OkxDialectOptions) {
    this.#options = options;
    this.#connects = new Window(options.connectsPerSecond ?? Number.POSITIVE_INFINITY, 1000);
  }

  /** `/ws/v5/public` and `/ws/v5/business`; everything else is a 404. */
  upgrade(url: URL): Endpoint | number {
    const [, route] = PATH.exec(url.pathname) ?? [];
    if (route === undefined) return 404;
    return this.#connects.admit() ? { route, wrapped: false, streams: [] } : 429;
  }

  opened(connection: Connection): void {
    this.#operations.set(
      connection,
      new Window(this.#options.operationsPerHour ?? OPERATIONS_PER_HOUR, HOUR_MS),
    );
    this.#options.sink.changed?.();
  }

  closed(connection: Connection): void {
    for (const channel of connection.streams) this.#options.sink.unsubscribed(connection, channel);
    this.#options.sink.changed?.();
  }

  /** `ping`, or `{"id":"7","op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT-SWAP"}]}`. */
  message(connection: Connection, text: string): void {
    this.#options.sink.heard?.(connection);
    if (text === "ping") {
      connection.reply("pong");
      return;
    }
    const request = REQUEST.safeParse(parse(text));
    if (!request.success || sizeOf(request.data.args) > ARGS_BYTES_MAX) {
      fail(connection, undefined, INVALID_REQUEST, `Invalid request: ${text.slice(0, 200)}`);
      return;
    }
    const { id, op, args } = request.data;
    if (this.#operations.get(connection)?.admit() === false) {
      fail(connection, id, TOO_FREQUENT, "Requests too frequent");
      return;
    }
    for (const arg of args) this.#one(connection, id, op, arg);
  }

  rest(url: URL): Response | undefined {
    switch (url.pathname) {
      case "/sim/stats":
        return Response.json(this.#options.stats());
      case "/api/v5/public/time":
        return Response.json(envelope([{ ts: String((this.#options.now ?? Date.now)()) }]));
      case "/api/v5/public/instruments": {
        const type = url.searchParams.get("instType") ?? "";
        if (type !== "") return Response.json(envelope(this.#options.instruments(type)));
        return Response.json(envelope([], PARAMETER_EMPTY, "Parameter instType can not be empty"));
      }
      default:
        return undefined;
    }
  }

  #exists({ instId, instType }: Arg): boolean {
    return instId === undefined
      ? instType === undefined || TYPES.has(instType)
      : this.#options.exists(instId);
  }

  /** One arg of a request, answered on its own: a bad one leaves the others in force. */
  #one(connection: Connection, id: string | undefined, op: "subscribe" | "unsubscribe", arg: Arg): void {
    const { sink } = this.#options;
    const channel = channelOf(arg);
    const known =
      channel !== undefined && routeOf(channel) === connection.endpoint.route && this.#exists(arg);
    const refused = known && op === "subscribe" && this.#options.refuses?.(connection, channel) === true;
    if (!known || refused) {
      const words = `Wrong URL or channel:${arg.channel}${named(arg)} doesn't exist.`;
      const help = "Please use the correct URL, channel and parameters referring to API document.";
      fail(connection, id, NO_SUCH_CHANNEL, `${words} ${help}`);
      return;
    }
    connection.reply(JSON.stringify({ ...withId(id), event: op, arg, connId: connectionId(connection) }));
    if (op === "subscribe" && !connection.streams.has(channel)) {
      connection.streams.add(channel);
      sink.subscribed(connection, channel);
    } else if (op === "unsubscribe" && connection.streams.delete(channel)) {
      sink.unsubscribed(connection, channel);
    }
  }
}

function named({ instId, instType }: Arg): string {
  if (instId !== undefined) return `,instId:${instId}`;
  return instType === undefined ? "" : `,instType:${instType}`;
}

function withId(id: string | undefined): { id?: string } {
  return id === undefined ? {} : { id };
}

/** An error has no arg: only its words tell what it is about. */
function fail(connection: Connection, id: string | undefined, code: string, msg: string): void {
  connection.reply(
    JSON.stringify({ ...withId(id), event: "error", msg, code, connId: connectionId(connection) }),
  );
}

/**
 * `{"event":"notice","code":"64008","msg":"…","connId":"a4d3ae55"}`: what OKX says before it ends its
 * connections for an upgrade.
 */
export function upgradeNotice(connection: Connection): string {
  const msg = "The connection will soon be closed for a service upgrade. Please reconnect.";
  return JSON.stringify({ event: "notice", code: "64008", msg, connId: connectionId(connection) });
}

/** Eight hexadecimal digits, as OKX names connections. */
function connectionId({ id }: Connection): string {
  return (Math.imul(id, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0");
}

function sizeOf(args: readonly Arg[]): number {
  return Buffer.byteLength(JSON.stringify(args));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
