/** Messages to people over real HTTP: what arrives, when the other side does not play along, and what never leaks. */
import { afterEach, describe, expect, test } from "bun:test";
import { z } from "zod";
import { loadSettings } from "../../src/config/load.ts";
import { createLogger } from "../../src/status/log.ts";
import { Notifier, notifying } from "../../src/status/notify/notifier.ts";
import { waitFor, within } from "../helpers/wait.ts";
import { seeded } from "../lib/seed.ts";

const TOKEN = "123456789:AAbbCC-planted_telegram_token";
const HOOK = "planted-token-of-the-webhook";

const messageSchema = z.strictObject({
  id: z.string(),
  instance: z.string(),
  text: z.string(),
  events: z.array(z.strictObject({ time: z.string(), event: z.string(), fields: z.looseObject({}) })),
  held_back: z.strictObject({ state: z.int(), gap: z.int(), run: z.int() }),
});
const telegramSchema = z.looseObject({ chat_id: z.string(), text: z.string() });

/** What came, and when (performance.now()). */
interface Got {
  readonly at: number;
  readonly path: string;
  readonly body: unknown;
}

const open: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

/** A server that answers as it is told, and notes what came. */
function serve(answer: (path: string, n: number) => Response | Promise<Response> = () => new Response("ok")) {
  const got: Got[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const path = new URL(request.url).pathname;
      got.push({ at: performance.now(), path, body: await request.json() });
      return answer(path, got.length);
    },
  });
  open.push({ stop: () => server.stop(true) });
  return { got, url: server.url.href.replace(/\/$/, ""), port: server.port, server };
}

/** A notifier as `record` has it, and the log. */
function notifier(set: Readonly<Record<string, string>>) {
  const flags = Object.entries({
    instance: "tape-1",
    "notify.interval": "0ms",
    "notify.gather": "0ms",
    "notify.retry_min": "1ms",
    "notify.retry_max": "5ms",
    ...set,
  }).map(([path, value]) => ({ path, value, source: "test", where: () => path, quoted: false }));
  const loaded = loadSettings({ flags, env: {}, cwd: "/nowhere" });
  if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
  const lines: string[] = [];
  // Without a redactor: what the notifier itself writes must be clean.
  const log = createLogger({ format: "json", level: "debug", write: (line) => lines.push(line) });
  const one = Notifier.open(loaded.settings, log);
  if (one === null) throw new Error("no channel is set");
  return { log: notifying(log, one), close: () => one.close(), lines, told: () => lines.join("") };
}

const hook = (url: string) => ({ "notify.webhook_url": `${url}/services/${HOOK}?sig=${HOOK}` });
const bot = (url: string) => ({
  "notify.telegram_url": url,
  "notify.telegram_token": TOKEN,
  "notify.telegram_chat": "-100200",
});
const gap = {
  exchange: "binance",
  stream: "bbo",
  reason: "disconnect",
  certainty: "lost",
  symbols: ["BTCUSDT"],
  from: "2026-11-20T10:00:00.000Z",
  to: "2026-11-20T10:00:05.000Z",
} as const;

test("what is sent again as it was has the same id; with more in it, and after it, another", async () => {
  const second = Promise.withResolvers<void>();
  const { got, url } = serve(async (_path, n) => {
    if (n === 3) await second.promise;
    return new Response("", { status: n <= 3 ? 500 : 200 });
  });
  const { log, close } = notifier(hook(url));
  log.warn("gap", gap);
  await waitFor("the third attempt", () => got.length === 3);
  log.warn("gap", gap);
  second.resolve();
  await waitFor("the fourth", () => got.length === 4);
  log.warn("gap", gap);
  await waitFor("another message", () => got.length === 5);
  await close();
  const messages = got.map(({ body }) => messageSchema.parse(body));
  expect(messages.map(({ events }) => events.length)).toEqual([1, 1, 1, 2, 1]);
  const ids = messages.map(({ id }) => id);
  expect(new Set(ids.slice(0, 3)).size).toBe(1);
  expect(new Set(ids).size).toBe(3);
});

