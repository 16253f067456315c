/** Numbers as people read them, the same on the page and in the terminal. null = not known: "–", never 0. */

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const ONE_DIGIT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const UNKNOWN = "–";

/** A count, thousands separated: `1,234,567`. */
export function countText(count: number | null): string {
  return count === null ? UNKNOWN : WHOLE.format(count);
}

/** A count of something whose plural ends in s: `1 file`, `1,234 files`. */
export function countOf(count: number, thing: string): string {
  return `${countText(count)} ${thing}${count === 1 ? "" : "s"}`;
}

/** A rate; small ones with a digit after the point, so that a slow stream is not shown as a dead one. */
export function rateText(perSecond: number): string {
  if (perSecond > 0 && perSecond < 0.05) return "<0.1";
  return (perSecond < 10 ? ONE_DIGIT : WHOLE).format(perSecond);
}

/** Per cent: `0.3 %`, `83 %`. */
export function pctText(pct: number): string {
  if (pct > 0 && pct < 0.05) return "<0.1 %";
  return `${(pct < 10 ? ONE_DIGIT : WHOLE).format(pct)} %`;
}

/** Units of a span: from how many ms on, ms of one, name, and the smaller unit that stands beside it. */
const SPANS = [
  { from: 86_400_000, ms: 86_400_000, name: "d", smallerMs: 3_600_000, smaller: "h" },
  { from: 3_600_000, ms: 3_600_000, name: "h", smallerMs: 60_000, smaller: "min" },
  { from: 60_000, ms: 60_000, name: "min", smallerMs: 1000, smaller: "s" },
] as const;

/** A span of time, ms: `0.4 ms`, `12 ms`, `1.2 s`, `3 min 5 s`, `2 d 4 h`. May be negative (a lag by another clock). */
export function spanText(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  if (ms < 0) return `−${spanText(-ms)}`;
  // Limits stand half a unit of what is shown below the next unit: 59,960 ms are not "60 s".
  if (ms < 9.95) return `${ONE_DIGIT.format(ms)} ms`;
  if (ms < 999.5) return `${WHOLE.format(ms)} ms`;
  if (ms < 9950) return `${ONE_DIGIT.format(ms / 1000)} s`;
  if (ms < 59_500) return `${WHOLE.format(ms / 1000)} s`;
  for (const { from, ms: unit, name, smallerMs, smaller } of SPANS) {
    const rounded = Math.round(ms / smallerMs) * smallerMs;
    if (rounded < from) continue;
    const rest = Math.round((rounded % unit) / smallerMs);
    return `${WHOLE.format(Math.floor(rounded / unit))} ${name}${rest === 0 ? "" : ` ${rest} ${smaller}`}`;
  }
  return `${WHOLE.format(ms / 1000)} s`;
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** A size, bytes, rounded for reading: `512 B`, `1.5 MiB`. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < SIZES.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${(unit > 0 && value < 9.95 ? ONE_DIGIT : WHOLE).format(value)} ${SIZES[unit]}`;
}

/** Time of day of an instant (epoch ms), UTC: `05:31:02`. */
export function clockText(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}

/** An instant (epoch ms), UTC, as attribute values and JSON have it. */
export function isoText(at: number): string {
  return new Date(at).toISOString();
}
