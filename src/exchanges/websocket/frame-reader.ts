import { BYTES, FRAME_BYTES_MAX, INBOX_AT, READ_BYTES_MAX, WORDS } from "../decoding/frame-memory.ts";

/** Kinds of frames (RFC 6455, 5.2). */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** First byte of a frame: the last of its message; bits that mean nothing without an extension; its kind. */
const FINAL = 0x80;
const RESERVED = 0x70;
const KIND = 0x0f;
/** Second byte: whether the payload is masked, as a server's never is; its length, or how many bytes tell it. */
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** Longest payload of a close, ping or pong frame, bytes. */
const CONTROL_BYTES_MAX = 125;
const FIRST_CONTROL = 8;

/** What is read. */
export interface FrameEvents {
  /** A whole message; the bytes are there while this runs and no longer. */
  message(data: Uint8Array, from: number, to: number): void;
  /** A close, ping or pong frame. */
  control(opcode: number, payload: Uint8Array): void;
  /** The server does not keep to the protocol; nothing more is read. */
  broken(reason: string): void;
}

/**
 * Reads the frames of a server (RFC 6455) from the bytes that arrive, whatever the pieces.
 *
 * The bytes of a read are copied into the inbox of the frame memory once, and its frames are handed out where they stand there.
 * Only what cannot stand there gets memory of its own: frames longer than any that is scanned, and messages in fragments.
 */
export class FrameReader {
  /** Messages handed out so far. */
  messages = 0;
  readonly #events: FrameEvents;
  readonly #messageMax: number;
  /** The begin of a frame that has not come whole, how much of it there is, and how long it will be; 0 = that is not known yet. */
  #rest = new Uint8Array(0);
  #restLength = 0;
  #restWanted = 0;
  /** The payload of a long frame that has not come whole, its first byte of all, and how much there is. */
  #long: Uint8Array | null = null;
  #longFirst = 0;
  #longLength = 0;
  /** The fragments so far of a message that has not come whole, one behind the other, with room for more; null = there is none. */
  #fragments: Uint8Array | null = null;
  #fragmentBytes = 0;
  #over = false;

  /** @param messageMax bytes of a message, beyond which it is the end */
  constructor(messageMax: number, events: FrameEvents) {
    this.#messageMax = messageMax;
    this.#events = events;
  }

  /** Whether everything was handed out that has begun to come. */
  get isBetween(): boolean {
    return this.#restLength === 0 && this.#long === null && this.#fragments === null;
  }

  /** Nothing more is read, or handed out. */
  end(): void {
    this.#over = true;
    this.#rest = new Uint8Array(0);
    this.#restLength = 0;
    this.#long = null;
    this.#fragments = null;
  }

