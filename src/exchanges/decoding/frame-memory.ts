/**
 * The memory in which frames are scanned: one for all scanners of a thread, always at the same place.
 *
 * What it gives: four bytes are looked at with one read, the compiler knows the address, and behind the last byte of a
 * frame stand zeros, which nothing accepts, so that no loop has to watch for the end.
 *
 * A frame is copied to its begin, or stands already in the inbox behind that, where a socket's bytes are put as they are read: hundreds
 * of frames are copied at once there, and none of them is an object of its own.
 */

/** Longest frame that is scanned, bytes; Bybit's longest, of 1024 trades, has a quarter of it. */
export const FRAME_BYTES_MAX: number = 2 ** 20;
/** Most bytes that may be looked at behind the end of a frame; all literals are shorter. */
export const BEYOND_MAX = 1024;

/** Where the inbox begins. */
export const INBOX_AT: number = FRAME_BYTES_MAX + BEYOND_MAX;
/** Bytes of a read that are put into the inbox at once. */
export const READ_BYTES_MAX: number = 2 ** 16;
/** Most bytes of a frame's head (RFC 6455, 5.2, of a server). */
const HEAD_BYTES_MAX = 10;
/** What was left of the read before, a frame at most, stands before the new one. */
const INBOX_BYTES = FRAME_BYTES_MAX + HEAD_BYTES_MAX + READ_BYTES_MAX;

const memory = new ArrayBuffer(INBOX_AT + INBOX_BYTES + BEYOND_MAX);

/** The frames in hand, byte by byte. */
export const BYTES: Uint8Array = new Uint8Array(memory);
/** The same for reading words from any place. */
export const WORDS: DataView = new DataView(memory);

/** Puts a frame in its place; false = it is too long. */
export function placeFrame(frame: Uint8Array): boolean {
  const { length } = frame;
  if (length > FRAME_BYTES_MAX) return false;
  BYTES.set(frame);
  WORDS.setInt32(length, 0, true);
  return true;
}
