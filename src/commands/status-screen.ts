/** What `tapedeck status` shows: the page's table and figures, for a terminal of any width. */
import { clockText, countOf, countText, pctText, rateText, sizeText, spanText } from "../lib/readable.ts";
import { formatTable } from "../lib/table.ts";
import type { Health, Live, LiveStream } from "../status/live.ts";
import { BALANCE_TERMS, balanceVerdict } from "../status/page/balance-view.ts";
import { type RateHistory, seriesName } from "../status/page/history.ts";
import { BREAKER_WORDS } from "../status/page/storage-view.ts";
import type { State } from "../status/state.ts";

/** How it is shown. */
export interface ScreenOptions {
  /** Columns of the terminal; null = no bound. */
  readonly width: number | null;
  readonly colour: boolean;
  /** Rates of the seconds before; null = none are known, and there are no charts. */
  readonly history: RateHistory | null;
}

/** Seconds that a chart shows. */
export const CHART_SECONDS = 20;
/** Room for the names of the figures. */
const LABEL = " ".repeat(9);
/** Gaps, and log lines of warn and error, that are shown. */
const RECENT_SHOWN = 5;

type Tone = "good" | "warn" | "bad" | "dim" | "bold" | "plain";
const CODES: Readonly<Record<Tone, string>> = {
  good: "32",
  warn: "33",
  bad: "31",
  dim: "2",
  bold: "1",
  plain: "0",
};
type Paint = (tone: Tone, text: string) => string;

const STATE_LOOKS: Readonly<Record<State, { sign: string; tone: Tone }>> = {
  READY: { sign: "✓", tone: "good" },
  DEGRADED: { sign: "▲", tone: "warn" },
  OFFLINE: { sign: "○", tone: "bad" },
  ERROR: { sign: "✗", tone: "bad" },
};
const HEALTH_LOOKS: Readonly<Record<Health, { sign: string; tone: Tone }>> = {
  fresh: { sign: "●", tone: "good" },
  waiting: { sign: "○", tone: "dim" },
  silent: { sign: "◌", tone: "warn" },
  lagging: { sign: "◐", tone: "warn" },
  offline: { sign: "×", tone: "bad" },
};

/** What an exchange, a proxy or a bucket said must not steer the terminal. */
const CONTROL = /\p{Cc}|\p{Cf}/gu;

function plain(text: string): string {
  return text.replace(CONTROL, "\ufffd");
}

/** The screen, without a line break at its end. */
export function statusScreen(live: Live, { width, colour, history }: ScreenOptions): string {
  const paint: Paint = (tone, text) =>
    colour && tone !== "plain" ? `\x1b[${CODES[tone]}m${text}\x1b[0m` : text;
  const lines = [
    ...headLines(live, paint, width),
    "",
    ...streamLines(live, paint, width, history),
    "",
    ...figureLines(live, paint, width),
    ...recentLines(live, paint, width),
  ];
  // One word alone may be wider than a terminal.
  return lines
    .flatMap((line) => (width === null ? line : Bun.wrapAnsi(line, width, { hard: true, trim: false })))
    .join("\n");
}

function headLines(live: Live, paint: Paint, width: number | null): string[] {
  const { sign, tone } = STATE_LOOKS[live.state];
  const reason = plain(live.reason).split(" ");
  return [
    ...flow([paint(tone, paint("bold", `${sign} ${live.state}`)), "", ...reason], { width, between: " " }),
    ...flow(
      [
        plain(live.instance),
        `tapedeck ${plain(live.version)}`,
        `up ${spanText(live.uptime * 1000)}`,
        `since ${clockText(live.since)} UTC`,
        `as of ${clockText(live.at)} UTC`,
      ].map((part) => paint("dim", part)),
      { width },
    ),
  ];
}

/** Parts in lines of at most `width` columns, the second and further ones indented. */
function flow(
  parts: readonly string[],
  { width, label = "", between = " · " }: { width: number | null; label?: string; between?: string },
): string[] {
  const indent = " ".repeat(Bun.stringWidth(label));
  const lines: string[] = [];
  let line = label;
  let empty = true;
  for (const part of parts) {
    const longer = empty ? line + part : line + between + part;
    if (!empty && width !== null && Bun.stringWidth(longer) > width) {
      lines.push(line);
      line = indent + part;
    } else line = longer;
    empty = false;
  }
  return [...lines, line];
}

