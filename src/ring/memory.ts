/**
 * The memory of one ring: a control block and one array per column, in one SharedArrayBuffer, or in a file that each
 * thread maps into its memory (file.ts).
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
  /** Pieces of texts that may hold something, of any record: those beyond are zero everywhere. */
  pieces: PRODUCER + 4,
  /** Records the consumer has released. */
  released: (3 * LINE) / 8,
  /** Records the consumer has handed over to a file that is safe on disk. */
  filed: (3 * LINE) / 8 + 1,
  /** Records released and not filed that stand on disk only, not in memory; goes up and down. */
  parked: (3 * LINE) / 8 + 2,
  /** Whatever the consumer's owner wants to find with the ring. */
  noted: (3 * LINE) / 8 + 3,
} as const;

const CONTROL_BYTES = 4 * LINE;

const PAGE = 4096;

/**
 * Bytes from the first cell of a column to that of the next one.
 *
 * Capacities are powers of two, and caches and page tables find their places by the lower bits of an address. Columns
 * that begin a power of two apart would share one place, and the cells of one record push each other out: storing a
 * record of 14 numbers then costs four times as much. So each column begins a page and two lines further on.
 */
function columnBytes(capacity: number, cellBytes: number): number {
  const bytes = capacity * cellBytes;
  return bytes < PAGE ? bytes : bytes + PAGE + LINE;
}

/** Cells of 8 bytes from a number to that of the next column. */
export function numberStride({ capacity }: RingShape): number {
  return columnBytes(capacity, 8) / 8;
}

/** 32-bit words from a cell of text to that of the next piece. */
export function textStride({ capacity }: RingShape): number {
  return columnBytes(capacity, TEXT_CELL_BYTES) / 4;
}

/** Where the cells of texts begin. */
function textStart({ capacity, numbers }: RingShape): number {
  return CONTROL_BYTES + numbers * columnBytes(capacity, 8);
}

/** Largest capacity: head and tail are compared in 32-bit arithmetic. */
export const CAPACITY_MAX = 2 ** 22;

/** Shape of a ring's records and its capacity (a power of two, in records). */
export interface RingShape {
  readonly capacity: number;
  readonly numbers: number;
  readonly texts: number;
}

/** A file that holds the memory of a ring. */
export interface RingFile {
  readonly path: string;
}

/** What a thread needs to attach to a ring: travels by postMessage. */
export interface RingHandle extends RingShape {
  readonly memory: SharedArrayBuffer | RingFile;
}

/** Bytes of shared memory one record takes, without what stands between columns. */
export function recordBytes(shape: Omit<RingShape, "capacity">): number {
  return shape.numbers * 8 + shape.texts * TEXT_PIECES * TEXT_CELL_BYTES;
}

/**
 * Allocates a ring. Pages are committed by the system when first touched.
 *
 * @throws RangeError when the capacity is not a power of two from 2 to {@link CAPACITY_MAX}.
 */
export function createRing(shape: RingShape): RingHandle {
  return { ...shape, memory: new SharedArrayBuffer(ringBytes(shape)) };
}

/**
 * Bytes of a ring's memory.
 *
 * @throws RangeError as {@link createRing}
 */
export function ringBytes(shape: RingShape): number {
  const { capacity } = shape;
  if (!Number.isInteger(Math.log2(capacity)) || capacity < 2 || capacity > CAPACITY_MAX) {
    throw new RangeError(`ring capacity ${capacity} is not a power of two from 2 to ${CAPACITY_MAX}`);
  }
  return textStart(shape) + shape.texts * TEXT_PIECES * columnBytes(capacity, TEXT_CELL_BYTES);
}

/** The views that both sides use. */
export interface RingViews {
  /** The ring's memory, at its begin. */
  readonly buffer: ArrayBufferLike;
  readonly control: Int32Array;
  readonly counters: Float64Array;
  /** All numeric columns: column k of record i is at `k * numberStride + (i & mask)`. */
  readonly numbers: Float64Array;
  /** All text cells as 32-bit words: piece p of text t, see {@link textOffset}. */
  readonly words: Int32Array;
}

/**
 * Attaches views to a ring's memory.
 *
 * @throws Error of the file system where it is a file that cannot be mapped
 */
export function viewsOf(handle: RingHandle): RingViews {
  const { memory, numbers, texts } = handle;
  // A mapping lives as long as its views. Those of several threads, and of several calls, are the same memory.
  const buffer =
    memory instanceof SharedArrayBuffer ? memory : Bun.mmap(memory.path, { shared: true }).buffer;
  return {
    buffer,
    control: new Int32Array(buffer, 0, CONTROL_BYTES / 4),
    counters: new Float64Array(buffer, 0, CONTROL_BYTES / 8),
    numbers: new Float64Array(buffer, CONTROL_BYTES, numbers * numberStride(handle)),
    words: new Int32Array(buffer, textStart(handle), texts * TEXT_PIECES * textStride(handle)),
  };
}

/** Byte offset in the buffer of numeric column `column`, record position `index` (already masked). */
export function numberOffset(handle: RingShape, column: number, index: number): number {
  return CONTROL_BYTES + (column * numberStride(handle) + index) * 8;
}

/** Byte offset in the buffer of piece `piece` of text `text`, record position `index` (already masked). */
export function textOffset(handle: RingShape, text: number, piece: number, index: number): number {
  const column = (text * TEXT_PIECES + piece) * textStride(handle) * 4;
  return textStart(handle) + column + index * TEXT_CELL_BYTES;
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
  readonly parked: number;
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
    // Between the two it counts: whatever is parked was released before, and is filed after.
    const parked = counters[COUNTER.parked];
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
      const { capacity } = handle;
      return { capacity, offered, accepted, dropped, highWater, released, filed, parked, used };
    }
    if (tries === TRIES_UNTIMED) deadline = performance.now() + READ_TIME_MAX;
  }
}
