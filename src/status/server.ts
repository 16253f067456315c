/**
 * The listener of the status API. `node:http`, because it bounds what a client can do to us: how many connections there
 * are, how long a request may take to arrive however it drips, and how large it may be. `Bun.serve` has neither a
 * bound of connections nor closes one whose headers never end.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Settings } from "../config/schema.ts";
import { createStatusApp, type StatusBounds, type StatusSource } from "./api.ts";

/** The listening status API. */
export interface StatusServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** The address cannot be listened on; the message names it and the mend. */
export class AddressError extends Error {
  override name = "AddressError";
}

/** Requests of one connection that may wait for its first; who sends more without reading answers is cut off. */
const PIPELINED_MAX = 16;
/** How often connections are looked through for those that are out of time, ms. */
const CHECK_INTERVAL = 500;

/**
 * Lets requests through at a bounded rate: those above it wait their turn, in order, and nobody is refused. Who leaves
 * gives up the place: clients that connect, ask and go must not use up the turns of those who stay.
 */
export class Turnstile {
  readonly #pause: number;
  readonly #burst: number;
  readonly #now: () => number;
  readonly #queue = new Set<(mayGo: boolean) => void>();
  #next = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param perSecond requests
   * @param now monotonic, ms
   */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#pause = 1000 / perSecond;
    // A tenth of a second's worth may come at once, and one in any case.
    this.#burst = Math.max(100, this.#pause);
    this.#now = now;
  }

  /** Requests that wait: of each connection at most one. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Goes through, or tells how long it has to be waited, ms, and nothing is taken. */
  take(): number {
    const now = this.#now();
    const next = Math.max(this.#next, now - this.#burst) + this.#pause;
    if (next > now) return next - now;
    this.#next = next;
    return 0;
  }

  /** Waits for one's turn; false when `gone` came first. @param gone closed when nobody waits for the answer any more */
  enter(gone: { once(event: "close", listener: () => void): unknown }): Promise<boolean> {
    if (this.#queue.size === 0 && this.take() === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.#queue.add(resolve);
      gone.once("close", () => {
        if (this.#queue.delete(resolve)) resolve(false);
      });
      if (this.#timer === undefined) this.#letIn();
    });
  }

  #letIn(): void {
    this.#timer = undefined;
    for (const resolve of this.#queue) {
      const wait = this.take();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#letIn(), wait);
        return;
      }
      this.#queue.delete(resolve);
      resolve(true);
    }
  }
}

/** What {@link Places} needs of a connection. */
interface Closable {
  destroy(): unknown;
  once(event: "close", listener: () => void): unknown;
}

/**
 * The connections, no more than `max`. Where all places are taken, the connection that has asked for nothing for the
 * longest time gives up its own: a crowd that holds connections open must not keep a probe out, for which an
 * orchestrator would end the recording. Only where every connection waits for an answer is the newcomer closed.
 */
export class Places<C extends Closable> {
  readonly #max: number;
  /** Those that wait for no answer, the longest first. */
  readonly #idle = new Set<C>();
  readonly #busy = new Set<C>();

  constructor(max: number) {
    this.#max = max;
  }

  /** A connection was opened. */
  enter(connection: C): void {
    if (this.#idle.size + this.#busy.size >= this.#max) {
      const [longest] = this.#idle;
      const leaving = longest ?? connection;
      this.#idle.delete(leaving);
      leaving.destroy();
      if (leaving === connection) return;
    }
    this.#idle.add(connection);
    connection.once("close", () => {
      this.#idle.delete(connection);
      this.#busy.delete(connection);
    });
  }

