import { describe, expect, test } from "bun:test";
import {
  dateOf,
  dayOf,
  dayStart,
  hasFolder,
  keyOfOutboxName,
  lakeKey,
  newRun,
  outboxName,
  parseKey,
} from "../../src/storage/names.ts";
import { pick, seeded } from "../lib/seed.ts";

const MIDNIGHT = Date.UTC(2026, 10, 20) * 1000;

describe("days are UTC days", () => {
  test("the last µs of a day and the first of the next", () => {
    expect([dateOf(MIDNIGHT - 1), dateOf(MIDNIGHT), dateOf(MIDNIGHT + 86_400_000_000 - 1)]).toEqual([
      "2026-11-19",
      "2026-11-20",
      "2026-11-20",
    ]);
    expect(dayOf(MIDNIGHT) - dayOf(MIDNIGHT - 1)).toBe(1);
    expect(dayStart(dayOf(MIDNIGHT))).toBe(MIDNIGHT);
    expect(dayStart(dayOf(MIDNIGHT - 1))).toBe(MIDNIGHT - 86_400_000_000);
  });

  test("leap days, year ends and every µs near a border", () => {
    for (const date of ["2028-02-29", "2027-01-01", "2026-12-31", "1970-01-01", "2100-03-01"]) {
      const start = Date.parse(`${date}T00:00:00Z`) * 1000;
      for (const offset of [0, 1, 999, 1000, 86_399_999_999]) {
        expect(dateOf(start + offset)).toBe(date);
        expect(dayStart(dayOf(start + offset))).toBe(start);
      }
    }
  });
});

describe("names", () => {
  const key = { run: "collector-1-1790000000000000-ab12", ring: 3, n: 17 };

  test("a lake key is the path of the design", () => {
    expect(lakeKey({ exchange: "binance", stream: "bbo", firstLocal: MIDNIGHT + 5, key })).toBe(
      `v1/exchange=binance/stream=bbo/date=2026-11-20/${MIDNIGHT + 5}_collector-1-1790000000000000-ab12_3_17.parquet`,
    );
  });

  test("lake key and outbox name are each other's inverse, the outbox is flat", () => {
    const random = seeded("names");
    const seen = new Set<string>();
    for (let i = 0; i < 2000; i++) {
      const firstLocal = MIDNIGHT + pick(random, [-1, 0, 1, random.below(2 ** 31) * 1000]);
      const name = lakeKey({
        exchange: pick(random, ["binance", "bybit", "okx", "binance-spot"]),
        stream: pick(random, ["bbo", "mark_price", "open_interest"]),
        firstLocal,
        key: { run: newRun(pick(random, ["a", "host-7", "0-0"]), firstLocal), ring: random.below(100), n: i },
      });
      const flat = outboxName(name);
      expect(flat).not.toContain("/");
      expect(keyOfOutboxName(flat)).toBe(name);
      expect(name).toContain(`/date=${dateOf(firstLocal)}/${firstLocal}_`);
      seen.add(flat);
    }
    expect(seen.size).toBe(2000);
  });

  test("a symbol's folder is read back as the symbol, and holds nothing that a reader or a folder stumbles over", () => {
    const random = seeded("symbols");
    const odd = [
      "A/B",
      "A%2FB",
      "100%",
      "A=B",
      "A~B",
      "A B",
      "A\tB",
      "NULL",
      "null",
      "__HIVE_DEFAULT_PARTITION__",
    ];
    const parts = [
      "BTC",
      "币安人生",
      "é",
      "e\u0301",
      "/",
      "%",
      "=",
      "~",
      "..",
      " ",
      "\u0007",
      "\u2028",
      "😀",
      "'",
      "*",
      "+",
    ];
    const made = Array.from({ length: 500 }, () =>
      Array.from({ length: 1 + random.below(4) }, () => pick(random, parts)).join(""),
    );
    const keys = new Map<string, string>();
    for (const symbol of new Set([...odd, ...made])) {
      if (!hasFolder(symbol)) continue;
      const name = lakeKey({ exchange: "okx", stream: "bbo", firstLocal: MIDNIGHT, key, symbol });
      const [, folder = ""] = /\/date=2026-11-20\/symbol=([^/]+)\/\d+_/.exec(name) ?? [];
      expect(folder, symbol).toMatch(/^[\p{L}\p{M}\p{N}_.%-]+$/u);
      expect(folder, symbol).not.toMatch(/^(null|__hive_default_partition__)$/i);
      expect(parseKey(name)).toMatchObject({
        symbol,
        exchange: "okx",
        stream: "bbo",
        date: "2026-11-20",
        ...key,
      });
      expect(keyOfOutboxName(outboxName(name))).toBe(name);
      expect(Buffer.byteLength(`.${outboxName(name)}.1000.tmp`)).toBeLessThan(255);
      expect(keys.get(name), symbol).toBeUndefined();
      keys.set(name, symbol);
    }
    expect(keys.size).toBeGreaterThan(300);
    for (const none of ["", "X".repeat(65), "币".repeat(22), "A\ud800"]) expect(hasFolder(none)).toBe(false);
    expect(hasFolder("币安人生USDT")).toBe(true);
    expect(
      lakeKey({ exchange: "okx", stream: "bbo", firstLocal: MIDNIGHT, key, symbol: "币安人生USDT" }),
    ).toContain("/symbol=币安人生USDT/");
    const broken = lakeKey({ exchange: "okx", stream: "bbo", firstLocal: MIDNIGHT, key, symbol: "A/B" });
    expect(parseKey(broken.replace("%2F", "%"))).toBeNull();
  });

  test("a run names instance, start and four random characters, and is never the same twice", () => {
    const runs = Array.from({ length: 200 }, () => newRun("my-host", 1_790_000_000_000_001));
    for (const run of runs) expect(run).toMatch(/^my-host-1790000000000001-[a-z0-9]{4}$/);
    // 200 of 1.7 million: a double is possible, a row of them is not.
    expect(new Set(runs).size).toBeGreaterThan(195);
  });
});
