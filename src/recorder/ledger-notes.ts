import type { Logger } from "../status/log.ts";
import type { Ledger } from "../storage/ledger.ts";

/** Writes into the ledger where recording goes on without: the next run's gaps are wider then than they need be. */
export class LedgerNotes {
  readonly #ledger: Ledger;
  readonly #log: Logger;
  /** Notes that are being made together; null = there are none. */
  #together: { failed: boolean } | null = null;

  constructor(ledger: Ledger, log: Logger) {
    this.#ledger = ledger;
    this.#log = log;
  }

  /** Uses the ledger; undefined = it failed, which is in the log. */
  note<T>(use: () => T): T | undefined {
    try {
      return use();
    } catch (error) {
      this.#log.error("ledger_failed", { error: error instanceof Error ? error.message : String(error) });
      if (this.#together !== null) this.#together.failed = true;
      return undefined;
    }
  }

  /** As {@link note}, of several notes that belong together: all or none of them. `act` is done once either way. */
  together(act: () => void): void {
    if (this.#together !== null) {
      act();
      return;
    }
    const together = { failed: false };
    this.#together = together;
    let done = false;
    this.note(() =>
      this.#ledger.together(() => {
        done = true;
        act();
        if (together.failed) throw new Error("a note failed that belongs together with others");
      }),
    );
    this.#together = null;
    if (!done) act();
  }
}
