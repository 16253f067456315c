/**
 * What a connection does about sockets that are open and bring nothing: real sockets, receive time of the test's own,
 * so that minutes of silence pass at once and no verdict hangs on how fast this machine is.
 */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { ConnectGate } from "../../src/exchanges/connect-gate.ts";
import type { Connection } from "../../src/exchanges/connection.ts";
import { okx } from "../../src/exchanges/okx.ts";
import { CONNECTION_WATCH } from "../../src/exchanges/watchdog/connection-watch.ts";
import type { Dial } from "../../src/exchanges/websocket/wire.ts";
import { dialDirectly } from "../helpers/connection.ts";
import { until } from "../lib/until.ts";
import { type BenchOptions, BOUNDS, CHANNELS, connect, trade } from "./connection-bench.ts";
import { ExchangeServer } from "./exchange-server.ts";

const SECOND = 1_000_000;
/** Receive time of the whole file, µs. */
let now = 0;
let server: ExchangeServer;
const running: Connection[] = [];

function start(url: string, options: BenchOptions = {}) {
  // No clock of the network passes along with ours: pings are judged only where a test is about them.
  const bounds = { pongTimeout: 1e9, ...options.bounds };
  const made = connect(url, { now: () => now, ...options, bounds });
  running.push(made.connection);
  made.connection.start();
  return made;
}

type Started = ReturnType<typeof start>;

/** Lets time pass in steps of the worker's tick, each looked after. */
function pass({ connection }: Started, microseconds: number): void {
  const end = now + microseconds;
  while (now < end) {
    now = Math.min(end, now + SECOND / 4);
    connection.tick(now);
  }
}

/** Brings so many trades, so far apart. */
async function trades({ connection }: Started, count: number, interval: number): Promise<void> {
  const { frames } = connection.counters;
  for (let i = 1; i <= count; i++) {
    now += interval;
    server.send(trade(i));
    await until(() => connection.counters.frames === frames + i, `trade ${i}`);
    connection.tick(now);
  }
}

/** A socket is open on both sides. */
async function open({ seen }: Started, count = 1): Promise<void> {
  await until(() => seen.opened.length === count && server.sockets.size === 1, `socket ${count}`);
}

beforeEach(() => {
  now = 1_000 * SECOND;
  server = new ExchangeServer();
});
afterEach(async () => {
  for (const connection of running.splice(0)) connection.stop();
  await server.stop();
});

describe("silence after data", () => {
  test("the socket is given up, what came since the last data is lost, a new one is opened", async () => {
    const made = start(server.url);
    await open(made);
    await trades(made, 60, SECOND / 10);
    const last = now;
    pass(made, 7 * SECOND);
    expect([made.seen.closed, made.seen.lost]).toEqual([[], []]);
    pass(made, 3 * SECOND);
    expect(made.seen.lost[0]).toEqual({ reason: "silence", from: last });
    expect(made.seen.closed.length).toBe(1);
    expect(made.seen.closed[0]).toMatchObject({ number: 100, code: null });
    expect(made.seen.closed[0].reason).toMatch(/^no data for \d+\.\d s$/);
    await open(made, 2);
    await until(() => server.received.length === 2, "the second subscribe message");
    expect(made.connection.counters.reconnects).toBe(1);
    // Back in its rhythm it is left alone.
    await trades(made, 60, SECOND / 10);
    expect(made.seen.closed.length).toBe(1);
  });

  test("acks, pings and frames that are not recorded are no data", async () => {
    const made = start(server.url);
    await open(made);
    await trades(made, 60, SECOND / 10);
    const last = now;
    for (let i = 0; i < 40 && made.seen.closed.length === 0; i++) {
      const { frames } = made.connection.counters;
      server.send('{"result":null,"id":7}');
      server.send('{"e":"kline","s":"BTCUSDT"}');
      for (const socket of server.sockets) socket.ping();
      await until(() => made.connection.counters.frames === frames + 2, "both frames");
      pass(made, SECOND / 2);
    }
    expect(made.seen.lost[0]).toEqual({ reason: "silence", from: last });
    expect(now - last).toBeLessThanOrEqual(10 * SECOND);
  });

  test("a slow rhythm is given its time", async () => {
    const made = start(server.url, { expectation: { judged: true, prompt: false } });
    await open(made);
    await trades(made, 40, 30 * SECOND);
    pass(made, 200 * SECOND);
    expect(made.seen.closed).toEqual([]);
    pass(made, 800 * SECOND);
    expect(made.seen.closed.length).toBe(1);
  });

  test("events of what was not asked for are data: the connection lives", async () => {
    const made = start(server.url);
    await open(made);
    for (let i = 1; i <= 100; i++) {
      now += SECOND / 2;
      server.send(trade(i).replaceAll("BTCUSDT", "XRPUSDT"));
      await until(() => made.connection.counters.unwanted === i, `frame ${i}`);
      made.connection.tick(now);
    }
    expect([made.seen.closed, made.connection.dataAt]).toEqual([[], now]);
  });

  test("is no matter where it means nothing: liquidations alone may be silent for days", async () => {
    const made = start(server.url, {
      channels: ["!forceOrder@arr"],
      expectation: { judged: false, prompt: false },
    });
    await open(made);
    pass(made, 3600 * SECOND);
    await trades(made, 60, SECOND / 10);
    pass(made, 24 * 3600 * SECOND);
    expect([made.seen.closed, made.seen.lost, made.connection.isOpen]).toEqual([[], [], true]);
  });
});

