import { expect, test } from "bun:test";
import { fixed, integer } from "../../src/simulator/decimals.ts";
import { Market, QUOTES_PER_TRADE } from "../../src/simulator/market.ts";
import { Pacer } from "../../src/simulator/pacer.ts";
import { Random } from "../../src/simulator/random.ts";
import { Zipf } from "../../src/simulator/zipf.ts";

const SEED = 7;
console.log(`simulator parts: seed ${SEED}`);

test("fixed and integer spell exactly", () => {
  expect([fixed(8_343_440, 2), fixed(5, 3), fixed(0, 1), fixed(17, 0), fixed(48_213, 7)]).toEqual([
    "83434.40",
    "0.005",
    "0.0",
    "17",
    "0.0048213",
  ]);
  const random = new Random(SEED);
  for (let i = 0; i < 20_000; i++) {
    const value = Math.floor(2 ** (random.unit() * 50));
    const digits = random.below(9);
    expect(integer(value)).toBe(String(value));
    const text = String(value).padStart(digits + 1, "0");
    expect(fixed(value, digits)).toBe(
      digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`,
    );
  }
});

test("a pacer owes rate × time over any division of it, and bursts multiply", () => {
  const random = new Random(SEED);
  const options = { rate: 997, burstFactor: 5, burstEveryMs: 1000, burstLengthMs: 200, maxCatchUpMs: 100 };
  const pacer = new Pacer(options, 0);
  let events = 0;
  let now = 0;
  while (now < 10_000) {
    now = Math.min(10_000, now + random.unit() * 40);
    events += pacer.due(now);
  }
  // Nine bursts of 200 ms have begun after the first second.
  expect(Math.abs(events - (0.997 * 10_000 + 0.997 * 4 * 9 * 200))).toBeLessThanOrEqual(1);
  expect(pacer.skippedMs).toBe(0);
});

test("a pacer catches up a bounded time and counts the rest", () => {
  const pacer = new Pacer(
    { rate: 1000, burstFactor: 1, burstEveryMs: 1000, burstLengthMs: 100, maxCatchUpMs: 250 },
    0,
  );
  expect(pacer.due(10_000)).toBe(250);
  expect(pacer.skippedMs).toBe(9750);
  pacer.skip(20_000);
  expect(pacer.due(20_010)).toBe(10);
});

test("a market stays on its grid and keeps the mix of quotes and trades", () => {
  const market = new Market({ price: 8_343_440, tick: 10, amount: 240, random: new Random(SEED) });
  let trades = 0;
  const steps = 200_000;
  for (let i = 0; i < steps; i++) {
    if (market.step()) trades++;
    expect(market.bid % 10).toBe(0);
    expect(market.ask).toBeGreaterThan(market.bid);
    expect(Math.min(market.bid, market.bidAmount, market.askAmount, market.amount)).toBeGreaterThan(0);
  }
  const ratio = (steps - trades) / trades;
  expect(Math.abs(ratio - QUOTES_PER_TRADE)).toBeLessThan(0.3);
});

test("a cheap market never reaches zero", () => {
  const market = new Market({ price: 6, tick: 1, amount: 1, random: new Random(SEED) });
  for (let i = 0; i < 50_000; i++) {
    market.step();
    market.liquidate(0.01);
    expect(Math.min(market.bid, market.price)).toBeGreaterThan(0);
  }
});

test("activity follows 1 / rank", () => {
  const zipf = new Zipf(4, 1);
  const random = new Random(SEED);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 100_000; i++) {
    const index = zipf.pick(random);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  const total = 1 + 1 / 2 + 1 / 3 + 1 / 4;
  counts.forEach((count, rank) => {
    expect(Math.abs(count / 100_000 - 1 / (rank + 1) / total)).toBeLessThan(0.01);
  });
});
