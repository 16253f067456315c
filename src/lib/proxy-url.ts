/** Addresses of proxies. */

/** Kinds of proxy, with the port of each where its URL names none. */
export const PROXY_SCHEMES = { http: 80, https: 443, socks5: 1080, socks5h: 1080 } as const;

/** See {@link PROXY_SCHEMES}. */
export type ProxyScheme = keyof typeof PROXY_SCHEMES;

/** The longest user and password that SOCKS5 can carry, bytes (RFC 1929: one byte of length). */
const SOCKS_CREDENTIAL_BYTES_MAX = 255;

/** A proxy, as its URL says. */
export interface ProxyAddress {
  /** `socks5`: we look names up; `socks5h`: the proxy does. */
  readonly scheme: ProxyScheme;
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** null = none are given. */
  readonly credentials: { readonly user: string; readonly password: string } | null;
}

/**
 * Reads the URL of a proxy: `scheme://[user:password@]host[:port]`, user and password percent-encoded.
 *
 * @throws Error that says what is wrong, without any part of the URL: it may hold a password
 */
export function parseProxyUrl(text: string): ProxyAddress {
  if (/[\s\p{Cc}\\]/u.test(text)) throw new Error("it holds a blank, a backslash or a control character");
  const [, written = ""] = /^([a-z0-9+.-]+):\/\//i.exec(text) ?? [];
  const scheme = written.toLowerCase();
  if (!isScheme(scheme)) throw new Error(`it begins with none of ${Object.keys(PROXY_SCHEMES).join(", ")}`);
  // As http: URL leaves the host of a scheme it does not know as it stands. A port of 80 it does not show.
  const rest = text.slice(written.length);
  if (!URL.canParse(`http${rest}`)) throw new Error("host or port cannot be read");
  const url = new URL(`http${rest}`);
  if ((url.pathname !== "/" && url.pathname !== "") || /[?#]/.test(rest))
    throw new Error("something follows the port; / ? # in a password have to be written %2F %3F %23");
  const port = url.port === "" ? (/:0*80\/?$/.test(rest) ? 80 : PROXY_SCHEMES[scheme]) : Number(url.port);
  if (port === 0) throw new Error("port 0 is none");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return { scheme, host, port, credentials: credentialsOf(url, scheme) };
}

/** What may be shown of a proxy: everything but user and password. */
export function shownProxy({ scheme, host, port }: ProxyAddress): string {
  return `${scheme}://${bracketed(host)}:${port}`;
}

/** A host as it stands in a URL. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function isScheme(scheme: string): scheme is ProxyScheme {
  return Object.hasOwn(PROXY_SCHEMES, scheme);
}

function credentialsOf(url: URL, scheme: ProxyScheme): ProxyAddress["credentials"] {
  if (url.username === "" && url.password === "") return null;
  const user = decoded(url.username);
  const password = decoded(url.password);
  if (scheme === "http" || scheme === "https") {
    // RFC 7617: the first colon ends the user.
    if (user.includes(":")) throw new Error("the user holds a colon");
    return { user, password };
  }
  for (const [name, value] of Object.entries({ user, password })) {
    const bytes = Buffer.byteLength(value);
    if (bytes === 0) throw new Error(`a SOCKS proxy takes user and password, and the ${name} is empty`);
    if (bytes > SOCKS_CREDENTIAL_BYTES_MAX)
      throw new Error(
        `the ${name} is longer than the ${SOCKS_CREDENTIAL_BYTES_MAX} bytes that SOCKS5 can carry`,
      );
  }
  return { user, password };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error("user or password is not percent-encoded: a % has to be written %25");
  }
}
