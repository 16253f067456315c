/** A recorder tells people of its life and of an outage, and its log says how it is; while one channel hangs, nothing waits. */
import { expect, test } from "bun:test";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";

const cwd = scratchFolder("notifications");
const count = z.int().nonnegative();

/** What the design promises of a heartbeat, and what we add. */
const heartbeatSchema = z.strictObject({
  time: z.iso.datetime(),
  level: z.literal("info"),
  event: z.literal("heartbeat"),
  state: z.enum(["ERROR", "OFFLINE", "DEGRADED", "READY"]),
  queue_pct: z.number().min(0).max(100),
  silence_15m: count,
  drops_15m: count,
  drops_total: count,
  reconnects_15m: count,
  reconnects_total: count,
  rss_mb: z.number().min(10),
  events_total: count,
  undecodable_total: count,
  balance_holds: z.literal(true),
  outbox_files: count,
  outbox_bytes: count,
});

test("start, outage and end arrive; heartbeats are whole and true; a hanging channel is in nobody's way", async () => {
  const texts: string[] = [];
  let hung = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      if (new URL(request.url).pathname.startsWith("/bot")) {
        hung++;
        return new Promise<Response>(() => undefined);
      }
      texts.push(z.looseObject({ text: z.string() }).parse(await request.json()).text);
      return new Response("ok");
    },
  });
  const exchange = startBinance({ instruments: 4, rate: 2000 });
  const base = server.url.href.replace(/\/$/, "");
  const told = (words: string) =>
    waitFor(`a message: ${words}`, () => texts.some((text) => text.includes(words)), {
      state: () => texts.join("\n"),
    });
  try {
    const recorder = await startRecorder({
      cwd,
      exchange,
      set: {
        "log.heartbeat": "200ms",
        "notify.webhook_url": `${base}/hook`,
        "notify.telegram_url": base,
        "notify.telegram_token": "1:hanging_token",
        "notify.telegram_chat": "1",
        "notify.gather": "0ms",
        "notify.interval": "0ms",
        "notify.stop_timeout": "4s",
      },
    });
    await told("has begun");
    await told("-> READY");
    await recorder.until("events", ({ total_events }) => total_events > 1000);
    await waitFor("the request that hangs", () => hung > 0);
    await waitFor("heartbeats", () => recorder.process.events("heartbeat").length >= 4);
    await exchange.stop();
    await told("is OFFLINE");
    const { code, end } = await recorder.stop();
    expect({ code, holds: end.holds, dropped: end.dropped }).toEqual({ code: 0, holds: true, dropped: 0 });
    await told("has ended");
    expect(recorder.process.events("notify_unsent").map(({ channel }) => channel)).toEqual(["telegram"]);
    const beats = recorder.process.events("heartbeat").map((line) => heartbeatSchema.parse(line));
    const totals = beats.map(({ events_total }) => events_total);
    expect(totals).toEqual(totals.toSorted((a, b) => a - b));
    expect(totals.at(-1)).toBeGreaterThan(0);
    expect(totals.at(-1) ?? 0).toBeLessThanOrEqual(end.received);
    expect(recorder.process.stdout).not.toContain("hanging_token");
  } finally {
    await server.stop(true);
    await exchange.stop();
  }
});