describe("a new socket that never brings anything", () => {
  const { firstData, firstDataQuiet } = CONNECTION_WATCH;

  test("is given up after firstData; each next one gets twice the time, up to the cap", async () => {
    const cap = 45_000;
    const made = start(server.url, { bounds: { watch: { ...CONNECTION_WATCH, cap } } });
    server.acknowledge();
    for (let socket = 1; socket <= 4; socket++) {
      await open(made, socket);
      await until(() => made.connection.settled, "the ack");
      const openedAt = now;
      const patience = Math.min(cap, firstData * 2 ** (socket - 1)) * 1000;
      pass(made, patience);
      expect([socket, made.seen.closed.length]).toEqual([socket, socket - 1]);
      pass(made, SECOND);
      expect([socket, made.seen.closed.length]).toEqual([socket, socket]);
      expect(made.seen.lost.filter(({ reason }) => reason === "silence").at(-1)).toEqual({
        reason: "silence",
        from: openedAt,
      });
    }
  });

  test("and after data the next one has firstData again, or what its rhythm asks for", async () => {
    const made = start(server.url);
    await open(made);
    pass(made, firstData * 1000 + SECOND);
    await open(made, 2);
    await trades(made, 1, SECOND);
    for (const socket of server.sockets) socket.close(1000);
    await until(() => made.seen.closed.length === 2, "the end of the second");
    await open(made, 3);
    pass(made, firstData * 1000);
    expect(made.seen.closed.length).toBe(2);
    pass(made, SECOND);
    expect(made.seen.closed.length).toBe(3);
  });

  test("has more time where nothing is due soon", async () => {
    const made = start(server.url, { expectation: { judged: true, prompt: false } });
    await open(made);
    pass(made, firstDataQuiet * 1000);
    expect(made.seen.closed).toEqual([]);
    pass(made, SECOND);
    expect(made.seen.closed.length).toBe(1);
  });

  test("the back-off is not reset by sockets that open and stay silent", async () => {
    const jitter = spyOn(Math, "random").mockReturnValue(1 - 2 ** -53);
    try {
      const made = start(server.url);
      for (let socket = 1; socket <= 3; socket++) {
        await open(made, socket);
        pass(made, firstData * 2 ** (socket - 1) * 1000 + SECOND);
      }
      expect(made.seen.closed.map(({ retryIn }) => retryIn)).toEqual([4, 8, 16]);
    } finally {
      jitter.mockRestore();
    }
  });
});