describe("what arrives", () => {
  test("a webhook gets state, gaps and runs as JSON; planned gaps and the rest of the log are no news", async () => {
    const { got, url } = serve();
    const { log, close } = notifier({ ...hook(url), "notify.gather": "50ms" });
    log.info("collector_start", { run: "tape-1-1-abcd" });
    log.info("ws_connect", { exchange: "binance" });
    log.info("gap", { ...gap, certainty: "planned" });
    log.warn("gap", { ...gap, missed: 7 });
    log.info("state_change", { from: "READY", to: "DEGRADED", reason: "3 events dropped" });
    await waitFor("the message", () => got.length > 0);
    await close();
    expect(got.length).toBe(1);
    expect(got[0]?.path).toBe(`/services/${HOOK}`);
    const message = messageSchema.parse(got[0]?.body);
    expect(message.instance).toBe("tape-1");
    expect(message.events.map(({ event }) => event)).toEqual(["collector_start", "gap", "state_change"]);
    expect(message.text.split("\n").map((line) => line.replace(/^\S+ UTC /, ""))).toEqual([
      "tapedeck tape-1 is DEGRADED",
      "run tape-1-1-abcd has begun",
      "gap (lost, disconnect): binance bbo, BTCUSDT symbols, 2026-11-20T10:00:00.000Z to 2026-11-20T10:00:05.000Z, 7 missed",
      "READY -> DEGRADED: 3 events dropped",
    ]);
    expect(message.held_back).toEqual({ state: 0, gap: 0, run: 0 });
  });

  test("Telegram gets text for the chat, at the bot's own path", async () => {
    const { got, url } = serve();
    const { log, close } = notifier(bot(url));
    log.error("thread_died", { thread: "drain worker", why: "out of memory" });
    await close();
    expect(got[0]?.path).toBe(`/bot${TOKEN}/sendMessage`);
    const { chat_id, text } = telegramSchema.parse(got[0]?.body);
    expect(chat_id).toBe("-100200");
    expect(text).toContain("the drain worker died, the recorder ends: out of memory");
  });

  test("an end that was asked for is no alarm, and one that lost something says so", async () => {
    for (const [end, headline, line] of [
      [{ lost: 0, holds: true }, "tapedeck tape-1 has ended", "run r has ended"],
      [
        { lost: 7, holds: false },
        "tapedeck tape-1 has ended",
        "run r has ended, 7 rows found no file, the balance does not hold",
      ],
    ] as const) {
      const { got, url } = serve();
      const { log, close } = notifier({ ...hook(url), "notify.gather": "1h" });
      log.info("state_change", { from: "READY", to: "OFFLINE", reason: "no WebSocket is connected" });
      log.info("collector_stop", { run: "r", ...end });
      await close();
      const lines = messageSchema.parse(got[0]?.body).text.split("\n");
      expect([lines[0], lines.at(-1)?.replace(/^\S+ UTC /, "")]).toEqual([headline, line]);
    }
  });

  test("only what is wanted", async () => {
    const { got, url } = serve();
    const { log, close } = notifier({ ...hook(url), "notify.events": "state" });
    log.warn("gap", gap);
    log.info("state_change", { from: "READY", to: "OFFLINE", reason: "no WebSocket is connected" });
    await close();
    expect(got.map(({ body }) => messageSchema.parse(body).events.length)).toEqual([1]);
  });

  test("the last change of state does not drown in gaps", async () => {
    const { got, url } = serve();
    const { log, close } = notifier({ ...hook(url), "notify.gather": "1h", "notify.max_lines": "3" });
    log.info("state_change", { from: "READY", to: "DEGRADED", reason: "a drop" });
    log.info("state_change", { from: "DEGRADED", to: "ERROR", reason: "a disk is full" });
    for (let missed = 0; missed < 30; missed++) log.warn("gap", { ...gap, missed });
    await close();
    const message = messageSchema.parse(got[0]?.body);
    expect(message.text).toStartWith("tapedeck tape-1 is ERROR\n");
    expect(message.events.map(({ fields }) => fields.to)).toContain("ERROR");
    expect(message.events.map(({ fields }) => fields.missed)).toEqual([undefined, 28, 29]);
    expect(message.held_back).toEqual({ state: 1, gap: 28, run: 0 });
  });

  test("a storm is a few messages: the newest lines, and how many there were (seeded)", async () => {
    const random = seeded("notify storm");
    const { got, url } = serve();
    const { log, close } = notifier({ ...hook(url), "notify.interval": "1h", "notify.max_lines": "7" });
    let gaps = 0;
    let states = 0;
    for (let i = 0; i < 5000; i++) {
      if (random.below(4) === 0) {
        states++;
        log.info("state_change", { from: "READY", to: `S${i}`, reason: "x".repeat(500) });
      } else {
        gaps += 2;
        log.warn("gap", gap);
        log.warn("gaps_not_logged", { exchange: "okx", lines: 1, count: 1 });
      }
      if (i === 2500) await waitFor("the first message", () => got.length > 0);
    }
    await close();
    expect(got.length).toBe(2);
    let told = 0;
    for (const { body } of got) {
      const { events, held_back, text } = messageSchema.parse(body);
      expect(events.length).toBe(7);
      expect(Buffer.byteLength(text)).toBeLessThan(4000);
      told += events.length + held_back.gap + held_back.state;
    }
    expect(told).toBe(gaps + states);
  });
});

