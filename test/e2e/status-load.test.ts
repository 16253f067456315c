/**
 * Hostile clients of the status API beside a recording: 200 that drip their requests, and others that ask as often as
 * they can, 2,000 times a second together. The recording must not notice.
 *
 * A short sample by default: nothing is lost, memory stays. TAPEDECK_TEST_LONG=1 measures rates and lags before and
 * while, and while the same clients ask a server that is not ours: what they cost is the machine's, not the recorder's.
 * It prints the ratios and judges them: over before where the machine has processors enough for both sides, over that
 * other server everywhere.
 */
import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { availableParallelism } from "node:os";
import { metricsSchema } from "../../src/status/answers.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { endSimulated, startSimulated } from "../helpers/simulated.ts";

const LONG = process.env.TAPEDECK_TEST_LONG === "1";
const SECONDS = LONG ? 30 : 2;
/** Recorder (three threads), exchange and clients. */
const PROCESSORS = 4;
const SLOW = 200;
const REQUESTS_PER_SECOND = 2000;
const cwd = scratchFolder("status-load");
endSimulated();

/** Clients that begin a request and never end it; those that are closed come again. */
function drip(url: string): () => void {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let ended = false;
  const open = () => {
    if (ended) return;
    const socket = connect(Number(port), hostname);
    sockets.add(socket);
    socket.on("connect", () => socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n"));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      setTimeout(open, 200);
    });
  };
  for (let i = 0; i < SLOW; i++) open();
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write("X-Slow: 1\r\n");
  }, 500);
  return () => {
    ended = true;
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  };
}

/** Asks so often for `seconds`; resolves to how many answers came. */
async function ask(url: string, seconds: number): Promise<number> {
  const paths = ["/metrics", "/live", "/status", "/health", "/streams", "/readyz?verbose"];
  const until = performance.now() + seconds * 1000;
  let answers = 0;
  let asked = 0;
  const began = performance.now();
  const one = async () => {
    while (performance.now() < until) {
      const due = began + (asked / REQUESTS_PER_SECOND) * 1000;
      const path = paths[asked++ % paths.length] ?? "/metrics";
      if (due > performance.now()) await Bun.sleep(due - performance.now());
      const accept = asked % 2 === 0 ? "text/plain" : "*/*";
      const answer = await fetch(url + path, { headers: { accept } }).catch(() => null);
      await answer?.arrayBuffer();
      if (answer?.status === 200) answers++;
    }
  };
  await Promise.all(Array.from({ length: 32 }, one));
  return answers;
}

/** A server in a process of its own that answers at once, and nothing to those who drip. */
async function startOther(): Promise<{ url: string; pid: number; stop: () => void }> {
  const script = `
    const body = "x".repeat(8192);
    const { createServer } = require("node:http");
    const server = createServer({ headersTimeout: 1000, connectionsCheckingInterval: 500 }, async (_, to) => {
      await Bun.sleep(160);
      to.end(body);
    });
    server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  for await (const chunk of child.stdout) {
    const port = /port (\d+)/.exec(new TextDecoder().decode(chunk))?.[1];
    if (port !== undefined)
      return { url: `http://127.0.0.1:${port}`, pid: child.pid, stop: () => child.kill() };
  }
  throw new Error("the other server did not start");
}

const metricsOf = async (recorder: RunningRecorder) => metricsSchema.parse(await recorder.get("/metrics"));

/** Events a second, and the worst p99 of the last minute of a stream that comes at once, ms. */
async function measure(recorder: RunningRecorder, during: () => Promise<unknown>) {
  const before = await metricsOf(recorder);
  const began = performance.now();
  const own = process.cpuUsage();
  await during();
  const { user, system } = process.cpuUsage(own);
  const seconds = (performance.now() - began) / 1000;
  const after = await metricsOf(recorder);
  const lags = after.streams
    .filter(({ stream }) => stream === "bbo")
    .map(({ lag_p99_ms }) => lag_p99_ms ?? 0);
  return {
    rate: (after.total_events - before.total_events) / seconds,
    p99: Math.max(...lags),
    rss: after.process.rss_bytes,
    /** Processors used by the recorder, and by the clients, which are in this process. */
    cpu: (after.process.cpu_seconds - before.process.cpu_seconds) / seconds,
    clients: (user + system) / 1e6 / seconds,
    metrics: after,
  };
}

/** The same clients, who ask another server. */
async function besideAnother(recorder: RunningRecorder) {
  const other = await startOther();
  const stop = drip(other.url);
  let answers = 0;
  try {
    const measured = await measure(recorder, async () => {
      answers = await ask(other.url, 70);
    });
    return { ...measured, answers };
  } finally {
    stop();
    other.stop();
  }
}

test("200 clients that drip and 2,000 requests a second: nothing is dropped, the balance holds, memory stays", async () => {
  await using exchange = await startSimulated({
    exchange: "binance",
    options: { instruments: 50, rate: 3000 },
  });
  const recorder = await startRecorder({ cwd, exchange, set: { "status.header_timeout": "1s" } });
  await recorder.until("events", ({ total_events }) => total_events > 3000);
  // The window of the quantiles is a minute: before, it is filled; while, it is the attack's.
  if (LONG) await Bun.sleep(45_000);
  const calm = await measure(recorder, () => Bun.sleep(SECONDS * 1000));
  const other = LONG ? await besideAnother(recorder) : null;
  const stop = drip(recorder.url);
  let answers = 0;
  try {
    const loaded = await measure(recorder, async () => {
      answers = await ask(recorder.url, LONG ? 70 : SECONDS);
    });
    const ratios = { rate: loaded.rate / calm.rate, p99: loaded.p99 / calm.p99, rss: loaded.rss / calm.rss };
    const judged = LONG && availableParallelism() >= PROCESSORS;
    console.log(
      `status API: ${answers} answers; while over before: rate ${ratios.rate.toFixed(3)}, p99 of the lag ` +
        `${ratios.p99.toFixed(2)} (${calm.p99.toFixed(1)} to ${loaded.p99.toFixed(1)} ms), memory ${ratios.rss.toFixed(2)}` +
        (judged
          ? ""
          : ` (not judged: ${availableParallelism()} processors, ${LONG ? `${PROCESSORS} are needed` : "a short sample"})`),
    );
    if (other !== null) {
      const cpu = (one: typeof calm) => `${one.cpu.toFixed(2)} + ${one.clients.toFixed(2)}`;
      console.log(
        `status API: p99 of the lag ${(loaded.p99 / other.p99).toFixed(2)} of that beside another server ` +
          `(${other.p99.toFixed(1)} ms, ${other.answers} answers); processors of recorder + clients: ` +
          `${cpu(calm)} before, ${cpu(other)} beside another server, ${cpu(loaded)} while`,
      );
      expect(loaded.p99 / other.p99).toBeLessThanOrEqual(2);
    }
    expect(answers).toBeGreaterThan(0);
    expect(loaded.metrics.balance).toMatchObject({ dropped: 0, holds: true });
    // 200 connections and their buffers, and what the runtime keeps of a burst of requests.
    expect(loaded.rss - calm.rss).toBeLessThan(256 * 2 ** 20);
    if (judged) {
      expect(ratios.rate).toBeGreaterThanOrEqual(0.95);
      expect(ratios.p99).toBeLessThanOrEqual(2);
    }
  } finally {
    stop();
  }
  expect(await exchange.pause()).toBeDefined();
  const { code, end } = await recorder.stop();
  expect([code, end.dropped, end.holds, end.lost]).toEqual([0, 0, true, 0]);
}, 400_000);
