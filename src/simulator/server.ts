/**
 * The part of a simulated exchange that all exchanges share: sockets, keepalive, limits, REST.
 * What an exchange says on them is its {@link Dialect}.
 */
import type { Server } from "bun";
import { Connection, type Endpoint, type Session } from "./connection.ts";
import type { Wire } from "./faults/behaviour.ts";
import { Relay } from "./relay.ts";

/** What differs from exchange to exchange. */
export interface Dialect {
  /** Reads the path of an upgrade; a number is the HTTP status of a refusal. */
  upgrade(url: URL): Endpoint | number;
  /** A connection is open; the streams of its URL are subscribed here. */
  opened(connection: Connection): void;
  /** A text message came. */
  message(connection: Connection, text: string): void;
  /** The connection is gone with all of its subscriptions. */
  closed(connection: Connection): void;
  /** Answers an HTTP request; undefined = 404. */
  rest(url: URL): Response | undefined;
}

/** What may come between the exchange and its clients. */
export interface ServerHooks {
  /** Answers an HTTP request or upgrade instead of the exchange; undefined = it does so itself. */
  answer(request: Request, upgrade: boolean): Response | Promise<Response> | undefined;
  /** A connection opened; true = the exchange is not told. */
  opened(connection: Connection): boolean;
  /** A text message came; `pass` gives it to the exchange. */
  message(connection: Connection, text: string, pass: () => void): void;
}

/** What a server is given besides its dialect and its options. */
export interface ServerExtras {
  readonly hooks: ServerHooks;
  /** Answers the simulator's own paths (`/sim/…`) before anything else does; undefined = not one of its own. */
  control(request: Request, url: URL): Response | Promise<Response> | undefined;
}

/** Limits and times of a simulated exchange; the defaults are Binance futures' own. */
export interface ServerOptions {
  /** 0 = any free port. */
  readonly port?: number;
  readonly hostname?: string;
  /** Incoming messages, pings and pongs per second and connection; one more closes it (1008). */
  readonly messagesPerSecond?: number;
  /** Time between two ping frames of the server. */
  readonly pingIntervalMs?: number;
  /** A connection that has not answered a ping after this time is closed. */
  readonly pongTimeoutMs?: number;
  /** A connection is closed at this age. */
  readonly lifetimeMs?: number;
  /** Puts a TCP relay in front, which some faults need; it costs a copy of every byte. */
  readonly relay?: boolean;
}

/** Counts of a server. */
export interface ServerStats {
  readonly connections: number;
  readonly connectionsTotal: number;
  /** Upgrades refused because nothing is served on their path. */
  readonly refusedTotal: number;
  /** Connections closed because they sent too much. */
  readonly rateLimitedTotal: number;
  /** Connections closed because a ping stayed unanswered. */
  readonly pongTimeoutsTotal: number;
}

/** A running server. */
export interface ExchangeServer {
  readonly port: number;
  /** Base of the WebSocket paths: `ws://127.0.0.1:9443`. */
  readonly url: string;
  /** Base of the REST paths: `http://127.0.0.1:9443`. */
  readonly restUrl: string;
  readonly connections: ReadonlySet<Connection>;
  /** The relay's hand on connections, where there is a relay. */
  readonly wire: Wire | undefined;
  stats(): ServerStats;
  /** Opens or closes the port for new connections; those that are open live on. Rejects when it is taken. */
  listen(on: boolean): Promise<void>;
  /** Closes every connection (1001, so that nothing on its way is lost) and the port. */
  stop(): Promise<void>;
}

const MAX_INCOMING_BYTES = 1 << 20;
/** Far above any bound kept here: Bun itself must never drop a frame that was counted. */
const BUN_BACKPRESSURE_LIMIT = 1 << 30;
/** How long `stop` waits for clients to answer its close frame. */
const CLOSE_TIMEOUT_MS = 1000;
const CLOSE_POLL_MS = 5;
const HOUSEKEEPING_MS_MAX = 1000;
/** How long the port is asked for again when another process took it while it was closed. */
const REOPEN_MS = 5000;
const REOPEN_POLL_MS = 20;
const CONTROL = "/sim/";

