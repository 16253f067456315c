/** The opening of a WebSocket over HTTP/1.1 (RFC 6455, 4), from the client's side. */
import { createHash, randomBytes } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Longest head of an answer that is read, bytes. */
export const HEAD_BYTES_MAX: number = 16 * 1024;

/** A new `Sec-WebSocket-Key`. */
export function newKey(): string {
  return randomBytes(16).toString("base64");
}

/** What a client sends first. User and password of the URL go in a header of their own, as in any request of HTTP. */
export function upgradeRequest(url: URL, key: string): string {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${key}`,
    "Sec-WebSocket-Version: 13",
  ];
  if (url.username !== "" || url.password !== "") {
    const pair = `${decoded(url.username)}:${decoded(url.password)}`;
    lines.push(`Authorization: Basic ${Buffer.from(pair).toString("base64")}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** A part of a URL as it is meant; as it is written, if its percent signs are none of an encoding. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What the server answered. */
export type UpgradeAnswer =
  | { readonly kind: "open" }
  | { readonly kind: "refused"; readonly status: number; readonly retryAfter: string | null }
  | { readonly kind: "failed"; readonly reason: string };

/** Reads the head of an answer, without the blank line that ends it. @param key of the request */
export function readAnswer(head: string, key: string): UpgradeAnswer {
  const [first = "", ...lines] = head.split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1] ?? Number.NaN);
  if (Number.isNaN(status)) return failed("the server does not speak HTTP/1.1");
  const headers = new Map<string, string>();
  // A line that begins with a blank goes on with the one before (RFC 9112, 5.2).
  for (const line of lines
    .join("\r\n")
    .replace(/\r\n[ \t]+/g, " ")
    .split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  if (status !== 101) return { kind: "refused", status, retryAfter: headers.get("retry-after") ?? null };
  const has = (name: string, token: string) =>
    (headers.get(name) ?? "").split(",").some((one) => one.trim().toLowerCase() === token);
  if (!has("upgrade", "websocket") || !has("connection", "upgrade"))
    return failed("the server answered 101 and opened no WebSocket");
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  if (headers.get("sec-websocket-accept") !== accept)
    return failed("the server's Sec-WebSocket-Accept does not belong to our key");
  for (const name of ["sec-websocket-extensions", "sec-websocket-protocol"])
    if ((headers.get(name) ?? "") !== "") return failed(`the server wants ${name}, which was not asked for`);
  return { kind: "open" };
}

function failed(reason: string): UpgradeAnswer {
  return { kind: "failed", reason };
}
