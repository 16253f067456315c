/** A real Prometheus scrapes a real recorder; alerts fire in an outage, and not before it. */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { startBinance } from "../../src/simulator/binance.ts";
import { startRecorder } from "../helpers/recorder.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { waitFor } from "../helpers/wait.ts";
import { SEED } from "../lib/seed.ts";
import { panelQueries, read, rulesSchema, yaml } from "./repository.ts";

const prometheus = Bun.which("prometheus");
const cwd = scratchFolder("prometheus");
/** Far above what it takes. */
const TIMEOUT = 90_000;

const answerSchema = z.looseObject({
  status: z.literal("success"),
  data: z.looseObject({
    result: z.array(
      z.looseObject({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
    ),
  }),
});

/** Panels that may be empty in a run in which nothing goes wrong. */
const EMPTY_IS_WELL = ["Gaps", "Lag, p99", "Clocks", "Silent intervals"];

test.skipIf(prometheus === null)(
  "real Prometheus: nothing fires while all is well, and what should in an outage (needs prometheus)",
  async () => {
    console.log(`prometheus: TAPEDECK_TEST_SEED=${SEED}`);
    const exchange = startBinance({ seed: SEED, instruments: 5, rate: 500 });
    const recorder = await startRecorder({
      cwd,
      exchange,
      set: { "flush.interval": "500ms", "flush.slow_interval": "500ms", "flush.min_gap": "0ms" },
    });
    // The real rules, with shorter waits: an outage of a test lasts seconds. A recorder without processor answers a
    // scrape too late now and then, which is none.
    const short = (await read("deploy/prometheus/tapedeck.rules.yaml")).replace(/for: \w+/g, "for: 5s");
    await Bun.write(join(cwd, "rules.yaml"), short);
    const target = new URL(recorder.url).host;
    await Bun.write(
      join(cwd, "prometheus.yaml"),
      `global: { scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 500ms }
rule_files: [rules.yaml]
scrape_configs: [{ job_name: tapedeck, static_configs: [{ targets: ["${target}"] }] }]
`,
    );
    mkdirSync(join(cwd, "tsdb"));
    const port = freePort();
    const server = Bun.spawn(
      [
        prometheus ?? "",
        `--config.file=${join(cwd, "prometheus.yaml")}`,
        `--storage.tsdb.path=${join(cwd, "tsdb")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { cwd, stdout: "ignore", stderr: Bun.file(join(cwd, "prometheus.log")) },
    );
    const query = async (expr: string) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`);
      const text = await response.text();
      const parsed = answerSchema.safeParse(JSON.parse(text));
      if (!parsed.success) throw new Error(`${expr}: ${text}`);
      return parsed.data.data.result;
    };
    const firing = async () =>
      (await query('ALERTS{alertstate="firing"}')).map(({ metric }) => metric.alertname ?? "");
    const fires = (...names: string[]) =>
      waitFor(
        `${names.join(", ")} to fire`,
        async () => {
          const now = await firing();
          return names.every((name) => now.includes(name)) ? now : undefined;
        },
        { timeout: TIMEOUT, every: 100 },
      );
    try {
      await waitFor(
        "samples of a recorder that is READY",
        async () => {
          const samples = await query('tapedeck_state{state="READY"}').catch(() => []);
          return samples[0]?.value[1] === "1";
        },
        { timeout: TIMEOUT, every: 100 },
      );
      // Rates need a few scrapes.
      await waitFor(
        "three scrapes",
        async () => Number((await query("count_over_time(up[1m])"))[0]?.value[1]) >= 4,
        { timeout: TIMEOUT, every: 100 },
      );
      for (const { title, expr } of await panelQueries()) {
        const filled = expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "10s");
        if (EMPTY_IS_WELL.includes(title)) await query(filled);
        // Nothing stands there after a scrape that was answered too late, until the next one.
        else
          await waitFor(`the panel ${title}`, async () => (await query(filled)).length > 0, {
            timeout: TIMEOUT,
            every: 100,
          });
      }
      for (const { expr } of (
        await yaml("deploy/prometheus/tapedeck.rules.yaml", rulesSchema)
      ).groups.flatMap(({ rules }) => rules))
        await query(expr);
      expect(await firing()).toEqual([]);
      expect(Number((await query("sum(tapedeck_events_received_total)"))[0]?.value[1])).toBeGreaterThan(0);

      await exchange.stop();
      const now = await fires("TapedeckOffline", "TapedeckExchangeOffline");
      for (const wrong of ["TapedeckBalance", "TapedeckDown", "TapedeckError", "TapedeckDropping"])
        expect(now).not.toContain(wrong);
      const { code, end } = await recorder.stop();
      expect(code).toBe(0);
      expect(end.holds).toBe(true);
      await fires("TapedeckDown");
    } finally {
      server.kill();
      await server.exited;
      await exchange.stop();
    }
  },
  3 * TIMEOUT,
);

/** A port that was free a moment ago; Prometheus does not say which one it got. */
function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}
