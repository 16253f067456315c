import { expect, test } from "bun:test";
import { type HealthInput, healthOf } from "../../src/status/health.ts";

const FRESH: HealthInput = {
  stream: "mark_price",
  online: true,
  age: 900,
  interval: 5,
  lag: 20,
  offset: null,
  silence: 10_000,
  lagMax: 3000,
};

const cases: readonly [string, Partial<HealthInput>, string][] = [
  ["all is well", {}, "fresh"],
  ["no connection, whatever else", { online: false, age: 20_000, lag: 9000 }, "offline"],
  ["nothing has come yet", { age: null }, "waiting"],
  ["a paced stream at its threshold", { age: 10_000 }, "fresh"],
  ["a paced stream beyond it", { age: 10_001 }, "silent"],
  [
    "a paced stream that comes once in half a minute",
    { stream: "funding", interval: 30_000, age: 60_000 },
    "fresh",
  ],
  ["the same, ten times as long", { stream: "funding", interval: 30_000, age: 300_001 }, "silent"],
  ["a stream without a rate that is busy", { stream: "trade", age: 10_001 }, "silent"],
  ["one that is always slow", { stream: "trade", interval: 60_000, age: 2_000_000 }, "fresh"],
  ["one that is always slow, and slower", { stream: "trade", interval: 60_000, age: 3_000_001 }, "silent"],
  ["no liquidation for a day", { stream: "liquidation", age: 86_400_000 }, "fresh"],
  ["late", { lag: 3001 }, "lagging"],
  ["late by the exchange's clock alone", { lag: 3001, offset: -2500 }, "fresh"],
  ["late, hidden by the exchange's clock", { lag: 1000, offset: 2500 }, "lagging"],
  ["open interest tells of the past", { stream: "open_interest", lag: 9000 }, "fresh"],
  ["silence comes before lag", { age: 20_000, lag: 9000 }, "silent"],
];

for (const [name, input, health] of cases) {
  test(`${health}: ${name}`, () => {
    expect(healthOf({ ...FRESH, ...input }) as string).toBe(health);
  });
}
