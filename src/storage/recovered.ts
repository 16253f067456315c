/** Rows taken over from the journals of earlier runs: counted for the balance, as those of a ring are. */

/** Number that stands for the rings of earlier runs, of which none exists any more. */
export const RECOVERED_RING = -1;

const TAKEN = 0;
const FILED = 1;
const PARKED = 2;

/** What became of them, at one instant. */
export interface RecoveredReading {
  /** Taken over. */
  readonly taken: number;
  /** In files that are safe on disk. */
  readonly filed: number;
  /** In journals only, not in memory. */
  readonly parked: number;
}

/** Counters in shared memory: written by the drain, read by the main thread. */
export class RecoveredCounters {
  readonly buffer: SharedArrayBuffer;
  readonly #counters: Float64Array;
  /** Read only for the order of plain loads and stores around it. */
  readonly #fence: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4 * 8)) {
    this.buffer = buffer;
    this.#counters = new Float64Array(buffer, 0, 3);
    this.#fence = new Int32Array(buffer, 24, 1);
  }

  /** Takes rows over, which are in their journals. Before the drain has them. */
  take(rows: number): void {
    this.#counters[TAKEN] += rows;
    this.parked(rows);
  }

  /** Counts rows that went from memory to disk only, or (negative) back into memory. */
  parked(rows: number): void {
    this.#counters[PARKED] += rows;
    Atomics.add(this.#fence, 0, 1);
  }

  /** Nothing is parked any more: what was is counted anew. */
  unparkAll(): void {
    this.#counters[PARKED] = 0;
  }

  /** Rows that are counted neither as filed nor as parked. */
  unaccounted(): number {
    return this.#counters[TAKEN] - this.#counters[FILED] - this.#counters[PARKED];
  }

  /** Counts rows that stand in a finished file. */
  filed(rows: number): void {
    this.#counters[FILED] += rows;
    Atomics.add(this.#fence, 0, 1);
  }

  /** From the far end to the near one, so that no row is seen twice. */
  read(): RecoveredReading {
    const filed = this.#counters[FILED];
    Atomics.load(this.#fence, 0);
    const parked = this.#counters[PARKED];
    Atomics.load(this.#fence, 0);
    return { taken: this.#counters[TAKEN], filed, parked };
  }
}
