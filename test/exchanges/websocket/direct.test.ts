/** Our WebSocket client against servers that are told byte by byte what they say, and against Bun's own. */
import { describe, expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import { CLOSE_TIMEOUT } from "../../../src/exchanges/websocket/direct.ts";
import { TEST_BOUNDS } from "../../helpers/connection.ts";
import { CA, CERTIFICATE, OTHER_CERTIFICATE } from "../../helpers/proxies.ts";
import { within } from "../../helpers/wait.ts";
import { seeded } from "../../lib/seed.ts";
import { until } from "../../lib/until.ts";
import {
  BINARY,
  CLOSE,
  closing,
  ENDS,
  frame,
  GOES_ON,
  head,
  PING,
  PONG,
  TEXT,
  TEXT_BEGINS,
} from "./frames.ts";
import { acceptance, type Client, Listener, RawServer } from "./raw-server.ts";

const MIB = 2 ** 20;
const accept = (client: Client) => client.accept();

/** Frames whose first word is their number. */
function numbered(count: number, length: number, from = 0): Buffer {
  const all = Array.from({ length: count }, (_, i) => {
    const payload = Buffer.alloc(length, 0x2e);
    payload.write(String(from + i).padStart(8, "0"));
    return frame(TEXT, payload);
  });
  return Buffer.concat(all);
}

/** Everything about a socket is over, on both sides, and the client was told nothing more. */
async function over(client: Client, listener: Listener, told: readonly string[]): Promise<void> {
  await until(() => client.isEnded || client.isClosed, "the end of the socket");
  client.socket.destroy();
  await until(() => client.isClosed, "the close of the socket");
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(listener.essence).toEqual(told as string[]);
}

/** While this is in use nobody is left for being slow to close: what ends a socket is its proper end. */
function patience(): Disposable {
  const real = globalThis.setTimeout;
  const later = (run: () => void, ms: number) => real(run, ms === CLOSE_TIMEOUT ? 1e9 : ms);
  const spy = spyOn(globalThis, "setTimeout").mockImplementation(later as typeof setTimeout);
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

describe("the opening", () => {
  test("frames right behind the answer, in the same packet", async () => {
    const enough = frame(CLOSE, closing(4000, "enough"));
    await using server = await new RawServer((client) =>
      client.accept(frame(TEXT, "one"), frame(PING, ""), frame(TEXT, "two"), enough),
    ).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 4000 enough");
    expect(listener.told).toEqual(["opened", "message one", "message two", "closed 4000 enough"]);
  });

  test("more behind the answer than fits in a turn", async () => {
    const count = 300;
    await using server = await new RawServer((client) => {
      client.accept(numbered(count, 2000));
      client.socket.end(frame(CLOSE, closing(1000)));
    }).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 1000 ");
    expect(listener.messages).toBe(count);
  });

  test("an answer in single bytes, and frames too", async () => {
    await using server = await new RawServer(async (client) => {
      const bytes = Buffer.concat([
        Buffer.from(acceptance(client.request)),
        frame(TEXT, "said"),
        frame(PING, "!"),
        frame(TEXT, Buffer.alloc(300, 0x61)),
        frame(CLOSE, closing(1001, "bye")),
      ]);
      for (const byte of bytes) {
        await new Promise((resolve) => client.socket.write(Buffer.of(byte), resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 1001 bye");
    expect(listener.essence.filter((line) => line !== "heard")).toEqual([
      "opened",
      "message said",
      "message 300 bytes",
      "closed 1001 bye",
    ]);
    expect(listener.told).toContain("heard a piece");
    expect(listener.told).toContain("heard");
  });

  test.each([
    ["without an end", (request: string) => acceptance(request, `X: ${"y".repeat(20_000)}`).trimEnd()],
    ["with one", (request: string) => acceptance(request, `X: ${"y".repeat(20_000)}\r\n`)],
  ])("an answer that is too long, %s", async (_, answer) => {
    await using server = await new RawServer((client) =>
      client.say(Buffer.from(answer(client.request))),
    ).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("failed the head of the server's answer is too long");
    await over(await server.client(), listener, [await listener.ended()]);
  });

  test.each([
    ["a refusal", "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow", "refused 429 7"],
    ["a refusal before its body", "HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n", "refused 404 null"],
    [
      "a redirection",
      "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
      "refused 302 null",
    ],
    ["garbage", "SSH-2.0-OpenSSH_9.6\r\n\r\n", "failed the server does not speak HTTP/1.1"],
    [
      "another WebSocket's answer",
      acceptance("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
      "failed the server's Sec-WebSocket-Accept does not belong to our key",
    ],
  ])("%s", async (_, answer, told) => {
    await using server = await new RawServer((client) => client.say(Buffer.from(answer))).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe(told);
    await over(await server.client(), listener, [told]);
    expect(server.clients).toHaveLength(1);
  });

  test.each([0, 20])("the server closes after %d bytes of its answer", async (bytes) => {
    await using server = await new RawServer((client) =>
      client.socket.end(acceptance(client.request).slice(0, bytes)),
    ).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("failed closed during the handshake");
    await over(await server.client(), listener, ["failed closed during the handshake"]);
  });

  test("user and password go in a header, and into no words", async () => {
    await using server = await new RawServer((client) =>
      client.socket.end("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n"),
    ).listen();
    const withPassword = (url: string) => url.replace("://", "://me%40work:hunter2%3A@");
    const listener = new Listener(withPassword(server.url));
    expect(await listener.ended()).toBe("refused 401 null");
    const { request } = await server.client();
    const pair = Buffer.from("me@work:hunter2:").toString("base64");
    expect(request).toContain(`\r\nAuthorization: Basic ${pair}\r\n`);
    for (const url of [
      "ws://127.0.0.1:1/",
      "wss://127.0.0.1:1/",
      "ws://name.invalid/",
      server.url.replace("ws:", "wss:"),
    ]) {
      const words = await new Listener(withPassword(url), { timeout: 1000 }).ended();
      expect(words).toStartWith("failed ");
      expect(words).not.toMatch(/hunter2|me@work|me%40work/);
      expect(words).not.toContain(pair);
    }
  });
});

describe("no connection", () => {
  test.each([
    ["nobody listens", "ws://127.0.0.1:1/", /ECONNREFUSED/],
    ["nobody listens, TLS", "wss://127.0.0.1:1/", /ECONNREFUSED/],
    ["a name that does not resolve", "ws://name.invalid/", /name\.invalid|ENOTFOUND|EAI_AGAIN/],
    // The system says so before the call has returned.
    ["no such address", "ws://[fe80::1]:80/", /failed ./],
    ["an address for all", "ws://255.255.255.255:80/", /failed ./],
    ["port 0", "ws://127.0.0.1:0/", /failed ./],
  ])("%s: told once, after the call has returned", async (_, url, words) => {
    const listener = new Listener(url, { timeout: 20_000 });
    expect(listener.told).toEqual([]);
    expect(await listener.ended()).toMatch(words);
    await Bun.sleep(20);
    expect(listener.told).toEqual([await listener.ended()]);
  });

  const silent: [string, string, ((client: Client) => void) | undefined, string][] = [
    ["after the connection", "ws:", undefined, "TCP"],
    ["in TLS", "wss:", undefined, "TCP"],
    ["after TLS", "wss:", undefined, "TLS"],
    [
      "in its answer",
      "ws:",
      (client) => client.say(Buffer.from(acceptance(client.request).slice(0, -2))),
      "TCP",
    ],
  ];
  test.each(
    silent,
  )("a server that falls silent %s: the handshake ends in time", async (_, scheme, asked, kind) => {
    await using server = await new RawServer(asked, kind === "TLS" ? CERTIFICATE : null).listen();
    const listener = new Listener(server.url.replace(/^wss?:/, scheme), { ca: CA, timeout: 300 });
    expect(await listener.ended()).toBe("failed the handshake timed out after 0.3 s");
    await over(await server.client(), listener, ["failed the handshake timed out after 0.3 s"]);
  });
});

describe("the end, by the server", () => {
  const ends: [string, Buffer, string][] = [
    [
      "a close frame with code and reason",
      frame(CLOSE, closing(1008, "zu viel – weg")),
      "closed 1008 zu viel – weg",
    ],
    ["a close frame with a code", frame(CLOSE, closing(1012)), "closed 1012 "],
    ["a code of the exchange's own", frame(CLOSE, closing(4999, "x")), "closed 4999 x"],
    ["a close frame without a code", frame(CLOSE, ""), "closed 1005 "],
    ["a reason that is not UTF-8", frame(CLOSE, Buffer.of(3, 232, 0xff)), "closed 1000 \ufffd"],
  ];
  test.each(ends)("%s", async (_, bytes, told) => {
    using _patience = patience();
    await using server = await new RawServer((client) => client.accept(bytes, frame(TEXT, "late"))).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe(told);
    const client = await server.client();
    const answer = await client.frame(0);
    expect(answer.first).toBe(CLOSE);
    expect(answer.isMasked).toBe(true);
    const code = told.split(" ")[1];
    expect(answer.payload).toEqual(code === "1005" ? Buffer.alloc(0) : closing(Number(code)));
    await over(client, listener, ["opened", told]);
    expect(client.frames).toHaveLength(1);
  });

  test.each([
    ["one byte", Buffer.of(3)],
    ["one byte that could begin a code", Buffer.of(4)],
    ["999", closing(999)],
    ["1005", closing(1005)],
    ["1006", closing(1006)],
    ["1015", closing(1015)],
    ["5000", closing(5000)],
  ])("a close frame with %s, which is no code", async (_, payload) => {
    await using server = await new RawServer((client) => client.accept(frame(CLOSE, payload))).listen();
    const listener = new Listener(server.url);
    const told = await listener.ended();
    expect(told).toMatch(/^failed the server broke the WebSocket protocol: a close frame/);
    await over(await server.client(), listener, ["opened", told]);
  });

  test("no close frame: a FIN", async () => {
    await using server = await new RawServer((client) => {
      client.accept(frame(TEXT, "last"));
      client.socket.end();
    }).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 1006 ");
    await over(await server.client(), listener, ["opened", "message last", "closed 1006 "]);
  });

  test("no close frame: an RST", async () => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url, {
      does: { message: () => server.clients[0].socket.resetAndDestroy() },
    });
    await listener.opened();
    server.clients[0].say(frame(TEXT, "last"));
    expect(await listener.ended()).toBe("closed 1006 ");
    await over(server.clients[0], listener, ["opened", "message last", "closed 1006 "]);
  });

  test("in the middle of a frame: what is not whole is not told", async () => {
    await using server = await new RawServer((client) => {
      client.accept(frame(TEXT, "whole"), head(TEXT, 10), Buffer.from("half"));
      client.socket.end();
    }).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 1006 ");
    expect(listener.messages).toBe(1);
  });

  test("what breaks the protocol: told once, nothing after it", async () => {
    await using server = await new RawServer((client) =>
      client.accept(frame(TEXT, "one"), frame(0x83, "?"), frame(TEXT, "two"), frame(CLOSE, closing(1000))),
    ).listen();
    const listener = new Listener(server.url);
    const told = await listener.ended();
    expect(told).toBe("failed the server broke the WebSocket protocol: a frame of the unknown kind 3");
    await over(await server.client(), listener, ["opened", "message one", told]);
  });
});

describe("what came before the end is handed out, though it has to wait for its turn", () => {
  test.each([
    ["FIN", null],
    ["FIN, over TLS", CERTIFICATE],
  ])("%s", async (_, tls) => {
    const count = 6000;
    await using server = await new RawServer((client) => {
      client.accept();
      client.socket.end(numbered(count, 1000));
    }, tls).listen();
    let next = 0;
    const listener = new Listener(server.url.replace("127.0.0.1", "localhost"), {
      ca: CA,
      does: {
        message: () => {
          next++;
        },
      },
    });
    expect(await listener.ended()).toBe("closed 1006 ");
    expect(next).toBe(count);
    expect(listener.messages).toBe(count);
  });

  test("RST while most of it waits: all that was read, without a gap", async () => {
    // The server's side is in this process: the reset comes while the first message is in hand.
    const order: number[] = [];
    let atReset = 0;
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url, {
      does: {
        message: () => {
          order.push(listener.messages);
          if (atReset > 0 || listener.bytes < 8 * MIB) return;
          atReset = listener.messages;
          server.clients[0].socket.resetAndDestroy();
        },
      },
    });
    await listener.opened();
    server.clients[0].say(numbered(40_000, 1000));
    expect(await listener.ended()).toBe("closed 1006 ");
    expect(atReset).toBeGreaterThan(8000);
    expect(order).toEqual(order.map((_, i) => i + 1));
  });

  test("a close frame behind several MB", async () => {
    await using server = await new RawServer((client) =>
      client.accept(numbered(3000, 1500), frame(CLOSE, closing(1001, "end")), frame(TEXT, "late")),
    ).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 1001 end");
    expect(listener.messages).toBe(3000);
  });
});

describe("the end, by us", () => {
  test("close: a frame with the code, the server's answer, the end of TCP; nothing is told", async () => {
    using _patience = patience();
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const client = await server.client();
    listener.wire.close(1000);
    const sent = await client.frame(0);
    expect([sent.first, sent.isMasked, sent.payload]).toEqual([CLOSE, true, closing(1000)]);
    expect(client.isEnded).toBe(false);
    client.say(frame(TEXT, "late"), frame(PING, "late"), frame(CLOSE, closing(1000)), frame(TEXT, "later"));
    await over(client, listener, ["opened"]);
    expect(client.frames.filter(({ first }) => first !== PONG)).toHaveLength(1);
  });

  test("close: a server that never answers is left after some time", async () => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    listener.wire.close(1001);
    listener.wire.close(1001);
    listener.wire.send("not any more");
    listener.wire.ping();
    await over(await server.client(), listener, ["opened"]);
    expect((await server.client()).frames).toHaveLength(1);
  });

  test("close, over TLS", async () => {
    await using server = await new RawServer(accept, CERTIFICATE).listen();
    const listener = new Listener(server.url, { ca: CA });
    await listener.opened();
    const client = await server.client();
    listener.wire.close(1001);
    expect((await client.frame(0)).payload).toEqual(closing(1001));
    client.say(frame(TEXT, "late"), frame(CLOSE, closing(1001)));
    await over(client, listener, ["opened"]);
  });

  const ways = ["terminate", "close"] as const;
  const end = (listener: Listener, way: (typeof ways)[number]) =>
    way === "close" ? listener.wire.close(1000) : listener.wire.terminate();

  test.each(ways)("%s at once: nothing is sent, nothing is told", async (way) => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    end(listener, way);
    // Who comes after it is served, so the first one is not on its way any more.
    const next = new Listener(server.url);
    await next.opened();
    next.wire.terminate();
    await until(() => server.clients.every(({ isEnded, isClosed }) => isEnded || isClosed), "all ends");
    expect(server.clients.filter(({ request }) => request !== "")).toHaveLength(1);
    expect(listener.told).toEqual([]);
  });

  test.each(ways)("%s while it connects", async (way) => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await Promise.resolve();
    await Promise.resolve();
    end(listener, way);
    await over(await server.client(), listener, []);
    expect((await server.client()).request).toBe("");
  });

  test.each(ways)("%s in the handshake of TLS", async (way) => {
    await using server = await new RawServer().listen();
    const listener = new Listener(server.url.replace("ws:", "wss:"));
    const client = await server.client();
    await until(() => client.bytes > 0, "the first bytes of TLS");
    end(listener, way);
    await over(client, listener, []);
  });

  test.each(ways)("%s while the answer is awaited", async (way) => {
    await using server = await new RawServer().listen();
    const listener = new Listener(server.url);
    const client = await server.client();
    await until(() => client.request !== "", "the request");
    end(listener, way);
    client.accept(frame(TEXT, "late"));
    await over(client, listener, []);
  });

  test.each(ways)("%s as it opens: what is behind the answer is not told", async (way) => {
    for (const size of [10, 3 * TEST_BOUNDS.turnBytes]) {
      await using server = await new RawServer((client) => client.accept(numbered(3, size))).listen();
      const listener: Listener = new Listener(server.url, { does: { opened: () => end(listener, way) } });
      await listener.opened();
      const client = await server.client();
      client.say(frame(CLOSE, closing(1000)));
      await over(client, listener, ["opened"]);
    }
  });

  test.each(ways)("%s by who gets a message, with megabytes in the queue", async (way) => {
    await using server = await new RawServer((client) => client.accept(numbered(5000, 1000))).listen();
    const listener: Listener = new Listener(server.url, {
      does: {
        message: () => {
          if (listener.messages === 500) end(listener, way);
        },
      },
    });
    await until(() => listener.messages === 500, "the message");
    const client = await server.client();
    client.say(frame(CLOSE, closing(1000)));
    await until(() => client.isEnded || client.isClosed, "the end");
    await Bun.sleep(20);
    expect(listener.messages).toBe(500);
    expect(listener.told.at(-1)).toBe("message 1000 bytes");
  });

  test("terminate while a close waits for its answer", async () => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    listener.wire.close(1000);
    listener.wire.terminate();
    listener.wire.terminate();
    listener.wire.close(1000);
    listener.wire.send("x");
    listener.wire.ping();
    await over(await server.client(), listener, ["opened"]);
  });
});

describe("pings", () => {
  test.each([0, 1, 125])("of %d bytes are answered by pongs with the same bytes", async (length) => {
    const payload = Buffer.alloc(length, 0x70);
    await using server = await new RawServer((client) => client.accept(frame(PING, payload))).listen();
    const listener = new Listener(server.url);
    const pong = await (await server.client()).frame(0);
    expect([pong.first, pong.isMasked, pong.payload]).toEqual([PONG, true, payload]);
    listener.wire.terminate();
  });

  test("between the fragments of a message", async () => {
    await using server = await new RawServer((client) =>
      client.accept(
        frame(TEXT_BEGINS, "a"),
        frame(PING, "1"),
        frame(GOES_ON, "b"),
        frame(PING, "2"),
        frame(ENDS, "c"),
      ),
    ).listen();
    const listener = new Listener(server.url);
    const client = await server.client();
    expect((await client.frame(1)).payload.toString()).toBe("2");
    expect(client.frames[0].payload.toString()).toBe("1");
    expect(listener.messages).toBe(1);
    expect(listener.told).toContain("message abc");
    listener.wire.terminate();
  });

  test("of ours: an empty frame; the pong is heard", async () => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    listener.wire.ping();
    const client = await server.client();
    const ping = await client.frame(0);
    expect([ping.first, ping.isMasked, ping.payload]).toEqual([PING, true, Buffer.alloc(0)]);
    client.say(frame(PONG, ""));
    await until(() => listener.told.includes("heard"), "the pong");
    expect(listener.told).toEqual(["opened", "heard"]);
    listener.wire.terminate();
  });

  test("heard is whole only when nothing is half", async () => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const client = await server.client();
    const says = async (bytes: Uint8Array, told: string) => {
      const { length } = listener.told;
      client.say(bytes);
      await until(() => listener.told.length > length, told);
      expect(listener.told.slice(length)).toEqual([told]);
    };
    await says(frame(PING, ""), "heard");
    await says(Buffer.concat([frame(PING, ""), head(TEXT, 4)]), "heard a piece");
    await says(Buffer.from("ab"), "heard a piece");
    await says(Buffer.from("cd"), "message abcd");
    await says(frame(TEXT_BEGINS, "x"), "heard a piece");
    await says(frame(PING, ""), "heard a piece");
    await says(frame(ENDS, "y"), "message xy");
    await says(Buffer.of(PING), "heard a piece");
    await says(Buffer.of(0), "heard");
    listener.wire.terminate();
  });
});

