import {
  COUNTER,
  HEAD,
  numberStride,
  type RingHandle,
  type RingViews,
  TAIL,
  textStride,
  VERSION,
  viewsOf,
} from "./memory.ts";
import { Row } from "./row.ts";
import { TEXT_PIECES, TEXT_WORDS } from "./text.ts";

/**
 * The writing side of a ring: exactly one per ring at a time.
 *
 * Records are staged with {@link commit} and become visible together with {@link publish}: once per
 * socket read or small batch, because publishing costs more than writing. A full ring drops the newest
 * record and counts it. Every record, accepted or dropped, takes the next `seq`.
 */
export class RingProducer {
  /** The record being put together; `commit` takes it as it stands. */
  readonly row: Row;
  readonly #views: RingViews;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #numberStride: number;
  readonly #textStride: number;
  /** Pieces of texts that may hold something: short ids never touch the memory of the others. */
  #pieces: number;
  readonly #texts: number;
  readonly #seqSlot: number;
  /** Records published, modulo 2^32: what head holds. */
  #head: number;
  /** Records staged behind head. */
  #staged = 0;
  /** The consumer's index as last seen: reading it for each record would cost a cache miss each time. */
  #tail: number;
  #seq: number;
  #droppedStaged = 0;
  /** Records offered since the last publication, counted on their own: publish checks the sum. */
  #offered = 0;
  #markOffered = 0;
  #markStaged = 0;
  #markDropped = 0;
  #markSeq = 0;

  /**
   * Attaching to a ring that had a producer before goes on where that one published last.
   *
   * @param seqSlot numeric slot that takes the running number of the record
   */
  constructor(handle: RingHandle, seqSlot: number) {
    this.#views = viewsOf(handle);
    // Odd: the one before was ended in the middle of a publication. Readers wait for an even number.
    if ((Atomics.load(this.#views.control, VERSION) & 1) === 1) Atomics.add(this.#views.control, VERSION, 1);
    this.#capacity = handle.capacity;
    this.#mask = handle.capacity - 1;
    this.#numberStride = numberStride(handle);
    this.#textStride = textStride(handle);
    this.#pieces = this.#views.counters[COUNTER.pieces];
    this.#texts = handle.texts;
    this.#seqSlot = seqSlot;
    this.#seq = this.#views.counters[COUNTER.offered];
    this.#head = Atomics.load(this.#views.control, HEAD);
    this.#tail = Atomics.load(this.#views.control, TAIL);
    this.row = new Row(handle.numbers, handle.texts);
  }

  /** Records staged and not yet published, dropped ones included. */
  get pending(): number {
    return this.#offered;
  }

  /** The running number that the next record takes. */
  get nextSeq(): number {
    return this.#seq;
  }

  /** Stages the row. Returns false when the ring was full and the record was dropped. */
  commit(): boolean {
    this.#offered++;
    const numbers = this.row.numbers;
    numbers[this.#seqSlot] = this.#seq++;
    const next = (this.#head + this.#staged) | 0;
    if (((next - this.#tail) | 0) >= this.#capacity) {
      this.#tail = Atomics.load(this.#views.control, TAIL);
      if (((next - this.#tail) | 0) >= this.#capacity) {
        this.#droppedStaged++;
        return false;
      }
    }
    const stride = this.#numberStride;
    const index = next & this.#mask;
    const target = this.#views.numbers;
    for (let column = 0, at = index; column < numbers.length; column++, at = (at + stride) | 0) {
      target[at] = numbers[column];
    }
    if (this.#texts > 0) this.#commitTexts(index);
    this.#staged++;
    return true;
  }

  #commitTexts(index: number): void {
    const words = this.row.words;
    const target = this.#views.words;
    const stride = this.#textStride;
    const known = this.#pieces;
    for (let text = 0; text < this.#texts; text++) {
      let from = text * TEXT_WORDS;
      let at = (Math.imul(text * TEXT_PIECES, stride) + index * 4) | 0;
      for (let piece = 0; piece < known; piece++, from += 4, at = (at + stride) | 0) {
        target[at] = words[from];
        target[at + 1] = words[from + 1];
        target[at + 2] = words[from + 2];
        target[at + 3] = words[from + 3];
      }
      if (known < TEXT_PIECES && words[from] !== 0) this.#commitFurther(index, text, known);
    }
  }

  /** Pieces of a text from one on that was never used. */
  #commitFurther(index: number, text: number, first: number): void {
    const { words } = this.row;
    const target = this.#views.words;
    for (let piece = first; piece < TEXT_PIECES; piece++) {
      const from = text * TEXT_WORDS + piece * 4;
      if (words[from] === 0) break;
      if (piece >= this.#pieces) {
        this.#pieces = piece + 1;
        // Before the first of them is written: whoever writes here after us has to know.
        this.#views.counters[COUNTER.pieces] = piece + 1;
      }
      target.set(words.subarray(from, from + 4), (text * TEXT_PIECES + piece) * this.#textStride + index * 4);
    }
  }

  /** Remembers where the frame begins that is about to be decoded. */
  mark(): void {
    this.#markOffered = this.#offered;
    this.#markStaged = this.#staged;
    this.#markDropped = this.#droppedStaged;
    this.#markSeq = this.#seq;
  }

  /** Takes back what was staged since {@link mark}: the frame turned out not to be decodable. */
  rewind(): void {
    this.#offered = this.#markOffered;
    this.#staged = this.#markStaged;
    this.#droppedStaged = this.#markDropped;
    this.#seq = this.#markSeq;
  }

  /** Makes the staged records visible to the consumer and brings the counters up to date. */
  publish(): void {
    const staged = this.#staged;
    const dropped = this.#droppedStaged;
    const offered = this.#offered;
    if (offered === 0) return;
    if (offered !== staged + dropped) {
      throw new Error(`ring: offered ${offered} records, accepted ${staged} and dropped ${dropped}`);
    }
    const { control, counters } = this.#views;
    this.#tail = Atomics.load(control, TAIL);
    const head = (this.#head + staged) | 0;
    const used = (head - this.#tail) | 0;
    // Counters first, head after: a reader then never sees a record released that was not accepted.
    Atomics.add(control, VERSION, 1);
    counters[COUNTER.offered] = counters[COUNTER.offered] + offered;
    counters[COUNTER.accepted] = counters[COUNTER.accepted] + staged;
    counters[COUNTER.dropped] = counters[COUNTER.dropped] + dropped;
    if (used > counters[COUNTER.highWater]) counters[COUNTER.highWater] = used;
    Atomics.add(control, VERSION, 1);
    this.#head = head;
    this.#staged = 0;
    this.#droppedStaged = 0;
    this.#offered = 0;
    Atomics.store(control, HEAD, head);
  }
}
