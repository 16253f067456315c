import {
  COUNTER,
  HEAD,
  numberOffset,
  numberStride,
  type RingHandle,
  type RingViews,
  TAIL,
  textOffset,
  viewsOf,
} from "./memory.ts";
import type { RowSource } from "./row-source.ts";

/** The reading side of a ring: exactly one per ring at a time. */
export class RingConsumer implements RowSource {
  readonly handle: RingHandle;
  readonly #views: RingViews;
  readonly #mask: number;
  readonly #stride: number;
  #tail: number;
  /** The producer's index as last seen. */
  #head: number;

  constructor(handle: RingHandle) {
    this.handle = handle;
    this.#views = viewsOf(handle);
    this.#mask = handle.capacity - 1;
    this.#stride = numberStride(handle);
    this.#tail = Atomics.load(this.#views.control, TAIL);
    this.#head = Atomics.load(this.#views.control, HEAD);
  }

  /** The ring's memory. */
  get buffer(): ArrayBufferLike {
    return this.#views.buffer;
  }

  /**
   * Records that can be read in one piece from the tail on, at most `limit`: less than what there is
   * where the ring wraps around, so a batch takes at most two calls.
   */
  available(limit: number): number {
    let count = (this.#head - this.#tail) | 0;
    if (count === 0) {
      this.#head = Atomics.load(this.#views.control, HEAD);
      count = (this.#head - this.#tail) | 0;
      if (count === 0) return 0;
    }
    const toEnd = this.handle.capacity - (this.#tail & this.#mask);
    return Math.min(count, toEnd, limit);
  }

  /** Records in the ring now. */
  backlog(): number {
    return (Atomics.load(this.#views.control, HEAD) - this.#tail) | 0;
  }

  /** Value of a numeric column `offset` records after the tail. */
  number(column: number, offset: number): number {
    const index = (this.#tail + offset) & this.#mask;
    return this.#views.numbers[column * this.#stride + index];
  }

  /** Where in the shared buffer a numeric column begins at the tail, in bytes. */
  numberOffset(column: number): number {
    return numberOffset(this.handle, column, this.#tail & this.#mask);
  }

  /** Where in the shared buffer a piece of a text begins at the tail, in bytes. */
  textOffset(text: number, piece: number): number {
    return textOffset(this.handle, text, piece, this.#tail & this.#mask);
  }

  /** Gives `count` records back to the producer: their memory may be overwritten from now on. */
  release(count: number): void {
    const { control, counters } = this.#views;
    counters[COUNTER.released] = counters[COUNTER.released] + count;
    this.#tail = (this.#tail + count) | 0;
    Atomics.store(control, TAIL, this.#tail);
  }

  /** Counts records that went from memory to disk only, or (negative) back into memory. */
  parked(count: number): void {
    this.#views.counters[COUNTER.parked] = this.#views.counters[COUNTER.parked] + count;
  }

  /** Nothing is parked any more: what was is counted anew. */
  unparkAll(): void {
    this.#views.counters[COUNTER.parked] = 0;
  }

  /** Records that were given back and are counted neither as filed nor as parked. */
  unaccounted(): number {
    const { counters } = this.#views;
    return counters[COUNTER.released] - counters[COUNTER.filed] - counters[COUNTER.parked];
  }

  /** A number that whoever takes the ring over will find with it; 0 until it is set. */
  get noted(): number {
    return this.#views.counters[COUNTER.noted];
  }

  set noted(value: number) {
    this.#views.counters[COUNTER.noted] = value;
  }

  /** Counts records that stand in a finished file. */
  filed(count: number): void {
    this.#views.counters[COUNTER.filed] = this.#views.counters[COUNTER.filed] + count;
  }
}