describe("what we send", () => {
  test.each([0, 1, 125, 126, 65_535, 65_536, 200_000, 1_500_000])("a text of %d bytes", async (length) => {
    const text = "ä€x".repeat(length).slice(0, length);
    const random = seeded(`text of ${length} bytes`);
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const client = await server.client();
    // A server that reads late, and one that reads at once.
    if (random.below(2) === 0) client.socket.pause();
    listener.wire.send(text);
    listener.wire.send("after");
    client.socket.resume();
    const sent = await client.frame(0);
    expect([sent.first, sent.isMasked]).toEqual([TEXT, true]);
    expect(Bun.hash(sent.payload)).toBe(Bun.hash(Buffer.from(text)));
    expect((await client.frame(1)).payload.toString()).toBe("after");
    listener.wire.close(1000);
    expect((await client.frame(2)).first).toBe(CLOSE);
  });

  test("every frame has a mask of its own", async () => {
    await using server = await new RawServer(accept).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const raw: Buffer[] = [];
    const client = await server.client();
    client.socket.on("data", (data: Buffer) => raw.push(data));
    for (let i = 0; i < 50; i++) listener.wire.send("same");
    await client.frame(49);
    const bytes = Buffer.concat(raw);
    const masks = Array.from({ length: 50 }, (_, i) => bytes.readUInt32BE(10 * i + 2));
    expect(new Set(masks).size).toBeGreaterThan(45);
  });

  test("a server that does not read: what waits is bounded, the end says why", async () => {
    await using server = await new RawServer((client) => {
      client.accept();
      client.socket.pause();
    }).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const text = "x".repeat(250_000);
    let sent = 0;
    // The kernel takes some megabytes itself.
    for (; sent < 400 && listener.told.length === 1; sent++) listener.wire.send(text);
    expect(sent).toBeLessThan(400);
    expect(sent).toBeGreaterThan(4 * 4);
    const told = await listener.ended();
    expect(told).toMatch(/^failed the server does not take what is sent: \d+ bytes wait$/);
    const client = await server.client();
    client.socket.resume();
    await over(client, listener, ["opened", told]);
  });

  test("a server that pings and does not read the pongs: the same", async () => {
    const payload = Buffer.alloc(125, 0x70);
    const pings = Buffer.concat(Array.from({ length: 8000 }, () => frame(PING, payload)));
    await using server = await new RawServer((client) => {
      client.accept();
      client.socket.pause();
    }).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const client = await server.client();
    for (let i = 0; i < 60 && listener.essence.every((line) => !line.startsWith("failed")); i++) {
      await new Promise((resolve) => client.socket.write(pings, resolve));
    }
    expect(await listener.ended()).toMatch(/^failed the server does not take what is sent/);
  });

  test("a close frame of the server while something of ours waits: all of it is sent, then TCP is closed", async () => {
    using _patience = patience();
    await using server = await new RawServer((client) => {
      client.accept();
      client.socket.pause();
    }).listen();
    const listener = new Listener(server.url);
    await listener.opened();
    const client = await server.client();
    // Just below what may wait, however little of it the kernel takes.
    const text = "y".repeat(4_150_000);
    listener.wire.send(text);
    client.say(frame(CLOSE, closing(1001, "bye")));
    expect(await listener.ended()).toBe("closed 1001 bye");
    client.socket.resume();
    const frames = [await client.frame(0), await client.frame(1)];
    expect(frames.map(({ first, payload }) => [first, payload.length])).toEqual([
      [TEXT, text.length],
      [CLOSE, 2],
    ]);
    await over(client, listener, ["opened", "closed 1001 bye"]);
  });
});