  /** A request has come over it. */
  asked(connection: C): void {
    if (this.#idle.delete(connection)) this.#busy.add(connection);
  }

  /** It waits for no answer any more. */
  answered(connection: C): void {
    if (this.#busy.delete(connection)) this.#idle.add(connection);
  }
}

/**
 * Starts the status API.
 *
 * @throws AddressError when the address is taken or not ours
 */
export async function serveStatus(options: {
  settings: Settings["status"];
  version: string;
  source: StatusSource;
  /** See {@link StatusBounds}. */
  liveInterval?: StatusBounds["liveInterval"];
}): Promise<StatusServer> {
  const { settings, version, source } = options;
  const { host, port } = settings;
  const { app, close } = createStatusApp(version, source, {
    refresh: settings.refresh,
    streamsMax: settings.max_streams,
    ...(options.liveInterval === undefined ? {} : { liveInterval: options.liveInterval }),
  });
  const turnstile = new Turnstile(settings.max_requests);
  const places = new Places<Socket>(settings.max_connections);
  const unanswered = new WeakMap<Socket, { count: number; last: Promise<void> }>();
  const server = createServer(
    {
      maxHeaderSize: settings.max_header,
      headersTimeout: settings.header_timeout,
      requestTimeout: settings.header_timeout,
      keepAliveTimeout: settings.idle_timeout,
      connectionsCheckingInterval: CHECK_INTERVAL,
    },
    (incoming, outgoing) => {
      const { socket } = incoming;
      const before = unanswered.get(socket) ?? { count: 0, last: Promise.resolve() };
      unanswered.set(socket, before);
      places.asked(socket);
      if (before.count >= PIPELINED_MAX) {
        socket.destroy();
        return;
      }
      before.count++;
      // In turn, so that a connection never waits at the turnstile more than once.
      before.last = before.last
        .then(() => answer(incoming, outgoing, (request) => app.fetch(request), turnstile))
        .finally(() => {
          before.count--;
          if (before.count === 0) places.answered(socket);
        });
    },
  );
  server.on("connection", (socket: Socket) => places.enter(socket));
  // Whoever neither sends nor reads: an answer that nobody takes is not kept for ever.
  server.timeout = settings.idle_timeout;
  const address = await listen(server, host, port);
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}`,
    stop: async () => {
      close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) =>
      reject(
        new AddressError(
          `the status API cannot listen on ${host}:${port} (${error.message}); ` +
            "stop what uses that port, or choose another with --port N (0 = any free one)",
        ),
      );
    server.once("error", failed);
    server.listen(port, host.replace(/^\[(.*)\]$/, "$1"), () => {
      server.off("error", failed);
      // A connection that fails is that client's affair.
      server.on("error", () => undefined);
      resolve(server.address() as AddressInfo);
    });
  });
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fetch: (request: Request) => Response | Promise<Response>,
  turnstile: Turnstile,
): Promise<void> {
  outgoing.on("error", () => undefined);
  try {
    if (outgoing.destroyed || incoming.socket.destroyed || !(await turnstile.enter(outgoing))) return;
    const response = await fetch(requestOf(incoming));
    // No answer needs a body: what comes with a request is not read, and ends the connection.
    const hasBody =
      incoming.headers["transfer-encoding"] !== undefined ||
      (incoming.headers["content-length"] ?? "0") !== "0";
    if (hasBody) outgoing.setHeader("connection", "close");
    for (const [name, value] of response.headers) outgoing.setHeader(name, value);
    outgoing.statusCode = response.status;
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
    if (isStream && response.body !== null) await pass(response.body, outgoing);
    else outgoing.end(Buffer.from(await response.arrayBuffer()));
  } catch {
    outgoing.destroy();
  }
}

function requestOf(incoming: IncomingMessage): Request {
  const headers = new Headers();
  if (incoming.headers.accept !== undefined) headers.set("accept", incoming.headers.accept);
  // The Host header is not believed: nothing here hangs on it.
  // What is asked of a proxy is not here.
  const path = incoming.url?.startsWith("/") === true ? incoming.url : "/elsewhere";
  return new Request(`http://status${path}`, { method: incoming.method ?? "GET", headers });
}

/** Hands a stream on as fast as the client reads it; its end, or an error, ends the connection. */
async function pass(body: ReadableStream<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  const reader = body.getReader();
  outgoing.on("close", () => void reader.cancel().catch(() => undefined));
  for (;;) {
    const { done, value } = await reader.read();
    if (done || outgoing.destroyed) break;
    if (!outgoing.write(value)) await drained(outgoing);
  }
  outgoing.end();
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      outgoing.off("drain", go);
      outgoing.off("close", go);
      resolve();
    };
    outgoing.on("drain", go);
    outgoing.on("close", go);
  });
}
