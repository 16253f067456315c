/**
 * Raw frames beside a recording, and alone: decoded again they are what was recorded, and replayed they are
 * recorded as the same.
 */
import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { z } from "zod";
import { RawTap } from "../../src/capture/tap.ts";
import { LAYOUTS } from "../../src/events/layout.ts";
import { DATASETS } from "../../src/events/streams.ts";
import { DIRECT } from "../../src/exchanges/dialer.ts";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import { Clock } from "../../src/ingest/clock.ts";
import { Ingest } from "../../src/ingest/ingest.ts";
import { createRing, readRing, viewsOf } from "../../src/ring/memory.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { type SimulatedExchange, startSimulate } from "../e2e/exchange.ts";
import { TEST_BOUNDS } from "../helpers/connection.ts";
import { type LakeRow, streamFrom, withSql } from "../helpers/lake.ts";
import { type Running, tapedeck } from "../helpers/process.ts";
import { recordArguments, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const folder = scratchFolder("capture");
const EXCHANGES = ["binance", "bybit", "okx"];

const eventSchema = z
  .object({ exchange: z.string(), stream: z.string(), symbol: z.string(), instrument: z.string() })
  .catchall(z.union([z.string(), z.number(), z.boolean(), z.null()]));
type Event = z.infer<typeof eventSchema>;
const lineSchema = z.strictObject({
  ts: z.int(),
  dir: z.literal("in"),
  exchange: z.string(),
  connection: z.int(),
  url: z.string().optional(),
  raw: z.string(),
});
const rawSummary = z.strictObject({
  frames: z.int(),
  written: z.int(),
  not_captured: z.int(),
  full: z.int(),
  failed: z.int(),
  unaccounted: z.int(),
  files: z.int(),
  bytes: z.int(),
});

function cwdOf(name: string): string {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  return cwd;
}

/** Captures of a data folder in the order of their frames; open ones instead if `open`. */
function captures(data: string, { exchange = "binance", open = false } = {}): string[] {
  const root = join(data, "raw", `exchange=${exchange}`);
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(open ? ".zst.tmp" : ".zst"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function decode(
  files: readonly string[],
  exchange = "binance",
): Promise<{ events: Event[]; code: number | string; stderr: string }> {
  const stdin = new Blob(files.map((file) => readFileSync(file)));
  const running = tapedeck(["decode", "--exchange", exchange], { cwd: folder, stdin });
  const code = await running.exit();
  const events = running.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => eventSchema.parse(JSON.parse(line)));
  return { events, code, stderr: running.stderr };
}

/** Expects an exchange's rows of a lake to be these events, stream by stream, each in the order given. */
async function expectSameRows(
  data: string,
  exchange: string,
  events: readonly Event[],
  order: "received" | "symbol",
): Promise<void> {
  const groups = Map.groupBy(events, ({ stream }) => stream);
  for (const stream of ["bbo", "trade", "mark_price", "funding"])
    expect(groups.has(stream), stream).toBe(true);
  await withSql(async (sql) => {
    const lake = join(data, `lake/v1/exchange=${exchange}`);
    expect(readdirSync(lake).sort()).toEqual(
      [...groups.keys(), ...Object.keys(DATASETS)].map((stream) => `stream=${stream}`).sort(),
    );
    for (const [stream, expected] of groups) {
      const columns = Object.keys(expected[0] ?? {}).map((name) => `"${name}"`);
      const rows = await sql.rows(
        `SELECT ${columns.join(", ")} FROM ${streamFrom(data, stream)} WHERE exchange = '${exchange}'
         ORDER BY ${order === "symbol" ? "instrument, " : ""}ring, seq`,
      );
      expect(rows.length, stream).toBe(expected.length);
      const sorted: readonly LakeRow[] =
        order === "symbol"
          ? expected.toSorted((a, b) => Buffer.compare(Buffer.from(a.instrument), Buffer.from(b.instrument)))
          : expected;
      const wrong = rows.findIndex((row, i) => !Bun.deepEquals(row, sorted[i]));
      if (wrong !== -1) expect(rows[wrong], `${stream} ${wrong}`).toEqual(sorted[wrong] ?? {});
      expect(wrong, stream).toBe(-1);
    }
  });
}

/** Lines of captures. */
function linesOf(files: readonly string[], exchange: string) {
  const lines = files.flatMap((file) =>
    zstdDecompressSync(readFileSync(file))
      .toString()
      .trimEnd()
      .split("\n")
      .filter((line) => !line.includes('"dir":"mark"'))
      .map((line) => lineSchema.parse(JSON.parse(line))),
  );
  expect([...new Set(lines.map((line) => line.exchange))]).toEqual([exchange]);
  return lines;
}

test("record --raw: decode over each capture gives the rows of the lake; replayed, it is recorded as the same", async () => {
  const cwd = cwdOf("beside");
  const simulated = new Map<string, SimulatedExchange>();
  for (const name of EXCHANGES) {
    const args = ["--exchange", name, "--instruments", "20", "--rate", "1500", "--seed", "raw"];
    simulated.set(name, await startSimulate(cwd, ...args));
  }
  const set: Record<string, string> = { "raw.interval": "600ms", "raw.block_bytes": "16KiB" };
  for (const [name, { url, restUrl }] of simulated) {
    set[`exchanges.${name}.ws_url`] = url;
    set[`exchanges.${name}.rest_url`] = restUrl;
  }
  const [first] = simulated.values();
  if (first === undefined) throw new Error("no exchange");
  const recorder = await startRecorder({
    cwd,
    exchange: first,
    set,
    args: ["--raw", "--exchanges", EXCHANGES.join(",")],
  });
  await recorder.until("6,000 events", ({ total_events }) => total_events > 6000);
  await waitFor("two closed files of each exchange", () =>
    EXCHANGES.every(
      (name) => recorder.process.events("raw_file").filter(({ exchange }) => exchange === name)[1],
    ),
  );
  const { code, end } = await recorder.stop();
  expect(code).toBe(0);
  expect(end).toMatchObject({ dropped: 0, lost: 0, holds: true });
  const raw = rawSummary.parse(end.raw);
  expect(raw).toMatchObject({ written: raw.frames, not_captured: 0, full: 0, failed: 0, unaccounted: 0 });
  for (const { process } of simulated.values()) process.signal("SIGTERM");

  let frames = 0;
  let received = 0;
  for (const name of EXCHANGES) {
    const files = captures(recorder.data, { exchange: name });
    expect(captures(recorder.data, { exchange: name, open: true })).toEqual([]);
    expect(
      recorder.process
        .events("raw_file")
        .filter(({ exchange }) => exchange === name)
        .map(({ path }) => path),
    ).toEqual(files);
    const lines = linesOf(files, name);
    frames += lines.length;

    const decoded = await decode(files, name);
    expect([decoded.code, decoded.stderr]).toEqual([0, ""]);
    received += decoded.events.length;
    await expectSameRows(recorder.data, name, decoded.events, "received");
    await withSql(async (sql) => {
      // The receive time and the connection of a row are those of a line.
      const times = await sql.rows(
        `SELECT DISTINCT epoch_us(local_timestamp) AS ts, connection
         FROM ${streamFrom(recorder.data, "bbo")} WHERE exchange = '${name}'`,
      );
      const known = new Set(lines.map(({ ts, connection }) => `${ts} ${connection}`));
      expect(times.length).toBeGreaterThan(500);
      expect(times.filter(({ ts, connection }) => !known.has(`${ts} ${connection}`))).toEqual([]);
    });

    const again = cwdOf(`again-${name}`);
    const replay = tapedeck(["replay", ...files, "--exchange", name, "--port", "0", "--quiet", "1500ms"], {
      cwd: again,
    });
    const [url = ""] = await replay.text(/ws:\/\/127\.0\.0\.1:\d+/);
    const restUrl = url.replace("ws:", "http:");
    const second = await startRecorder({
      cwd: again,
      exchange: { url, restUrl },
      set: { [`exchanges.${name}.ws_url`]: url, [`exchanges.${name}.rest_url`]: restUrl },
      args: ["--exchanges", name],
    });
    await replay.text(/replay: done, /);
    await second.until("all events again", ({ total_events }) => total_events >= decoded.events.length);
    const outcome = await second.stop();
    expect(outcome).toMatchObject({ code: 0, end: { received: decoded.events.length, dropped: 0 } });
    replay.signal("SIGINT");
    expect(await replay.exit()).toBe(0);
    await expectSameRows(second.data, name, decoded.events, "symbol");
  }
  expect(frames).toBe(raw.written);
  expect(received).toBe(end.received);
}, 180_000);

function startCapture(
  cwd: string,
  exchange: { url: string; restUrl: string },
  ...args: readonly string[]
): Running {
  const [, ...common] = recordArguments({ cwd, exchange });
  const withoutPort = common.filter((arg, i) => arg !== "--port" && common[i - 1] !== "--port");
  return tapedeck(["capture", ...withoutPort, ...args], { cwd });
}

test.concurrent("capture keeps frames only, holds the folder's lock, and SIGTERM closes its files", async () => {
  const cwd = cwdOf("alone");
  const simulated = await startSimulate(cwd, "--instruments", "5", "--rate", "2000");
  const capture = startCapture(cwd, simulated);
  await capture.event("ws_connect");
  const second = startCapture(cwd, simulated);
  expect(await second.exit()).toBe(1);
  expect(second.stderr).toContain(`pid ${capture.pid}`);
  await waitFor("2,000 frames", async () => (await simulated.stats()).sent.bookTicker > 2000);
  capture.signal("SIGTERM");
  expect(await capture.exit()).toBe(0);
  const [stop] = capture.events("collector_stop");
  expect(capture.events("collector_start")).toMatchObject([{ raw: "only", pid: capture.pid }]);
  expect(Number(stop?.written)).toBeGreaterThan(2000);
  expect(stop).toMatchObject({ received: stop?.written, not_captured: 0, unaccounted: 0, files: 1 });
  const files = captures(join(cwd, "data"));
  expect(files.length).toBe(1);
  const { events, code } = await decode(files);
  expect(code).toBe(0);
  expect(events.length).toBeGreaterThan(2000);
  expect(readdirSync(join(cwd, "data/lake"))).toEqual([]);
}, 180_000);

test.concurrent("after kill -9 the next start keeps every whole block, and torn files are read to their last one", async () => {
  const cwd = cwdOf("killed");
  const data = join(cwd, "data");
  const simulated = await startSimulate(cwd, "--instruments", "5", "--rate", "3000");
  const quick = ["--set", "raw.block_interval=100ms", "--set", "raw.block_bytes=8KiB"];
  const capture = startCapture(cwd, simulated, ...quick);
  const open = await waitFor("an open capture of some blocks", () => {
    if (capture.events("ws_connect").length === 0) return undefined;
    const [file] = captures(data, { open: true });
    return file !== undefined && statSync(file).size > 50_000 ? file : undefined;
  });
  capture.signal("SIGKILL");
  expect(await capture.exit()).toBe("SIGKILL");
  const left = readFileSync(open);
  const closed = join(dirname(open), basename(open).slice(1, -".tmp".length));
  // As if the last write had not been whole.
  truncateSync(open, left.length - 7);

  const torn = await decode([open]);
  expect(torn.code).toBe(1);
  expect(torn.stderr).toContain("torn at its end");
  expect(torn.events.length).toBeGreaterThan(1000);
  const replay = tapedeck(["replay", open, "--port", "0", "--quiet", "1500ms", "--exit-when-done"], { cwd });
  const [url = ""] = await replay.text(/ws:\/\/127\.0\.0\.1:\d+/);
  const recording = cwdOf("torn");
  const recorder = await startRecorder({
    cwd: recording,
    exchange: { url, restUrl: url.replace("ws:", "http:") },
  });
  expect(await replay.exit()).toBe(1);
  expect(replay.stderr).toContain(`${open} is torn at its end`);
  // Sent is not yet received.
  await recorder.until("all events", ({ total_events }) => total_events >= torn.events.length);
  expect((await recorder.stop()).end.received).toBe(torn.events.length);

  const next = startCapture(cwd, simulated);
  await waitFor(
    "a capture of its own",
    () => next.events("raw_recovered").length > 0 && captures(data, { open: true }).length > 0,
    { state: () => next.words },
  );
  next.signal("SIGTERM");
  expect(await next.exit()).toBe(0);
  const [recovered] = next.events("raw_recovered");
  const kept = readFileSync(closed);
  expect(recovered).toMatchObject({ path: closed, from: open, bytes: kept.length });
  expect(Number(recovered?.cut_bytes)).toBeGreaterThan(0);
  expect(left.subarray(0, kept.length).equals(kept)).toBe(true);
  expect(left.length - kept.length).toBeLessThan(20_000);
  const whole = await decode([closed]);
  expect([whole.code, whole.stderr]).toEqual([0, ""]);
  expect(torn.events.slice(0, whole.events.length)).toEqual(whole.events);
  expect(captures(data).length).toBe(2);
}, 180_000);

test.concurrent("a full folder and a disk that refuses cost raw frames, counted and logged, and no row", async () => {
  for (const fault of ["full", "failed"] as const) {
    const cwd = cwdOf(fault);
    const simulated = await startSimulate(cwd, "--instruments", "5", "--rate", "2000");
    mkdirSync(join(cwd, "data/raw"), { recursive: true });
    if (fault === "failed") writeFileSync(join(cwd, "data/raw/exchange=binance"), "in the way");
    const set = { "raw.max_bytes": "4KiB", "raw.block_bytes": "4KiB" };
    const recorder = await startRecorder({ cwd, exchange: simulated, set, args: ["--raw"] });
    await recorder.until("2,000 events", ({ total_events }) => total_events > 2000);
    await recorder.process.event(`raw_${fault}`);
    const { code, end } = await recorder.stop();
    expect(code).toBe(0);
    expect(end).toMatchObject({ dropped: 0, lost: 0, published: end.received });
    const raw = rawSummary.parse(end.raw);
    expect(raw[fault]).toBeGreaterThan(0);
    expect(raw.written + raw[fault]).toBe(raw.frames);
    simulated.process.signal("SIGTERM");
  }
  const cwd = cwdOf("unwritable");
  mkdirSync(join(cwd, "data"));
  writeFileSync(join(cwd, "data/raw"), "a file where the folder should be");
  const refused = tapedeck(
    recordArguments({
      cwd,
      exchange: { url: "ws://127.0.0.1:1", restUrl: "http://127.0.0.1:1" },
      args: ["--raw"],
    }),
    { cwd },
  );
  expect(await refused.exit()).toBe(1);
  expect(refused.stderr).toContain(join(cwd, "data/raw"));
}, 180_000);

test("a writer that never answers costs raw frames only: every event is in its ring", async () => {
  const simulated = startBinance({ instruments: 20, rate: 20_000, seed: "stalled" });
  const inFlight = 1 << 20;
  let bytes = 0;
  const tap = new RawTap(inFlight, (message) => {
    if (message.type === "block") bytes += message.buffer.byteLength;
  });
  const ingest = new Ingest({
    clock: new Clock(),
    connectionCounter: new SharedArrayBuffer(4),
    publishBatch: 64,
    quarantineInFlight: 1 << 20,
    clockStep: 500,
    raw: { tap, only: false },
    post: () => undefined,
    connectionsChanged: () => undefined,
  });
  const exchange = exchangeByName("binance");
  const streams = ["bbo", "trade"] as const;
  const rings = streams.map((stream) => {
    const { numbers, texts } = LAYOUTS[stream];
    return {
      stream,
      handle: createRing({ capacity: 1 << 17, numbers: numbers.length, texts: texts.length }),
    };
  });
  const found = simulated.instruments.map(({ symbol }) => ({ instrument: symbol }));
  try {
    ingest.apply({
      exchange: "binance",
      wsUrl: simulated.url,
      subscriptions: exchange.subscriptions(streams, found),
      limits: { channels: 200, characters: null },
      instruments: found.map(({ instrument }, number) => ({ instrument, number })),
      rings,
      bounds: TEST_BOUNDS,
      dialing: DIRECT,
      since: 0,
    });
    await waitFor("frames without room", () => (tap.counts.get("binance")?.notCaptured ?? 0) > 5000);
  } finally {
    ingest.stop();
    await simulated.stop();
  }
  const counts = tap.counts.get("binance") ?? { captured: 0, notCaptured: 0 };
  const [stats] = ingest.stats();
  expect(counts.captured + counts.notCaptured).toBe(stats?.frames ?? -1);
  expect(counts.captured).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(inFlight);
  const readings = rings.map(({ handle }) => readRing(handle, viewsOf(handle)));
  const events = readings.reduce((sum, { offered }) => sum + offered, 0);
  expect(readings.map(({ dropped }) => dropped)).toEqual([0, 0]);
  // Every frame but the acks is one event of these two streams.
  expect(events + (stats?.control ?? 0)).toBe(stats?.frames ?? -1);
}, 180_000);
