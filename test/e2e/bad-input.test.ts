/** Wrong use exits 2 with every fault; what cannot be done exits 1 and names the mend; the rest goes on. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { auditLake } from "../helpers/audit.ts";
import { streamFrom, withSql } from "../helpers/lake.ts";
import { type Running, tapedeck } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const folder = scratchFolder("bad-input");
/** An exchange that nobody serves. */
const NOWHERE = { url: "ws://127.0.0.1:1", restUrl: "http://127.0.0.1:1" };
const statusSchema = z.looseObject({ state: z.string(), reason: z.string() });

function subfolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

/** A run that must fail: exit code 1, one message on stderr, no recording begun. */
async function expectFailure(process: Running, ...words: readonly string[]): Promise<void> {
  expect(await process.exit()).toBe(1);
  expect(process.events("collector_start")).toEqual([]);
  expect(process.stderr.trimEnd().split("\n").length).toBe(1);
  for (const word of words) expect(process.stderr).toContain(word);
  expect(process.stderr).not.toContain("unexpected error");
}

test("every fault of a command line is listed at once, exit 2, and nothing is touched", async () => {
  const cwd = subfolder("faults");
  const process = tapedeck(
    [
      ...["record", "--data", join(cwd, "data"), "--no-such-flag", "--streams", "bbo,trades"],
      ...["--exchanges", "binance,krakken", "--set", "ring.capacity.bbo=1000"],
      ...["--set", "flush.interval=soon", "--set", "no.such.setting=1", "--port", "99999"],
    ],
    { cwd, env: { TAPEDECK_DRAIN_POLL: "-1" } },
  );
  expect(await process.exit()).toBe(2);
  const words = [
    "--no-such-flag",
    "trades",
    "krakken",
    "ring.capacity.bbo",
    "flush.interval",
    "no.such.setting",
  ];
  for (const word of [...words, "99999", "TAPEDECK_DRAIN_POLL"]) expect(process.stderr).toContain(word);
  expect(process.stdout).toBe("");
  expect(existsSync(join(cwd, "data"))).toBe(false);
});

test.concurrent("a data folder that cannot be written is named, exit 1", async () => {
  const cwd = subfolder("unwritable");
  for (const part of ["data", "data2/lake", "data3/outbox", "data4/quarantine", "data5/lock.db"]) {
    const path = join(cwd, part);
    mkdirSync(join(path, ".."), { recursive: true });
    if (part.endsWith("lock.db")) mkdirSync(path);
    else writeFileSync(path, "a file");
    const data = join(cwd, part.split("/")[0] ?? "");
    await expectFailure(
      tapedeck(recordArguments({ cwd, data, exchange: NOWHERE }), { cwd }),
      data,
      "--data DIR",
    );
  }
});

test.concurrent("a taken port is named, exit 1, and the data folder is left as it was", async () => {
  const cwd = subfolder("port");
  const taken = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  try {
    const args = [...recordArguments({ cwd, exchange: NOWHERE }), "--port", String(taken.port)];
    await expectFailure(tapedeck(args, { cwd }), String(taken.port), "--port");
    expect(existsSync(join(cwd, "data"))).toBe(false);
  } finally {
    await taken.stop(true);
  }
});

test.concurrent("one recorder a folder: a second names the first's pid; kill -9 frees the folder", async () => {
  const cwd = subfolder("in-use");
  const first = await startRecorder({ cwd, exchange: NOWHERE });
  const second = () => tapedeck(recordArguments({ cwd, exchange: NOWHERE }), { cwd });
  await expectFailure(second(), `pid ${first.process.pid}`, "--data DIR");
  // The first has not noticed.
  expect(await first.get("/health")).toMatchObject({ status: "ok" });
  first.process.signal("SIGKILL");
  expect(await first.process.exit()).toBe("SIGKILL");
  const third = await startRecorder({ cwd, exchange: NOWHERE });
  await expectFailure(second(), `pid ${third.process.pid}`);
  expect((await third.stop()).code).toBe(0);
  const fourth = await startRecorder({ cwd, exchange: NOWHERE });
  expect((await fourth.stop()).code).toBe(0);
}, 180_000);

test.concurrent("symbols that do not exist are named, the others are recorded", async () => {
  const cwd = subfolder("symbols");
  const exchange = startBinance({ instruments: 10, rate: 500 });
  try {
    const args = ["--symbols", "BTCUSDT,NOSUCHUSDT,ethusdt,币安USDT"];
    const recorder = await startRecorder({ cwd, exchange, args });
    const warning = await recorder.process.event("symbols_unknown");
    expect(warning).toMatchObject({
      exchange: "binance",
      symbols: ["NOSUCHUSDT", "币安USDT"],
      level: "warn",
    });
    await recorder.until("events", ({ total_events }) => total_events > 20);
    expect(await recorder.get("/streams")).toMatchObject({ symbols: ["BTCUSDT", "ETHUSDT"] });
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    await withSql(async (sql) => {
      const { rows } = await auditLake(sql, recorder.data);
      expect(rows + end.dropped).toBe(end.received);
      const symbols = await sql.rows(
        `SELECT DISTINCT symbol FROM ${streamFrom(recorder.data, "bbo")} ORDER BY 1`,
      );
      expect(symbols).toEqual([{ symbol: "BTCUSDT" }, { symbol: "ETHUSDT" }]);
    });
  } finally {
    await exchange.stop();
  }
}, 180_000);

