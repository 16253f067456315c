import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { describeSettings } from "../../src/config/describe.ts";
import { duration, section, setting, text } from "../../src/config/leaf.ts";
import { instanceFromHost, settingsSchema, valueAt } from "../../src/config/schema.ts";
import { STREAM_NAMES } from "../../src/events/streams.ts";

function messages(input: unknown): string[] {
  const result = settingsSchema.safeParse(input);
  return result.success
    ? []
    : result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

describe("defaults", () => {
  const settings = settingsSchema.parse({});

  test("resolve to milliseconds and bytes", () => {
    expect(settings.connection).toEqual({
      handshake_timeout: 10_000,
      backoff_min: 500,
      backoff_max: 30_000,
      ack_timeout: 10_000,
      refused_retry: 60_000,
      ping_interval: 20_000,
      pong_timeout: 10_000,
      turn_bytes: 64 * 1024,
      max_message_bytes: 64 * 1024 ** 2,
      silence: 8_000,
      silence_max: 900_000,
      first_data: 9_000,
      first_data_quiet: 300_000,
      symbol_silence: 5_000,
      lag: 3_000,
      overlap: 5_000,
      replace_timeout: 60_000,
    });
    // As the exchange demands.
    expect(settings.connection.max_age).toBeUndefined();
    expect(settings.ingest).toEqual({ workers: 1, publish_batch: 64, time_slice: 100, clock_step: 500 });
    expect(settings.flush.bytes).toBe(64 * 1024 ** 2);
    expect(settings.record.streams).toEqual(STREAM_NAMES);
    expect(settings.record.duration).toBeUndefined();
    expect(settings.instance).toMatch(/^[a-z0-9-]{1,32}$/);
  });

  test("rings together hold at least 500,000 events", () => {
    const total = Object.values(settings.ring.capacity).reduce((sum, capacity) => sum + capacity, 0);
    expect(total).toBeGreaterThanOrEqual(500_000);
  });
});

describe("values", () => {
  test("symbols are UTF-8 and keep their case", () => {
    const { symbols } = settingsSchema.parse({
      record: { symbols: " 币安人生USDT, btcUsdt,BTCUSDT,BTCUSDT," },
    }).record;
    expect(symbols).toEqual(["币安人生USDT", "btcUsdt", "BTCUSDT"]);
  });

  test("trailing slashes of a base URL are cut", () => {
    const exchanges = { binance: { ws_url: "ws://127.0.0.1:9443//", rest_url: "http://[::1]:80/mirror/" } };
    expect(settingsSchema.parse({ exchanges }).exchanges.binance).toMatchObject({
      ws_url: "ws://127.0.0.1:9443",
      rest_url: "http://[::1]:80/mirror",
    });
  });

  test.each([
    "http://a",
    "ws:a",
    "ws://",
    "ws://a b",
    "ws://a/?x=1",
    "ws://a#x",
    "",
    7,
  ])("%p is no ws_url", (ws_url) => {
    expect(messages({ exchanges: { binance: { ws_url } } })).toHaveLength(1);
  });

  test.each([1, 3, 0, -2, 8_388_608, 2.5, "two"])("%p is no ring capacity", (bbo) => {
    expect(messages({ ring: { capacity: { bbo } } })[0]).toContain("a power of two from 2 to 4194304");
  });

  test("a power of two is suggested", () => {
    expect(messages({ ring: { capacity: { bbo: 1000 } } })[0]).toEndWith("the next one is 1024");
  });

  test("durations are bounded by what a timer can hold", () => {
    expect(settingsSchema.parse({ record: { duration: "24d" } }).record.duration).toBeLessThan(2 ** 31);
    expect(messages({ record: { duration: "25d" } })).toHaveLength(1);
  });

  test("a bucket that is used needs a name, GCS its keys, and half a key is none", () => {
    expect(messages({ storage: { backend: "s3" } })).toEqual([
      "s3.bucket: must be set, since storage.backend or storage.fallback is s3",
    ]);
    const s3 = { bucket: "lake" };
    expect(messages({ storage: { backend: "s3" }, s3 })).toEqual([]);
    const missing = messages({ storage: { backend: "s3", fallback: "gcs" }, s3 });
    expect(missing.map((line) => line.split(":")[0])).toEqual([
      "gcs.bucket",
      "gcs.access_key",
      "gcs.secret_key",
    ]);
    expect(missing[1]).toContain("HMAC");
    expect(messages({ s3: { access_key: "a" } })[0]).toStartWith("s3.secret_key: must be set");
    expect(messages({ s3: { secret_key: "a" } })[0]).toStartWith("s3.access_key: must be set");
    expect(messages({ gcs: { session_token: "a" } })[0]).toStartWith("gcs.session_token: is of no use");
    expect(messages({ storage: { fallback: "local" } })[0]).toStartWith("storage.fallback: must be another");
  });

  test.each([["/lake"], ["a//b"], ["a b"], ["a?b"]])("%p is no prefix of a bucket", (prefix) => {
    expect(messages({ s3: { prefix } })).toHaveLength(1);
  });

  test.each([
    { streams: [] },
    { streams: "" },
    { streams: "," },
  ])("no streams at all (%p) is a fault", (record) => {
    expect(messages({ record })).toHaveLength(1);
  });
});

test.each([
  ["connection", "ping_interval", "0ms"],
  ["connection", "pong_timeout", "0s"],
  ["connection", "turn_bytes", "1KiB"],
  ["connection", "max_message_bytes", "2GiB"],
  ["connection", "silence", "0ms"],
  ["connection", "silence_max", "2d"],
  ["connection", "lag", "2h"],
  ["connection", "max_age", "30d"],
  ["connection", "overlap", "11m"],
  ["connection", "replace_timeout", "soon"],
  ["ingest", "workers", 0],
  ["ingest", "workers", 17],
  ["ingest", "workers", 1.5],
  ["ingest", "clock_step", "0ms"],
])("%s.%s = %p is out of bounds, and the setting is named", (part, key, value) => {
  const found = messages({ [part]: { [key]: value } });
  expect(found.length).toBe(1);
  expect(found[0]).toStartWith(`${part}.${key}: `);
});

describe("cross-checks", () => {
  test("each pair that contradicts is named", () => {
    const found = messages({
      connection: {
        backoff_min: "31s",
        silence: "2s",
        silence_max: "1s",
        first_data: "3s",
        first_data_quiet: "4s",
        symbol_silence: "5s",
      },
      flush: { bytes: "1GiB", streams: { bbo: { bytes: "2GiB" } } },
    });
    expect(found).toEqual([
      "connection.backoff_min: must not be above connection.backoff_max",
      "connection.silence: must not be above connection.silence_max",
      "connection.first_data: must not be above connection.silence_max",
      "connection.first_data_quiet: must not be above connection.silence_max",
      "connection.symbol_silence: must not be above connection.silence_max",
      "flush.bytes: must not be above duckdb.memory_limit",
      "flush.streams.bbo.bytes: must not be above duckdb.memory_limit",
    ]);
  });

  test("they are reported beside other faults", () => {
    expect(messages({ status: { port: "x" }, flush: { bytes: "1GiB" } })).toHaveLength(2);
  });
});

test("an instance from a host name", () => {
  expect(instanceFromHost("Büro_PC.example.COM")).toBe("b-ro-pc-example-com");
  expect(instanceFromHost("币")).toBe("tapedeck");
  expect(instanceFromHost(`${"a".repeat(31)}.${"b".repeat(9)}`)).toBe("a".repeat(31));
});

describe("descriptions", () => {
  const all = describeSettings();

  test("every leaf of the resolved settings is described, and nothing else", () => {
    const settings = settingsSchema.parse({});
    const leaves = (tree: object, prefix: string): string[] =>
      Object.entries(tree).flatMap(([key, value]) =>
        typeof value === "object" && !Array.isArray(value)
          ? leaves(value, `${prefix}${key}.`)
          : [prefix + key],
      );
    const present = all.filter(({ path }) => valueAt(settings, path) !== undefined).map(({ path }) => path);
    expect(present).toEqual(leaves(settings, ""));
  });

  test("environment names are derived and do not collide", () => {
    expect(all.find(({ path }) => path === "ring.capacity.mark_price")?.env).toBe(
      "TAPEDECK_RING_CAPACITY_MARK_PRICE",
    );
    expect(new Set(all.map(({ env }) => env)).size).toBe(all.length);
  });

  test("every leaf has a meaning, bounds and a default text", () => {
    for (const setting of all) {
      expect([setting.path, setting.meaning, setting.allowed, setting.default]).not.toContain("");
    }
  });

  test("they derive from any schema, secrets included", () => {
    const schema = z.strictObject({
      s3: section({
        secret_key: setting(text(/^.+$/, "a key"), "none", { meaning: "Key.", secret: true }),
        timeout: setting(duration("1s", "1m"), "5s", { meaning: "Bound of a request." }),
      }),
    });
    expect(describeSettings(schema)).toMatchObject([
      { path: "s3.secret_key", env: "TAPEDECK_S3_SECRET_KEY", secret: true },
      { path: "s3.timeout", default: "5s", secret: false },
    ]);
  });
});
