/** One connection against a real WebSocket server on loopback. */
import { afterEach, beforeEach, describe, expect, type Mock, spyOn, test } from "bun:test";
import { createHash } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";
import type { Connection } from "../../src/exchanges/connection.ts";
import type { Dial } from "../../src/exchanges/websocket/wire.ts";
import { dialDirectly } from "../helpers/connection.ts";
import { until } from "../lib/until.ts";
import { type BenchOptions, BOUNDS, CHANNELS, connect, ROUTE, trade } from "./connection-bench.ts";
import { deafServer, ExchangeServer } from "./exchange-server.ts";

let server: ExchangeServer;
/** Delays are the whole step: what the back-off does can be read off exactly. */
let jitter: Mock<() => number>;
const running: Connection[] = [];

function start(url: string, bounds: BenchOptions["bounds"] = {}) {
  const made = connect(url, { bounds });
  running.push(made.connection);
  made.connection.start();
  return made;
}

beforeEach(() => {
  server = new ExchangeServer();
  jitter = spyOn(Math, "random").mockReturnValue(1 - 2 ** -53);
});
afterEach(async () => {
  for (const connection of running.splice(0)) connection.stop();
  jitter.mockRestore();
  await server.stop();
});

describe("an open connection", () => {
  test("goes to its route, subscribes, decodes, counts", async () => {
    const { connection, seen, collector } = start(server.url);
    await until(() => server.received.length === 1, "the subscribe message");
    expect(server.attempts).toEqual([ROUTE]);
    expect(JSON.parse(server.received[0])).toMatchObject({ method: "SUBSCRIBE", params: CHANNELS });
    expect([connection.isOpen, connection.number, [...connection.channels]]).toEqual([true, 100, CHANNELS]);
    const frames = [
      '{"result":null,"id":1}',
      trade(1),
      trade(2),
      '{"e":"kline","s":"BTCUSDT"}',
      trade(3).replaceAll("BTCUSDT", "XRPUSDT"),
      "what is this?",
    ];
    for (const frame of frames) server.send(frame);
    await until(() => connection.counters.frames === frames.length, "all frames");
    expect(connection.counters).toEqual({
      frames: 6,
      bytes: frames.join("").length,
      control: 1,
      ignored: 1,
      unwanted: 1,
      undecodable: 1,
      reconnects: 0,
      snapshotFetches: 0,
    });
    expect(collector.take().map(({ id }) => id)).toEqual(["1", "2"]);
    // The time of each frame is taken once, frame by frame, in order; the first one is that of the opening.
    expect(seen.decoded).toEqual([5_000_002, 5_000_003]);
    expect(seen.undecodable).toEqual([{ text: "what is this?", local: 5_000_006, reason: "not JSON" }]);
    expect([seen.opened, seen.closed, seen.refused]).toEqual([[100], [], []]);
  });

  test("an error of the exchange is told with the channels it is about", async () => {
    const { seen } = start(server.url);
    await until(() => server.received.length === 1, "the subscribe message");
    const { id } = JSON.parse(server.received[0]) as { id: number };
    server.send(JSON.stringify({ error: { code: -1121, msg: "Invalid symbol." }, id }));
    await until(() => seen.refused.length === 1, "the refusal");
    expect(seen.refused).toEqual([{ channels: CHANNELS, error: "Invalid symbol. (code -1121)" }]);
  });

  test("an announcement of instruments is passed on", async () => {
    const { connection, seen } = start(server.url);
    await until(() => server.sockets.size === 1 && connection.isOpen, "the socket");
    server.send('{"stream":"!contractInfo","data":{"e":"contractInfo","E":1791300000000,"s":"NEWUSDT"}}');
    await until(() => seen.instrumentsChanged === 1, "the announcement");
    expect(connection.counters).toMatchObject({ frames: 1, control: 1, undecodable: 0 });
  });

  test("frames of many bytes and frames in binary form are frames", async () => {
    const { connection, collector } = start(server.url);
    await until(() => server.sockets.size === 1 && connection.isOpen, "the socket");
    const large = trade(7).replace('"m":true', `"m":true,"x":"${"y".repeat(300_000)}"`);
    server.send(large);
    for (const socket of server.sockets) socket.send(Buffer.from(trade(8)));
    await until(() => connection.counters.frames === 2, "both frames");
    expect(collector.take().map(({ id }) => id)).toEqual(["7", "8"]);
  });
});

