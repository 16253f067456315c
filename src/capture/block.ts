/**
 * Frames in one piece of memory that can be handed from thread to thread.
 *
 * Each frame: receive time (double), number of the exchange in the block's list, connection, length, and 1 where it is
 * a mark in JSON instead of a frame (four 32-bit integers), then its bytes, filled up to a multiple of 8.
 */

const HEADER_BYTES = 24;
const ALIGN = 8;

/** Bytes that a frame of this length takes in a block. */
export function spaceOf(frameLength: number): number {
  return HEADER_BYTES + Math.ceil(frameLength / ALIGN) * ALIGN;
}

/** Fills a block. */
export class BlockWriter {
  readonly buffer: ArrayBuffer;
  /** Bytes filled. */
  used = 0;
  /** Frames in it, and marks. */
  frames = 0;
  /** Names of the exchanges; their index stands at each frame. */
  readonly exchanges: string[] = [];
  readonly #bytes: Uint8Array;
  readonly #numbers: Float64Array;
  readonly #words: Int32Array;

  /** @param buffer its size is a multiple of 8 */
  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#numbers = new Float64Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  /** Copies a frame, or a mark; false when there is no room for it. */
  add(exchange: string, connection: number, ts: number, frame: Uint8Array, isMark = false): boolean {
    const { used } = this;
    const space = spaceOf(frame.length);
    if (used + space > this.#bytes.length) return false;
    let index = this.exchanges.indexOf(exchange);
    if (index === -1) index = this.exchanges.push(exchange) - 1;
    const word = used / 4;
    this.#numbers[used / 8] = ts;
    this.#words[word + 2] = index;
    this.#words[word + 3] = connection;
    this.#words[word + 4] = frame.length;
    this.#words[word + 5] = Number(isMark);
    this.#bytes.set(frame, used + HEADER_BYTES);
    this.used = used + space;
    this.frames++;
    return true;
  }
}

/**
 * Goes through the frames of a block.
 *
 * @param each gets each frame and mark; its bytes are a view of the block
 */
export function readBlock(
  block: { readonly buffer: ArrayBuffer; readonly used: number; readonly exchanges: readonly string[] },
  each: (exchange: string, connection: number, ts: number, frame: Uint8Array, isMark: boolean) => void,
): void {
  const { buffer, used, exchanges } = block;
  const numbers = new Float64Array(buffer);
  const words = new Int32Array(buffer);
  for (let at = 0; at < used; ) {
    const word = at / 4;
    const length = words[word + 4];
    const frame = new Uint8Array(buffer, at + HEADER_BYTES, length);
    each(exchanges[words[word + 2]], words[word + 3], numbers[at / 8], frame, words[word + 5] === 1);
    at += spaceOf(length);
  }
}
