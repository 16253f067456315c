import { describe, expect, spyOn, test } from "bun:test";
import { bybit } from "../../src/exchanges/bybit.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { restAnswer } from "../../src/exchanges/rest.ts";
import { ClockOffset } from "../../src/recorder/clock-offset.ts";
import { startBinance } from "../../src/simulator/binance.ts";
import { startBybit } from "../../src/simulator/bybit.ts";
import { startOkx } from "../../src/simulator/okx.ts";
import { seeded } from "../lib/seed.ts";

describe("the offset of an exchange's clock", () => {
  test("is not known before an answer", () => {
    expect(new ClockOffset().estimate).toBeNull();
  });

  test("is right to the error that is told, however slow and unequal the ways there and back", () => {
    const random = seeded("clock offset");
    for (let round = 0; round < 200; round++) {
      const truth = (random.unit() - 0.5) * 10_000;
      const clock = new ClockOffset();
      for (let i = 0; i < 20; i++) {
        const asked = 1.8e12 + i * 60_000 + random.unit();
        const [there, back] = [random.unit() ** 4 * 300, random.unit() ** 4 * 300];
        // Both clocks are read in whole milliseconds.
        clock.add(Math.floor(asked), there + back, Math.floor(asked + there + truth));
        const { offset, error } = clock.estimate ?? { offset: 0, error: 0 };
        expect(Math.abs(offset - truth)).toBeLessThanOrEqual(error);
      }
      expect(clock.estimate?.error).toBeLessThan(151);
    }
  });

  test("follows a clock that was set, once the old answers are forgotten", () => {
    const clock = new ClockOffset();
    clock.add(0, 1, 5000);
    for (let i = 0; i < 15; i++) clock.add(0, 40, 20);
    expect(clock.estimate?.offset).toBe(0);
  });
});

describe("server time", () => {
  // Clocks of the test's own, to the millisecond: what the machine's says between question and answer proves less.
  test("of each simulated exchange is the time of this machine", async () => {
    const random = seeded("server time");
    for (const exchange of EXCHANGES) {
      const start = { binance: startBinance, bybit: startBybit, okx: startOkx }[exchange.name];
      const simulated = start?.({ instruments: 1, rate: 1 });
      if (simulated === undefined) throw new Error(`no simulated ${exchange.name}`);
      const machine = spyOn(Date, "now");
      try {
        for (let i = 0; i < 20; i++) {
          const now = 1.7e12 + random.below(2e11);
          machine.mockReturnValue(now);
          const time = await exchange.fetchServerTime(async (path) =>
            restAnswer(await (await fetch(simulated.restUrl + path)).text()),
          );
          expect(time, exchange.name).toBe(now);
        }
      } finally {
        machine.mockRestore();
        await simulated.stop();
      }
    }
  });

  test("of bybit is read with its fraction, and a whole millisecond stays one", async () => {
    const read = (timeNano: string) =>
      bybit.fetchServerTime(async () => restAnswer(JSON.stringify({ result: { timeNano } })));
    expect(await read("1796098603425000000")).toBe(1_796_098_603_425);
    expect(await read("1796098603582000000")).toBe(1_796_098_603_582);
    expect(await read("1688639403423213947")).toBe(1_688_639_403_423.2139);
  });

  test("an answer without a time is an error that names the path", async () => {
    for (const exchange of EXCHANGES) {
      for (const body of ["{}", '{"serverTime":"x","data":[],"result":{}}', "null", "[]"]) {
        const asked = exchange.fetchServerTime(async () => restAnswer(body));
        await expect(asked).rejects.toThrow(/^GET \/\S*time answered something that holds no time$/);
      }
    }
  });
});