/** A server that upgrades and then neither says anything nor answers pings, like a host that has lost its power. */
async function halfOpen(): Promise<{ url: string; sockets: Socket[]; stop: () => void }> {
  const sockets: Socket[] = [];
  const listener = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.once("data", (request) => {
      const key = /^sec-websocket-key: *(\S+)/im.exec(request.toString())?.[1] ?? "";
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
          `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `ws://127.0.0.1:${address.port}`,
    sockets,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      listener.close();
    },
  };
}

describe("whether the other side is there", () => {
  /** No channel of these is judged by its data. */
  const unjudged = { judged: false, prompt: false };
  const pings = { pingInterval: 15, pongTimeout: 30_000 };
  const limit = (pings.pingInterval + pings.pongTimeout) * 1000;

  test("a half-open connection is found, though nothing is expected of it, and opened again", async () => {
    const dead = await halfOpen();
    try {
      const made = start(dead.url, { expectation: unjudged, bounds: pings });
      await until(() => made.seen.opened.length === 1, "the socket");
      const openedAt = now;
      // Several pings go out, and nobody answers.
      await Bun.sleep(10 * pings.pingInterval);
      pass(made, limit);
      expect(made.seen.closed).toEqual([]);
      pass(made, SECOND);
      expect(made.seen.closed.map(({ code, reason }) => ({ code, reason }))).toEqual([
        { code: null, reason: `nothing at all was heard for ${limit / SECOND} s` },
      ]);
      expect(made.seen.lost).toEqual([{ reason: "disconnect", from: openedAt }]);
      await until(() => made.seen.opened.length === 2, "the next socket");
      await until(() => dead.sockets[0].destroyed || dead.sockets[0].readableEnded, "the end of the first");
    } finally {
      for (const connection of running.splice(0)) connection.stop();
      dead.stop();
    }
  });

  test("a pong is a sign of life, and no data: pings alone keep a quiet connection open", async () => {
    let pongs = 0;
    const dial: Dial = (url, options) => {
      const { events } = options;
      const heard = () => {
        pongs++;
        events.heard(true);
      };
      return dialDirectly(url, { ...options, events: { ...events, heard } });
    };
    const made = start(server.url, { expectation: unjudged, bounds: pings, dial });
    await open(made);
    for (let i = 0; i < 5; i++) {
      pass(made, limit - SECOND);
      const before = pongs;
      await until(() => pongs > before + 1, "two pongs");
    }
    expect([made.seen.closed, made.connection.isOpen]).toEqual([[], true]);
    expect(Number.isNaN(made.connection.dataAt)).toBe(true);
  });

  test("a piece of a message is a sign of life too, but lost is what came since the last thing that was whole", async () => {
    const slow = await halfOpen();
    try {
      let pieces = 0;
      const dial: Dial = (url, options) => {
        const { events } = options;
        const heard = (whole: boolean) => {
          events.heard(whole);
          pieces++;
        };
        return dialDirectly(url, { ...options, events: { ...events, heard } });
      };
      const made = start(slow.url, { expectation: unjudged, bounds: pings, dial });
      await until(() => made.seen.opened.length === 1, "the socket");
      const says = async (...bytes: number[]) => {
        const before = pieces;
        slow.sockets[0].write(Buffer.from(bytes));
        await until(() => pieces > before, "a piece");
      };
      now += SECOND;
      await says(0x89, 0);
      const whole = now;
      // Head and begin of a message, of which the rest never comes.
      for (const byte of [0x81, 0x05, 0x7b, 0x22]) {
        pass(made, limit - SECOND);
        await says(byte);
      }
      expect(made.seen.closed).toEqual([]);
      slow.sockets[0].destroy();
      await until(() => made.seen.closed.length === 1, "the end");
      expect(made.seen.lost).toEqual([{ reason: "disconnect", from: whole }]);
    } finally {
      for (const connection of running.splice(0)) connection.stop();
      slow.stop();
    }
  });

  test("where the exchange wants a message instead of a ping, it gets that, and its answer is heard", async () => {
    const exchange = { ...okx, keepalive: { interval: 15, message: "ping" } };
    server.onMessage = (socket, text) => {
      if (text === "ping") socket.send("pong");
    };
    const made = start(server.url, {
      exchange,
      channels: ["trades:BTC-USDT-SWAP"],
      expectation: unjudged,
      bounds: { pingInterval: 1e9, pongTimeout: 30_000 },
    });
    await open(made);
    for (let i = 0; i < 4; i++) {
      pass(made, 29 * SECOND);
      const { control } = made.connection.counters;
      await until(() => made.connection.counters.control > control + 1, "two answers");
    }
    expect([made.seen.closed, made.seen.refused]).toEqual([[], []]);
    expect(server.received.filter((text) => text === "ping").length).toBeGreaterThan(7);
  });
});

