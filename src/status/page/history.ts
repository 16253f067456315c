/** Rates of the last minute, second by second: what the small charts show. */

/** What it reads: a part of {@link import("../live.ts").Live}. */
interface Reading {
  readonly at: number;
  readonly streams: readonly {
    readonly exchange: string;
    readonly stream: string;
    readonly events_total: number;
  }[];
}

/** Name of a series: a stream of an exchange. */
export function seriesName({ exchange, stream }: { exchange: string; stream: string }): string {
  return `${exchange}/${stream}`;
}

/** A series: the readings that the next rate spans, and the rates so far; both oldest first. */
interface Series {
  readonly readings: { readonly at: number; readonly total: number }[];
  readonly rates: number[];
}

/**
 * Rates by series, events/s, from readings of growing counters.
 *
 * Bounded: `length` rates for each series of the last reading; a series that is not in it is forgotten.
 */
export class RateHistory {
  readonly #length: number;
  readonly #span: number;
  #series = new Map<string, Series>();
  #at = Number.NEGATIVE_INFINITY;

  /**
   * @param length rates that are remembered
   * @param span readings back to which a rate goes: what comes once a second, read once a second, would be 0 and 2 by turns
   */
  constructor(length: number, span: number) {
    this.#length = length;
    this.#span = span;
  }

  /** Takes a reading; one that is not newer than the last changes nothing. */
  add({ at, streams }: Reading): void {
    if (at <= this.#at) return;
    this.#at = at;
    const series = new Map<string, Series>();
    for (const row of streams) {
      const name = seriesName(row);
      const known = this.#series.get(name) ?? { readings: [], rates: [] };
      this.#take(known, at, row.events_total);
      series.set(name, known);
    }
    this.#series = series;
  }

  #take({ readings, rates }: Series, at: number, total: number): void {
    const last = readings.at(-1);
    if (last !== undefined) {
      // A counter that has gone back is one of another run: nothing is known between the two.
      if (total < last.total) readings.splice(0, readings.length, { at: last.at, total });
      const first = readings[0] ?? last;
      rates.push(((total - first.total) * 1000) / (at - first.at));
      if (rates.length > this.#length) rates.shift();
    }
    readings.push({ at, total });
    if (readings.length > this.#span) readings.shift();
  }

  /** Rates of a series, oldest first; fewer than asked for at the start. */
  rates(name: string): readonly number[] {
    return this.#series.get(name)?.rates ?? [];
  }

  /** Rates of all series together, oldest first. */
  total(): readonly number[] {
    const all = [...this.#series.values()];
    const length = Math.max(0, ...all.map(({ rates }) => rates.length));
    return Array.from({ length }, (_, index) =>
      all.reduce((sum, { rates }) => sum + (rates[rates.length - length + index] ?? 0), 0),
    );
  }
}
