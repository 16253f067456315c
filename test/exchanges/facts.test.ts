/** What exchanges say of themselves agrees with the rest of what they say. */
import { describe, expect, test } from "bun:test";
import { EXCHANGE_NAMES } from "../../src/config/exchanges.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { SIMULATED_NAMES } from "../../src/simulator/exchanges.ts";
import { REPLAY_EXCHANGES } from "../../src/simulator/replay.ts";

describe.each([...EXCHANGES])("$name", (exchange) => {
  test("sides of open interest are told where there is a stream of it", () => {
    expect(exchange.openInterestSides !== null).toBe(exchange.streams.includes("open_interest"));
  });
});

test("every exchange is recorded, simulated and replayed under one name", () => {
  const names = EXCHANGES.map(({ name }) => name).sort();
  for (const others of [EXCHANGE_NAMES, SIMULATED_NAMES, Object.keys(REPLAY_EXCHANGES)]) {
    expect([...others].sort()).toEqual(names);
  }
});
