import type { Ledger, LedgerRing } from "../storage/ledger.ts";
import type { LedgerNotes } from "./ledger-notes.ts";
import type { RunRing } from "./rings.ts";

/**
 * Notes in the ledger until when the rows of each ring are in files. Before its start is told that is not noted: the
 * hole before it would be forgotten.
 */
export class RingProgress {
  readonly #rings: readonly RunRing[];
  readonly #ledger: Ledger;
  readonly #notes: LedgerNotes;
  /** When the run began, µs. */
  readonly #began: number;
  /** By ring: whether the gap of its start is written, and until when its rows were in files before that, µs. */
  readonly #starts = new Map<number, { readonly told: boolean; readonly until: number }>();

  /** @param began when the run began, µs */
  constructor(rings: readonly RunRing[], ledger: Ledger, notes: LedgerNotes, began: number) {
    this.#rings = rings;
    this.#ledger = ledger;
    this.#notes = notes;
    this.#began = began;
  }

  /** Rows of a ring are in a file. @param until µs */
  filed(ring: LedgerRing, until: number): void {
    const { told } = this.#startOf(ring);
    if (told) this.#notes.note(() => this.#ledger.published(ring, until));
    else this.#starts.set(ring.ring, { told, until });
  }

  /** The gap of the start of a stream is written. */
  started(exchange: string, stream: string): void {
    for (const { ring } of this.#rings.filter((one) => one.exchange === exchange && one.stream === stream)) {
      const { told, until } = this.#startOf({ ring });
      if (told) continue;
      this.#starts.set(ring, { told: true, until });
      const since = Math.max(until, this.#began + 1);
      this.#notes.note(() => this.#ledger.published({ exchange, stream, ring }, since));
    }
  }

  #startOf({ ring }: { readonly ring: number }): { readonly told: boolean; readonly until: number } {
    return this.#starts.get(ring) ?? { told: false, until: 0 };
  }
}
