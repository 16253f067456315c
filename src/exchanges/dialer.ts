/** How connections to an exchange are opened: directly or by way of a proxy, and whose certificates are believed. */
import { getCACertificates } from "node:tls";
import { bracketed, type ProxyAddress, parseProxyUrl, shownProxy } from "../lib/proxy-url.ts";
import { SocksBridge } from "../lib/socks-bridge.ts";
import { DirectWire } from "./websocket/direct.ts";
import { type HttpProxy, ProxiedWire } from "./websocket/proxied.ts";
import type { Dial } from "./websocket/wire.ts";

/** What has to be known to open connections to one exchange; plain data that goes from thread to thread. */
export interface Dialing {
  /** URL of a proxy, user and password in it percent-encoded; null = none. Never to be shown. */
  readonly proxy: string | null;
  /** Certificates (PEM) of authorities that are believed besides the usual ones; null = none. */
  readonly ca: string | null;
}

/** No proxy, no authorities besides the usual ones. */
export const DIRECT: Dialing = { proxy: null, ca: null };

/** Requests one REST path needs at most, redirections included. */
const CONNECTIONS_PER_REQUEST_MAX = 10;

/** Names under which Bun looks for hosts that no proxy is used for. */
const NO_PROXY_NAMES = ["no_proxy", "NO_PROXY"] as const;

/**
 * Opens WebSockets as `dialing` says. The variables HTTPS_PROXY and NO_PROXY have no say in it.
 *
 * @returns a function that does not throw for what a network does: failures are the socket's events
 * @throws Error for a URL that is none of a proxy
 */
export function dialer(dialing: Dialing): Dial {
  const proxy = dialing.proxy === null ? null : parseProxyUrl(dialing.proxy);
  const ca = authorities(dialing.ca);
  return (url, options) => {
    if (proxy === null) return new DirectWire(url, ca, options);
    if (!isSocks(proxy)) return withoutExceptions(() => new ProxiedWire(url, httpProxy(proxy), ca, options));
    const { handshakeTimeout } = options.bounds;
    const bridge = new SocksBridge({ proxy, handshakeTimeout, connectionsMax: 1 });
    return withoutExceptions(() => new ProxiedWire(url, bridgeProxy(bridge), ca, options));
  };
}

/** A GET of the exchange's REST interface. */
export type Fetch = (url: string, options: { readonly signal: AbortSignal }) => Promise<Response>;

/**
 * The same for REST.
 *
 * @param timeout how long one handshake with a SOCKS proxy may take, ms
 * @returns a function that rejects as `fetch` does; what went wrong by way of a proxy names the proxy
 * @throws Error for a URL that is none of a proxy
 */
export function fetcher(dialing: Dialing, { timeout }: { readonly timeout: number }): Fetch {
  const proxy = dialing.proxy === null ? null : parseProxyUrl(dialing.proxy);
  const ca = authorities(dialing.ca);
  const trust = ca === null ? {} : { tls: { ca } };
  // `false`: without it fetch would take a proxy from the environment, which the WebSockets do not.
  if (proxy === null) return (url, { signal }) => fetch(url, { signal, proxy: false, ...trust });
  const by = (via: HttpProxy) => ({ proxy: { ...via, respectNoProxy: false }, ...trust });
  return async (url, { signal }) => {
    const bridge = isSocks(proxy)
      ? new SocksBridge({ proxy, handshakeTimeout: timeout, connectionsMax: CONNECTIONS_PER_REQUEST_MAX })
      : null;
    try {
      if (bridge === null) return await fetch(url, { signal, ...by(httpProxy(proxy)) });
      // A bridge serves one request: nothing is kept for a next one.
      return await fetch(url, { signal, keepalive: false, ...by(bridgeProxy(bridge)) });
    } catch (cause) {
      if (signal.aborted || !(cause instanceof Error)) throw cause;
      throw new Error(`by way of ${shownProxy(proxy)}: ${cause.message}`, { cause });
    } finally {
      bridge?.close();
    }
  };
}

function isSocks({ scheme }: ProxyAddress): boolean {
  return scheme === "socks5" || scheme === "socks5h";
}

function httpProxy({ scheme, host, port, credentials }: ProxyAddress): HttpProxy {
  const url = `${scheme}://${bracketed(host)}:${port}`;
  if (credentials === null) return { url, headers: {} };
  const pair = Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64");
  return { url, headers: { "Proxy-Authorization": `Basic ${pair}` } };
}

function bridgeProxy(bridge: SocksBridge): HttpProxy {
  return { url: bridge.url, headers: { "Proxy-Authorization": bridge.authorization } };
}

/** All who are believed: a `ca` takes the place of the usual authorities, so they are named too, and NODE_EXTRA_CA_CERTS'. */
function authorities(ca: string | null): string | null {
  return ca === null ? null : [...getCACertificates("default"), ca].join("\n");
}

/**
 * Runs what opens a WebSocket by way of a proxy while NO_PROXY is not there. Bun reads it as the socket is made, lets
 * it win over a proxy that is named, and has no option against that; a recorder that was told to use a proxy must not
 * go past it. Other readers of the variable, such as clients of object stores, are not to lose it.
 */
function withoutExceptions<T>(open: () => T): T {
  const saved = NO_PROXY_NAMES.map((name) => [name, process.env[name]] as const);
  for (const name of NO_PROXY_NAMES) delete process.env[name];
  try {
    return open();
  } finally {
    for (const [name, value] of saved) if (value !== undefined) process.env[name] = value;
  }
}
