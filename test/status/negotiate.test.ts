import { expect, test } from "bun:test";
import { type MetricsForm, metricsForm } from "../../src/status/negotiate.ts";

const CASES: readonly [string | null, MetricsForm, string][] = [
  [null, "json", "no header"],
  ["", "json", "an empty one"],
  ["*/*", "json", "curl"],
  ["application/json", "json", "a client of ours"],
  ["application/json, text/plain, */*", "json", "axios"],
  ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json", "a browser"],
  ["text/plain", "text", "text asked for"],
  ["text/*", "text", "any text"],
  ["TEXT/PLAIN; version=0.0.4", "text", "in capitals"],
  [
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "openmetrics",
    "Prometheus 3",
  ],
  ["text/plain;version=0.0.4;q=1,*/*;q=0.1", "text", "Prometheus 1"],
  ["text/plain;q=0, */*;q=0.1", "json", "text refused"],
  ["text/plain;q=nonsense", "json", "no quality"],
  [`${"x/y,".repeat(500)}text/plain`, "json", "beyond what is read"],
];

for (const [accept, form, name] of CASES) {
  test(`${form}: ${name}`, () => {
    expect(metricsForm(accept)).toBe(form);
  });
}
