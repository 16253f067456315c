import { expect, test } from "bun:test";
import { ConnectGate } from "../../src/exchanges/connect-gate.ts";

test("attempts are spaced out, the first goes at once, and a pause is not saved up", () => {
  let now = 0;
  const gate = new ConnectGate(2, () => now);
  expect([gate.take(), gate.take(), gate.take()]).toEqual([0, 500, 1000]);
  now = 1200;
  expect(gate.take()).toBe(300);
  now = 60_000;
  expect([gate.take(), gate.take()]).toEqual([0, 500]);
});
