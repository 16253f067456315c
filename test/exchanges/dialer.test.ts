/** Every way to an exchange, with real proxies and real TLS on loopback: by WebSocket and by REST. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { DIRECT, type Dialing, dialer, fetcher } from "../../src/exchanges/dialer.ts";
import type { Wire, WireEvents } from "../../src/exchanges/websocket/wire.ts";
import { TEST_BOUNDS } from "../helpers/connection.ts";
import { CA, CERTIFICATE, HttpProxy, OTHER_CERTIFICATE, SocksProxy } from "../helpers/proxies.ts";
import { within } from "../helpers/wait.ts";
import { until } from "../lib/until.ts";

const ACCOUNT = { user: "me@work", password: "p:a/s s%w#rd?" };
const WRONG = { user: "me@work", password: "hunter2" };
const BOUNDS = { ...TEST_BOUNDS, handshakeTimeout: 30_000 };

function origin(tls: typeof CERTIFICATE | null) {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls === null ? {} : { tls }),
    fetch: (request, server) => {
      if (server.upgrade(request)) return undefined;
      const { pathname, search } = new URL(request.url);
      if (pathname === "/moved") return Response.redirect("/arrived", 302);
      // What a proxy is told is not for the exchange.
      return Response.json({ asked: pathname + search, secret: request.headers.get("proxy-authorization") });
    },
    websocket: {
      message: (socket, data) => {
        socket.send(data);
      },
    },
  });
}
const plain = origin(null);
const secure = origin(CERTIFICATE);
const other = origin(OTHER_CERTIFICATE);

const proxies = {
  http: new HttpProxy(null),
  "http with password": new HttpProxy(ACCOUNT),
  "https with password": new HttpProxy(ACCOUNT, true),
  socks5: new SocksProxy(null),
  "socks5 with password": new SocksProxy(ACCOUNT),
};
type Name = keyof typeof proxies;
const NAMES = Object.keys(proxies) as Name[];

function proxyUrl(name: Name, account = proxies[name].account): string {
  const userinfo = account === null ? "" : HttpProxy.userinfo(account);
  return `${name.split(" ")[0]}://${userinfo}127.0.0.1:${proxies[name].port}`;
}

beforeAll(async () => {
  await Promise.all(Object.values(proxies).map((proxy) => proxy.listen()));
});
beforeEach(() => {
  for (const proxy of Object.values(proxies)) proxy.asked.length = 0;
});
afterAll(async () => {
  await Promise.all(Object.values(proxies).map((proxy) => proxy[Symbol.asyncDispose]()));
  await Promise.all([plain, secure, other].map((one) => one.stop(true)));
});

/** Events of a socket, each told to the one that waits for it; `end` gets how it ended, in words. */
function told(on: { opened?(): void; message?(text: string): void; end?(how: string): void }): WireEvents {
  const end = (how: string) => on.end?.(how);
  return {
    opened: () => on.opened?.(),
    message: (data, from, to) => on.message?.(new TextDecoder().decode(data.subarray(from, to))),
    heard: () => undefined,
    refused: (status) => end(`error: ${status}`),
    failed: (reason) => end(`error: ${reason}`),
    closed: (code) => end(`closed with ${code}`),
  };
}

/** Opens a WebSocket and has a text sent back; resolves to it, or to `error: …`. */
function echo(dialing: Dialing, url: string, bounds = BOUNDS): Promise<string> {
  return within(
    `an answer of ${url}`,
    new Promise((resolve) => {
      const events = told({
        opened: () => wire.send("said"),
        message: (text) => {
          wire.close(1000);
          resolve(text);
        },
        end: resolve,
      });
      const wire = dialer(dialing)(url, { bounds, events });
    }),
  );
}

/** GET; resolves to what the exchange saw, or to `error: …`. */
async function get(dialing: Dialing, url: string): Promise<unknown> {
  try {
    const response = await fetcher(dialing, { timeout: 30_000 })(url, {
      signal: AbortSignal.timeout(30_000),
    });
    return response.ok ? await response.json() : `error: status ${response.status}`;
  } catch (error) {
    return `error: ${error instanceof Error ? error.message : error}`;
  }
}