  /** Takes the bytes of a read. */
  read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.#over) {
      if (this.#long !== null) {
        at = this.#goOn(this.#long, bytes, at);
        continue;
      }
      // A frame that comes in many pieces is put together piece by piece, and looked at when it is whole.
      if (this.#restLength + bytes.length - at < this.#restWanted) {
        this.#rest.set(bytes.subarray(at), this.#restLength);
        this.#restLength += bytes.length - at;
        return;
      }
      const end = Math.min(bytes.length, at + READ_BYTES_MAX);
      const from = INBOX_AT + this.#restLength;
      if (this.#restLength > 0) {
        BYTES.set(this.#rest.subarray(0, this.#restLength), INBOX_AT);
        this.#restLength = 0;
        this.#restWanted = 0;
      }
      BYTES.set(end - at === bytes.length ? bytes : bytes.subarray(at, end), from);
      this.#readInbox(from + end - at);
      at = end;
    }
  }

  /** Hands out the frames of the inbox, and keeps what is left of it. */
  #readInbox(end: number): void {
    const events = this.#events;
    let at = INBOX_AT;
    let wanted = 0;
    while (end - at >= 2) {
      const first = BYTES[at];
      let length = BYTES[at + 1];
      let from = at + 2;
      if (length === LENGTH_16) {
        if (end - at < 4) break;
        length = (BYTES[at + 2] << 8) | BYTES[at + 3];
        from = at + 4;
      } else if (length === LENGTH_64) {
        if (end - at < 10) break;
        length = WORDS.getUint32(at + 2) * 2 ** 32 + WORDS.getUint32(at + 6);
        from = at + 10;
      } else if (length >= MASKED) {
        this.#break("a masked frame");
        return;
      }
      const to = from + length;
      // Nearly all: a message of one frame, which has come whole.
      if (
        to <= end &&
        (first === (FINAL | OPCODE.text) || first === (FINAL | OPCODE.binary)) &&
        this.#fragments === null &&
        length <= this.#messageMax
      ) {
        this.messages++;
        // Zeros end a frame; where this one ends, the head of the next one stands.
        const next = WORDS.getInt32(to, true);
        WORDS.setInt32(to, 0, true);
        events.message(BYTES, from, to);
        if (this.#over) return;
        WORDS.setInt32(to, next, true);
        at = to;
        continue;
      }
      if (!this.#isAllowed(first, length)) return;
      if (to <= end) {
        this.#whole(first, BYTES.slice(from, to));
        if (this.#over) return;
        at = to;
        continue;
      }
      if (length > FRAME_BYTES_MAX) {
        this.#long = new Uint8Array(length);
        this.#longFirst = first;
        this.#longLength = end - from;
        this.#long.set(BYTES.subarray(from, end));
        return;
      }
      wanted = to - at;
      break;
    }
    this.#keep(at, end, wanted);
  }

  /** Keeps the begin of a frame until the rest comes. @param wanted its length; 0 = that is not known yet */
  #keep(from: number, to: number, wanted: number): void {
    const length = to - from;
    const room = Math.max(length, wanted);
    if (room > this.#rest.length) this.#rest = new Uint8Array(Math.max(1024, room));
    this.#rest.set(BYTES.subarray(from, to));
    this.#restLength = length;
    this.#restWanted = wanted;
  }

  /** Goes on with a long frame; where the bytes go on behind it. */
  #goOn(long: Uint8Array, bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + long.length - this.#longLength);
    long.set(bytes.subarray(at, end), this.#longLength);
    this.#longLength += end - at;
    if (this.#longLength === long.length) {
      this.#long = null;
      this.#whole(this.#longFirst, long);
    }
    return end;
  }

  /** Whether such a frame may come; if not, it is the end. */
  #isAllowed(first: number, length: number): boolean {
    const kind = first & KIND;
    if ((first & RESERVED) !== 0) this.#break("a frame with bits that were not agreed on");
    else if (kind >= FIRST_CONTROL) {
      if (kind > OPCODE.pong) this.#break(`a frame of the unknown kind ${kind}`);
      else if ((first & FINAL) === 0) this.#break("a control frame in fragments");
      else if (length > CONTROL_BYTES_MAX) this.#break(`a control frame of ${length} bytes`);
    } else if (kind > OPCODE.binary) this.#break(`a frame of the unknown kind ${kind}`);
    else if (kind === OPCODE.continuation && this.#fragments === null)
      this.#break("a fragment of no message");
    else if (kind !== OPCODE.continuation && this.#fragments !== null)
      this.#break("a message between the fragments of another");
    else if (length + this.#fragmentBytes > this.#messageMax)
      this.#break(`a message of more than ${this.#messageMax} bytes`);
    return !this.#over;
  }

  /** A whole frame, which may come, in memory of its own. */
  #whole(first: number, payload: Uint8Array): void {
    const kind = first & KIND;
    if (kind >= FIRST_CONTROL) {
      this.#events.control(kind, payload);
      return;
    }
    const isLast = (first & FINAL) !== 0;
    if (this.#fragments === null && isLast) {
      this.#message(payload, payload.length);
      return;
    }
    const fragments = this.#withFragment(this.#fragments ?? payload, payload);
    const length = this.#fragmentBytes;
    this.#fragments = fragments;
    if (!isLast) return;
    this.#fragments = null;
    this.#fragmentBytes = 0;
    this.#message(fragments, length);
  }

  /** The fragments so far and one more; in other memory if they need more. */
  #withFragment(fragments: Uint8Array, payload: Uint8Array): Uint8Array {
    const before = this.#fragmentBytes;
    const length = before + payload.length;
    this.#fragmentBytes = length;
    if (fragments === payload) return payload;
    let room = fragments;
    if (length > room.length) {
      room = new Uint8Array(Math.min(this.#messageMax, 2 * length));
      room.set(fragments.subarray(0, before));
    }
    room.set(payload, before);
    return room;
  }

  #message(data: Uint8Array, length: number): void {
    this.messages++;
    this.#events.message(data, 0, length);
  }

  #break(what: string): void {
    this.end();
    this.#events.broken(`the server broke the WebSocket protocol: ${what}`);
  }
}
