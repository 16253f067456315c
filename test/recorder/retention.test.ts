/** Days of a lake that are over are deleted by a recorder at work; a clock that was set ahead deletes nothing. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { startBinance } from "../../src/simulator/binance.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const cwd = scratchFolder("retention-clock");
const DAY = 86_400_000;
const OLD = new Date(Date.now() - 40 * DAY).toISOString().slice(0, 10);
const RECENT = new Date(Date.now() - 3 * DAY).toISOString().slice(0, 10);

test("a clock that is ten years ahead deletes no day that the exchange does not call over, and is told; the right one deletes what is", async () => {
  const exchange = startBinance({ instruments: 2, rate: 100 });
  try {
    const [data, clock] = [join(cwd, "data"), join(cwd, "offset")];
    const pathOf = (date: string) => join(data, `lake/v1/exchange=binance/stream=bbo/date=${date}/x.parquet`);
    const put = (date: string) => {
      mkdirSync(dirname(pathOf(date)), { recursive: true });
      writeFileSync(pathOf(date), "x");
    };
    const live = async (ahead: number) => {
      for (const date of [OLD, RECENT]) put(date);
      writeFileSync(clock, String(ahead));
      const recorder = await startRecorder({
        cwd,
        data,
        exchange,
        set: { "lake.retention": "10d" },
        env: { TEST_CLOCK: clock },
        preload: join(import.meta.dir, "../helpers/preload/wall-clock.ts"),
      });
      await recorder.process.event("day_deleted", ({ date }) => date === OLD);
      expect(existsSync(pathOf(OLD))).toBe(false);
      expect(existsSync(pathOf(RECENT))).toBe(true);
      const { code } = await recorder.stop();
      expect([code, existsSync(pathOf(RECENT))]).toEqual([0, true]);
      return recorder.process.events("retention_failed").map(({ error }) => String(error));
    };
    expect(await live(0)).toEqual([]);
    const told = await live(3650 * DAY);
    expect(told.join()).toMatch(/clock is .* ahead of an exchange's/);
  } finally {
    await exchange.stop();
  }
}, 180_000);
