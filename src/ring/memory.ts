/**
 * The memory of one ring: a control block and one array per column, in one SharedArrayBuffer.
 *
 * The ring knows nothing of markets. It carries records of `numbers` doubles and `texts` short byte
 * strings, each column in one piece (a structure of arrays), so that the consumer moves a column with at
 * most two block copies.
 *
 * Control block, each part on its own 128-byte line so that the two sides never share a cache line
 * (128, because CPUs fetch lines in pairs):
 *
 * | line | writer   | holds                                                             |
 * |------|----------|-------------------------------------------------------------------|
 * | 0    | producer | head: records ever published, modulo 2^32                         |
 * | 1    | consumer | tail: records ever released, modulo 2^32                          |
 * | 2    | producer | version (odd while being written), then counters as doubles       |
 * | 3    | consumer | counters as doubles                                               |
 */
import { TEXT_CELL_BYTES, TEXT_PIECES } from "./text.ts";

const LINE = 128;
/** Index of head in the Int32 view. */
export const HEAD = 0;
/** Index of tail in the Int32 view. */
export const TAIL = LINE / 4;
/** Index of the version of the producer's counters in the Int32 view. */
export const VERSION = (2 * LINE) / 4;

const PRODUCER = (2 * LINE) / 8 + 1;
/** Indices of the producer's counters in the Float64 view of the control block. */
export const COUNTER = {
  /** Records offered: accepted plus dropped. Counted where they are offered, not derived. */
  offered: PRODUCER,
  /** Records that went into the ring. */
  accepted: PRODUCER + 1,
  /** Records dropped because the ring was full. */
  dropped: PRODUCER + 2,
  /** Highest fill seen at a publication. */
  highWater: PRODUCER + 3,
  /** Records the consumer has released. */
  released: (3 * LINE) / 8,
  /** Records the consumer has handed over to a file that is safe on disk. */
  filed: (3 * LINE) / 8 + 1,
} as const;

const CONTROL_BYTES = 4 * LINE;

/** Largest capacity: head and tail are compared in 32-bit arithmetic. */
export const CAPACITY_MAX = 2 ** 22;

/** Shape of a ring's records and its capacity (a power of two, in records). */
export interface RingShape {
  readonly capacity: number;
  readonly numbers: number;
  readonly texts: number;
}

/** What a thread needs to attach to a ring: travels by postMessage. */
export interface RingHandle extends RingShape {
  readonly buffer: SharedArrayBuffer;
}

/** Bytes of shared memory one record takes. */
export function recordBytes(shape: Omit<RingShape, "capacity">): number {
  return shape.numbers * 8 + shape.texts * TEXT_PIECES * TEXT_CELL_BYTES;
}

/**
 * Allocates a ring. Pages are committed by the system when first touched.
 *
 * @throws RangeError when the capacity is not a power of two from 2 to {@link CAPACITY_MAX}.
 */
export function createRing(shape: RingShape): RingHandle {
  const { capacity } = shape;
  if (!Number.isInteger(Math.log2(capacity)) || capacity < 2 || capacity > CAPACITY_MAX) {
    throw new RangeError(`ring capacity ${capacity} is not a power of two from 2 to ${CAPACITY_MAX}`);
  }
  return { ...shape, buffer: new SharedArrayBuffer(CONTROL_BYTES + capacity * recordBytes(shape)) };
}

/** The views that both sides use. */
export interface RingViews {
  readonly control: Int32Array;
  readonly counters: Float64Array;
  /** All numeric columns: column k of record i is at `k * capacity + (i & mask)`. */
  readonly numbers: Float64Array;
  /** All text cells as 32-bit words: piece p of text t, see {@link textOffset}. */
  readonly words: Int32Array;
}

/** Attaches views to a ring's memory. */
export function viewsOf(handle: RingHandle): RingViews {
  const { buffer, capacity, numbers, texts } = handle;
  const textStart = CONTROL_BYTES + numbers * capacity * 8;
  return {
    control: new Int32Array(buffer, 0, CONTROL_BYTES / 4),
    counters: new Float64Array(buffer, 0, CONTROL_BYTES / 8),
    numbers: new Float64Array(buffer, CONTROL_BYTES, numbers * capacity),
    words: new Int32Array(buffer, textStart, (texts * TEXT_PIECES * capacity * TEXT_CELL_BYTES) / 4),
  };
}

/** Byte offset in the buffer of numeric column `column`, record position `index` (already masked). */
export function numberOffset(handle: RingHandle, column: number, index: number): number {
  return CONTROL_BYTES + (column * handle.capacity + index) * 8;
}

/** Byte offset in the buffer of piece `piece` of text `text`, record position `index` (already masked). */
export function textOffset(handle: RingHandle, text: number, piece: number, index: number): number {
  const cells = (text * TEXT_PIECES + piece) * handle.capacity + index;
  return CONTROL_BYTES + handle.numbers * handle.capacity * 8 + cells * TEXT_CELL_BYTES;
}

/** Time a reading may take, ms: far more than a producer without a core needs to end a publication. */
const READ_TIME_MAX = 1000;
/** Tries before the time is looked at: a publication takes fewer. */
const TRIES_UNTIMED = 1000;

/** A consistent reading of a ring's counters. */
export interface RingReading {
  readonly capacity: number;
  readonly offered: number;
  readonly accepted: number;
  readonly dropped: number;
  readonly highWater: number;
  readonly released: number;
  readonly filed: number;
  /** Records in the ring: accepted and not yet released. */
  readonly used: number;
}

/**
 * Reads the counters from a third thread.
 *
 * Records only move forward (offered → accepted → released → filed), so reading from the far end to the
 * near one can never show a record twice or lose one; the producer's own counters are read under its
 * version, so that offered = accepted + dropped holds in every reading. A reader that was interrupted in
 * between may see more accepted than the ring can hold beyond what it saw released: it reads again.
 *
 * A producer that was ended in the middle of a publication leaves counters that never become consistent:
 * after {@link READ_TIME_MAX} the reading is returned as it stands, so that the reader does not hang.
 */
export function readRing(handle: RingHandle, views: RingViews): RingReading {
  const { control, counters } = views;
  let deadline = 0;
  for (let tries = 1; ; tries++) {
    const filed = counters[COUNTER.filed];
    // The fence: an atomic load keeps the plain loads around it in order.
    Atomics.load(control, TAIL);
    const released = counters[COUNTER.released];
    const version = Atomics.load(control, VERSION);
    const offered = counters[COUNTER.offered];
    const accepted = counters[COUNTER.accepted];
    const dropped = counters[COUNTER.dropped];
    const highWater = counters[COUNTER.highWater];
    const used = accepted - released;
    const stable = (version & 1) === 0 && Atomics.load(control, VERSION) === version;
    if ((stable && used <= handle.capacity) || (deadline > 0 && performance.now() > deadline)) {
      return { capacity: handle.capacity, offered, accepted, dropped, highWater, released, filed, used };
    }
    if (tries === TRIES_UNTIMED) deadline = performance.now() + READ_TIME_MAX;
  }
}