describe("long messages", () => {
  test.each(["one frame", "fragments"])("of 10 MB, in %s", async (kind) => {
    const payload = Buffer.alloc(10_000_000, 0x7a);
    const bytes =
      kind === "one frame"
        ? frame(BINARY, payload)
        : Buffer.concat([
            frame(TEXT_BEGINS, payload.subarray(0, 100)),
            frame(GOES_ON, payload.subarray(100, 7_000_000)),
            frame(PING, "between"),
            frame(ENDS, payload.subarray(7_000_000)),
          ]);
    await using server = await new RawServer((client) =>
      client.accept(bytes, frame(TEXT, "after"), frame(CLOSE, closing(1000))),
    ).listen();
    const listener = new Listener(server.url);
    expect(await listener.ended()).toBe("closed 1000 ");
    expect(listener.essence.filter((line) => line !== "heard")).toEqual([
      "opened",
      "message 10000000 bytes",
      "message after",
      "closed 1000 ",
    ]);
    expect(listener.told).toContain("heard a piece");
  });
});

describe("turns", () => {
  test.each([
    ["TCP", null],
    ["TLS", CERTIFICATE],
  ])("a flood on one socket leaves the others of the thread their turns (%s)", async (_, tls) => {
    const flooded = 12_000;
    await using flooding = await new RawServer(
      (client) => client.accept(numbered(flooded, 2000)),
      tls,
    ).listen();
    await using calm = await new RawServer(accept).listen();
    const other: Listener = new Listener(calm.url);
    await other.opened();
    const [client] = calm.clients;
    /** Bytes of the flood between what is said on the other socket, and its arrival. */
    const waits: number[] = [];
    let saidAt = Number.NaN;
    let heard = 0;
    const flood: Listener = new Listener(flooding.url.replace("127.0.0.1", "localhost"), {
      ca: CA,
      does: {
        message: () => {
          if (other.messages > heard) {
            heard = other.messages;
            waits.push(flood.bytes - saidAt);
            saidAt = Number.NaN;
          }
          if (!Number.isNaN(saidAt)) return;
          saidAt = flood.bytes;
          client.say(frame(TEXT, "me too"));
        },
      },
    });
    await until(() => flood.messages === flooded, "the flood");
    // Left alone, half a megabyte and more would come in between; a turn, and what the kernel takes its time for, is less.
    const inOrder = waits.toSorted((one, two) => one - two);
    expect(waits.length).toBeGreaterThan(20);
    expect(inOrder[waits.length >> 1]).toBeLessThanOrEqual(3 * TEST_BOUNDS.turnBytes);
    expect(inOrder.at(-1)).toBeLessThanOrEqual(16 * TEST_BOUNDS.turnBytes);
    flood.wire.terminate();
    other.wire.terminate();
  });

  test("two floods are both handed out whole, in order", async () => {
    const random = seeded("two floods");
    const count = 4000;
    const lengths = Array.from({ length: count }, () => 8 + random.below(3000));
    const all = Buffer.concat(lengths.map((length, i) => numbered(1, length, i)));
    await using server = await new RawServer((client) => {
      client.accept();
      client.socket.end(all);
    }).listen();
    const listeners = [1, 2, 3].map(() => new Listener(server.url));
    for (const listener of listeners) expect(await listener.ended()).toBe("closed 1006 ");
    for (const { told } of listeners) {
      const messages = told.filter((line) => line.startsWith("message"));
      expect(messages).toEqual(
        lengths.map((length, i) =>
          length > 100
            ? `message ${length} bytes`
            : `message ${String(i).padStart(8, "0").padEnd(length, ".")}`,
        ),
      );
    }
  });
});

