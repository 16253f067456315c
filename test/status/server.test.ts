/** The listener: what slow, greedy and hostile clients can do. Real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import { settingsSchema } from "../../src/config/schema.ts";
import { AddressError, Places, type StatusServer, serveStatus, Turnstile } from "../../src/status/server.ts";
import type { Snapshot } from "../../src/status/snapshot.ts";
import { madeUpSnapshot } from "../helpers/snapshot.ts";
import { waitFor, within } from "../helpers/wait.ts";

const open: (StatusServer | Socket)[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await ("stop" in one ? one.stop() : one.destroy());
});

async function serve(
  set: Record<string, unknown> = {},
  snapshot: () => Snapshot = madeUpSnapshot,
  liveInterval = 100,
) {
  const { status } = settingsSchema.parse({ status: { port: 0, ...set } });
  const server = await serveStatus({
    settings: status,
    liveInterval,
    version: "1.2.3",
    source: { snapshot, freshness: async () => ({ streams: [], complete: true }) },
  });
  open.push(server);
  return server;
}

/** A raw client: what it was sent, and whether it was closed. */
function client(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const state = { text: "", bytes: 0, closed: false, connected: false };
  socket.on("connect", () => {
    state.connected = true;
  });
  socket.on("data", (data) => {
    state.bytes += data.length;
    if (state.text.length < 100_000) state.text += data.toString();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    state.closed = true;
  });
  open.push(socket);
  return { socket, state, write: (text: string) => socket.write(text) };
}

const GET = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