test.concurrent("an exchange that cannot be reached is tried again; until then OFFLINE, and SIGTERM exits 0", async () => {
  const cwd = subfolder("offline");
  let asked = 0;
  const broken = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      asked++;
      return new Response("try again", { status: 503 });
    },
  });
  try {
    const restUrl = `http://127.0.0.1:${broken.port}`;
    const recorder = await startRecorder({
      cwd,
      exchange: { url: NOWHERE.url, restUrl },
      set: { "discovery.retry_max": "50ms" },
    });
    const failed = await recorder.process.event("discovery_failed");
    expect(failed).toMatchObject({ exchange: "binance", url: restUrl });
    expect(String(failed.error)).toContain("503");
    await waitFor("further attempts", () => asked >= 3);
    expect(statusSchema.parse(await recorder.get("/status")).state).toBe("OFFLINE");
    expect(await recorder.get("/health")).toMatchObject({
      status: "ok",
      last_event_ts: null,
      last_write_ts: null,
    });
    const { code } = await recorder.stop();
    expect(code).toBe(0);
  } finally {
    await broken.stop(true);
  }
}, 180_000);

test.concurrent("REST answers, WebSocket does not: OFFLINE, and attempts go on until the exchange is there", async () => {
  const cwd = subfolder("no-socket");
  const rest = startBinance({ instruments: 3, rate: 500 });
  // A port that is free now and on which the exchange comes up later.
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  let later: ReturnType<typeof startBinance> | undefined;
  try {
    const recorder = await startRecorder({
      cwd,
      exchange: { url: `ws://127.0.0.1:${port}`, restUrl: rest.restUrl },
      set: { "connection.backoff_min": "50ms", "connection.backoff_max": "200ms" },
    });
    await recorder.process.event("ws_disconnect", ({ retry_in_ms }) => typeof retry_in_ms === "number");
    await waitFor("several attempts", () => recorder.process.events("ws_disconnect").length >= 4);
    expect(statusSchema.parse(await recorder.get("/status")).state).toBe("OFFLINE");
    later = startBinance({ instruments: 3, rate: 500, port });
    await recorder.until("events", ({ total_events }) => total_events > 20);
    await waitFor("READY", async () => statusSchema.parse(await recorder.get("/status")).state === "READY");
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    expect(end.published + end.dropped).toBe(end.received);
  } finally {
    await later?.stop();
    await rest.stop();
  }
}, 180_000);

test.concurrent("frames that cannot be decoded are counted and kept, within the bound, and recording goes on", async () => {
  const cwd = subfolder("undecodable");
  const sockets = new Set<Bun.ServerWebSocket<unknown>>();
  const rest = startBinance({ instruments: 3, rate: 1 });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, self) => (self.upgrade(request) ? undefined : new Response(null, { status: 404 })),
    websocket: {
      open: (socket) => {
        sockets.add(socket);
      },
      message: (socket, message) => {
        const { id } = z.object({ id: z.number() }).parse(JSON.parse(message.toString()));
        socket.send(JSON.stringify({ result: null, id }));
      },
    },
  });
  try {
    const recorder = await startRecorder({
      cwd,
      exchange: { url: `ws://127.0.0.1:${server.port}`, restUrl: rest.restUrl },
      set: { "quarantine.max_bytes": "4KiB" },
    });
    await waitFor("two connections", () => sockets.size === 2);
    const [socket] = sockets;
    const good = (u: number) =>
      `{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":${u},"s":"BTCUSDT","b":"1.5","B":"2","a":"1.6","A":"3","T":1795132800000,"E":1795132800001}}`;
    const bad = Uint8Array.of(0x7b, 0xff, 0xfe, 0x00, 0x7d);
    for (let u = 1; u <= 50; u++) {
      socket?.send(good(u));
      socket?.send(
        u === 25
          ? bad
          : `{"stream":"btcusdt@bookTicker","data":{"e":"new","u":${u},"text":"${"x".repeat(100)}"}}`,
      );
    }
    await recorder.until("50 events", ({ total_events }) => total_events === 50);
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    expect(end).toMatchObject({ received: 50, published: 50, dropped: 0 });
    expect(end.frames).toMatchObject({ binance: { undecodable: 50, unwanted: 0, ignored: 0 } });
    const [name = ""] = readdirSync(join(recorder.data, "quarantine"));
    const text = readFileSync(join(recorder.data, "quarantine", name), "utf8");
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.length).toBeLessThan(50);
    expect(lines[0]).toMatchObject({
      dir: "in",
      exchange: "binance",
      reason: expect.stringContaining("new"),
    });
    await withSql(async (sql) => {
      const { rows, holes } = await auditLake(sql, recorder.data);
      expect([rows, holes]).toEqual([50, 0]);
    });
  } finally {
    await server.stop(true);
    await rest.stop();
  }
}, 180_000);

test("a settings file and the environment are checked with the flags", async () => {
  const cwd = subfolder("toml");
  writeFileSync(join(cwd, "tapedeck.toml"), '[flush]\ninterval = "5 parsecs"\n');
  const process = tapedeck(["record", "--streams", "everything"], { cwd, env: { BUFFER_SIZE: "many" } });
  expect(await process.exit()).toBe(2);
  for (const word of ["parsecs", "everything", "BUFFER_SIZE"]) expect(process.stderr).toContain(word);
  rmSync(join(cwd, "tapedeck.toml"));
});
