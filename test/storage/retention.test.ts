/** Old days of a local lake go, and nothing else. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expireDays } from "../../src/storage/retention.ts";
import { scratchFolder } from "../helpers/scratch.ts";

const folder = scratchFolder("retention");
const HOUR = 60 * 60_000;

test("days that ended long enough ago are deleted, oldest first", async () => {
  const paths = ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20", "notes"].flatMap((date) =>
    ["binance", "okx"].map((exchange) => `v1/exchange=${exchange}/stream=bbo/date=${date}/x.parquet`),
  );
  for (const path of [...paths, "v1/readme/date=2020-01-01/x", "date=2020-01-01/x"]) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), "x");
  }
  // The 18th ended 24 hours and a bit before.
  const now = Date.parse("2026-11-20T00:00:01Z");
  // Told before anything of the day is deleted: whoever is killed in between must not find it missing.
  const told: string[] = [];
  const tell = (date: string) => {
    for (const path of paths.filter((one) => one.includes(date)))
      expect(existsSync(join(folder, path)), path).toBe(true);
    told.push(date);
  };
  expect(await expireDays(folder, 24 * HOUR, now, tell)).toEqual([
    { date: "2026-11-17", folders: 2 },
    { date: "2026-11-18", folders: 2 },
  ]);
  expect(told).toEqual(["2026-11-17", "2026-11-18"]);
  expect(paths.filter((path) => existsSync(join(folder, path)))).toEqual(paths.slice(4));
  expect(existsSync(join(folder, "v1/readme/date=2020-01-01/x"))).toBe(true);
  expect(existsSync(join(folder, "date=2020-01-01/x"))).toBe(true);
  expect(await expireDays(folder, 24 * HOUR, now, tell)).toEqual([]);
  expect(await expireDays(join(folder, "none"), HOUR, now, tell)).toEqual([]);
});
