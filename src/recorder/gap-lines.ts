import { exchangeByName } from "../exchanges/exchanges.ts";
import type { GapNotice } from "../ingest/messages.ts";
import type { Logger } from "../status/log.ts";

/** Lines about gaps of one exchange within {@link LINES_SPAN}; more are counted. */
const LINES_MAX = 20;
/** ms */
const LINES_SPAN = 60_000;
/** Symbols that are named in a line; of more it tells how many. */
const NAMES_MAX = 10;

/** A gap with its unified symbol. */
export interface NamedGap {
  readonly gap: GapNotice;
  /** null = all. */
  readonly symbol: string | null;
}

/** A gap with the unified symbol of its instrument. */
export function named(gap: GapNotice): NamedGap {
  const { exchange, instrument } = gap;
  return { gap, symbol: instrument === null ? null : exchangeByName(exchange).normalizeSymbol(instrument) };
}

/** Gaps that are one thing: the same stream, for the same reason, at the same time. */
interface Outage {
  readonly gap: GapNotice;
  readonly from: number;
  to: number;
  count: number;
  /** null = all. */
  symbols: Set<string> | null;
  /** null = not known of each. */
  missed: number | null;
}

/** What an exchange's log has had of late. */
interface Log {
  /** When its last lines were written, ms. */
  readonly written: number[];
  heldLines: number;
  heldGaps: number;
  /** Calls off that what was held back is told; null = nothing is. */
  callOff: (() => void) | null;
}

/** The time that the book of gaps goes by; a test has its own. */
export interface LinesTime {
  /** ms, never going back. */
  now(): number;
  /** Calls `run` in `ms`, and does not keep the process alive for it; what it returns calls that off. */
  later(run: () => void, ms: number): () => void;
}

/** The process' own. */
export const REAL_TIME: LinesTime = {
  now: () => performance.now(),
  later: (run, ms) => {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Writes the log lines of gaps: one for each outage, however many symbols it struck, and a bounded number a
 * minute for each exchange. What was held back is counted in a line `gaps_not_logged`.
 */
export class GapLines {
  readonly #log: Logger;
  readonly #max: number;
  readonly #span: number;
  readonly #time: LinesTime;
  readonly #logs = new Map<string, Log>();

  /**
   * @param bounds.lines of one exchange within `span`
   * @param bounds.span ms
   */
  constructor(
    log: Logger,
    bounds: { readonly lines?: number; readonly span?: number } = {},
    time: LinesTime = REAL_TIME,
  ) {
    this.#log = log;
    this.#time = time;
    this.#max = bounds.lines ?? LINES_MAX;
    this.#span = bounds.span ?? LINES_SPAN;
  }

  /** Writes the lines of gaps that were found together. */
  write(gaps: readonly NamedGap[]): void {
    for (const outage of outagesOf(gaps)) {
      const log = this.#logOf(outage.gap.exchange);
      const now = this.#time.now();
      const first = log.written.at(-this.#max);
      if (first !== undefined && now - first < this.#span) {
        log.heldLines++;
        log.heldGaps += outage.count;
        log.callOff ??= this.#time.later(
          () => this.#tellHeld(outage.gap.exchange, log),
          first + this.#span - now,
        );
        continue;
      }
      log.written.push(now);
      if (log.written.length > this.#max) log.written.shift();
      this.#line(outage);
    }
  }

  #logOf(exchange: string): Log {
    let log = this.#logs.get(exchange);
    if (log === undefined) {
      log = { written: [], heldLines: 0, heldGaps: 0, callOff: null };
      this.#logs.set(exchange, log);
    }
    return log;
  }

  #line({ gap, from, to, count, symbols, missed }: Outage): void {
    const { exchange, stream, reason, certainty, firstId, lastId } = gap;
    const fields = {
      exchange,
      stream,
      reason,
      certainty,
      symbols: symbols === null ? "all" : symbols.size > NAMES_MAX ? symbols.size : [...symbols],
      from: timeText(from),
      to: timeText(to),
      ...(missed === null ? {} : { missed }),
      ...(count === 1 && firstId !== null ? { first_id: firstId, last_id: lastId } : {}),
    };
    // What we did ourselves is no fault.
    if (certainty === "planned") this.#log.info("gap", fields);
    else this.#log.warn("gap", fields);
  }

  #tellHeld(exchange: string, log: Log): void {
    log.callOff?.();
    log.callOff = null;
    const { heldLines: lines, heldGaps: gaps } = log;
    log.heldLines = 0;
    log.heldGaps = 0;
    if (lines > 0) this.#log.warn("gaps_not_logged", { exchange, lines, count: gaps });
  }

  /** Tells what was held back and is not told yet. */
  close(): void {
    for (const [exchange, log] of this.#logs) this.#tellHeld(exchange, log);
  }
}

/** µs as ISO 8601; null = open. */
function timeText(us: number): string | null {
  return Number.isFinite(us) ? new Date(us / 1000).toISOString() : null;
}

/** Puts gaps together whose spans overlap, by stream and reason; in order of their beginnings. */
function outagesOf(gaps: readonly NamedGap[]): readonly Outage[] {
  const begin = ({ gap }: NamedGap) => gap.from ?? Number.NEGATIVE_INFINITY;
  const last = new Map<string, Outage>();
  const outages: Outage[] = [];
  for (const { gap, symbol } of gaps.toSorted((a, b) => (begin(a) < begin(b) ? -1 : 1))) {
    const { exchange, stream, reason, certainty, missed } = gap;
    const key = `${exchange} ${stream} ${reason} ${certainty}`;
    const from = gap.from ?? Number.NEGATIVE_INFINITY;
    const to = gap.to ?? Number.POSITIVE_INFINITY;
    const outage = last.get(key);
    if (outage === undefined || from > outage.to) {
      const symbols = symbol === null ? null : new Set([symbol]);
      const next: Outage = { gap, from, to, count: 1, symbols, missed };
      last.set(key, next);
      outages.push(next);
      continue;
    }
    outage.to = Math.max(outage.to, to);
    outage.count++;
    if (symbol === null) outage.symbols = null;
    else outage.symbols?.add(symbol);
    outage.missed = outage.missed === null || missed === null ? null : outage.missed + missed;
  }
  return outages;
}
