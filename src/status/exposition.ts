/**
 * Prometheus' text formats: 0.0.4, which every version reads, and OpenMetrics 1.0.0. Both are a line for each number;
 * a client library would bring registries and timers of its own, for what is here a table and two formatters.
 */

/** Labels of a sample. */
export type Labels = Readonly<Record<string, string>>;

/** One number. `suffix`: `_bucket`, `_sum` or `_count` of a histogram. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
  readonly suffix?: string;
}

/** Metrics of one name. The name of a counter ends in `_total`, that of one with a unit in the unit. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram" | "info";
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Content types of the formats. */
export const CONTENT_TYPES = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
} as const;

/** The text of all families. */
export function exposition(families: readonly Family[], format: keyof typeof CONTENT_TYPES): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of families) {
    // OpenMetrics names a counter without its suffix, and knows a type for what 0.0.4 calls a gauge.
    const open = format === "openmetrics";
    const family = open && type === "counter" ? name.replace(/_total$/, "") : name;
    const metric = type === "info" ? `${name}_info` : name;
    lines.push(`# HELP ${open ? family : metric} ${escaped(help)}`);
    lines.push(`# TYPE ${open ? family : metric} ${type === "info" && !open ? "gauge" : type}`);
    for (const { labels = {}, value, suffix = "" } of samples)
      lines.push(`${metric}${suffix}${labelText(labels)} ${numberText(value)}`);
  }
  if (format === "openmetrics") lines.push("# EOF");
  return `${lines.join("\n")}\n`;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${quotedText(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function quotedText(text: string): string {
  return escaped(text).replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