interface Column {
  readonly head: string;
  readonly right: boolean;
  /** Columns of the highest number go first where the terminal is too narrow; 0 = never. */
  readonly spare: number;
  readonly text: (row: LiveStream) => string;
}

function columnsOf(paint: Paint, history: RateHistory | null): Column[] {
  const count = (tone: Tone, value: number) => paint(value > 0 ? tone : "dim", countText(value));
  const health = ({ health }: LiveStream) =>
    paint(HEALTH_LOOKS[health].tone, `${HEALTH_LOOKS[health].sign} ${health}`);
  const columns: Column[] = [
    { head: "exchange", right: false, spare: 0, text: ({ exchange }) => plain(exchange) },
    { head: "stream", right: false, spare: 0, text: ({ stream }) => plain(stream) },
    { head: "health", right: false, spare: 1, text: health },
    { head: "events/s", right: true, spare: 0, text: ({ events_per_sec: rate }) => rateText(rate) },
    { head: "lag p50", right: true, spare: 7, text: ({ lag_p50_ms: lag }) => spanText(lag) },
    { head: "lag p99", right: true, spare: 2, text: ({ lag_p99_ms: lag }) => spanText(lag) },
    { head: "last event", right: true, spare: 3, text: ({ age_ms: age }) => spanText(age) },
    { head: "gaps 15m", right: true, spare: 4, text: ({ gaps_15m: gaps }) => count("warn", gaps) },
    { head: "dropped", right: true, spare: 5, text: ({ dropped_total: drops }) => count("bad", drops) },
    {
      head: "ring",
      right: true,
      spare: 6,
      text: ({ ring_pct: pct }) => paint(pct > 80 ? "bad" : "plain", pctText(pct)),
    },
  ];
  if (history !== null) {
    const text = (row: LiveStream) => chart(history.rates(seriesName(row)));
    columns.splice(4, 0, { head: `last ${CHART_SECONDS} s`, right: true, spare: 8, text });
  }
  return columns;
}

const BARS = "▁▂▃▄▅▆▇█";

/** Rates as a line of bars, newest at the right. */
function chart(rates: readonly number[]): string {
  const top = Math.max(...rates);
  return rates
    .slice(-CHART_SECONDS)
    .map((rate) => BARS[top === 0 ? 0 : Math.round((rate / top) * (BARS.length - 1))])
    .join("");
}

function streamLines(live: Live, paint: Paint, width: number | null, history: RateHistory | null): string[] {
  let columns = columnsOf(paint, history);
  for (;;) {
    const lines = formatTable(
      columns.map(({ head }) => head),
      live.streams.map((row) => columns.map(({ text }) => text(row))),
      columns.map(({ right }) => right),
    ).split("\n");
    const most = Math.max(...columns.map(({ spare }) => spare));
    if (width === null || most === 0 || Math.max(...lines.map((line) => Bun.stringWidth(line))) <= width) {
      return lines.map((line, index) => (index < 2 ? paint("dim", line) : line));
    }
    columns = columns.filter(({ spare }) => spare !== most);
  }
}

