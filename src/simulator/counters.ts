/** Exact counts of what was handed to sockets, per symbol and kind of stream. */

/** Counts by kind. */
export type KindCounts<Kind extends string> = Record<Kind, number>;

/**
 * One number per (symbol, kind). The slot of a pair is fixed, so counting is one array store.
 *
 * ```ts
 * const counters = new Counters(["BTCUSDT"], ["bookTicker", "aggTrade"]);
 * counters.counts[counters.slot(0, "aggTrade")]++;
 * ```
 */
export class Counters<Kind extends string> {
  /** Counts by slot. */
  readonly counts: Float64Array;
  readonly #symbols: readonly string[];
  readonly #kinds: readonly Kind[];

  constructor(symbols: readonly string[], kinds: readonly Kind[]) {
    this.#symbols = symbols;
    this.#kinds = kinds;
    this.counts = new Float64Array(symbols.length * kinds.length);
  }

  /** Where the count of this pair stands. */
  slot(symbol: number, kind: Kind): number {
    return symbol * this.#kinds.length + this.#kinds.indexOf(kind);
  }

  /** What is counted at a slot. */
  at(slot: number): { symbol: string; kind: Kind } {
    const symbol = this.#symbols[Math.floor(slot / this.#kinds.length)];
    const kind = this.#kinds[slot % this.#kinds.length];
    if (symbol === undefined || kind === undefined) throw new Error(`nothing is counted at ${slot}`);
    return { symbol, kind };
  }

  /** Sums over all symbols. */
  totals(): KindCounts<Kind> {
    const totals = this.#zero();
    for (let symbol = 0; symbol < this.#symbols.length; symbol++) {
      for (const kind of this.#kinds) totals[kind] += this.#at(symbol, kind);
    }
    return totals;
  }

  /** Counts of each symbol that was sent anything. */
  bySymbol(): Record<string, KindCounts<Kind>> {
    const all: Record<string, KindCounts<Kind>> = {};
    this.#symbols.forEach((name, symbol) => {
      const counts = this.#zero();
      for (const kind of this.#kinds) counts[kind] = this.#at(symbol, kind);
      if (this.#kinds.some((kind) => counts[kind] > 0)) all[name] = counts;
    });
    return all;
  }

  #at(symbol: number, kind: Kind): number {
    return this.counts[this.slot(symbol, kind)] ?? 0;
  }

  #zero(): KindCounts<Kind> {
    return Object.fromEntries(this.#kinds.map((kind) => [kind, 0])) as KindCounts<Kind>;
  }
}