describe("TLS and names", () => {
  const local = (url: string) => url.replace("127.0.0.1", "localhost");

  test.each([
    ["a name", local],
    ["an address", (url: string) => url],
  ])("the right certificate, for %s", async (_, written) => {
    await using server = await new RawServer(
      (client) => client.accept(frame(TEXT, "hello"), frame(CLOSE, closing(1000))),
      CERTIFICATE,
    ).listen();
    const listener = new Listener(written(server.url), { ca: CA });
    expect(await listener.ended()).toBe("closed 1000 ");
    expect(listener.told).toContain("message hello");
  });

  test.each([
    ["of an authority that nobody named", CERTIFICATE, null, local, /unable to verify/],
    ["of such an authority, for an address", CERTIFICATE, null, (url: string) => url, /unable to verify/],
    ["for another name", OTHER_CERTIFICATE, CA, local, /altnames|does not match/],
    [
      "for a name instead of an address",
      OTHER_CERTIFICATE,
      CA,
      (url: string) => url,
      /altnames|does not match/,
    ],
  ])("a certificate %s: told, and not a word is sent", async (_, certificate, ca, written, words) => {
    await using server = await new RawServer(accept, certificate).listen();
    const listener = new Listener(written(server.url), { ca });
    const told = await listener.ended();
    expect(told).toMatch(/^failed /);
    expect(told).toMatch(words);
    await Bun.sleep(50);
    expect(listener.told).toEqual([told]);
    for (const client of server.clients) {
      await until(() => client.isEnded || client.isClosed, "the end of the socket");
      expect([client.bytes, client.request]).toEqual([0, ""]);
    }
  });

  test("a server that does not speak TLS", async () => {
    await using server = await new RawServer().listen();
    const listener = new Listener(server.url.replace("ws:", "wss:"), { ca: CA });
    const client = await server.client();
    await until(() => client.bytes > 0, "the first bytes of TLS");
    client.say(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const told = await listener.ended();
    expect(told).toStartWith("failed ");
    await over(client, listener, [told]);
  });

  test("a text of 3 MB arrives, and a flood comes back (TLS)", async () => {
    await using server = await new RawServer(accept, CERTIFICATE).listen();
    const listener = new Listener(local(server.url), { ca: CA });
    await listener.opened();
    const text = "z".repeat(3_000_000);
    listener.wire.send(text);
    const client = await server.client();
    expect((await client.frame(0)).payload.toString()).toBe(text);
    client.say(numbered(3000, 1000), frame(CLOSE, closing(1000)));
    expect(await listener.ended()).toBe("closed 1000 ");
    expect(listener.messages).toBe(3000);
  });

  test("an IPv6 address", async () => {
    await using server = await new RawServer((client) => client.accept(frame(CLOSE, closing(1000)))).listen(
      "::1",
    );
    const listener = new Listener(server.url);
    expect(server.url).toStartWith("ws://[::1]:");
    expect(await listener.ended()).toBe("closed 1000 ");
    expect((await server.client()).request).toContain(`\r\nHost: ${new URL(server.url).host}\r\n`);
  });
});

describe("Bun's server", () => {
  test.each([null, CERTIFICATE])("echoes what it is sent, whatever the length (%#)", async (tls) => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      ...(tls === null ? {} : { tls }),
      fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no", { status: 400 })),
      websocket: {
        maxPayloadLength: 4 * MIB,
        perMessageDeflate: true,
        message: (socket, data) => {
          if (data === "close") socket.close(4001, "asked for");
          else socket.send(data);
        },
      },
    });
    try {
      const lengths = [1, 100, 125, 126, 65_535, 65_536, 1_500_000];
      const listener: Listener = new Listener(`${tls === null ? "ws" : "wss"}://127.0.0.1:${server.port}/`, {
        ca: CA,
        does: {
          opened: (wire) => wire.send("b".repeat(lengths[0])),
          message: (wire) => {
            const next = lengths[listener.messages];
            wire.send(next === undefined ? "close" : "b".repeat(next));
          },
        },
      });
      expect(await listener.ended()).toBe("closed 4001 asked for");
      expect(listener.bytes).toBe(lengths.reduce((sum, one) => sum + one));
    } finally {
      await server.stop(true);
    }
  });
});

