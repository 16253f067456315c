import type { SymbolWatch } from "../exchanges/watchdog/symbol-watch.ts";

/** How often it is looked for symbols without a trade, µs. */
const LOOKED_AFTER = 1_000_000;

/** A subscription that has brought no trade since it was accepted. */
interface Unheard {
  readonly symbol: number;
  /** µs */
  readonly since: number;
  /** Rows of both streams then. */
  readonly trades: number;
  readonly quotes: number;
}

/**
 * Finds symbols whose trades were accepted and are dead, before any rhythm of theirs is known: no market changes its
 * best bid and offer that often without a single trade. A quiet market does not get there: its quotes are few as well.
 */
export class UnheardTrades {
  readonly #quotesMax: number;
  readonly #patience: number;
  readonly #rowsOf: (stream: "trade" | "bbo", symbol: number) => number;
  readonly #watch: () => Pick<SymbolWatch, "suspect"> | undefined;
  readonly #unheard = new Map<string, Unheard>();
  #lookedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param options.quotesMax rows of bbo without a trade that are too many
   * @param options.patience and not before this time, ms
   */
  constructor(options: {
    quotesMax: number;
    patience: number;
    /** Rows of a symbol so far. */
    rowsOf(stream: "trade" | "bbo", symbol: number): number;
    /** The watch over trades; undefined = they are not recorded. */
    watch(): Pick<SymbolWatch, "suspect"> | undefined;
  }) {
    this.#quotesMax = options.quotesMax;
    this.#patience = options.patience * 1000;
    this.#rowsOf = options.rowsOf;
    this.#watch = options.watch;
  }

  /** A channel of trades of one symbol was accepted. @param now µs */
  accepted(channel: string, symbol: number, now: number): void {
    const [trades, quotes] = [this.#rowsOf("trade", symbol), this.#rowsOf("bbo", symbol)];
    this.#unheard.set(channel, { symbol, since: now, trades, quotes });
  }

  /** A channel is not wanted any more, or lost its connection: until it is accepted again. */
  forget(channel: string): void {
    this.#unheard.delete(channel);
  }

  /** Makes those overdue that are. @param now µs */
  tick(now: number): void {
    if (now - this.#lookedAt < LOOKED_AFTER) return;
    this.#lookedAt = now;
    for (const [channel, { symbol, since, trades, quotes }] of this.#unheard) {
      if (this.#rowsOf("trade", symbol) > trades) this.#unheard.delete(channel);
      else if (now - since > this.#patience && this.#rowsOf("bbo", symbol) - quotes >= this.#quotesMax) {
        this.#unheard.delete(channel);
        this.#watch()?.suspect(symbol, since);
      }
    }
  }
}