/** Starts a server for a dialect. Throws (EADDRINUSE) when the port is taken. */
export function serveExchange(
  dialect: Dialect,
  {
    port = 0,
    hostname = "127.0.0.1",
    messagesPerSecond = 10,
    pingIntervalMs = 180_000,
    pongTimeoutMs = 600_000,
    lifetimeMs = 86_400_000,
    relay: relayed = false,
  }: ServerOptions,
  { hooks, control }: ServerExtras,
): ExchangeServer {
  const connections = new Set<Connection>();
  const totals = { connectionsTotal: 0, refusedTotal: 0, rateLimitedTotal: 0, pongTimeoutsTotal: 0 };

  let stopping = false;

  const end = (connection: Connection): void => {
    connection.open = false;
    if (!connections.delete(connection)) return;
    dialect.closed(connection);
    connection.drained();
  };
  const admit = (connection: Connection | undefined): connection is Connection => {
    if (connection === undefined || !connection.open) return false;
    if (connection.admit()) return true;
    totals.rateLimitedTotal++;
    connection.close(1008, "Too many requests");
    return false;
  };

  const serve = (at: number): Server<Session> =>
    Bun.serve<Session>({
      port: at,
      hostname,
      fetch(request, self) {
        const url = new URL(request.url);
        const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
        const own = url.pathname.startsWith(CONTROL) ? control(request, url) : hooks.answer(request, upgrade);
        if (own !== undefined) {
          if (upgrade) totals.refusedTotal++;
          // It may be long in coming.
          self.timeout(request, 0);
          return own;
        }
        if (!upgrade) return dialect.rest(url) ?? new Response("Not Found", { status: 404 });
        const endpoint = stopping ? 503 : dialect.upgrade(url);
        if (typeof endpoint === "number") {
          totals.refusedTotal++;
          return new Response(null, { status: endpoint });
        }
        const remotePort = self.requestIP(request)?.port ?? 0;
        if (self.upgrade(request, { data: { endpoint, remotePort, connection: undefined } }))
          return undefined;
        return new Response("Bad Request", { status: 400 });
      },
      websocket: {
        perMessageDeflate: false,
        idleTimeout: 0,
        sendPings: false,
        maxPayloadLength: MAX_INCOMING_BYTES,
        backpressureLimit: BUN_BACKPRESSURE_LIMIT,
        open(socket) {
          const connection = new Connection(++totals.connectionsTotal, socket, messagesPerSecond);
          socket.data.connection = connection;
          connections.add(connection);
          if (!hooks.opened(connection)) dialect.opened(connection);
        },
        message(socket, message) {
          const { connection } = socket.data;
          if (!admit(connection)) return;
          const text = message.toString();
          hooks.message(connection, text, () => dialect.message(connection, text));
        },
        ping(socket) {
          admit(socket.data.connection);
        },
        pong(socket) {
          const { connection } = socket.data;
          if (admit(connection)) connection.pingedAt = undefined;
        },
        drain(socket) {
          socket.data.connection?.drained();
        },
        close(socket) {
          if (socket.data.connection !== undefined) end(socket.data.connection);
        },
      },
    });
  let server = serve(relayed ? 0 : port);
  const closed: Server<Session>[] = [];
  const relay = relayed ? behindRelay(server, hostname, port) : undefined;
  const boundPort = relay?.port ?? server.port ?? port;

  const housekeeping = setInterval(
    () => {
      const now = performance.now();
      for (const connection of connections) {
        if (connection.pingedAt !== undefined && now - connection.pingedAt >= pongTimeoutMs) {
          totals.pongTimeoutsTotal++;
          connection.close(1008, "Pong timeout");
        } else if (now - connection.openedAt >= lifetimeMs) {
          connection.close(1001, "Connection lifetime exceeded");
        } else if (now - connection.lastPingAt >= pingIntervalMs) {
          connection.ping(now);
        }
      }
    },
    Math.min(HOUSEKEEPING_MS_MAX, pingIntervalMs, pongTimeoutMs, lifetimeMs),
  );

  return {
    port: boundPort,
    url: `ws://${hostname}:${boundPort}`,
    restUrl: `http://${hostname}:${boundPort}`,
    connections,
    wire: relay === undefined ? undefined : wireOf(relay),
    async listen(on) {
      if (relay !== undefined) {
        await again(() => relay.listen(on));
      } else if (!on) {
        closed.push(server);
        // Resolves when the last of its connections has ended.
        void server.stop();
      } else {
        server = await again(() => serve(boundPort));
      }
    },
    stats: () => ({ connections: connections.size, ...totals }),
    async stop() {
      clearInterval(housekeeping);
      stopping = true;
      for (const connection of connections) if (connection.open) connection.close(1001, "Server stopped");
      const deadline = performance.now() + CLOSE_TIMEOUT_MS;
      while (connections.size > 0 && performance.now() < deadline) await Bun.sleep(CLOSE_POLL_MS);
      await relay?.stop();
      await Promise.all([...closed, server].map((one) => one.stop(true)));
      for (const connection of [...connections]) end(connection);
    },
  };
}

/** The relay has the port, the server any other. */
function behindRelay(server: Server<Session>, hostname: string, port: number): Relay {
  try {
    return new Relay(hostname, port, server.port ?? 0);
  } catch (error) {
    void server.stop(true);
    throw error;
  }
}

function wireOf(relay: Relay): Wire {
  return {
    async blacken(connection) {
      await connection.drainedTo(0);
      await relay.blacken(connection.remotePort);
    },
    reset: (connection) => relay.reset(connection.remotePort),
    binaryAsText: (connection, on) => relay.binaryAsText(connection.remotePort, on),
  };
}

/** The port was ours a moment ago: somebody who has it now may give it back. */
async function again<T>(open: () => T): Promise<T> {
  const deadline = performance.now() + REOPEN_MS;
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(REOPEN_POLL_MS);
    }
  }
}