function figureLines(live: Live, paint: Paint, width: number | null): string[] {
  const { balance, queue, writer, outbox, journal, windows_15m: windows } = live;
  const tone = (bad: Tone, value: number) => (value > 0 ? bad : "plain");
  const terms = (side: keyof typeof BALANCE_TERMS) =>
    BALANCE_TERMS[side].map(([key, name]) => {
      const value = Number(balance[key]);
      return paint(key === "dropped" ? tone("bad", value) : "plain", `${name} ${countText(value)}`);
    });
  const verdict = paint(
    balance.holds ? "good" : "bad",
    `${balance.holds ? "✓" : "✗"} ${balanceVerdict(balance)}`,
  );
  const bound = (bytes: number, max: number) => sizeText(bytes) + (max === 0 ? "" : ` of ${sizeText(max)}`);
  return [
    ...flow(
      live.exchanges.map(({ exchange, open, connections }) =>
        paint(open < connections ? "bad" : "plain", `${plain(exchange)} ${open} of ${connections}`),
      ),
      { width, label: "sockets  " },
    ),
    ...flow(
      [
        paint(tone("bad", windows.drops), `${countText(windows.drops)} dropped`),
        paint(tone("warn", windows.gaps), `${countText(windows.gaps)} gaps`),
        paint(tone("warn", windows.silences), `${countText(windows.silences)} silences`),
        paint(tone("warn", windows.reconnects), `${countText(windows.reconnects)} reconnects`),
      ],
      { width, label: "15 min   " },
    ),
    ...flow(
      [
        `${countText(queue.size)} of ${countText(queue.maxsize)}`,
        ...(queue.fullest === "" ? [] : [`fullest ${plain(queue.fullest)} ${pctText(queue.fullest_pct)}`]),
      ],
      { width, label: "queue    " },
    ),
    ...flow(
      [
        `${countOf(writer.total_written, "row")} in ${countOf(writer.files_written, "file")} published`,
        writer.last_write === null ? "none yet" : `last ${spanText(live.at - writer.last_write)} ago`,
        `${countOf(writer.pending_events, "row")} pending`,
        paint(tone("warn", writer.upload_failures), countOf(writer.upload_failures, "failed upload")),
      ],
      { width, label: "writer   " },
    ),
    ...flow(
      [
        `${countOf(outbox.files, "file")}, ${bound(outbox.bytes, outbox.max_bytes)}`,
        ...(outbox.age_ms === null ? [] : [`oldest ${spanText(outbox.age_ms)}`]),
        `journal ${bound(journal.bytes, journal.max_bytes)}`,
        `memory ${sizeText(live.rss_mb * 2 ** 20)}`,
      ],
      { width, label: "outbox   " },
    ),
    ...live.destinations.flatMap(({ destination, state, files, error }) => [
      ...flow([paint(state === "closed" ? "plain" : "bad", BREAKER_WORDS[state]), countOf(files, "file")], {
        width,
        label: plain(destination).padEnd(LABEL.length),
      }),
      ...(error === null ? [] : words(error, "bad", paint, width)),
    ]),
    ...flow([verdict], { width, label: "balance  " }),
    ...flow([...separated(terms("in"), ""), ...separated(terms("out"), "= ")], {
      width,
      label: LABEL,
      between: " ",
    }),
  ];
}

/** A text below a label, wrapped. */
function words(text: string, tone: Tone, paint: Paint, width: number | null): string[] {
  const parts = plain(text).split(" ");
  return flow(
    parts.map((part) => paint(tone, part)),
    { width, label: LABEL, between: " " },
  );
}

/** Terms with what stands before each: `first` before the first one, "+" before the others. */
function separated(terms: readonly string[], first: string): string[] {
  return terms.map((term, index) => (index === 0 ? first : "+ ") + term);
}

function recentLines(live: Live, paint: Paint, width: number | null): string[] {
  const gaps = live.gaps.slice(0, RECENT_SHOWN).map((gap) => {
    const length = gap.from === null || gap.to === null ? "open" : spanText(gap.to - gap.from);
    const missed = gap.missed === null ? "" : `, ${countText(gap.missed)} missed`;
    const where = `${gap.exchange}/${gap.stream} ${gap.symbol ?? "all symbols"}`;
    return `${paint("dim", clockText(gap.at))} ${plain(`${where}: ${gap.reason}, ${gap.certainty}, ${length}${missed}`)}`;
  });
  const logs = live.logs
    .filter(({ level }) => level === "warn" || level === "error")
    .slice(0, RECENT_SHOWN)
    .map(
      ({ at, level, event, text }) =>
        `${paint("dim", clockText(at))} ${paint(level === "error" ? "bad" : "warn", level)} ${plain(`${event} ${text}`)}`,
    );
  const part = (title: string, lines: readonly string[]) =>
    lines.length === 0
      ? []
      : [
          "",
          paint("bold", title),
          ...lines.flatMap((line) => flow(line.split(" "), { width, between: " " })),
        ];
  return [...part("Recent gaps", gaps), ...part("Recent warnings", logs)];
}
