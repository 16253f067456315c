import type { Exchange } from "../exchanges/exchange.ts";

/** Which instruments' events belong to one symbol: on OKX those of a swap and those of its index. */
export class Kin {
  readonly #exchange: Pick<Exchange, "normalizeSymbol">;
  readonly #bySymbol = new Map<string, number[]>();
  readonly #byNumber = new Map<number, readonly number[]>();

  constructor(exchange: Pick<Exchange, "normalizeSymbol">) {
    this.#exchange = exchange;
  }

  /** Makes an instrument known under its number; one that is known changes nothing. */
  add(instrument: string, number: number): void {
    if (this.#byNumber.has(number)) return;
    const symbol = this.#exchange.normalizeSymbol(instrument);
    const kin = this.#bySymbol.get(symbol) ?? [];
    kin.push(number);
    this.#bySymbol.set(symbol, kin);
    this.#byNumber.set(number, kin);
  }

  /** Numbers of the instruments of the same symbol, its own among them. */
  of(number: number): readonly number[] {
    return this.#byNumber.get(number) ?? [number];
  }
}