describe("the end that the exchange announces", () => {
  test("is passed on, and the connection stays until then", async () => {
    const made = start(server.url, { exchange: okx, channels: ["trades:BTC-USDT-SWAP"] });
    await open(made);
    const note = { event: "notice", code: "64008", msg: "The connection will soon be closed.", connId: "a4" };
    server.send(JSON.stringify(note));
    await until(() => made.seen.leaving === 1, "the notice");
    expect([made.connection.isOpen, made.seen.closed]).toEqual([true, []]);
    expect(made.seen.refused.map(({ channels, error }) => [channels, error.includes("64008")])).toEqual([
      [[], true],
    ]);
    server.send(JSON.stringify({ ...note, code: "64000" }));
    await until(() => made.connection.counters.control === 2, "another notice");
    expect(made.seen.leaving).toBe(1);
  });
});

describe("retirement", () => {
  test("a socket that ends is not followed by another, though its loss is told", async () => {
    const made = start(server.url);
    await open(made);
    await trades(made, 3, SECOND);
    const last = now;
    made.connection.retire();
    await trades(made, 1, SECOND);
    expect([made.connection.isOpen, made.connection.isStopped]).toEqual([true, false]);
    now += SECOND;
    for (const socket of server.sockets) socket.close(1001, "moved");
    await until(() => made.seen.closed.length === 1, "the end");
    expect(made.seen.closed).toEqual([{ number: 100, code: 1001, reason: "moved", retryIn: null }]);
    expect(made.seen.lost).toEqual([{ reason: "disconnect", from: last + SECOND }]);
    await Bun.sleep(3 * BOUNDS.backoffMax);
    expect([server.attempts.length, made.connection.isStopped]).toEqual([1, false]);
  });

  test("silence ends a retired socket too, and that is all", async () => {
    const made = start(server.url);
    await open(made);
    await trades(made, 60, SECOND / 10);
    made.connection.retire();
    pass(made, 12 * SECOND);
    expect(made.seen.closed.map(({ retryIn }) => retryIn)).toEqual([null]);
    expect(made.seen.lost[0].reason).toBe("silence");
  });

  test("taken back after its socket has ended: it connects at once, and only once", async () => {
    const made = start(server.url);
    await open(made);
    made.connection.retire();
    for (const socket of server.sockets) socket.close(1000);
    await until(() => made.seen.closed.length === 1, "the end");
    made.connection.unretire();
    made.connection.unretire();
    await open(made, 2);
    await until(() => server.received.length === 2, "the subscribe message");
    expect(JSON.parse(server.received[1])).toMatchObject({ params: CHANNELS });
    await Bun.sleep(3 * BOUNDS.backoffMax);
    expect([server.attempts.length, made.seen.opened]).toEqual([2, [100, 101]]);
  });

  test("taken back while its socket is open: the next end is followed by another socket", async () => {
    const made = start(server.url);
    await open(made);
    made.connection.retire();
    made.connection.unretire();
    await Bun.sleep(20);
    expect(server.attempts.length).toBe(1);
    for (const socket of server.sockets) socket.close(1000);
    await open(made, 2);
    expect(made.seen.closed[0].retryIn).not.toBeNull();
  });

  test("a connection that was stopped is not brought back", async () => {
    const made = start(server.url);
    await open(made);
    made.connection.retire();
    made.connection.stop();
    made.connection.unretire();
    await Bun.sleep(50);
    expect([server.attempts.length, made.connection.isStopped]).toEqual([1, true]);
    // What we end ourselves is no loss.
    expect(made.seen.lost).toEqual([]);
  });
});

