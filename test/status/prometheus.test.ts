/** What Prometheus reads: the rules of the format, the names, and that the numbers are those of the snapshot. */
import { describe, expect, test } from "bun:test";
import { exposition, type Family } from "../../src/status/exposition.ts";
import { familiesOf, METRICS } from "../../src/status/prometheus.ts";
import { parseExposition } from "../helpers/exposition.ts";
import { madeUpSnapshot } from "../helpers/snapshot.ts";

const PROMTOOL = Bun.which("promtool");

describe("names", () => {
  test("begin with tapedeck_, are there once, and end as their kind demands", () => {
    const names = METRICS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, type, help } of METRICS) {
      expect(name).toMatch(/^tapedeck_[a-z0-9_]+$/);
      expect(help).toMatch(/^[^\n]+\.$/);
      expect(name.endsWith("_total"), name).toBe(type === "counter");
      // Base units: no milliseconds, megabytes, per cent.
      expect(name).not.toMatch(/_(ms|us|millis|minutes|kb|mb|mib|pct|percent)(_|$)/);
    }
  });

  test("labels are those that the table says", () => {
    const described = new Map(METRICS.map(({ name, labels = [] }) => [name, labels.toSorted().join()]));
    for (const { name, samples } of familiesOf(madeUpSnapshot())) {
      for (const { labels = {} } of samples) {
        const own = Object.keys(labels).filter((label) => label !== "le");
        expect(own.sort().join(), name).toBe(described.get(name) ?? "none");
      }
    }
  });

  test("no label is a symbol, and no series grows with the number of symbols", () => {
    const allowed = new Set(
      "exchange stream state check place reason certainty health kind destination le version run instance".split(
        " ",
      ),
    );
    for (const { samples } of familiesOf(madeUpSnapshot()))
      for (const { labels = {} } of samples)
        for (const label of Object.keys(labels)) expect(allowed.has(label), label).toBe(true);
    const count = (symbols: readonly string[]) =>
      familiesOf(madeUpSnapshot({ symbols })).reduce((sum, { samples }) => sum + samples.length, 0);
    expect(count(Array.from({ length: 500 }, (_, i) => `S${i}`))).toBe(count([]));
  });
});

describe.each(["text", "openmetrics"] as const)("%s", (format) => {
  const text = exposition(familiesOf(madeUpSnapshot()), format);

  test("keeps the rules of the format", () => {
    const { families } = parseExposition(text);
    expect(families.size).toBe(METRICS.length);
    expect(text.endsWith("# EOF\n")).toBe(format === "openmetrics");
  });

  test("tells what the snapshot says", () => {
    const { value } = parseExposition(text);
    const lane = { exchange: "okx", stream: "bbo" };
    expect(value("tapedeck_build_info", { version: "1.2.3", run: "test-1-abcd", instance: "test" })).toBe(1);
    expect(value("tapedeck_state", { state: "READY" })).toBe(1);
    expect(value("tapedeck_state", { state: "ERROR" })).toBe(0);
    expect(value("tapedeck_events_received_total")).toBe(100);
    expect(value("tapedeck_events_waiting", { place: "outbox" })).toBe(7);
    expect(value("tapedeck_stream_dropped_total", { ...lane, reason: "ring_full" })).toBe(5);
    expect(value("tapedeck_gaps_total", { ...lane, reason: "overflow", certainty: "lost" })).toBe(1);
    expect(value("tapedeck_outbox_age_seconds")).toBe(10);
    expect(value("tapedeck_reconnects_total", { exchange: "okx" })).toBe(2);
    expect(value("tapedeck_destination_breaker_state", { destination: "s3", state: "half_open" })).toBe(1);
    expect(value("tapedeck_exchange_clock_offset_seconds", { exchange: "okx" })).toBe(0.0015);
    expect(value("tapedeck_upload_failures_total")).toBe(4);
    expect(value("tapedeck_process_resident_memory_bytes")).toBe(128 * 2 ** 20);
    expect(value("tapedeck_process_cpu_seconds_total")).toBe(3.25);
  });

  test("a kind of gap that has not been is 0, so that its first one is an increase", () => {
    const { value, samples } = parseExposition(
      exposition(familiesOf(madeUpSnapshot({ gapCounts: [] })), format),
    );
    const lane = { exchange: "okx", stream: "bbo" };
    for (const reason of ["crash", "sequence", "overflow", "quarantine", "storage"])
      expect(value("tapedeck_gaps_total", { ...lane, reason, certainty: "lost" }), reason).toBe(0);
    for (const reason of ["disconnect", "silence", "lag", "sequence", "decode_error", "clock"])
      expect(value("tapedeck_gaps_total", { ...lane, reason, certainty: "possible" }), reason).toBe(0);
    // One that has been is told once.
    const told = (all: typeof samples) => all.filter(({ name }) => name === "tapedeck_gaps_total").length;
    expect(told(parseExposition(text).samples)).toBe(told(samples));
  });

  test("counts lags exactly, in buckets that grow", () => {
    const { samples, value } = parseExposition(text);
    const lane = { exchange: "okx", stream: "bbo" };
    const buckets = samples.filter(({ name }) => name === "tapedeck_lag_seconds_bucket");
    // -3 counts as 0; 512 µs is in the first bucket, 513 µs is not.
    expect(buckets[0]).toMatchObject({ labels: { ...lane, le: "0.000512" }, value: 2 });
    expect(value("tapedeck_lag_seconds_bucket", { ...lane, le: "0.001024" })).toBe(3);
    expect(value("tapedeck_lag_seconds_bucket", { ...lane, le: "0.524288" })).toBe(3);
    expect(value("tapedeck_lag_seconds_bucket", { ...lane, le: "1.048576" })).toBe(4);
    expect(value("tapedeck_lag_seconds_bucket", { ...lane, le: "67.108864" })).toBe(4);
    expect(value("tapedeck_lag_seconds_bucket", { ...lane, le: "+Inf" })).toBe(5);
    expect(value("tapedeck_lag_seconds_count", lane)).toBe(5);
    expect(value("tapedeck_lag_seconds_sum", lane)).toBeCloseTo(91.001025, 6);
    expect(value("tapedeck_lag_negative_total", lane)).toBe(1);
    const edges = buckets.map(({ labels }) =>
      labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le),
    );
    expect(edges).toEqual(edges.toSorted((a, b) => a - b));
  });

  test("keeps odd texts in their place", () => {
    const odd = 'a "b" \\ c\nd 币安';
    const family: Family = {
      name: "tapedeck_odd",
      type: "gauge",
      help: "One\nline.",
      samples: [{ labels: { text: odd }, value: 1 }],
    };
    expect(parseExposition(exposition([family], format)).samples[0]?.labels).toEqual({ text: odd });
  });
});

test.skipIf(PROMTOOL === null)(
  "promtool finds nothing wrong (skipped where promtool is not installed)",
  async () => {
    const check = Bun.spawn([PROMTOOL ?? "", "check", "metrics"], {
      stdin: new Blob([exposition(familiesOf(madeUpSnapshot()), "text")]),
      stdout: "pipe",
      stderr: "pipe",
    });
    const words = (await check.stdout.text()) + (await check.stderr.text());
    expect([words, await check.exited]).toEqual(["", 0]);
  },
);
