/**
 * Which of the missing events a recorder must have found out about, and how much of the time it calls a gap.
 */
import { RHYTHM, Rhythm } from "../../src/exchanges/watchdog/rhythm.ts";
import { SYMBOL_WATCH, SymbolWatch } from "../../src/exchanges/watchdog/symbol-watch.ts";
import type { FaultRecord } from "../../src/simulator/faults/record.ts";
import { type Gap, type Missing, type Reckoned, union } from "./reckoning.ts";

/** Faults of which silence is the only sign: what they withhold was never sent. */
const SILENT: readonly string[] = ["silence", "pings-only", "maintenance", "wrong-route"];
/** An event is taken to have been due this long after it was made, or as late as those around it were; µs. */
const DUE = 100_000;
/** A silence is looked for every quarter of a second, and not at all in a tick that came late; µs. */
const TICKS = 750_000;

/** Settings of the recorder, ms. */
export interface Patience {
  readonly silence: number;
  readonly symbolSilence: number;
  readonly firstDataQuiet: number;
}

/** A missing event that no gap covers; and the silence in which it lies, from the row or gap before to the next, µs. */
export interface Uncovered extends Missing {
  readonly before: number;
  readonly after: number;
}

/**
 * Events that lie in no gap of their stream and symbol. Gaps are spans of receive time, so what counts is when an
 * event would have come: between its making and as long after it as the rows made just before and behind it took.
 */
export function uncovered({ rows, missing, gaps }: Reckoned): Uncovered[] {
  const spans = union(gaps);
  const byMaking = rows.filter(({ made }) => !Number.isNaN(made)).sort((a, b) => a.made - b.made);
  const found: Uncovered[] = [];
  for (const one of missing) {
    const { madeUs } = one.event;
    const at = firstAt(byMaking, ({ made }) => made > madeUs);
    const around = [byMaking[at - 1], byMaking[at]].filter((row) => row !== undefined);
    const due = madeUs + Math.max(DUE, ...around.map(({ local, made }) => local - made));
    const span = spans[firstAt(spans, ({ to }) => to >= madeUs)];
    if (span !== undefined && span.from <= due) continue;
    const behind = firstAt(rows, ({ local }) => local > madeUs);
    const next = firstAt(spans, (other) => other.from > madeUs);
    found.push({
      ...one,
      before: Math.max(rows[behind - 1]?.local ?? Number.NEGATIVE_INFINITY, spans[next - 1]?.to ?? 0),
      after: Math.min(
        rows[behind]?.local ?? Number.POSITIVE_INFINITY,
        spans[next]?.from ?? Number.POSITIVE_INFINITY,
      ),
    });
  }
  return found;
}

/** Index of the first item that fits, where all behind it do. */
function firstAt<T>(list: readonly T[], fits: (item: T) => boolean): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (fits(list[middle] as T)) to = middle;
    else from = middle + 1;
  }
  return from;
}

/**
 * Whether nobody could have known: a fault withheld the event, so that it was never sent, and the silence was
 * shorter than what can be told from the rhythm of the symbol (or, where the whole connection was silent, of the
 * connection) so far. A silence that has been seen before is part of the rhythm, unless it was called a gap.
 *
 * @param channel receive times of all rows that came on the same connection, in order
 */
export function couldNotBeKnown(
  { event, copies, before, after }: Uncovered,
  of: Reckoned,
  channel: readonly number[],
  gapsOfChannel: readonly Gap[],
  faults: readonly FaultRecord[],
  patience: Patience,
): boolean {
  if (copies > 0) return false;
  const causes = faults.filter(
    ({ fault, startedUs, endedUs, symbols }) =>
      SILENT.includes(fault.kind) &&
      symbols.includes(event.symbol) &&
      (startedUs ?? Number.POSITIVE_INFINITY) <= event.madeUs &&
      (endedUs ?? Number.POSITIVE_INFINITY) >= (fault.kind === "wrong-route" ? before : event.madeUs),
  );
  return causes.some(({ fault }) => {
    if ("symbol" in fault && fault.symbol !== undefined) {
      // Liquidations are never judged: none for days is a good sign.
      if (of.stream === "liquidation") return true;
      return after - before <= once(of, before, () => symbolThreshold(of, before, patience)) + TICKS;
    }
    const at = firstAt(channel, (local) => local > event.madeUs);
    const from = channel[at - 1] ?? Number.NEGATIVE_INFINITY;
    const silence = Math.min(channel[at] ?? Number.POSITIVE_INFINITY, after) - from;
    const threshold = once(channel, from, () => connectionThreshold(channel, gapsOfChannel, from, patience));
    // New sockets that bring nothing are borne with for longer each time.
    const first = fault.kind === "wrong-route" ? 4 * patience.firstDataQuiet * 1000 : 0;
    return silence <= Math.max(first, threshold) + TICKS;
  });
}

/** Thresholds by what they are of and the begin of the silence: many events lie in one. */
const thresholds = new WeakMap<object, Map<number, number>>();

function once(of: object, since: number, threshold: () => number): number {
  let known = thresholds.get(of);
  if (known === undefined) {
    known = new Map();
    thresholds.set(of, known);
  }
  const value = known.get(since) ?? threshold();
  known.set(since, value);
  return value;
}

/** Silence (µs) from which on a symbol is overdue after its rows so far; infinite = its rhythm is not known. */
function symbolThreshold({ rows, gaps }: Reckoned, until: number, { symbolSilence }: Patience): number {
  const watch = new SymbolWatch({ ...SYMBOL_WATCH, floor: symbolSilence });
  const spans = union(gaps);
  for (const { local } of rows) {
    if (local > until) break;
    if (inGap(spans, local)) watch.pause(0);
    watch.observe(0, local);
  }
  const threshold = watch.threshold(0);
  return threshold <= SYMBOL_WATCH.judgedMax * 1000 ? threshold : Number.POSITIVE_INFINITY;
}

function connectionThreshold(
  locals: readonly number[],
  gaps: readonly Gap[],
  until: number,
  { silence }: Patience,
): number {
  const rhythm = new Rhythm({ ...RHYTHM, floor: silence });
  const spans = union(gaps);
  for (const local of locals) {
    if (local > until) break;
    if (inGap(spans, local)) rhythm.pause();
    rhythm.event(local);
  }
  return rhythm.threshold() ?? Number.POSITIVE_INFINITY;
}

/** Whether a gap ends here, give or take what the first event after it takes. */
function inGap(spans: readonly { from: number; to: number }[], local: number): boolean {
  const span = spans[firstAt(spans, ({ to }) => to >= local - TICKS)];
  return span !== undefined && span.from < local;
}

/** Seconds of `from` to `to` (µs) that these gaps cover. */
export function coveredBy(gaps: readonly Gap[], from: number, to: number): number {
  let sum = 0;
  for (const span of union(gaps)) sum += Math.max(0, Math.min(span.to, to) - Math.max(span.from, from));
  return sum / 1e6;
}
