/** The opening of a WebSocket: what we ask, and which answers are a yes. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  newKey,
  readAnswer,
  type UpgradeAnswer,
  upgradeRequest,
} from "../../../src/exchanges/websocket/handshake.ts";

/** Key and answer of RFC 6455, 1.3. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OPEN: UpgradeAnswer = { kind: "open" };

/** The head of an answer; a header of undefined is left out. */
function head(first: string, headers: Record<string, string | undefined> = {}): string {
  const all = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": ACCEPT,
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return [first, ...lines].join("\r\n");
}

function failure(reason: RegExp): UpgradeAnswer {
  return { kind: "failed", reason: expect.stringMatching(reason) as unknown as string };
}

describe("a yes", () => {
  test.each([
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 101 ",
    "HTTP/1.1 101",
    "HTTP/1.0 101 Yes",
  ])("%s", (first) => {
    expect(readAnswer(head(first), KEY)).toEqual(OPEN);
  });

  test.each([
    ["names in lower case", `upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${ACCEPT}`],
    ["names in upper case", `UPGRADE: WEBSOCKET\r\nCONNECTION: UPGRADE\r\nSEC-WEBSOCKET-ACCEPT: ${ACCEPT}`],
    ["no blanks", `Upgrade:WebSocket\r\nConnection:Upgrade\r\nSec-WebSocket-Accept:${ACCEPT}`],
    [
      "blanks around values",
      `Upgrade:  websocket \r\nConnection:\tUpgrade\t\r\nSec-WebSocket-Accept:  ${ACCEPT}  `,
    ],
    [
      "more in Connection",
      `Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}`,
    ],
    [
      "Connection twice",
      `Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}`,
    ],
    [
      "folded lines",
      `Upgrade:\r\n websocket\r\nConnection: keep-alive,\r\n\t Upgrade\r\nSec-WebSocket-Accept:\r\n  ${ACCEPT}`,
    ],
    [
      "lines that are no headers",
      `Upgrade: websocket\r\nnothing\r\n: nameless\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}`,
    ],
    [
      "empty extensions",
      `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\nSec-WebSocket-Extensions:`,
    ],
  ])("%s", (_, headers) => {
    expect(readAnswer(`HTTP/1.1 101 Switching Protocols\r\n${headers}`, KEY)).toEqual(OPEN);
  });
});

describe("a 101 that opens nothing", () => {
  const cases: [string, Record<string, string | undefined>, RegExp][] = [
    ["no Upgrade", { Upgrade: undefined }, /opened no WebSocket/],
    ["Upgrade to something else", { Upgrade: "h2c" }, /opened no WebSocket/],
    ["Upgrade to something like it", { Upgrade: "websockets" }, /opened no WebSocket/],
    ["no Connection", { Connection: undefined }, /opened no WebSocket/],
    ["another Connection", { Connection: "keep-alive" }, /opened no WebSocket/],
    ["no Accept", { "Sec-WebSocket-Accept": undefined }, /does not belong to our key/],
    ["an empty Accept", { "Sec-WebSocket-Accept": "" }, /does not belong to our key/],
    ["the key as Accept", { "Sec-WebSocket-Accept": KEY }, /does not belong to our key/],
    ["Accept in other case", { "Sec-WebSocket-Accept": ACCEPT.toLowerCase() }, /does not belong to our key/],
    ["Accept twice", { "sec-websocket-accept": ACCEPT }, /does not belong to our key/],
    ["an extension", { "Sec-WebSocket-Extensions": "permessage-deflate" }, /sec-websocket-extensions/],
    ["a protocol", { "Sec-WebSocket-Protocol": "chat" }, /sec-websocket-protocol/],
  ];
  test.each(cases)("%s", (_, headers, reason) => {
    expect(readAnswer(head("HTTP/1.1 101 Switching Protocols", headers), KEY)).toEqual(failure(reason));
  });

  test("an answer to another key", () => {
    expect(readAnswer(head("HTTP/1.1 101 Switching Protocols"), newKey())).toEqual(
      failure(/does not belong to our key/),
    );
  });
});

