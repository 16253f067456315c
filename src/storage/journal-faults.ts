/** Wait before a journal that could not be written is tried again, ms. */
const RETRY = 500;

/** Whether journals can be written, and why not: one fault at a time, told when it changes. */
export class JournalFaults {
  /** Writes that failed. */
  failures = 0;
  readonly #told: (why: string | null) => void;
  /** Why they cannot be written; null = they can. */
  #fault: string | null = null;
  /** When one that could not be written is tried again, performance.now(). */
  #retryAt = Number.NEGATIVE_INFINITY;

  /** @param told is given every change: why they cannot be written, null = they can be again */
  constructor(told: (why: string | null) => void) {
    this.#told = told;
  }

  /** Whether it is too soon to try again. */
  get waiting(): boolean {
    return performance.now() < this.#retryAt;
  }

  /** A journal could not be written. */
  failed(error: unknown): void {
    this.failures++;
    this.#retryAt = performance.now() + RETRY;
    this.tell(`journals cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** They cannot be written, for this reason; null = they can. */
  tell(fault: string | null): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.#told(fault);
  }
}
