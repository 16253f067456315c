import { describe, expect, test } from "bun:test";
import { redactor } from "../../src/config/secrets.ts";
import { createLogger, type LogFields } from "../../src/status/log.ts";
import { coloured, paletteFor } from "../../src/status/palette.ts";
import { seeded } from "../lib/seed.ts";

/** The logger with events of no meaning. */
interface AnyEvents {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

const AT = Date.UTC(2026, 10, 20, 12, 30, 45, 678);

function logger(options: Partial<Parameters<typeof createLogger>[0]> = {}) {
  const written: string[] = [];
  const clock = { now: AT };
  const real = createLogger({
    format: "json",
    level: "debug",
    ...options,
    write: (line) => written.push(line),
    now: () => clock.now,
  });
  const log: AnyEvents = real;
  return {
    log,
    recent: real.recent,
    written,
    clock,
    parsed: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe("log lines as JSON", () => {
  test("one object a line, with time, level, event and fields", () => {
    const { log, written, parsed } = logger();
    log.info("ws_connect", {
      exchange: "binance",
      connection: 3,
      ok: true,
      code: null,
      channels: ["a", "b"],
    });
    expect(written[0]?.endsWith("\n")).toBe(true);
    expect(parsed()).toEqual([
      {
        time: "2026-11-20T12:30:45.678Z",
        level: "info",
        event: "ws_connect",
        exchange: "binance",
        connection: 3,
        ok: true,
        code: null,
        channels: ["a", "b"],
      },
    ]);
  });

  test("whatever a field holds, a line stays one line", () => {
    const { log, written, parsed } = logger();
    const reason = 'bye\n{"level":"error"}\r\u0000\u001b[2J "quoted" \\ 币安\u2028';
    log.warn("ws_disconnect", { reason });
    expect(written.length).toBe(1);
    expect(written[0]?.indexOf("\n")).toBe((written[0]?.length ?? 0) - 1);
    expect(parsed()[0]?.reason).toBe(reason);
  });

  test("levels below the least are not written", () => {
    for (const [level, count] of [
      ["debug", 4],
      ["info", 3],
      ["warn", 2],
      ["error", 1],
    ] as const) {
      const { log, parsed } = logger({ level });
      log.debug("d");
      log.info("i");
      log.warn("w");
      log.error("e");
      expect(parsed().map((line) => line.level)).toEqual(["debug", "info", "warn", "error"].slice(4 - count));
    }
  });
});

describe("repeats", () => {
  test("are written 20 times in ten seconds, then counted; the next line says how many", () => {
    const { log, clock, parsed } = logger();
    for (let i = 0; i < 50; i++) {
      log.warn("ws_disconnect", { exchange: "binance", i });
      clock.now += 10;
    }
    expect(parsed().map((line) => line.i)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    clock.now = AT + 10_000;
    log.warn("ws_disconnect", { exchange: "binance", i: "after" });
    expect(parsed().at(-1)).toMatchObject({ i: "after", suppressed: 30 });
    log.warn("ws_disconnect", { exchange: "binance", i: "next" });
    expect(parsed().at(-1)).not.toHaveProperty("suppressed");
  });

  test("other events, levels and exchanges are not held back with them", () => {
    const { log, parsed } = logger();
    for (let i = 0; i < 30; i++) log.warn("gap", { exchange: "binance" });
    log.warn("gap", { exchange: "okx" });
    log.error("gap", { exchange: "binance" });
    log.warn("file_published", { exchange: "binance" });
    expect(parsed().length).toBe(23);
  });

  test("an event that comes every ten seconds is always written", () => {
    const { log, clock, written } = logger();
    for (let i = 0; i < 100; i++) {
      log.info("heartbeat");
      clock.now += 10_000;
    }
    expect(written.length).toBe(100);
  });

  test("what does not come again is told of in a line of its own, once", () => {
    const { log, clock, parsed } = logger();
    for (let i = 0; i < 50; i++) log.warn("ws_disconnect", { exchange: "binance" });
    clock.now = AT + 9_999;
    log.info("heartbeat");
    expect(parsed().length).toBe(21);
    clock.now = AT + 10_000;
    log.info("heartbeat");
    log.info("heartbeat");
    expect(parsed().slice(21)).toMatchObject([
      { level: "warn", event: "lines_held_back", of: "ws_disconnect", exchange: "binance", suppressed: 30 },
      { event: "heartbeat" },
      { event: "heartbeat" },
    ]);
  });

  test("every line is written or counted, whatever comes in whatever order (seeded)", () => {
    const random = seeded("log repeats");
    const { log, clock, parsed } = logger();
    const lines = 20_000;
    for (let i = 0; i < lines; i++) {
      log.info(`event_${random.below(30)}`, { exchange: `exchange_${random.below(40)}` });
      if (random.below(50) === 0) clock.now += random.below(2000);
    }
    // By then nothing is held any more.
    clock.now += 10_000;
    log.info("end");
    const written = parsed();
    const own = written.filter(({ event }) => event !== "lines_held_back").length;
    const held = written.reduce((sum, { suppressed }) => sum + Number(suppressed ?? 0), 0);
    expect(own + held).toBe(lines + 1);
  });

  test("what is below the level does not count", () => {
    const { log, written } = logger({ level: "info" });
    for (let i = 0; i < 30; i++) log.debug("x");
    log.info("x");
    expect(written.length).toBe(1);
  });

  test("remembers a bounded number of events", () => {
    const { log, written } = logger();
    for (let i = 0; i < 5000; i++) log.info(`event_${i}`);
    expect(written.length).toBe(5000);
  });
});

describe("secrets", () => {
  const secret = 'p"a\\ss/wörd 7';
  const redact = redactor([secret, "event"]);

  test("stand in no field, however deep, and in no form", () => {
    for (const format of ["json", "pretty"] as const) {
      const { log, written } = logger({ format, redact });
      log.error("publish_failed", {
        error: `403 for ${secret}`,
        url: `https://x/?key=${encodeURIComponent(secret)}`,
        body: JSON.stringify({ secret }),
        list: [secret, { deep: `<${secret}>` }],
      });
      const text = written.join("");
      for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), "wörd"])
        expect(text).not.toContain(form);
      expect(text.match(/\*\*\*/g)?.length).toBe(5);
    }
  });

  test("that are words of ours do not break a line", () => {
    const { log, parsed } = logger({ redact });
    log.info("ws_connect", { url: "an event" });
    expect(parsed()).toEqual([
      { time: "2026-11-20T12:30:45.678Z", level: "info", event: "ws_connect", url: "an ***" },
    ]);
  });
});

test("the last 50 lines are remembered as they were written", () => {
  const { log, recent } = logger({ redact: redactor(["planted"]) });
  for (let i = 0; i < 60; i++) log.info(`event_${i}`, { url: "planted" });
  expect(recent.length).toBe(50);
  expect(recent.at(-1)).toEqual({ at: AT, level: "info", event: "event_59", fields: { url: "***" } });
});

describe("colours", () => {
  test("only on a terminal that wants them", () => {
    expect(paletteFor(false, {}).error("x")).toBe("x");
    expect(paletteFor(true, {}).error("x")).toBe("\u001b[31mx\u001b[0m");
    // no-color.org: an empty value does not count.
    expect(paletteFor(true, { NO_COLOR: "" }).error("x")).toBe("\u001b[31mx\u001b[0m");
    expect(paletteFor(true, { NO_COLOR: "1" }).error("x")).toBe("x");
    expect(paletteFor(true, { TERM: "dumb" }).error("x")).toBe("x");
  });

  test("do not let a server steer the terminal", () => {
    const { log, written } = logger({ format: "pretty", palette: coloured });
    log.warn("ws_disconnect", { reason: "\u001b[2J" });
    expect(written[0]).not.toContain("\u001b[2J");
    expect(written[0]).toContain("\\u001b[2J");
  });
});

describe("log lines for people", () => {
  test("time, level, event, fields", () => {
    const { log, written } = logger({ format: "pretty" });
    log.info("ws_connect", { exchange: "binance", connection: 3 });
    expect(written).toEqual(["12:30:45.678 INFO  ws_connect       exchange=binance connection=3\n"]);
  });

  test("what a server sends cannot start a line of its own nor steer the terminal", () => {
    const { log, written } = logger({ format: "pretty" });
    log.warn("ws_disconnect", { reason: "bye\n12:30:45.678 ERROR forged\u001b[2J\r\u0007\u009b1m" });
    expect(written.length).toBe(1);
    expect(written[0]?.slice(0, -1)).not.toMatch(/\p{Cc}/u);
    expect(written[0]).toContain("reason=bye\\u000a12:30:45.678 ERROR forged\\u001b[2J");
    expect(written[0]?.endsWith("\n")).toBe(true);
  });
});
