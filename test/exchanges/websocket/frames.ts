/** Frames as a server writes them (RFC 6455, 5.2), right and wrong, written apart from the code that reads them. */

/** First bytes of frames. */
export const TEXT = 0x81;
export const BINARY = 0x82;
export const CLOSE = 0x88;
export const PING = 0x89;
export const PONG = 0x8a;
/** The first fragment of a text, one in between, the last one. */
export const TEXT_BEGINS = 0x01;
export const GOES_ON = 0x00;
export const ENDS = 0x80;

/** A frame. @param form bytes that tell the length; the fewest that can if it is not said */
export function frame(first: number, payload: Uint8Array | string, form?: 1 | 2 | 8): Buffer {
  const bytes = Buffer.from(payload as Uint8Array);
  return Buffer.concat([head(first, bytes.length, form), bytes]);
}

/** The head of a frame alone. */
export function head(first: number, length: number, form?: 1 | 2 | 8): Buffer {
  const wanted = form ?? (length < 126 ? 1 : length < 65_536 ? 2 : 8);
  if (wanted === 1) return Buffer.of(first, length);
  if (wanted === 2) return Buffer.of(first, 126, length >> 8, length & 0xff);
  const bytes = Buffer.alloc(10);
  bytes[0] = first;
  bytes[1] = 127;
  bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
}

/** The payload of a close frame. */
export function closing(code: number, reason = ""): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)]);
}

/** A frame of a client, read from the begin of bytes; null = it has not come whole. */
export interface ClientFrame {
  readonly first: number;
  readonly isMasked: boolean;
  /** Without its mask. */
  readonly payload: Buffer;
  /** Bytes of all of it. */
  readonly size: number;
}

/** Reads a frame of a client. */
export function readClientFrame(bytes: Buffer): ClientFrame | null {
  if (bytes.length < 2) return null;
  const isMasked = (bytes[1] & 0x80) !== 0;
  const short = bytes[1] & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  let at = 2 + lengthBytes;
  if (bytes.length < at + 4) return null;
  const length =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  const mask = bytes.subarray(at, at + 4);
  if (isMasked) at += 4;
  if (bytes.length < at + length) return null;
  const payload = Buffer.from(bytes.subarray(at, at + length));
  if (isMasked) for (let i = 0; i < length; i++) payload[i] ^= mask[i & 3];
  return { first: bytes[0], isMasked, payload, size: at + length };
}
