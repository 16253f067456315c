/** What a stage of the bench answers, and what is printed and stored of it. */
import { type Spread, spreadOf } from "./statistics.ts";

/** One line of the table. Whatever a stage cannot tell is left out. */
export interface Figure {
  readonly name: string;
  /** CPU time of the measured process, user and system, all threads, ns an event. */
  readonly cpuNs?: Spread;
  /** By the clock; events taken while the stage had the machine. */
  readonly perSecond?: Spread;
  /** Bytes an event takes in the form that the stage handles: frame, ring row, journal, file. */
  readonly bytes?: number;
  /** Share of ring places in use, %: mean and 99th percentile of samples, and the highest ever by the ring's own count. */
  readonly ring?: { readonly mean: number; readonly p99: number; readonly highWater: number };
  readonly drops?: number;
  /** From the moment a frame was written by the source to its receive time, ms. */
  readonly lag?: { readonly p50: number; readonly p99: number; readonly p999: number };
  /** Largest resident memory of the measured process, MiB. */
  readonly rss?: number;
  /** Share of CPU time that garbage collection took, %. */
  readonly gc?: number;
  /** CPU time of the load source, ns an event; not counted as ours. */
  readonly sourceNs?: number;
  /** Whatever else is worth a word. */
  readonly note?: string;
}

/** A promise with its figure. */
export interface Bar {
  readonly name: string;
  readonly value: Spread;
  readonly is: "at most" | "at least";
  readonly bar: number;
  readonly aim?: number;
  readonly unit?: string;
}

/** The answer of a stage. */
export interface StageReport {
  readonly stage: string;
  readonly figures: readonly Figure[];
  readonly bars: readonly Bar[];
  /** Method in one sentence each, and what was left out, by name. */
  readonly notes: readonly string[];
}

/** Whether a bar is met by its median. */
export function isMet({ value, is, bar }: Bar): boolean {
  return is === "at most" ? value.median <= bar : value.median >= bar;
}

/** One reading as a spread. */
export const single = (value: number): Spread => spreadOf([value]);

function short(value: number): string {
  if (Number.isNaN(value)) return "-";
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 1 ? 2 : 3);
}

function spelled(spread: Spread | undefined): string {
  if (spread === undefined) return "";
  if (spread.n < 2) return short(spread.median);
  return `${short(spread.median)} [${short(spread.min)}–${short(spread.max)}]`;
}

const numbers = (...values: readonly number[]) => values.map(short).join(" / ");

type Cell = (figure: Figure, ceiling: Figure | null) => string;

const COLUMNS: Readonly<Record<string, Cell>> = {
  "": (figure) => figure.name,
  "CPU ns/event": ({ cpuNs }) => spelled(cpuNs),
  "× ceiling": ({ cpuNs }, ceiling) =>
    cpuNs === undefined || ceiling?.cpuNs === undefined ? "" : short(cpuNs.median / ceiling.cpuNs.median),
  "events/s": ({ perSecond }) => spelled(perSecond),
  "of ceiling": ({ perSecond }, ceiling) =>
    perSecond === undefined || ceiling?.perSecond === undefined
      ? ""
      : `${((100 * perSecond.median) / ceiling.perSecond.median).toFixed(0)} %`,
  "bytes/event": ({ bytes }) => (bytes === undefined ? "" : short(bytes)),
  "ring % mean / p99 / high": ({ ring }) =>
    ring === undefined ? "" : numbers(ring.mean, ring.p99, ring.highWater),
  drops: ({ drops }) => (drops === undefined ? "" : String(drops)),
  "lag ms p50 / p99 / p99.9": ({ lag }) => (lag === undefined ? "" : numbers(lag.p50, lag.p99, lag.p999)),
  "RSS MiB": ({ rss }) => (rss === undefined ? "" : rss.toFixed(0)),
  "GC %": ({ gc }) => (gc === undefined ? "" : short(gc)),
  "source ns": ({ sourceNs }) => (sourceNs === undefined ? "" : short(sourceNs)),
  note: ({ note }) => note ?? "",
};

/** A stage's figures as a table in Markdown, its bars and its notes; `ceiling` = receiving alone, in the same run. */
export function printed({ stage, figures, bars, notes }: StageReport, ceiling: Figure | null): string {
  const rows = figures.map((figure) => Object.values(COLUMNS).map((cell) => cell(figure, ceiling)));
  const heads = Object.keys(COLUMNS);
  const used = heads.map((_, i) => i === 0 || rows.some((row) => row[i] !== ""));
  const keep = (cells: readonly string[]) => cells.filter((_, i) => used[i]);
  const table = [heads, ...rows].map(keep);
  const widths = keep(heads).map((_, i) => Math.max(...table.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = table;
  const lines = [`## ${stage}`, ""];
  if (rows.length > 0)
    lines.push(line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line), "");
  for (const bar of bars) lines.push(spelledBar(bar));
  if (bars.length > 0) lines.push("");
  for (const note of notes) lines.push(`* ${note}`);
  return `${lines.join("\n").trimEnd()}\n`;
}

function spelledBar(bar: Bar): string {
  const { name, value, is, bar: limit, aim, unit = "" } = bar;
  const aimed = aim === undefined ? "" : `, aim ${short(aim)}`;
  return `${isMet(bar) ? "met    " : "NOT MET"}  ${name}: ${spelled(value)}${unit} (${is} ${short(limit)}${unit}${aimed})`;
}