/** Runs `wire-process.ts` until it ends by itself. */
async function runWire(url: string, how: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "wire-process.ts"), url, how], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  try {
    const [code, stdout, stderr] = await within(
      `the end of the process (${how})`,
      Promise.all([child.exited, new Response(child.stdout).text(), new Response(child.stderr).text()]),
    );
    return { code, stdout, stderr };
  } finally {
    child.kill("SIGKILL");
  }
}

describe("a process of its own", () => {
  const twoMessages = (client: Client) => client.accept(frame(TEXT, "1"), frame(TEXT, "2"), frame(TEXT, "3"));
  const inTurns = (client: Client) => client.accept(numbered(4, 70_000));
  const refuses = (client: Client) => client.socket.end("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  const closes = (client: Client) => client.accept(frame(CLOSE, closing(1000)));
  const throwing: [string, string, ((client: Client) => void) | null][] = [
    ["opened", "opened", twoMessages],
    ["message", "message", twoMessages],
    ["message, in a turn of its own", "message", inTurns],
    ["heard", "heard", (client) => client.accept(frame(PING, ""))],
    ["refused", "refused", refuses],
    ["closed by a frame", "closed", closes],
    [
      "closed by TCP",
      "closed",
      (client) => {
        client.accept();
        client.socket.end();
      },
    ],
    ["failed by what breaks the protocol", "failed", (client) => client.accept(frame(0x83, ""))],
    ["failed without a connection", "failed", null],
  ];
  test.each(throwing)("an exception of who is told %s is the process's", async (_, event, asked) => {
    await using server = await new RawServer(asked ?? undefined).listen();
    const url = asked === null ? "ws://127.0.0.1:1/" : server.url;
    const { code, stdout, stderr } = await runWire(url, `throw:${event}`);
    expect(stderr).toContain(`planted in ${event}`);
    expect(code).toBe(1);
    expect(stdout.split("\n").filter((line) => line === `told ${event}`)).toHaveLength(
      event === "message" ? 2 : 1,
    );
  });

  test("an exception of who is told of a wrong certificate is the process's", async () => {
    await using server = await new RawServer(accept, CERTIFICATE).listen();
    const { code, stdout, stderr } = await runWire(server.url, "throw:failed");
    expect(stderr).toContain("planted in failed");
    expect([code, stdout]).toEqual([1, "told failed\n"]);
  });

  test.each([
    "terminate",
    "close",
    "terminate at once",
    "close at once",
  ])("ends when its WebSocket has ended, and was told nothing after it: %s", async (how) => {
    await using server = await new RawServer(accept).listen();
    const { code, stdout, stderr } = await runWire(server.url, how);
    expect([code, stdout, stderr]).toEqual([0, how.endsWith("once") ? "" : "told opened\n", ""]);
  });

  test.each([
    ["a close frame", closes, "told opened\ntold closed\n"],
    ["a refusal", refuses, "told refused\n"],
    [
      "a FIN with megabytes before it",
      (client: Client) => {
        client.accept();
        client.socket.end(frame(BINARY, Buffer.alloc(3_000_000)));
      },
      null,
    ],
  ])("ends after %s of the server", async (_, asked, told) => {
    await using server = await new RawServer(asked).listen();
    const { code, stdout, stderr } = await runWire(server.url, "wait");
    expect([code, stderr]).toEqual([0, ""]);
    if (told !== null) expect(stdout).toBe(told);
    else expect(stdout).toEndWith("told message\ntold closed\n");
  });
});