const targets = {
  "ws and http": { ws: `ws://127.0.0.1:${plain.port}/x`, rest: `http://127.0.0.1:${plain.port}/a?b=c` },
  "wss and https": { ws: `wss://127.0.0.1:${secure.port}/x`, rest: `https://127.0.0.1:${secure.port}/a?b=c` },
};
const SEEN = { asked: "/a?b=c", secret: null };

describe.each(Object.entries(targets))("%s", (_, { ws, rest }) => {
  test("directly", async () => {
    expect(await echo({ ...DIRECT, ca: CA }, ws)).toBe("said");
    expect(await get({ ...DIRECT, ca: CA }, rest)).toEqual(SEEN);
  });

  test.each(NAMES)("through %s", async (name) => {
    const dialing = { proxy: proxyUrl(name), ca: CA };
    const { host } = new URL(ws);
    expect(await echo(dialing, ws)).toBe("said");
    expect(proxies[name].asked).toEqual([host]);
    expect(await get(dialing, rest)).toMatchObject({ asked: "/a?b=c" });
    expect(proxies[name].asked).toEqual([host, new URL(rest).host]);
  });

  test.each(NAMES.filter((name) => name.includes("password")))("a wrong password for %s", async (name) => {
    // Down and up: fetch keeps connections to a proxy that had the right password.
    await proxies[name].down();
    await proxies[name].listen();
    const dialing = { proxy: proxyUrl(name, WRONG), ca: CA };
    const words = [await echo(dialing, ws), String(await get(dialing, rest))];
    for (const error of words) {
      expect(error).toStartWith("error: ");
      expect(error).toContain("407");
      expect(error).not.toContain("hunter2");
      expect(error).not.toContain(WRONG.user);
    }
  });

  test.each(NAMES)("%s is down, then up again", async (name) => {
    const dialing = { proxy: proxyUrl(name), ca: CA };
    await proxies[name].down();
    const words = [await echo(dialing, ws), String(await get(dialing, rest))];
    await proxies[name].listen();
    for (const error of words) {
      expect(error).toStartWith("error: ");
      expect(error).not.toContain(ACCOUNT.user);
    }
    expect(words[0]).toContain("ECONNREFUSED");
    expect(await echo(dialing, ws)).toBe("said");
    expect(await get(dialing, rest)).toMatchObject({ asked: "/a?b=c" });
  });

  test.each(NAMES)("%s says nothing: the handshake ends in time", async (name) => {
    proxies[name].deaf = true;
    try {
      const error = await echo({ proxy: proxyUrl(name), ca: CA }, ws, { ...BOUNDS, handshakeTimeout: 100 });
      expect(error).toMatch(/timed out|in time/);
    } finally {
      proxies[name].deaf = false;
      proxies[name].cut();
    }
  });
});

test.each([
  null,
  "http" as const,
])("a message longer than is taken is the end (by way of %p)", async (name) => {
  const dialing = { proxy: name === null ? null : proxyUrl(name), ca: null };
  const { ws } = targets["ws and http"];
  expect(await echo(dialing, ws, { ...BOUNDS, messageBytesMax: 4 })).toBe("said");
  expect(await echo(dialing, ws, { ...BOUNDS, messageBytesMax: 3 })).toContain(
    "a message of more than 3 bytes",
  );
});

describe("certificates", () => {
  test.each([null, ...NAMES])("of an authority nobody named are refused (by way of %p)", async (name) => {
    const dialing = { proxy: name === null ? null : proxyUrl(name), ca: null };
    expect(await echo(dialing, targets["wss and https"].ws)).toContain("unable to verify");
    expect(await get(dialing, targets["wss and https"].rest)).toContain("unable to verify");
  });

  test.each([null, ...NAMES])("for another name are refused (by way of %p)", async (name) => {
    const dialing = { proxy: name === null ? null : proxyUrl(name), ca: CA };
    expect(await echo(dialing, `wss://127.0.0.1:${other.port}/`)).toContain("altnames");
    expect(await get(dialing, `https://127.0.0.1:${other.port}/`)).toContain("error: ");
  });
});

