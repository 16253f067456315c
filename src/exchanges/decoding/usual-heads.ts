import { WORDS } from "./frame-memory.ts";
import type { Scanner } from "./scanner.ts";
import type { SymbolLiterals } from "./symbol-literals.ts";

/**
 * Places for beginnings, in pairs, at first and at most. Where three meet in one pair, one is learned again and again: so
 * there are {@link PLACES_A_HEAD} for each that was learned.
 */
const PLACES_BITS_MIN = 12;
const PLACES_BITS_MAX = 18;
const PLACES_A_HEAD = 8;
/** Bits of a shape: a place holds which one, and above it the entry of an instrument. */
const SHAPE_BITS = 2;
const SHAPES_MAX = 2 ** SHAPE_BITS;

/**
 * Knows shape and instrument of a frame by how it begins, in one look.
 *
 * A feed sends the same beginnings again and again. What a scanner has accepted once is noted at a place that hangs on
 * a few words of it; a frame with these words is compared with the whole beginning that is noted there. So a wrong guess
 * costs time only.
 */
export class UsualHeads {
  /** Entry of the instrument of the last head passed. */
  entry = -1;
  readonly #shapes: readonly SymbolLiterals[];
  readonly #kindAt: number;
  readonly #nameAt: number;
  /** What is noted at each place, entry and shape; -1 = nothing. */
  #places = new Int32Array(1 << PLACES_BITS_MIN).fill(-1);
  /** By how many bits the number of a place is shorter than 32. */
  #shift = 32 - PLACES_BITS_MIN;
  /** Heads that were learned, each once: those that are noted, and those that were pushed out. */
  readonly #learned = new Set<number>();

  /**
   * @param options.kindAt a place in the frame whose word tells shapes apart
   * @param options.nameAt where instruments begin, at the latest; 16 bytes from here on are looked at
   * @param options.shapes heads by shape, by instrument
   */
  constructor(options: { kindAt: number; nameAt: number; shapes: readonly SymbolLiterals[] }) {
    if (options.shapes.length > SHAPES_MAX) throw new RangeError(`${options.shapes.length} shapes`);
    this.#kindAt = options.kindAt;
    this.#nameAt = options.nameAt;
    this.#shapes = options.shapes;
  }

  /** Passes the head at the begin of the frame if it is a usual one; its shape, or -1. */
  pass(scan: Scanner): number {
    const place = this.#place(scan.begin);
    const shape = this.#passAt(scan, place);
    return shape !== -1 ? shape : this.#passAt(scan, place ^ 1);
  }

  #passAt(scan: Scanner, place: number): number {
    const head = this.#places[place];
    if (head === -1) return -1;
    const shape = head & (SHAPES_MAX - 1);
    const entry = head >> SHAPE_BITS;
    const { begin } = scan;
    const length = this.#shapes[shape].lengthAt(entry, begin);
    if (length === 0) return -1;
    scan.at = begin + length;
    this.entry = entry;
    return shape;
  }

  /** Notes shape and instrument of a frame, which was accepted. @param begin where it begins in the frame memory */
  learn(shape: number, entry: number, begin: number): void {
    // What is written otherwise would never be passed, and would push out one that is.
    if (this.#shapes[shape].lengthAt(entry, begin) === 0) return;
    const head = (entry << SHAPE_BITS) | shape;
    this.#learned.add(head);
    if (
      this.#places.length < 1 << PLACES_BITS_MAX &&
      this.#learned.size * PLACES_A_HEAD > this.#places.length
    )
      this.#grow();
    const first = this.#place(begin);
    if (this.#places[first] === head) return;
    const place = this.#places[first] === -1 ? first : first ^ 1;
    this.#places[place] = head;
  }

  /** Takes more places. What was noted has to be learned again, which costs each head one frame. */
  #grow(): void {
    this.#places = new Int32Array(2 * this.#places.length).fill(-1);
    this.#shift--;
  }

  #place(begin: number): number {
    const at = begin + this.#nameAt;
    const words =
      Math.imul(WORDS.getInt32(begin + this.#kindAt, true), 0x9e3779b1) ^
      Math.imul(WORDS.getInt32(at, true), 0x85ebca6b) ^
      Math.imul(WORDS.getInt32(at + 4, true), 0xc2b2ae35) ^
      Math.imul(WORDS.getInt32(at + 8, true), 0x27d4eb2f) ^
      Math.imul(WORDS.getInt32(at + 12, true), 0x165667b1);
    return words >>> this.#shift;
  }
}
