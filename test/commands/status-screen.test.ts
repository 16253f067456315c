/** What `tapedeck status` shows, at any width, with and without colours. */
import { describe, expect, test } from "bun:test";
import { statusScreen } from "../../src/commands/status-screen.ts";
import { RateHistory } from "../../src/status/page/history.ts";
import { sampleLive } from "../status/page/sample.ts";

const PLAIN = { width: null, colour: false, history: null };

describe("the screen of tapedeck status", () => {
  test("shows state, every stream, and the balance with its numbers", () => {
    const live = sampleLive();
    const screen = statusScreen(live, PLAIN);
    expect(screen).toStartWith("✓ READY  all is well\n");
    const rows = screen.split("\n").filter((line) => /^(binance|bybit|okx) {2}/.test(line));
    expect(rows.length).toBe(live.streams.length);
    const { holds, ...terms } = live.balance;
    for (const value of Object.values(terms)) expect(screen).toContain(` ${value.toLocaleString("en-US")}`);
    expect(screen).toContain("✓ holds: every event is accounted for");
  });

  test("is never wider than the terminal, down to 40 columns, and keeps stream and rate", () => {
    const history = new RateHistory(20, 3);
    for (let second = 4180; second <= 4211; second++) history.add(sampleLive(second));
    const live = {
      ...sampleLive(),
      reason: `${"y".repeat(300)} 币安人生`,
      destinations: sampleLive().destinations.map((one) => ({
        ...one,
        error: `it said: ${"x".repeat(200)}`,
      })),
    };
    for (let width = 40; width <= 160; width += 3) {
      for (const colour of [false, true]) {
        const lines = statusScreen(live, { width, colour, history }).split("\n");
        const widest = Math.max(...lines.map((line) => Bun.stringWidth(line)));
        expect(widest, `${width} columns`).toBeLessThanOrEqual(width);
        expect(lines.some((line) => /open_interest/.test(line))).toBe(true);
        expect(lines.some((line) => /events\/s/.test(line))).toBe(true);
      }
    }
    expect(statusScreen(live, { width: 200, colour: false, history })).toMatch(/[▁▂▃▄▅▆▇█]{20}/);
  });

  test("has no colours unless they are asked for, and the same words with them", () => {
    const live = { ...sampleLive(), state: "DEGRADED" as const, reason: "1,204 events dropped" };
    const plain = statusScreen(live, PLAIN);
    const coloured = statusScreen(live, { ...PLAIN, colour: true });
    expect(plain).not.toContain("\x1b");
    expect(coloured).toContain("\x1b[33m");
    expect(Bun.stripANSI(coloured)).toBe(plain);
  });

  test("what an exchange said does not steer the terminal", () => {
    const live = sampleLive();
    const evil = "\x1b]0;owned\x07\x1b[2J\u202ereversed\r\n";
    const screen = statusScreen(
      {
        ...live,
        reason: evil,
        instance: evil,
        destinations: live.destinations.map((one) => ({ ...one, error: evil })),
        gaps: live.gaps.map((one) => ({ ...one, symbol: evil, reason: evil })),
        logs: live.logs.map((one) => ({ ...one, level: "warn" as const, event: evil, text: evil })),
      },
      PLAIN,
    );
    expect(screen).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
  });
});
