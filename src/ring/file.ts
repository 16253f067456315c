/**
 * The memory of a ring in a file: what was published stands there when the process is gone.
 *
 * The file holds the memory as memory.ts describes it, then what its owner says about the ring, then its foot:
 *
 * | at | type     | holds                                                     |
 * |----|----------|-----------------------------------------------------------|
 * | 0  | 8 bytes  | "TAPERING"                                                |
 * | 8  | u32      | version of this form                                      |
 * | 12 | 3 × u32  | shape: capacity, numbers, texts                           |
 * | 24 | u32      | bytes of what the owner says                              |
 * | 28 | u32      | CRC-32 of what the owner says and of bytes 0 to 27        |
 *
 * The rows have no checksum: they are trusted because only a killed process lies between writing and reading them, not
 * a power loss, after which a file may hold some pages of one moment and some of another. To tell the two apart is
 * the owner's affair.
 */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { crc32 } from "node:zlib";
import {
  COUNTER,
  HEAD,
  type RingHandle,
  type RingShape,
  type RingViews,
  ringBytes,
  VERSION,
} from "./memory.ts";

const MAGIC = "TAPERING";
/** Of this form and of the memory's: a change of either is another one, or rows would be read from wrong places. */
const FILE_VERSION = 1;
const FOOT_BYTES = 32;
/** Longest that an owner may say. */
const ABOUT_BYTES_MAX = 65_536;
const ZEROS = new Uint8Array(2 ** 20);

/** End of the name of a file that is still being made: it holds nothing. */
export const UNFINISHED = ".tmp";

/** A file that holds no ring; the message says why. */
export class RingFileError extends Error {
  override name = "RingFileError";
}

/**
 * Creates the file of a ring. All of it is written, once, so that the file system has room for it: to touch a page of
 * a mapping that the disk has no room for ends the process.
 *
 * @param about whatever is to be known of the ring by who finds the file
 * @throws Error of the file system; there is no such file then
 */
export function createRingFile(path: string, shape: RingShape, about: Uint8Array): RingHandle {
  const temporary = `${path}${UNFINISHED}`;
  const fd = openSync(temporary, "wx+");
  try {
    let open = true;
    try {
      for (let rest = ringBytes(shape); rest > 0; )
        rest -= writeSync(fd, ZEROS, 0, Math.min(rest, ZEROS.length));
      writeAll(fd, about);
      writeAll(fd, footOf(shape, about));
      // Some file systems find out only now that there is no room.
      fdatasyncSync(fd);
      closeSync(fd);
      open = false;
      renameSync(temporary, path);
    } finally {
      if (open) closeSync(fd);
    }
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return { ...shape, memory: { path } };
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

function footOf({ capacity, numbers, texts }: RingShape, about: Uint8Array): Uint8Array {
  const foot = new Uint8Array(FOOT_BYTES);
  const view = new DataView(foot.buffer);
  for (let i = 0; i < MAGIC.length; i++) foot[i] = MAGIC.charCodeAt(i);
  for (const [i, value] of [FILE_VERSION, capacity, numbers, texts, about.length].entries())
    view.setUint32(8 + 4 * i, value, true);
  view.setUint32(28, crc32(foot.subarray(0, 28), crc32(about)), true);
  return foot;
}

/**
 * Finds the ring that a file holds.
 *
 * @throws RingFileError where it holds none, or not all of one
 * @throws Error of the file system
 */
export function findRing(path: string): { readonly handle: RingHandle; readonly about: Uint8Array } {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const foot = readAt(fd, size - FOOT_BYTES, FOOT_BYTES);
    const view = new DataView(foot.buffer);
    if (new TextDecoder("latin1").decode(foot.subarray(0, MAGIC.length)) !== MAGIC)
      throw new RingFileError("it does not end as the file of a ring does");
    const [version = 0, capacity = 0, numbers = 0, texts = 0, length = 0] = [0, 1, 2, 3, 4].map((i) =>
      view.getUint32(8 + 4 * i, true),
    );
    if (version !== FILE_VERSION)
      throw new RingFileError(`its version is ${version}, this program reads ${FILE_VERSION}`);
    if (length > ABOUT_BYTES_MAX) throw new RingFileError("its end is damaged");
    const about = readAt(fd, size - FOOT_BYTES - length, length);
    if (view.getUint32(28, true) !== crc32(foot.subarray(0, 28), crc32(about)))
      throw new RingFileError("its end is damaged");
    const shape = { capacity, numbers, texts };
    const bytes = bytesOf(shape) + length + FOOT_BYTES;
    if (size !== bytes) throw new RingFileError(`it has ${size} bytes, not ${bytes}`);
    return { handle: { ...shape, memory: { path } }, about };
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, position: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  if (position < 0) throw new RingFileError("it is cut off");
  for (let done = 0; done < length; ) {
    const read = readSync(fd, bytes, done, length - done, position + done);
    if (read === 0) throw new RingFileError("it is cut off");
    done += read;
  }
  return bytes;
}

function bytesOf(shape: RingShape): number {
  try {
    return ringBytes(shape);
  } catch (error) {
    throw new RingFileError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Makes visible what a producer that is gone had counted as accepted: counters come first, head after, and it may have
 * been ended in between. In the middle of counting nothing is known of the last batch, which was not published.
 */
export function settleRing(handle: RingHandle, { control, counters }: RingViews): void {
  if ((Atomics.load(control, VERSION) & 1) === 1) return;
  const head = counters[COUNTER.accepted] | 0;
  const ahead = (head - Atomics.load(control, HEAD)) | 0;
  if (ahead > 0 && ahead <= handle.capacity) Atomics.store(control, HEAD, head);
}
