/** How soon an exchange that refuses to list its instruments is asked again. */
import { expect, test } from "bun:test";
import { settingsSchema } from "../../src/config/schema.ts";
import { Discovery } from "../../src/recorder/discovery.ts";
import { createLogger } from "../../src/status/log.ts";
import { until } from "../lib/until.ts";

/** What is listed of a line. */
interface Line {
  readonly event: string;
  readonly exchange: string;
  readonly error?: string;
  readonly retry_in_ms?: number;
}

/** Discovery of Bybit and Binance while both give this answer, until Binance was asked for the fourth time. */
async function refused(answer: () => Response): Promise<{ asked: Record<string, number>; lines: Line[] }> {
  const asked: Record<string, number> = { fapi: 0, v5: 0 };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const [, root = ""] = new URL(request.url).pathname.split("/");
      asked[root] = (asked[root] ?? 0) + 1;
      return answer();
    },
  });
  const restUrl = `http://127.0.0.1:${server.port}`;
  const lines: Line[] = [];
  const discovery = new Discovery({
    settings: settingsSchema.parse({
      record: { exchanges: ["bybit", "binance"] },
      exchanges: { bybit: { rest_url: restUrl }, binance: { rest_url: restUrl } },
      discovery: { retry_max: "10ms" },
    }),
    log: createLogger({
      format: "json",
      level: "warn",
      write: (line) => lines.push(JSON.parse(line) as Line),
    }),
    events: { read: () => Promise.reject(new Error("nothing can be read")), wanted: () => undefined },
  });
  discovery.start();
  try {
    const told = () => lines.some(({ exchange }) => exchange === "bybit");
    await until(() => (asked.fapi ?? 0) >= 4 && told(), "Binance asked again and again");
    // An announcement does not shorten the wait.
    discovery.announced("bybit");
    await until(() => (asked.fapi ?? 0) >= 8, "Binance asked on");
  } finally {
    discovery.stop();
    await server.stop(true);
  }
  return { asked, lines };
}

test("Bybit is left alone for ten minutes after HTTP 403; another exchange, whose 403 says nothing, is not", async () => {
  const { asked, lines } = await refused(() => new Response("access too frequent", { status: 403 }));
  expect(asked.v5).toBe(1);
  const told = lines.filter(({ exchange }) => exchange === "bybit");
  expect(told).toMatchObject([{ event: "discovery_failed", retry_in_ms: 600_000 }]);
  expect(told[0]?.error).toContain("answered 403");
});

test("an exchange that announces change after change has its list read every two seconds, and after the last one", async () => {
  const asked: number[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/fapi/v1/exchangeInfo") asked.push(performance.now());
      return Response.json({ symbols: [], serverTime: 1_499_827_319_559 });
    },
  });
  const discovery = new Discovery({
    settings: settingsSchema.parse({
      record: { exchanges: ["binance"] },
      exchanges: { binance: { rest_url: `http://127.0.0.1:${server.port}` } },
    }),
    log: createLogger({ format: "json", level: "error", write: () => undefined }),
    events: { read: () => Promise.resolve(), wanted: () => undefined },
  });
  const begun = performance.now();
  discovery.start();
  const flood = setInterval(() => discovery.announced("binance"), 5);
  try {
    await until(() => asked.length >= 3, "the list read three times", 60_000);
    clearInterval(flood);
    const last = performance.now();
    expect(asked.length).toBeLessThanOrEqual(1 + Math.ceil((last - begun) / 2000));
    discovery.announced("binance");
    await until(() => asked.some((at) => at >= last), "the list read after the last announcement", 60_000);
  } finally {
    clearInterval(flood);
    discovery.stop();
    await server.stop(true);
  }
}, 180_000);

test("Bybit's retCode 10006 is a wait of at least the window of its limit", async () => {
  const { asked, lines } = await refused(() =>
    Response.json({ retCode: 10006, retMsg: "Too many visits!", result: {}, time: 1 }),
  );
  expect(asked.v5).toBe(1);
  const told = lines.filter(({ exchange }) => exchange === "bybit");
  expect(told).toMatchObject([{ event: "discovery_failed", retry_in_ms: 5000 }]);
  expect(told[0]?.error).toContain("Too many visits! (retCode 10006)");
});
