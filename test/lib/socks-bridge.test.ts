/** What stands between an HTTP client and a SOCKS proxy: who is served, how long, and that no byte is lost. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type BridgeOptions, SocksBridge } from "../../src/lib/socks-bridge.ts";
import { SocksProxy } from "../helpers/proxies.ts";
import { waitFor, within } from "../helpers/wait.ts";
import { seeded } from "./seed.ts";
import { until } from "./until.ts";

const proxy = new SocksProxy(null);
const bridges: SocksBridge[] = [];
const clients: Socket[] = [];
/** Takes `BYTES` bytes, then sends them back and ends the connection. */
let echoing: Server;
const BYTES = 8 * 1024 * 1024;
let target: string;

beforeAll(async () => {
  await proxy.listen();
  echoing = createServer((socket) => {
    const pieces: Buffer[] = [];
    let got = 0;
    socket.on("error", () => {});
    socket.on("data", (data: Buffer) => {
      pieces.push(data);
      got += data.length;
      if (got === BYTES) socket.end(Buffer.concat(pieces));
    });
  });
  await new Promise<void>((resolve) => echoing.listen(0, "127.0.0.1", resolve));
  const address = echoing.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  target = `127.0.0.1:${address.port}`;
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const bridge of bridges.splice(0)) bridge.close();
  await until(() => proxy.open === 0, "the end of every connection");
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  echoing.close();
});

function bridgeOf(bounds: Partial<BridgeOptions> = {}): SocksBridge {
  const bridge = new SocksBridge({
    proxy: { scheme: "socks5", host: "127.0.0.1", port: proxy.port, credentials: null },
    handshakeTimeout: 5_000,
    connectionsMax: 1,
    ...bounds,
  });
  bridges.push(bridge);
  return bridge;
}

/** A raw client: sends a text, gathers what comes. */
function client(url: string, text: string) {
  const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(text));
  const seen = { text: "", bytes: 0, closed: false, refused: false };
  clients.push(socket);
  socket.on("error", () => {
    seen.refused = true;
  });
  socket.on("data", (data: Buffer) => {
    seen.bytes += data.length;
    if (seen.text.length < 1_000) seen.text += data.toString("latin1");
  });
  socket.on("close", () => {
    seen.closed = true;
  });
  return { socket, seen };
}

const asking = (bridge: SocksBridge, to = target) =>
  `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\nProxy-Authorization: ${bridge.authorization}\r\n\r\n`;

describe("who is served", () => {
  test.each([
    ["nobody without the secret", () => `CONNECT ${target} HTTP/1.1\r\n\r\n`, "407"],
    [
      "nobody with another one",
      () => `CONNECT ${target} HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n`,
      "407",
    ],
    ["no endless head", () => "x".repeat(20_000), "431"],
  ])("%s", async (_, text, status) => {
    proxy.asked.length = 0;
    const { seen } = client(bridgeOf().url, text());
    await until(() => seen.closed, "the end of the connection");
    expect(seen.text).toStartWith(`HTTP/1.1 ${status} `);
    expect(proxy.asked).toEqual([]);
  });

  test.each([
    ["GET / HTTP/1.1", "400"],
    ["GET https://x/ HTTP/1.1", "400"],
    ["CONNECT nowhere:x HTTP/1.1", "400"],
  ])("not %p", async (line, status) => {
    const bridge = bridgeOf();
    const { seen } = client(bridge.url, `${line}\r\nProxy-Authorization: ${bridge.authorization}\r\n\r\n`);
    await until(() => seen.closed, "the end of the connection");
    expect(seen.text).toStartWith(`HTTP/1.1 ${status} `);
  });

  test("no more than it was opened for", async () => {
    const bridge = bridgeOf();
    const { url } = bridge;
    const first = client(url, asking(bridge));
    await until(() => first.seen.text.includes(" 200 "), "the first connection");
    const second = client(url, asking(bridge));
    await until(() => second.seen.closed, "the end of the second");
    expect(second.seen).toMatchObject({ refused: true, text: "" });
    expect(first.seen.closed).toBe(false);
  });
});

describe("time", () => {
  test("nobody comes: it stops to listen", async () => {
    const { url } = bridgeOf({ handshakeTimeout: 20 });
    await waitFor("a refused connection", async () => {
      const { seen } = client(url, "");
      await until(() => seen.closed, "an end of the connection");
      return seen.refused;
    });
  });

  test("a client that says nothing is let go", async () => {
    const { seen } = client(bridgeOf({ handshakeTimeout: 50 }).url, "CONNECT");
    await until(() => seen.closed, "the end of the connection");
  });

  test("a proxy that says nothing is let go", async () => {
    proxy.deaf = true;
    try {
      const bridge = bridgeOf({ handshakeTimeout: 50 });
      const { seen } = client(bridge.url, asking(bridge));
      await until(() => seen.closed && proxy.open === 0, "the end of both connections");
    } finally {
      proxy.deaf = false;
    }
  });

  test("a client that goes during the handshake leaves nothing behind", async () => {
    const bridge = bridgeOf();
    const { socket } = client(bridge.url, asking(bridge));
    await until(() => proxy.open > 0, "the connection to the proxy");
    socket.destroy();
    await until(() => proxy.open === 0, "its end");
  });
});

test("bytes arrive whole and in order, also where the reader is slow, and with the end of a connection", async () => {
  const random = seeded("socks-bridge");
  const sent = Buffer.alloc(BYTES);
  // A number every 64 bytes: no piece is like another.
  for (let i = 0; i < sent.length; i += 64) sent.writeUInt32LE(random.below(2 ** 31), i);
  const bridge = bridgeOf();
  const socket = connect(Number(new URL(bridge.url).port), "127.0.0.1");
  clients.push(socket);
  socket.on("error", () => {});
  const head = asking(bridge);
  // The first bytes come together with the head.
  socket.write(Buffer.concat([Buffer.from(head), sent.subarray(0, 1_000)]));
  socket.write(sent.subarray(1_000));
  const hash = createHash("sha256");
  let skipped = "";
  let got = 0;
  const read = async () => {
    for await (const data of socket) {
      let piece: Buffer = data;
      if (!skipped.endsWith("\r\n\r\n")) {
        const text = skipped + piece.toString("latin1");
        const end = text.indexOf("\r\n\r\n") + 4;
        piece = piece.subarray(end - skipped.length);
        skipped = text.slice(0, end);
      }
      hash.update(piece);
      got += piece.length;
      if (random.below(8) === 0) await Bun.sleep(1);
    }
  };
  await within("all bytes", read());
  expect(skipped).toStartWith("HTTP/1.1 200 ");
  expect(got).toBe(sent.length);
  expect(hash.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
});
