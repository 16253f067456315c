/** Alerts and dashboard against the metrics that the program really exports. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { METRICS } from "../../src/status/prometheus.ts";
import { panelQueries, ROOT, read, rulesSchema, yaml } from "./repository.ts";

const SUFFIXES = { histogram: ["_bucket", "_sum", "_count"], info: ["_info"], counter: [""], gauge: [""] };
const EXPORTED = new Set(METRICS.flatMap(({ name, type }) => SUFFIXES[type].map((suffix) => name + suffix)));
const RULES = "deploy/prometheus/tapedeck.rules.yaml";
const promtool = Bun.which("promtool");

function strangers(text: string): readonly string[] {
  const names = text.match(/\btapedeck_[a-z0-9_]+/g) ?? [];
  expect(names.length).toBeGreaterThan(10);
  return [...new Set(names)].filter((name) => !EXPORTED.has(name));
}

async function rules() {
  return (await yaml(RULES, rulesSchema)).groups.flatMap((group) => group.rules);
}

describe("alerts", () => {
  test("use metrics that are exported", async () => {
    expect(strangers(await read(RULES))).toEqual([]);
    expect(strangers(await read("deploy/prometheus/tapedeck.rules.test.yaml"))).toEqual([]);
  });

  test("each has a case that fires it, and a line in docs/deployment.md", async () => {
    const cases = await read("deploy/prometheus/tapedeck.rules.test.yaml");
    const page = await read("docs/deployment.md");
    const all = await rules();
    expect(all.length).toBeGreaterThan(15);
    const told = [...page.matchAll(/^\| `(Tapedeck\w+)` \| (\w+) \|/gm)].map(([, name, severity]) => ({
      name,
      severity,
    }));
    expect(told).toEqual(all.map(({ alert, labels }) => ({ name: alert, severity: labels.severity })));
    for (const { alert } of all) expect(cases).toContain(`alertname="${alert}", alertstate="firing"`);
  });

  test("are there for what an operator must know", async () => {
    const expressions = (await rules()).map(({ expr }) => expr).join("\n");
    for (const metric of [
      'state{state="ERROR"}',
      'state{state="OFFLINE"}',
      'state{state="DEGRADED"}',
      "stream_dropped_total",
      "silence_intervals_total",
      "lag_seconds_bucket",
      "outbox_age_seconds",
      "upload_failures_total",
      "balance_holds",
    ])
      expect(expressions).toContain(`tapedeck_${metric}`);
  });

  test.skipIf(promtool === null)(
    "promtool: rules are right, and fire when they should (needs promtool)",
    () => {
      for (const args of [
        ["check", "rules", RULES],
        ["test", "rules", "deploy/prometheus/tapedeck.rules.test.yaml"],
      ]) {
        const { exitCode, stdout, stderr } = Bun.spawnSync([promtool ?? "", ...args], { cwd: ROOT });
        expect({ args, exitCode, output: `${stdout}${stderr}` }).toMatchObject({ exitCode: 0 });
      }
    },
  );

  test.skipIf(promtool === null)("promtool: the scrape configuration is right (needs promtool)", async () => {
    // The rules are elsewhere in a container.
    const config = (await read("deploy/prometheus/prometheus.yaml")).replace("/etc/prometheus/", "");
    const { exitCode, stdout, stderr } = Bun.spawnSync(
      [promtool ?? "", "check", "config", "--syntax-only", "/dev/stdin"],
      {
        cwd: join(ROOT, "deploy/prometheus"),
        stdin: Buffer.from(config),
      },
    );
    expect({ exitCode, output: `${stdout}${stderr}` }).toMatchObject({ exitCode: 0 });
  });
});

describe("the dashboard", () => {
  test("uses metrics that are exported", async () => {
    const queries = await panelQueries();
    expect(queries.length).toBeGreaterThan(20);
    expect(strangers(queries.map(({ expr }) => expr).join("\n"))).toEqual([]);
  });

  test("asks for the instances that were chosen only", async () => {
    for (const { title, expr } of await panelQueries()) {
      const selectors = expr.match(/\btapedeck_[a-z0-9_]+(\{[^}]*\})?/g) ?? [];
      for (const selector of selectors) expect(`${title}: ${selector}`).toContain('instance=~"$instance"');
    }
  });
});