describe("a no", () => {
  test.each([
    ["HTTP/1.1 429 Too Many Requests", { "Retry-After": "17" }, 429, "17"],
    ["HTTP/1.0 429", { "retry-after": "17" }, 429, "17"],
    [
      "HTTP/1.1 503 Service Unavailable",
      { "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT" },
      503,
      "Wed, 21 Oct 2026 07:28:00 GMT",
    ],
    ["HTTP/1.1 418 I'm a teapot", {}, 418, null],
    ["HTTP/1.1 200 OK", {}, 200, null],
    ["HTTP/1.1 302 Found", { Location: "ws://elsewhere.test/" }, 302, null],
    ["HTTP/1.1 100 Continue", {}, 100, null],
  ])("%s", (first, headers, status, retryAfter) => {
    expect(readAnswer(head(first, headers), KEY)).toEqual({ kind: "refused", status, retryAfter });
  });
});

test.each([
  "",
  "\r\n",
  "HTTP/2 101 Switching Protocols",
  "HTTP/1.1 1010 Too Many Digits",
  "HTTP/1.1 10 Too Few",
  "HTTP/1.1  101 Two Blanks",
  "HTTP/1.1 abc",
  " HTTP/1.1 101 Switching Protocols",
  "ICY 200 OK",
  "SSH-2.0-OpenSSH_9.6",
  "\x15\x03\x01\x00\x02\x02\x46",
])("garbage is no answer: %j", (first) => {
  expect(readAnswer(head(first), KEY)).toEqual(failure(/does not speak HTTP\/1.1/));
});

describe("the request", () => {
  const lines = (url: string) => upgradeRequest(new URL(url), KEY).split("\r\n");

  test("is what RFC 6455 wants, and ends with an empty line", () => {
    expect(lines("wss://stream.test:9443/stream?streams=a@b/c@d#part")).toEqual([
      "GET /stream?streams=a@b/c@d HTTP/1.1",
      "Host: stream.test:9443",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${KEY}`,
      "Sec-WebSocket-Version: 13",
      "",
      "",
    ]);
  });

  test.each([
    ["wss://stream.test", "GET / HTTP/1.1", "Host: stream.test"],
    ["wss://stream.test:443/ws", "GET /ws HTTP/1.1", "Host: stream.test"],
    ["ws://[::1]:8080/?a", "GET /?a HTTP/1.1", "Host: [::1]:8080"],
    ["ws://h/a b\n?c=\r\nX: y", "GET /a%20b?c=X:%20y HTTP/1.1", "Host: h"],
    ["ws://h/%0d%0aX:%20y", "GET /%0d%0aX:%20y HTTP/1.1", "Host: h"],
  ])("of %j", (url, first, host) => {
    expect(lines(url).slice(0, 2)).toEqual([first, host]);
    expect(lines(url)).toHaveLength(8);
  });

  test.each([
    ["ws://user:pass@h/", "user:pass"],
    ["ws://us%40er:p%3Aa%2Fss@h/", "us@er:p:a/ss"],
    ["ws://%C3%BC:%E2%82%AC@h/", "ü:€"],
    ["ws://user@h/", "user:"],
    ["ws://:pass@h/", ":pass"],
    // Percent signs that are none of an encoding stand for themselves.
    ["ws://100%:50%zz@h/", "100%:50%zz"],
    ["ws://%ff:x@h/", "%ff:x"],
  ])("of %j has user and password in a header, and nowhere else", (url, pair) => {
    const all = lines(url);
    expect(all).toContain(`Authorization: Basic ${Buffer.from(pair).toString("base64")}`);
    expect(all.slice(0, 2)).toEqual(["GET / HTTP/1.1", "Host: h"]);
    expect(all).toHaveLength(9);
  });
});

test("keys are 16 random bytes, each time others, and the answer to one is its hash", () => {
  const keys = Array.from({ length: 100 }, newKey);
  expect(new Set(keys).size).toBe(100);
  for (const key of keys) {
    expect(Buffer.from(key, "base64")).toHaveLength(16);
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    expect(readAnswer(head("HTTP/1.1 101 Yes", { "Sec-WebSocket-Accept": accept }), key)).toEqual(OPEN);
  }
});
