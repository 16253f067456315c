/** A strict reader of Prometheus' text formats, for what the program writes. */

/** What was read. */
export interface Exposition {
  /** Names of families with type and help. */
  readonly families: ReadonlyMap<string, { readonly type: string; readonly help: string }>;
  readonly samples: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
  /** The one sample of this name and exactly these labels. @throws Error when there is none, or more. */
  value(name: string, labels?: Readonly<Record<string, string>>): number;
}

/** `/metrics` as a Prometheus server asks for it, or in the older format. */
export async function prometheusText(
  url: string,
  accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
): Promise<string> {
  const response = await fetch(`${url}/metrics`, { headers: { accept } });
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`);
  return response.text();
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(,|$)/y;

/** Reads a text. @throws Error that names the first line that breaks the rules. */
export function parseExposition(text: string): Exposition {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const families = new Map<string, { type: string; help: string }>();
  const samples: { name: string; labels: Record<string, string>; value: number }[] = [];
  const seen = new Set<string>();
  let current = "";
  let ended = false;
  for (const line of text.slice(0, -1).split("\n")) {
    const wrong = (why: string) => new Error(`${why}: ${line}`);
    if (ended) throw wrong("a line after # EOF");
    if (line === "# EOF") {
      ended = true;
      continue;
    }
    const [, kind, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind !== undefined) {
      if (!NAME.test(name)) throw wrong("no name");
      const known = families.get(name) ?? { type: "", help: "" };
      if (kind === "HELP" && known.help !== "") throw wrong("a family twice");
      families.set(name, kind === "HELP" ? { ...known, help: rest } : { ...known, type: rest });
      current = name;
      continue;
    }
    const [, metric, inner = "", number = ""] = SAMPLE.exec(line) ?? [];
    if (metric === undefined) throw wrong("no sample");
    const family = families.get(current);
    if (family === undefined || family.type === "") throw wrong("a sample without type");
    const suffix = metric.startsWith(current) ? metric.slice(current.length) : "?";
    const allowed: Record<string, readonly string[]> = {
      counter: ["", "_total"],
      gauge: [""],
      info: ["_info"],
      histogram: ["_bucket", "_sum", "_count"],
    };
    if (allowed[family.type]?.includes(suffix) !== true) throw wrong(`not of ${current}`);
    const labels: Record<string, string> = {};
    LABEL.lastIndex = 0;
    while (LABEL.lastIndex < inner.length) {
      const label = LABEL.exec(inner);
      if (label === null) throw wrong("labels");
      labels[label[1] ?? ""] = (label[2] ?? "").replace(/\\(.)/g, (_, one: string) =>
        one === "n" ? "\n" : one,
      );
    }
    const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
    if (Number.isNaN(value)) throw wrong("no number");
    const key = `${metric}{${inner}}`;
    if (seen.has(key)) throw wrong("a sample twice");
    seen.add(key);
    samples.push({ name: metric, labels, value });
  }
  const words = (labels: Readonly<Record<string, string>>) => JSON.stringify(Object.entries(labels).sort());
  return {
    families,
    samples,
    value(name, labels = {}) {
      const found = samples.filter((one) => one.name === name && words(one.labels) === words(labels));
      if (found.length !== 1) throw new Error(`${found.length} samples ${name} ${words(labels)}`);
      return found[0]?.value ?? Number.NaN;
    },
  };
}