describe("the environment", () => {
  const NAMES_OF_ENV = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "no_proxy"];
  const saved = NAMES_OF_ENV.map((name) => [name, process.env[name]] as const);
  function restore(): void {
    for (const [name, value] of saved) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }

  test("names no proxy", async () => {
    for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) process.env[name] = proxyUrl("http");
    try {
      for (const { ws, rest } of Object.values(targets)) {
        expect(await echo({ ...DIRECT, ca: CA }, ws)).toBe("said");
        expect(await get({ ...DIRECT, ca: CA }, rest)).toEqual(SEEN);
      }
    } finally {
      restore();
    }
    expect(proxies.http.asked).toEqual([]);
  });

  test.each(["http", "socks5"] as const)("makes no exception from %s, and stays as it is", async (name) => {
    process.env.NO_PROXY = "*";
    process.env.no_proxy = "127.0.0.1,localhost";
    try {
      const dialing = { proxy: proxyUrl(name), ca: CA };
      for (const { ws, rest } of Object.values(targets)) {
        expect(await echo(dialing, ws)).toBe("said");
        expect(await get(dialing, rest)).toMatchObject({ asked: "/a?b=c" });
      }
      expect([process.env.NO_PROXY, process.env.no_proxy]).toEqual(["*", "127.0.0.1,localhost"]);
    } finally {
      restore();
    }
    expect(proxies[name].asked).toHaveLength(4);
  });
});

describe("SOCKS", () => {
  const port = plain.port;

  test("socks5 looks names up, socks5h leaves it to the proxy", async () => {
    const url = proxyUrl("socks5");
    expect(await echo({ proxy: url, ca: null }, `ws://localhost:${port}/`)).toBe("said");
    expect(
      await echo({ proxy: url.replace("socks5:", "socks5h:"), ca: null }, `ws://localhost:${port}/`),
    ).toBe("said");
    expect(proxies.socks5.asked).toEqual([`127.0.0.1:${port}`, `localhost:${port}`]);
  });

  test("what the proxy says of a target is the reason", async () => {
    proxies.socks5.reply = 5;
    try {
      expect(await echo({ proxy: proxyUrl("socks5"), ca: null }, `ws://127.0.0.1:${port}/`)).toContain(
        "ConnectionRefused",
      );
    } finally {
      proxies.socks5.reply = 0;
    }
  });

  test("a proxy that wants a password and gets none says so", async () => {
    const url = `socks5://127.0.0.1:${proxies["socks5 with password"].port}`;
    expect(await echo({ proxy: url, ca: null }, `ws://127.0.0.1:${port}/`)).toContain(
      "wants user and password",
    );
  });

  test("redirections are followed", async () => {
    const dialing = { proxy: proxyUrl("socks5"), ca: null };
    expect(await get(dialing, `http://127.0.0.1:${port}/moved`)).toEqual({ asked: "/arrived", secret: null });
  });

  test("nothing stays open when the socket has ended, whoever ended it", async () => {
    const proxy = proxies.socks5;
    const dial = dialer({ proxy: proxyUrl("socks5"), ca: CA });
    const open = (end: (how: string) => void = () => undefined, url = targets["wss and https"].ws) =>
      within(
        "the socket",
        new Promise<Wire>((resolve) => {
          const wire = dial(url, { bounds: BOUNDS, events: told({ opened: () => resolve(wire), end }) });
        }),
      );
    for (const end of ["close", "terminate"] as const) {
      const wire = await open();
      expect(proxy.open).toBeGreaterThan(0);
      wire[end](1000);
      await until(() => proxy.open === 0, `both sides of the proxy closed after ${end}`);
    }
    const ended = Promise.withResolvers<string>();
    await open(ended.resolve, targets["ws and http"].ws);
    proxy.cut();
    expect(await within("the end", ended.promise)).toBe("closed with 1006");
  });
});