describe("a connection that ends is opened again", () => {
  test("after a clean close (1000), with a delay, and subscribes anew", async () => {
    const { connection, seen } = start(server.url);
    await until(() => server.received.length === 1, "the first subscribe message");
    for (const socket of server.sockets) socket.close(1000, "bye");
    await until(() => server.received.length === 2, "the second subscribe message");
    expect(seen.closed).toEqual([{ number: 100, code: 1000, reason: "bye", retryIn: BOUNDS.backoffMin }]);
    expect(seen.opened).toEqual([100, 101]);
    expect(connection.counters.reconnects).toBe(1);
    expect(JSON.parse(server.received[1])).toMatchObject({ method: "SUBSCRIBE", params: CHANNELS });
  });

  test("after a close frame without a code, which is told as none", async () => {
    // Bun's server puts a code into each: this one speaks for itself.
    const raw = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (request) => {
        const key = /^sec-websocket-key: (\S+)/im.exec(String(request))?.[1];
        const accept = createHash("sha1")
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest("base64");
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        // What comes first is a subscription.
        socket.once("data", () => socket.end(Buffer.from([0x88, 0x00])));
      });
    });
    await new Promise<void>((listening) => raw.listen(0, "127.0.0.1", listening));
    const { connection, seen } = start(`ws://127.0.0.1:${(raw.address() as AddressInfo).port}`);
    await until(() => seen.closed.length > 0, "the end");
    connection.stop();
    raw.close();
    expect(seen.closed[0]).toMatchObject({ code: null, reason: "closed without a code" });
  });

  test("the ack of one socket does not count for the next", async () => {
    server.onMessage = (socket, text) => {
      const { id } = JSON.parse(text) as { id: number };
      if (server.attempts.length === 1) socket.send(JSON.stringify({ result: null, id }));
    };
    const { connection, seen } = start(server.url);
    await until(() => connection.settled, "the ack");
    expect(seen.accepted).toEqual([CHANNELS]);
    for (const socket of server.sockets) socket.close(1000);
    await until(() => server.received.length === 2, "the second subscribe message");
    expect([connection.settled, seen.accepted.length]).toEqual([false, 1]);
    server.send(JSON.stringify({ result: null, id: (JSON.parse(server.received[1]) as { id: number }).id }));
    await until(() => connection.settled, "the ack of the second");
    expect(seen.accepted).toEqual([CHANNELS, CHANNELS]);
  });

  test("after the other side is gone without a word", async () => {
    const { seen } = start(server.url);
    await until(() => server.sockets.size === 1 && seen.opened.length === 1, "the first socket");
    for (const socket of server.sockets) socket.terminate();
    await until(() => seen.opened.length === 2, "the second socket");
    expect(seen.closed.length).toBe(1);
    // 1006 never stands in a frame: it is the client's own word for that there was none.
    expect(seen.closed[0]).toMatchObject({ code: null, retryIn: BOUNDS.backoffMin });
    expect(seen.closed[0]?.reason).toBe("broke without a close frame");
  });

  for (const [status, name] of [
    [503, "unavailable"],
    [429, "too many requests"],
    [418, "banned"],
    [404, "not found"],
    [200, "not a WebSocket at all"],
  ] as const) {
    test(`after a refused upgrade: ${status}, ${name}; one attempt is one failure`, async () => {
      server.reactions = [{ kind: "refuse", status }, { kind: "refuse", status }, { kind: "accept" }];
      const handshakeTimeout = 1500;
      const { connection, seen } = start(server.url, { handshakeTimeout });
      await until(() => seen.opened.length === 1, "the third attempt");
      // Bun announces a refusal more than once, the last time when the handshake times out.
      await Bun.sleep(handshakeTimeout + 100);
      expect(server.attempts.length).toBe(3);
      expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([4, 8]);
      for (const { reason, code } of seen.closed) {
        expect(reason).toContain(String(status));
        expect(code).toBeNull();
      }
      expect([connection.isOpen, connection.number, connection.counters.reconnects]).toEqual([true, 100, 0]);
    });
  }

  test("not before the time that the server asks for", async () => {
    server.reactions = [{ kind: "refuse", status: 429, headers: { "Retry-After": "7" } }];
    const { connection, seen } = start(server.url);
    await until(() => seen.closed.length === 1, "the refusal");
    expect(seen.closed[0].retryIn).toBe(7000);
    connection.stop();
  });

  test("Retry-After as a date, as nonsense, and beyond what a timer can hold", async () => {
    const retry = async (header: string): Promise<number> => {
      server.reactions = [{ kind: "refuse", status: 503, headers: { "Retry-After": header } }];
      const { connection, seen } = start(server.url);
      await until(() => seen.closed.length === 1, "the refusal");
      connection.stop();
      return seen.closed[0].retryIn ?? Number.NaN;
    };
    const inAMinute = await retry(new Date(Date.now() + 60_000).toUTCString());
    expect(inAMinute).toBeGreaterThan(50_000);
    expect(inAMinute).toBeLessThanOrEqual(60_000);
    for (const header of ["soon", "-5", "Fri, 01 Jan 2021 00:00:00 GMT"]) {
      expect(await retry(header)).toBe(BOUNDS.backoffMin);
    }
    // A timer above 2^31 ms fires at once: that would be the opposite of waiting.
    for (const header of ["99999999", "1e300", "Fri, 31 Dec 2999 00:00:00 GMT"]) {
      const delay = await retry(header);
      expect(delay).toBeGreaterThan(60_000);
      expect(delay).toBeLessThan(2 ** 31);
    }
  });

  test("after a handshake that nobody answers", async () => {
    const deaf = await deafServer();
    try {
      const { seen } = start(deaf.url, { handshakeTimeout: 60 });
      await until(() => seen.closed.length === 3, "three handshakes given up");
      expect(seen.opened).toEqual([]);
      expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([4, 8, 16]);
      expect(deaf.attempts()).toBeGreaterThanOrEqual(3);
    } finally {
      for (const connection of running.splice(0)) connection.stop();
      deaf.stop();
    }
  });

  test("after nobody listens", async () => {
    const { url } = server;
    await server.stop();
    const { seen } = start(url);
    await until(() => seen.closed.length === 4, "four attempts");
    expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([4, 8, 16, 32]);
    for (const { reason } of seen.closed) expect(reason).not.toBe("");
  });

  test("after attempts that could not even be made: no port or descriptor is left for the way through a proxy", async () => {
    let attempts = 0;
    const dial: Dial = (url, options) => {
      if (++attempts <= 3) throw new Error("no port on 127.0.0.1 is free");
      return dialDirectly(url, options);
    };
    const { connection, seen } = connect(server.url, { dial });
    running.push(connection);
    connection.start();
    await until(() => connection.isOpen, "the socket");
    expect(seen.closed).toEqual(
      [4, 8, 16].map((retryIn) => ({
        number: -1,
        code: null,
        reason: "no port on 127.0.0.1 is free",
        retryIn,
      })),
    );
    expect(connection.counters.reconnects).toBe(0);
  });
});

