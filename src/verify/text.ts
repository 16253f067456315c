/** The report for people. */
import { type Cell, formatTable } from "../lib/table.ts";
import type { Coverage, Report } from "./report.ts";

/** Days that are shown one by one; more are summed up by stream. */
const DAYS_SHOWN = 120;

const count = (value: number): string => value.toLocaleString("en-US");
const MIB = 1024 * 1024;
const size = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
const round = (value: number): number => Math.round(value * 10) / 10;

/** Text of a report. */
export function reportText(report: Report): string {
  return [
    summary(report),
    coverageText(report.coverage),
    ...(report.notes.length > 0 ? [report.notes.map((note) => `note: ${note}`).join("\n")] : []),
    faultsText(report),
  ].join("\n\n");
}

const DEPTHS = {
  footers: "keys and footers; the rows need --deep, which downloads every file",
  rows: "keys, footers, key columns of every row; --deep also reads every column and every byte",
  deep: "every byte",
} as const;

function summary(report: Report): string {
  const {
    lakes,
    files,
    rows,
    bytes,
    depth,
    downloaded_bytes,
    ledger,
    claims,
    manifests,
    doubles,
    pending,
    drops,
  } = report;
  const lines: [string, string][] = [
    ["lake", lakes.join(" + ")],
    ["read", DEPTHS[depth] + (downloaded_bytes > 0 ? ` (${size(downloaded_bytes)} downloaded)` : "")],
    ["files", `${count(files)} with ${count(rows)} rows, ${size(bytes)}`],
    [
      "compared with",
      `${ledger === null ? "no ledger" : `the ledger ${ledger}`}, ${count(manifests)} manifests: ${count(claims)} files that have to be there`,
    ],
    ["seq", `${count(drops.missing)} numbers missing; ${count(drops.counted)} drops counted in gaps`],
  ];
  if (doubles > 0)
    lines.push([
      "doubles",
      `${count(doubles)} files are in both destinations until one is removed: counted once`,
    ]);
  if (pending.segments + pending.holes > 0)
    lines.push([
      "on their way",
      `${count(pending.segments)} segments, rows of gaps for ${count(pending.holes)} holes: not judged yet`,
    ]);
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join("\n");
}

function coverageText(coverage: readonly Coverage[]): string {
  if (coverage.length === 0) return "No files of streams.";
  const isLong = coverage.length > DAYS_SHOWN;
  const shown = isLong ? byStream(coverage) : coverage;
  const several = new Set(coverage.map(({ instance }) => instance)).size > 1;
  const rows = shown.map((one): Cell[] => [
    ...(several ? [one.instance] : []),
    one.exchange,
    one.stream,
    one.date,
    one.files,
    one.rows,
    one.gaps,
    one.gaps_per_million === null ? null : round(one.gaps_per_million),
    round(one.lost_s),
    round(one.possible_s),
    round(one.some_symbols_s),
    round(one.planned_s),
  ]);
  const head = [
    "exchange",
    "stream",
    "date",
    "files",
    "rows",
    "gaps",
    "per million",
    "lost s",
    "possible s",
    "some symbols s",
    "planned s",
  ];
  return [
    formatTable(several ? ["instance", ...head] : head, rows),
    "Seconds not covered, by the dataset gaps; what overlaps counts once, for the first of lost, possible, planned, some symbols.",
    ...(isLong ? [`${coverage.length} days are summed up by stream; --json has each.`] : []),
  ].join("\n");
}

/** Sums over days. */
function byStream(coverage: readonly Coverage[]): Coverage[] {
  const groups = Map.groupBy(
    coverage,
    ({ instance, exchange, stream }) => `${instance} ${exchange} ${stream}`,
  );
  return [...groups.values()].flatMap((days) => {
    const [first] = days;
    if (first === undefined) return [];
    const sum = (value: (day: Coverage) => number) => days.reduce((total, day) => total + value(day), 0);
    const rows = sum((day) => day.rows);
    const gaps = sum((day) => day.gaps);
    return [
      {
        ...first,
        date: `${days.length} days`,
        files: sum((day) => day.files),
        rows,
        gaps,
        gaps_per_million: rows === 0 ? null : (1e6 * gaps) / rows,
        lost_s: sum((day) => day.lost_s),
        possible_s: sum((day) => day.possible_s),
        planned_s: sum((day) => day.planned_s),
        some_symbols_s: sum((day) => day.some_symbols_s),
      },
    ];
  });
}

function faultsText({ faults, faults_total, clean }: Report): string {
  if (clean) return "No fault.";
  const lines: string[] = [`${count(faults_total)} ${faults_total === 1 ? "fault" : "faults"}:`];
  let file = "";
  for (const { kind, file: at, where, message, mend } of faults) {
    if (at !== file) lines.push("", `${at} in ${where}`);
    file = at;
    lines.push(`  ${kind}: ${message}`, `    mend: ${mend}`);
  }
  if (faults_total > faults.length)
    lines.push("", `${count(faults_total - faults.length)} more; raise verify.max_faults to see them.`);
  return lines.join("\n");
}