describe("attempts", () => {
  test("after 429 with Retry-After the next one comes no sooner, and brings everything", async () => {
    server.reactions = [{ kind: "refuse", status: 429, headers: { "Retry-After": "1" } }, { kind: "accept" }];
    const at: number[] = [];
    const dial: Dial = (url, options) => {
      at.push(performance.now());
      return dialDirectly(url, options);
    };
    const made = start(server.url, { dial });
    await until(() => made.seen.closed.length === 1, "the refusal");
    expect(made.seen.closed[0]).toMatchObject({ number: -1, retryIn: 1000 });
    // A socket that never was has lost nothing.
    expect(made.seen.lost).toEqual([]);
    await open(made);
    expect(at.length).toBe(2);
    // A lower bound is all that is asked of the clock; timers may fire a trifle early.
    expect(at[1] - at[0]).toBeGreaterThanOrEqual(990);
    await until(() => server.received.length === 1, "the subscribe message");
  });

  test("of all connections to an exchange wait for each other", async () => {
    const gate = new ConnectGate({ connectsPerSecond: 20, connectsPerFiveMinutes: null });
    const at: number[] = [];
    const dial: Dial = (url, options) => {
      at.push(performance.now());
      return dialDirectly(url, options);
    };
    const made = [1, 2, 3, 4].map(() => start(server.url, { gate, dial }));
    await until(() => made.every(({ connection }) => connection.isOpen), "all four");
    for (let i = 1; i < at.length; i++) expect(at[i] - at[0]).toBeGreaterThanOrEqual(i * 50 - 10);
  });

  test("whose turns passed while we were away ourselves wait for others, and are not made all at once", async () => {
    const gate = new ConnectGate({ connectsPerSecond: 10, connectsPerFiveMinutes: null });
    const turns = spyOn(gate, "take");
    const made = [1, 2, 3].map(() => start(server.url, { gate }));
    const back = performance.now() + 700;
    while (performance.now() < back);
    await until(() => made.every(({ connection }) => connection.isOpen), "all three");
    // One at once; two whose turns were missed.
    expect(turns.mock.calls.length).toBeGreaterThanOrEqual(5);
  });

  test("one that waits for its turn is not made any more after a stop", async () => {
    const gate = new ConnectGate({ connectsPerSecond: 20, connectsPerFiveMinutes: null });
    const first = start(server.url, { gate });
    const second = start(server.url, { gate });
    second.connection.stop();
    await open(first);
    await Bun.sleep(120);
    expect([server.attempts.length, second.seen.opened.length]).toEqual([1, 0]);
  });
});

describe("channels of an open connection", () => {
  test("are accepted, settled, renewed; a new socket begins with all of them", async () => {
    server.acknowledge();
    const made = start(server.url);
    await open(made);
    await until(() => made.connection.settled, "the ack");
    expect(made.seen.accepted).toEqual([CHANNELS]);
    made.connection.update(["ethusdt@aggTrade"], []);
    expect(made.connection.settled).toBe(false);
    await until(() => made.connection.settled, "the ack of the update");
    made.connection.renew(["btcusdt@aggTrade", "not@carried"]);
    await until(() => made.seen.accepted.length === 3, "the ack of the renewal");
    expect(made.seen.accepted.slice(1)).toEqual([["ethusdt@aggTrade"], ["btcusdt@aggTrade"]]);
    expect(server.received.map((text) => (JSON.parse(text) as { method: string }).method)).toEqual([
      "SUBSCRIBE",
      "SUBSCRIBE",
      "UNSUBSCRIBE",
      "SUBSCRIBE",
    ]);
    for (const socket of server.sockets) socket.terminate();
    await until(() => made.seen.accepted.length === 4, "the ack on the next socket");
    expect(made.seen.accepted[3].sort()).toEqual(["btcusdt@aggTrade", "ethusdt@aggTrade"]);
  });
});