describe("requests", () => {
  test("several on one connection are answered in turn, whole", async () => {
    const { url } = await serve();
    const { write, state } = client(url);
    write(GET("/health") + GET("/nothing") + GET("/status"));
    await waitFor("three answers", () => state.text.split("HTTP/1.1 ").length === 4);
    expect(state.text.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"]);
  });

  test("headers that drip without end are cut off, and others are served meanwhile", async () => {
    const { url } = await serve({ header_timeout: "2s" });
    const drips = Array.from({ length: 20 }, () => client(url));
    for (const { write } of drips) write("GET /metrics HTTP/1.1\r\nHost: x\r\n");
    const timer = setInterval(() => {
      for (const { write, state } of drips) if (!state.closed) write("X-Slow: 1\r\n");
    }, 100);
    try {
      while (!drips.every(({ state }) => state.closed)) {
        expect((await fetch(`${url}/health`)).status).toBe(200);
        await Bun.sleep(50);
      }
    } finally {
      clearInterval(timer);
    }
    for (const { state } of drips) expect(state.text).not.toContain(" 200 ");
  }, 180_000);

  test("a connection on which nothing moves is closed", async () => {
    const { url } = await serve({ idle_timeout: "2s", header_timeout: "2s" });
    const silent = client(url);
    const kept = client(url);
    kept.write(GET("/health"));
    await waitFor("both closed", () => silent.state.closed && kept.state.closed, { timeout: 90_000 });
    expect(kept.state.text).toContain("HTTP/1.1 200");
  }, 180_000);

  test("headers that are too large are refused", async () => {
    const { url } = await serve({ max_header: "2KiB" });
    const { write, state } = client(url);
    write(GET("/health", `X-Large: ${"x".repeat(10_000)}\r\n`));
    await waitFor("refused", () => state.closed);
    expect(state.text).toContain("HTTP/1.1 431");
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  test("a body is not read: its connection ends with the answer", async () => {
    const { url } = await serve();
    const { write, state } = client(url);
    write(`POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nsome`);
    await waitFor("refused and closed", () => state.closed, { timeout: 90_000 });
    expect(state.text).toContain("HTTP/1.1 405");
  }, 180_000);

  test("nonsense does not end it", async () => {
    const { url } = await serve();
    for (const text of [
      "\u0000\u0001\r\n\r\n",
      "GET\r\n\r\n",
      "GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ]) {
      const { write, state } = client(url);
      write(text);
      await waitFor(
        `an answer or the end after ${JSON.stringify(text)}`,
        () => state.closed || state.bytes > 0,
      );
      expect(state.text).not.toContain("HTTP/1.1 200");
    }
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });
});

describe("bounds", () => {
  test("more connections than status.max_connections that wait for answers are closed; when some leave, others may come", async () => {
    const { url } = await serve({ max_connections: 5 });
    const first = Array.from({ length: 5 }, () => client(url));
    for (const { write } of first) write(GET("/events"));
    await waitFor("five that listen", () => first.every(({ state }) => state.text.includes("data: ")));
    const more = Array.from({ length: 10 }, () => client(url));
    await waitFor("the others closed", () => more.every(({ state }) => state.closed));
    expect(first.some(({ state }) => state.closed)).toBe(false);
    for (const { socket } of first) socket.destroy();
    await waitFor("room again", async () => {
      const answer = await fetch(`${url}/health`).catch(() => null);
      return answer?.status === 200;
    });
  });

  test("connections that are held open and ask for nothing keep nobody out, nor those that never end a request", async () => {
    const { url } = await serve({ max_connections: 5, max_streams: 2 });
    const listening = client(url);
    listening.write(GET("/events"));
    await waitFor("one that listens", () => listening.state.text.includes("data: "));
    const kept = Array.from({ length: 20 }, () => client(url));
    for (const [index, { write }] of kept.entries())
      write(index % 2 === 0 ? GET("/health") : "GET /health HTTP/1.1\r\nHost: x\r\n");
    await waitFor(
      "all but the last four closed",
      () => kept.filter(({ state }) => state.closed).length >= kept.length - 4,
    );
    for (let probe = 0; probe < 20; probe++) {
      const { write, state } = client(url);
      write(GET("/livez"));
      await waitFor("an answer", () => state.text.includes(" 200 "));
    }
    expect(listening.state.closed).toBe(false);
  }, 180_000);

  test("the connection that has asked for nothing for the longest time gives up its place", () => {
    const places = new Places<EventEmitter & { destroy: () => void }>(3);
    const gone: string[] = [];
    const come = (name: string) => {
      const one = Object.assign(new EventEmitter(), {
        destroy: () => {
          gone.push(name);
          one.emit("close");
        },
      });
      places.enter(one);
      return one;
    };
    const [a, b, c] = [come("a"), come("b"), come("c")];
    places.asked(a);
    places.answered(a);
    come("d");
    expect(gone).toEqual(["b"]);
    b.emit("close");
    places.asked(a);
    places.asked(c);
    come("e");
    expect(gone).toEqual(["b", "d"]);
    a.emit("close");
    const f = come("f");
    expect(gone).toEqual(["b", "d"]);
    places.asked(f);
    come("g");
    expect(gone).toEqual(["b", "d", "e"]);
  });

  test("requests above the rate wait: an exact schedule", () => {
    let now = 1000;
    const turnstile = new Turnstile(100, () => now);
    // A tenth of a second's worth at once, and then one every 10 ms; who only asks takes nothing.
    const waits = Array.from({ length: 12 }, () => turnstile.take());
    expect(waits).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 10]);
    now += 10;
    expect([turnstile.take(), turnstile.take()]).toEqual([0, 10]);
    now += 1000;
    expect(turnstile.take()).toBe(0);
  });

  test("who waits goes in order, and who leaves gives up the place", async () => {
    let now = 1000;
    const turnstile = new Turnstile(100, () => now);
    while (turnstile.take() === 0);
    const clients = Array.from({ length: 50 }, () => new EventEmitter());
    const order: number[] = [];
    const ends = clients.map(async (gone, index) => {
      if (await turnstile.enter(gone)) order.push(index);
    });
    expect(turnstile.waiting).toBe(50);
    for (const gone of clients.slice(0, 48)) gone.emit("close");
    expect(turnstile.waiting).toBe(2);
    now += 20;
    await within("the two that stayed", Promise.all(ends));
    expect(order).toEqual([48, 49]);
  });

  test("clients that ask and go, and one that asks without end, do not use up the turns of others", async () => {
    // One turn in 200 ms: were one lost on each of either kind, the last would wait for 40 s or more.
    const { url } = await serve({ max_requests: 5 });
    const greedy = client(url);
    greedy.write(GET("/health").repeat(2000));
    await waitFor("the greedy one is cut off", () => greedy.state.closed);
    const leavers = Array.from({ length: 200 }, () => client(url));
    for (const { write } of leavers) write(GET("/health"));
    await waitFor("all connected", () => leavers.every(({ state }) => state.connected));
    for (const { socket } of leavers) socket.destroy();
    const { status } = await within("an answer", fetch(`${url}/health`));
    expect(status).toBe(200);
  }, 180_000);

  test("a snapshot is made at most once in status.refresh, however many ask", async () => {
    let made = 0;
    const { url } = await serve({ refresh: "10s" }, () => {
      made++;
      return madeUpSnapshot();
    });
    const began = performance.now();
    await Promise.all(Array.from({ length: 200 }, async () => (await fetch(`${url}/metrics`)).arrayBuffer()));
    expect(made).toBeLessThanOrEqual(1 + Math.floor((performance.now() - began) / 10_000));
  });
});

describe("live events", () => {
  /** Messages of a stream as they come. */
  async function* messages(url: string): AsyncGenerator<string> {
    const response = await fetch(url);
    expect(response.headers.get("content-type")).toStartWith("text/event-stream");
    if (response.body === null) throw new Error("no body");
    let text = "";
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const message = text.slice(0, end);
        text = text.slice(end + 2);
        if (message.startsWith("data: ")) yield message.slice(6);
      }
    }
  }

  test("the first comes at once, and then one each interval, the same for all", async () => {
    let made = 0;
    const { url } = await serve({ refresh: "1ms" }, () => madeUpSnapshot({ uptime: ++made }));
    const [a, b]: [string[], string[]] = [[], []];
    const both = () => b.filter((message) => a.includes(message)).length;
    // Until there are enough, and two of them are the same: on a busy machine one of them may begin later.
    const listen = async (got: string[]) => {
      for await (const message of messages(`${url}/events`)) {
        got.push(message);
        if (a.length >= 3 && b.length >= 3 && both() >= 2) return;
      }
    };
    await within("three messages", Promise.all([listen(a), listen(b)]));
    for (const got of [a, b]) expect(new Set(got).size).toBe(got.length);
    expect(made).toBeLessThanOrEqual(new Set([...a, ...b]).size + 4);
  }, 180_000);

  test("no more clients than status.max_streams; one that leaves makes room", async () => {
    const { url } = await serve({ max_streams: 2 });
    const ends = [new AbortController(), new AbortController()];
    for (const { signal } of ends) expect((await fetch(`${url}/events`, { signal })).status).toBe(200);
    const refused = await fetch(`${url}/events`);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(await refused.text()).toContain("status.max_streams");
    ends[0]?.abort();
    await waitFor("room again", async () => {
      const end = new AbortController();
      const { status } = await fetch(`${url}/events`, { signal: end.signal });
      end.abort();
      return status === 200;
    });
  });

  test("a client that does not read is dropped, and does not hold up those who do", async () => {
    const large = "x".repeat(2_000_000);
    const { url } = await serve({ max_streams: 2 }, () => madeUpSnapshot({ reason: large }));
    const stuck = client(url);
    stuck.socket.pause();
    stuck.write(GET("/events"));
    const got: number[] = [];
    const reader = messages(`${url}/events`);
    await waitFor(
      "the stuck one is dropped: there is room for another",
      async () => {
        got.push((await reader.next()).value?.length ?? 0);
        const end = new AbortController();
        const { status } = await fetch(`${url}/events`, { signal: end.signal });
        end.abort();
        return status === 200;
      },
      { timeout: 90_000 },
    );
    expect(got.every((length) => length > large.length)).toBe(true);
    await reader.return(undefined);
  }, 180_000);
});

describe("the address", () => {
  test("one that is taken is an error that names it and the mend", async () => {
    const { url } = await serve();
    const { port } = new URL(url);
    const second = serve({ port: Number(port) });
    await expect(second).rejects.toThrow(AddressError);
    await expect(second).rejects.toThrow(`127.0.0.1:${port}`);
  });

  test("stopping ends what is open", async () => {
    const server = await serve();
    const waiting = client(server.url);
    waiting.write("GET /hea");
    const listening = client(server.url);
    listening.write(GET("/events"));
    await waitFor("the first message", () => listening.state.text.includes("data: "));
    await within("the end", server.stop());
    await waitFor("both closed", () => waiting.state.closed && listening.state.closed);
    open.shift();
  });
});
