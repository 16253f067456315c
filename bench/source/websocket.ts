/** The server's side of a WebSocket over plain TCP (RFC 6455), as far as a source of load needs it. */
import { createHash } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Largest message of a client: subscriptions. */
const CLIENT_MESSAGE_MAX = 1 << 20;
const FINAL = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;

/** Kinds of frames. */
export const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 } as const;

/** The answer that turns a request into a WebSocket. */
export function switchingProtocols(key: string): string {
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
  );
}

function frameHead(opcode: number, length: number): Uint8Array {
  if (length < LENGTH_16) return Uint8Array.of(FINAL | opcode, length);
  if (length < 1 << 16) return Uint8Array.of(FINAL | opcode, LENGTH_16, length >> 8, length & 255);
  throw new RangeError(`a frame of ${length} bytes is not made here`);
}

/** What stands before the payload of a text frame of the server. */
export function textFrameHead(length: number): Uint8Array {
  return frameHead(OPCODE.text, length);
}

/** A whole frame of the server. */
export function frameOf(opcode: number, payload: Uint8Array): Uint8Array {
  return Buffer.concat([frameHead(opcode, payload.length), payload]);
}

/** One message of a client. */
export interface ClientMessage {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Reads a client's frames from the bytes that arrive. */
export class ClientReader {
  #bytes = Buffer.alloc(0);

  /** @throws RangeError when a message is larger than any that is expected */
  read(bytes: Uint8Array): ClientMessage[] {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const messages: ClientMessage[] = [];
    for (let next = this.#next(); next !== null; next = this.#next()) messages.push(next);
    return messages;
  }

  #next(): ClientMessage | null {
    const bytes = this.#bytes;
    if (bytes.length < 2) return null;
    const short = (bytes[1] as number) & 0x7f;
    if (short === LENGTH_64) throw new RangeError(`a client sent more than ${CLIENT_MESSAGE_MAX} bytes`);
    const head = short === LENGTH_16 ? 4 : 2;
    if (bytes.length < head) return null;
    const length = short === LENGTH_16 ? bytes.readUInt16BE(2) : short;
    const from = head + MASK_BYTES;
    if (bytes.length < from + length) return null;
    const payload = Buffer.from(bytes.subarray(from, from + length));
    for (let i = 0; i < length; i++)
      payload[i] = (payload[i] as number) ^ (bytes[head + (i % MASK_BYTES)] as number);
    this.#bytes = Buffer.from(bytes.subarray(from + length));
    return { opcode: (bytes[0] as number) & 0x0f, payload };
  }
}