describe("back-off", () => {
  test("goes on growing while connections open and die without data, acks are no data", async () => {
    server.onOpen = (socket) => {
      socket.send('{"result":null,"id":1}');
      socket.send('{"e":"kline","s":"BTCUSDT"}');
      socket.close(1000);
    };
    const { connection, seen } = start(server.url);
    await until(() => seen.closed.length === 7, "seven connections");
    connection.stop();
    expect(seen.opened.length).toBe(7);
    expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([4, 8, 16, 32, 64, 64, 64]);
    expect(connection.counters.control).toBeGreaterThanOrEqual(6);
  });

  test("begins anew after data", async () => {
    let opened = 0;
    server.onOpen = (socket) => {
      if (++opened === 4) socket.send(trade(1));
      socket.close(1000);
    };
    const { connection, seen } = start(server.url);
    await until(() => seen.closed.length === 6, "six connections");
    connection.stop();
    expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([4, 8, 16, 4, 8, 16]);
  });
});

describe("stop", () => {
  test("closes with 1000 and opens nothing more; frames after it are not received", async () => {
    const { connection, seen, collector } = start(server.url);
    await until(() => server.sockets.size === 1 && connection.isOpen, "the socket");
    server.send(trade(1));
    await until(() => connection.counters.frames === 1, "a frame");
    connection.stop();
    server.send(trade(2));
    expect(connection.isOpen).toBe(false);
    expect(seen.closed).toEqual([{ number: 100, code: 1000, reason: "stopped by us", retryIn: null }]);
    await until(() => server.sockets.size === 0, "the server's end to close");
    await Bun.sleep(100);
    expect(connection.counters.frames).toBe(1);
    expect(collector.take().length).toBe(1);
    expect([server.attempts.length, seen.closed.length]).toEqual([1, 1]);
    connection.stop();
    expect(seen.closed.length).toBe(1);
  });

  test("while it connects: no socket stays behind, nothing is reported open", async () => {
    for (const wait of [0, 0, 1, 2, 4]) {
      const { connection, seen } = start(server.url);
      if (wait > 0) await Bun.sleep(wait);
      const wasOpen = connection.isOpen;
      connection.stop();
      await Bun.sleep(80);
      expect(server.sockets.size).toBe(0);
      expect(connection.isOpen).toBe(false);
      expect(seen.opened.length).toBe(wasOpen ? 1 : 0);
      expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([null]);
    }
  });

  test("while a handshake is not answered", async () => {
    const deaf = await deafServer();
    try {
      const { connection, seen } = start(deaf.url, { handshakeTimeout: 60 });
      await until(() => deaf.attempts() === 1, "the attempt");
      connection.stop();
      await Bun.sleep(150);
      expect(seen.closed.map(({ retryIn }) => retryIn)).toEqual([null]);
      expect(deaf.attempts()).toBe(1);
    } finally {
      deaf.stop();
    }
  });

  test("while it waits for the next attempt", async () => {
    server.reactions = [{ kind: "refuse", status: 503 }];
    const { connection, seen } = start(server.url, { backoffMin: 60, backoffMax: 60 });
    await until(() => seen.closed.length === 1, "the refusal");
    connection.stop();
    await Bun.sleep(200);
    expect(server.attempts.length).toBe(1);
    expect(seen.closed.length).toBe(1);
  });
});
