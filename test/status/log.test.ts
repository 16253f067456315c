import { describe, expect, test } from "bun:test";
import { createLogger, type Level } from "../../src/status/log.ts";

const AT = Date.UTC(2026, 10, 20, 12, 30, 45, 678);

function logger(options: { format?: "json" | "pretty"; level?: Level } = {}) {
  const written: string[] = [];
  const clock = { now: AT };
  const log = createLogger({
    format: "json",
    level: "debug",
    ...options,
    write: (line) => written.push(line),
    now: () => clock.now,
  });
  return {
    log,
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
