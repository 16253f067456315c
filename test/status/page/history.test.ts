import { describe, expect, test } from "bun:test";
import { RateHistory } from "../../../src/status/page/history.ts";

const reading = (at: number, totals: Readonly<Record<string, number>>) => ({
  at,
  streams: Object.entries(totals).map(([name, events_total]) => {
    const [exchange = "", stream = ""] = name.split("/");
    return { exchange, stream, events_total };
  }),
});

describe("RateHistory", () => {
  test("gives rates between readings, however far they are apart", () => {
    const history = new RateHistory(10, 1);
    history.add(reading(1000, { "a/bbo": 500 }));
    expect(history.rates("a/bbo")).toEqual([]);
    history.add(reading(2000, { "a/bbo": 700 }));
    history.add(reading(4500, { "a/bbo": 1200 }));
    expect(history.rates("a/bbo")).toEqual([200, 200]);
  });

  test("what comes once a second is level, however it falls between the readings", () => {
    const history = new RateHistory(10, 3);
    // Batches of 100 at each full second; read a little before and a little after it by turns.
    const at = [990, 2010, 2990, 4010, 4990, 6010, 6990, 8010];
    for (const time of at) history.add(reading(time, { "a/bbo": 100 * Math.floor(time / 1000) }));
    const level = history.rates("a/bbo").slice(2);
    expect(level.length).toBe(5);
    for (const rate of level) expect(rate).toBeWithin(60, 140);
  });

  test("takes no reading twice, and none that is older", () => {
    const history = new RateHistory(10, 1);
    history.add(reading(1000, { "a/bbo": 0 }));
    history.add(reading(2000, { "a/bbo": 10 }));
    history.add(reading(2000, { "a/bbo": 99 }));
    history.add(reading(1500, { "a/bbo": 99 }));
    history.add(reading(3000, { "a/bbo": 30 }));
    expect(history.rates("a/bbo")).toEqual([10, 20]);
  });

  test("is bounded, and forgets what is not there any more", () => {
    const history = new RateHistory(3, 1);
    for (let second = 0; second <= 10; second++)
      history.add(reading(second * 1000, { "a/bbo": second ** 2 }));
    expect(history.rates("a/bbo")).toEqual([15, 17, 19]);
    history.add(reading(11_000, { "b/bbo": 0 }));
    expect(history.rates("a/bbo")).toEqual([]);
  });

  test("shows a counter that began anew as a pause, not as a negative rate", () => {
    const history = new RateHistory(10, 1);
    history.add(reading(1000, { "a/bbo": 5000 }));
    history.add(reading(2000, { "a/bbo": 10 }));
    history.add(reading(3000, { "a/bbo": 30 }));
    expect(history.rates("a/bbo")).toEqual([0, 20]);
  });

  test("adds up series of different lengths at their newest ends", () => {
    const history = new RateHistory(10, 1);
    history.add(reading(1000, { "a/bbo": 0 }));
    history.add(reading(2000, { "a/bbo": 1, "b/bbo": 0 }));
    history.add(reading(3000, { "a/bbo": 3, "b/bbo": 100 }));
    expect(history.total()).toEqual([1, 102]);
  });
});
