import { WORDS } from "./frame-memory.ts";
import { Literal, stands } from "./literal.ts";
import type { Scanner } from "./scanner.ts";
import type { SymbolTable } from "./symbols.ts";

/**
 * Literals that hold an instrument, by its entry in the table: one comparison in place of finding the instrument
 * between others.
 */
export class SymbolLiterals {
  readonly #symbols: SymbolTable;
  readonly #textOf: (instrument: string) => string;
  readonly #literals: (Literal | undefined)[] = [];

  /** @param textOf what stands in frames of an instrument */
  constructor(symbols: SymbolTable, textOf: (instrument: string) => string) {
    this.#symbols = symbols;
    this.#textOf = textOf;
  }

  /** The literal of an entry that was found in a frame. */
  of(entry: number): Literal {
    return this.#literals[entry] ?? this.#make(entry);
  }

  #make(entry: number): Literal {
    const made = new Literal(this.#textOf(this.#symbols.instruments[entry] as string));
    this.#literals[entry] = made;
    return made;
  }
}

/** Places for beginnings, in pairs: where three meet in one pair, one is learned again and again, and nothing else. */
const PLACES_BITS = 12;

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
  /** What is noted at each place, with its shape and the entry of its instrument. */
  readonly #heads = new Array<Literal | null>(1 << PLACES_BITS).fill(null);
  readonly #shapeAt = new Uint8Array(1 << PLACES_BITS);
  readonly #entryAt = new Int32Array(1 << PLACES_BITS);

  /**
   * @param options.kindAt a place in the frame whose word tells shapes apart
   * @param options.nameAt where instruments begin, at the latest; 16 bytes from here on are looked at
   * @param options.shapes heads by shape, by instrument
   */
  constructor(options: { kindAt: number; nameAt: number; shapes: readonly SymbolLiterals[] }) {
    this.#kindAt = options.kindAt;
    this.#nameAt = options.nameAt;
    this.#shapes = options.shapes;
  }

  /** Passes the head at the begin of the frame if it is a usual one; its shape, or -1. */
  pass(scan: Scanner): number {
    const place = this.#place();
    const shape = this.#passAt(scan, place);
    return shape !== -1 ? shape : this.#passAt(scan, place ^ 1);
  }

  #passAt(scan: Scanner, place: number): number {
    const head = this.#heads[place];
    if (head === null || !scan.optional(head)) return -1;
    this.entry = this.#entryAt[place];
    return this.#shapeAt[place];
  }

  /** Notes shape and instrument of the frame in hand, which was accepted. */
  learn(shape: number, entry: number): void {
    // What is written otherwise would never be passed, and would push out one that is.
    const head = this.#shapes[shape].of(entry);
    if (!stands(head, 0)) return;
    const first = this.#place();
    if (this.#heads[first] === head) return;
    const place = this.#heads[first] === null ? first : first ^ 1;
    this.#heads[place] = head;
    this.#shapeAt[place] = shape;
    this.#entryAt[place] = entry;
  }

  #place(): number {
    const at = this.#nameAt;
    const words =
      Math.imul(WORDS.getInt32(this.#kindAt, true), 0x9e3779b1) ^
      Math.imul(WORDS.getInt32(at, true), 0x85ebca6b) ^
      Math.imul(WORDS.getInt32(at + 4, true), 0xc2b2ae35) ^
      Math.imul(WORDS.getInt32(at + 8, true), 0x27d4eb2f) ^
      Math.imul(WORDS.getInt32(at + 12, true), 0x165667b1);
    return words >>> (32 - PLACES_BITS);
  }
}
