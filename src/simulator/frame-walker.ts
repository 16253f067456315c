/** Follows the frames that a WebSocket server sends (RFC 6455, 5.2), to change the first byte of some. */

const HEAD_END = [13, 10, 13, 10] as const;
const SWITCHING = "HTTP/1.1 101";
const OPCODE = 0x0f;
const TEXT = 1;
const BINARY = 2;
const LENGTH = 0x7f;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** One connection, from its first byte. What is no WebSocket passes untouched. */
export class FrameWalker {
  /** Whether binary frames become text frames. */
  binaryAsText = false;
  #state: "status" | "head" | "frame" | "length" | "payload" | "plain" = "status";
  #status = "";
  /** Bytes of the blank line that ends the head, seen so far. */
  #matched = 0;
  #lengthBytes = 0;
  #left = 0;

  /** Whether it has become a WebSocket. */
  get switched(): boolean {
    return this.#state === "frame" || this.#state === "length" || this.#state === "payload";
  }

  /** Answers the same bytes, or a copy where something was changed. */
  walk(bytes: Uint8Array): Uint8Array {
    let out = bytes;
    for (let i = 0; i < bytes.length && this.#state !== "plain"; i++) {
      const byte = bytes[i] as number;
      switch (this.#state) {
        case "status":
          this.#head(byte);
          this.#status += String.fromCharCode(byte);
          if (this.#status.length === SWITCHING.length) {
            this.#state = this.#status === SWITCHING ? "head" : "plain";
          }
          break;
        case "head":
          this.#head(byte);
          break;
        case "frame":
          if (this.binaryAsText && (byte & OPCODE) === BINARY) {
            if (out === bytes) out = Uint8Array.from(bytes);
            out[i] = (byte & ~OPCODE) | TEXT;
          }
          this.#lengthBytes = -1;
          this.#state = "length";
          break;
        case "length":
          this.#length(byte);
          break;
        case "payload": {
          const here = Math.min(this.#left, bytes.length - i);
          this.#left -= here;
          i += here - 1;
          if (this.#left === 0) this.#state = "frame";
        }
      }
    }
    return out;
  }

  #head(byte: number): void {
    if (byte === HEAD_END[this.#matched]) this.#matched++;
    else this.#matched = byte === HEAD_END[0] ? 1 : 0;
    if (this.#matched === HEAD_END.length) this.#state = "frame";
  }

  /** A server's frames have no mask. */
  #length(byte: number): void {
    if (this.#lengthBytes < 0) {
      const short = byte & LENGTH;
      this.#lengthBytes = short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0;
      this.#left = this.#lengthBytes === 0 ? short : 0;
    } else {
      this.#left = this.#left * 256 + byte;
      this.#lengthBytes--;
    }
    if (this.#lengthBytes === 0) this.#state = this.#left === 0 ? "frame" : "payload";
  }
}
