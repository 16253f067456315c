/**
 * A way through a SOCKS5 proxy for a client that only knows HTTP proxies, as Bun's WebSocket and fetch do
 * (https://github.com/oven-sh/bun/issues/16812): an HTTP proxy on loopback that dials through SOCKS.
 */
import { randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import { createServer, isIP, type Server, type Socket } from "node:net";
import type { ProxyAddress } from "./proxy-url.ts";

/** The longest head of a request that is read, bytes. */
const HEAD_BYTES_MAX = 16 * 1024;

/** What a bridge is for, and its bounds. */
export interface BridgeOptions {
  readonly proxy: ProxyAddress;
  /** How long it listens, and how long one handshake with the proxy may take, ms. */
  readonly handshakeTimeout: number;
  /** Connections it takes in its life. */
  readonly connectionsMax: number;
}

/** Where a client asks for a connection to. */
interface Target {
  readonly host: string;
  readonly port: number;
  /** What goes to the target before anything else; null = the client wants a tunnel. */
  readonly head: string | null;
}

/** A request that is not granted; `status` goes to the client. */
class Refusal extends Error {
  constructor(
    readonly status: 400 | 407 | 431 | 502 | 504,
    message: string,
  ) {
    super(message);
  }
}

/**
 * A listener for one use: opened for one WebSocket or one request, on 127.0.0.1 and a port of its own, and closed
 * when that has its connections, or its time is over. Connections that stand live until one of their ends closes.
 * Only who knows the secret of {@link authorization} is served: other users of this machine do not get through
 * the proxy on our account.
 */
export class SocksBridge {
  /** What the client has to send as `Proxy-Authorization`. */
  readonly authorization = `Basic ${randomBytes(32).toString("base64")}`;
  readonly #options: BridgeOptions;
  readonly #server: Server;
  readonly #deadline: ReturnType<typeof setTimeout>;
  #taken = 0;

  /** Listens when it returns. */
  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#server = createServer((client) => this.#take(client));
    this.#server.on("error", () => this.close());
    this.#server.listen(0, "127.0.0.1").unref();
    this.#deadline = setTimeout(() => this.close(), options.handshakeTimeout);
    this.#deadline.unref();
  }

  /** Its URL, as that of an HTTP proxy. @throws Error when the system gave it no port */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port on 127.0.0.1 is free");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Takes no further connections; those that stand live on. */
  close(): void {
    clearTimeout(this.#deadline);
    this.#server.close();
  }

  #take(client: Socket): void {
    if (++this.#taken >= this.#options.connectionsMax) this.close();
    client.on("error", () => client.destroy());
    client.setNoDelay(true);
    // The client gives up by itself; this is for one that never says what it wants.
    client.setTimeout(this.#options.handshakeTimeout, () => client.destroy());
    void this.#serve(client).catch((cause: unknown) => {
      const { status, message } = cause instanceof Refusal ? cause : new Refusal(502, wordsOf(cause));
      client.end(`HTTP/1.1 ${status} ${message}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    });
  }

  async #serve(client: Socket): Promise<void> {
    const { head, rest } = await readHead(client);
    const target = targetOf(head, this.authorization);
    // The proxy's answer comes first, or why there is none.
    client.setTimeout(2 * this.#options.handshakeTimeout);
    const upstream = await this.#dial(target);
    if (client.destroyed) {
      upstream.destroy();
      return;
    }
    client.setTimeout(0);
    if (target.head === null) client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    else upstream.write(target.head);
    if (rest.length > 0) upstream.write(rest);
    join(client, upstream);
  }

  async #dial(target: Target): Promise<Socket> {
    const { proxy, handshakeTimeout } = this.#options;
    const { credentials } = proxy;
    // Names the proxy is not to see are looked up here; IPv4 first, since fewer proxies reach IPv6.
    const local = proxy.scheme === "socks5" && isIP(target.host) === 0;
    const host = local ? (await lookup(target.host, { order: "ipv4first" })).address : target.host;
    try {
      // Not at the head of the file: hardly anybody has such a proxy, and every start of a recorder would read it twice.
      const { SocksClient } = await import("socks");
      const { socket } = await SocksClient.createConnection({
        command: "connect",
        proxy: {
          host: proxy.host,
          port: proxy.port,
          type: 5,
          ...(credentials === null ? {} : { userId: credentials.user, password: credentials.password }),
        },
        destination: { host, port: target.port },
        timeout: handshakeTimeout,
        set_tcp_nodelay: true,
      });
      return socket;
    } catch (cause) {
      throw refusalOf(cause, credentials !== null);
    }
  }
}

/** Reads a request up to the blank line that ends its head. */
function readHead(client: Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let read: Buffer = Buffer.alloc(0);
    const onData = (data: Buffer) => {
      read = Buffer.concat([read, data]);
      const end = read.indexOf("\r\n\r\n");
      if (end < 0 && read.length <= HEAD_BYTES_MAX) return;
      client.off("data", onData);
      client.pause();
      if (end < 0) reject(new Refusal(431, "the head of the request is too long"));
      else resolve({ head: read.toString("latin1", 0, end), rest: read.subarray(end + 4) });
    };
    client.on("data", onData);
    client.once("close", () => reject(new Refusal(400, "the client is gone")));
  });
}

/** What a request asks for: a tunnel (CONNECT), or one request to http:// with the whole URL in its first line. */
function targetOf(head: string, authorization: string): Target {
  const [first = "", ...headers] = head.split("\r\n");
  const isTheSecret = (header: string) =>
    /^proxy-authorization:/i.test(header) && header.slice(header.indexOf(":") + 1).trim() === authorization;
  if (!headers.some(isTheSecret)) throw new Refusal(407, "this port is not for you");
  const [method = "", asked = ""] = first.split(" ");
  const text = method === "CONNECT" ? `http://${asked}/` : asked;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== "http:")
    throw new Refusal(400, "neither CONNECT nor a URL of http://");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? 80 : Number(url.port);
  if (method === "CONNECT") return { host, port, head: null };
  // One request a connection: the next one of the client might be for another host.
  const own = headers.filter((header) => !/^(proxy-[a-z]+|connection|keep-alive):/i.test(header));
  const line = `${method} ${url.pathname}${url.search} HTTP/1.1`;
  return { host, port, head: [line, ...own, "Connection: close", "", ""].join("\r\n") };
}

/** Hands on what comes from either end to the other, with the back-pressure of both, until one of them closes. */
function join(client: Socket, upstream: Socket): void {
  upstream.on("error", () => client.destroy());
  // What is still to be written goes out first: a close frame, or the end of an answer.
  client.once("close", () => upstream.destroySoon());
  upstream.once("close", () => client.destroySoon());
  client.pipe(upstream);
  upstream.pipe(client);
}

/** The library's words do not say who refused; its error objects hold the password and go no further. */
function refusalOf(cause: unknown, withPassword: boolean): Refusal {
  const words = wordsOf(cause);
  if (/authentication failed/i.test(words))
    return new Refusal(407, "the SOCKS proxy refused user and password");
  if (/no accepted authentication/i.test(words))
    return new Refusal(
      407,
      withPassword ? "the SOCKS proxy takes no user and password" : "the SOCKS proxy wants user and password",
    );
  if (/timed out/i.test(words)) return new Refusal(504, "the SOCKS proxy did not answer in time");
  return new Refusal(502, `SOCKS proxy: ${words}`);
}

function wordsOf(cause: unknown): string {
  const words = cause instanceof Error ? cause.message : String(cause);
  // It becomes the status line of an answer.
  return words.replace(/[^\x20-\x7e]+/g, " ").slice(0, 200);
}
