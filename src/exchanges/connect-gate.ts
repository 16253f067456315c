/** Spaces out the attempts to connect to one exchange, first ones and retries alike. */
export class ConnectGate {
  readonly #spacing: number;
  readonly #now: () => number;
  #free = Number.NEGATIVE_INFINITY;

  /** @param perSecond attempts the exchange allows in a second */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#spacing = 1000 / perSecond;
    this.#now = now;
  }

  /** Takes the next free place; the ms to wait for it. */
  take(): number {
    const now = this.#now();
    const at = Math.max(now, this.#free);
    this.#free = at + this.#spacing;
    return at - now;
  }
}