describe("when the other side does not play along", () => {
  test("500s: all that came meanwhile arrives in one message, nothing twice", async () => {
    const { got, url } = serve((_path, n) => new Response("later", { status: n <= 5 ? 500 : 200 }));
    const { log, close, told } = notifier(hook(url));
    log.info("state_change", { from: "READY", to: "ERROR", reason: "first" });
    await waitFor("attempts", () => got.length >= 2);
    log.info("state_change", { from: "ERROR", to: "READY", reason: "second" });
    await waitFor("the one that is taken", () => told().includes("notify_recovered"));
    await close();
    expect(got.length).toBe(6);
    const { events } = messageSchema.parse(got[5]?.body);
    expect(events.map(({ fields }) => fields.reason)).toEqual(["first", "second"]);
    expect(told()).toContain("answered 500: later");
  });

  test("429: not before the time that it names, in the header or in Telegram's body", async () => {
    const waits = {
      header: () => new Response("", { status: 429, headers: { "retry-after": "1" } }),
      body: () => Response.json({ ok: false, parameters: { retry_after: 1 } }, { status: 429 }),
    };
    const after = async (wait: () => Response) => {
      const { got, url } = serve((_path, n) => (n === 1 ? wait() : new Response("ok")));
      const { log, close } = notifier(bot(url));
      log.warn("gap", gap);
      const [first, second] = await waitFor("the second attempt", () => (got.length >= 2 ? got : undefined));
      await close();
      return (second?.at ?? 0) - (first?.at ?? 0);
    };
    // Timers may be early by a fraction of a ms.
    for (const waited of await Promise.all(Object.values(waits).map(after)))
      expect(waited).toBeGreaterThan(995);
  });

  test("a server that takes the request and says nothing, or drips, is given up and asked again", async () => {
    const drip = () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            await Bun.sleep(20);
            controller.enqueue(new Uint8Array([46]));
          },
        }),
        { status: 500 },
      );
    const hang = () => new Promise<Response>(() => undefined);
    const { got, url } = serve((_path, n) => (n === 1 ? hang() : n === 2 ? drip() : new Response("ok")));
    const { log, close, told } = notifier({ ...hook(url), "notify.timeout": "1s" });
    log.warn("gap", gap);
    await waitFor("the third attempt", () => told().includes("notify_recovered"));
    await close();
    expect(got.length).toBe(3);
    expect(told()).toContain("no answer in time");
  });

  test("a refusal for good is told with its mend, and does not hold up what comes after", async () => {
    const { got, url } = serve((_path, n) =>
      n === 1 ? Response.json({ description: "chat not found" }, { status: 400 }) : new Response("ok"),
    );
    const { log, close, told } = notifier(bot(url));
    log.warn("gap", gap);
    await waitFor("the refusal", () => told().includes("chat not found"));
    log.info("state_change", { from: "READY", to: "ERROR", reason: "after" });
    await close();
    expect(got.length).toBe(2);
    expect(told()).toContain("check notify.telegram_token and notify.telegram_chat");
  });

  test("a redirect is not followed", async () => {
    const other = serve();
    const { url } = serve(() => Response.redirect(other.url, 307));
    const { log, close, told } = notifier(bot(url));
    log.warn("gap", gap);
    await close();
    expect(told()).toContain("answered 307");
    expect(other.got).toEqual([]);
  });

  test("down for long, and still at the end: bounded, counted, and the end comes", async () => {
    const { url, server } = serve();
    await server.stop(true);
    const { log, close, told } = notifier({ ...hook(url), "notify.max_lines": "5" });
    for (let i = 0; i < 1000; i++) log.warn("gap", gap);
    await waitFor("attempts", () => told().split("notify_failed").length > 3);
    await within("the end", close());
    expect(told()).toContain('"event":"notify_unsent","channel":"webhook","events":1000}');
  });

  test("the last message is sent again as well: a 500 and a 429 at the end cost nothing", async () => {
    const { got, url } = serve((_path, n) => {
      if (n === 1) return new Response("", { status: 500 });
      return n === 2
        ? new Response("", { status: 429, headers: { "retry-after": "1" } })
        : new Response("ok");
    });
    const { log, close, told } = notifier({
      ...hook(url),
      "notify.gather": "1h",
      "notify.stop_timeout": "60s",
    });
    log.error("thread_died", { thread: "drain", why: "no memory" });
    await within("the end", close());
    expect(got.length).toBe(3);
    expect(messageSchema.parse(got[2]?.body).text).toContain("the drain died");
    expect(told()).not.toContain("notify_unsent");
    expect(told().split("notify_failed").length).toBe(3);
  });

  test("what the other side wants to have later than the end is given up at once", async () => {
    const { got, url } = serve(() => new Response("", { status: 429, headers: { "retry-after": "600" } }));
    const { log, close, told } = notifier({
      ...hook(url),
      "notify.gather": "1h",
      "notify.stop_timeout": "1m",
    });
    log.warn("gap", gap);
    // Far less than stop_timeout.
    await within("the end", close(), { timeout: 50_000 });
    expect(got.length).toBe(1);
    expect(told()).toContain('"retry_in_ms":null');
    expect(told()).toContain("notify_unsent");
  });

  test("hanging at the end: no longer than notify.stop_timeout", async () => {
    const { got, url } = serve(() => new Promise<Response>(() => undefined));
    const { log, close, told } = notifier({ ...hook(url), "notify.stop_timeout": "50ms" });
    log.warn("gap", gap);
    await waitFor("the attempt", () => got.length > 0);
    await within("the end", close());
    expect(told()).toContain("notify_unsent");
  });
});

test("tokens stand in no line of the log, however the other side fails", async () => {
  const echo = serve((path) => new Response(`no ${path} for ${TOKEN} and ${HOOK}`, { status: 404 }));
  const dead = serve();
  await dead.server.stop(true);
  for (const url of [echo.url, dead.url]) {
    const { log, close, told } = notifier({ ...hook(url), ...bot(url), "notify.timeout": "500ms" });
    log.info("state_change", { from: "READY", to: "ERROR", reason: `says ${TOKEN}` });
    await waitFor("both to fail", () => told().includes('"telegram"') && told().includes('"webhook"'));
    await close();
    const own = told()
      .split("\n")
      .filter((line) => line.includes("notify_"))
      .join("\n");
    expect(own).toContain("notify_failed");
    for (const secret of [TOKEN, HOOK, TOKEN.split(":")[1] ?? TOKEN]) expect(own).not.toContain(secret);
  }
  // Nor is it sent to anybody.
  const { text } = telegramSchema.parse(echo.got.find(({ path }) => path.startsWith("/bot"))?.body);
  expect(text).toContain("says ***");
});
