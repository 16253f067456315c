import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { type FrameEvents, FrameReader, OPCODE } from "./frame-reader.ts";
import { HEAD_BYTES_MAX, newKey, readAnswer, upgradeRequest } from "./handshake.ts";
import { type DialOptions, NO_CODE, NO_FRAME, type Wire, type WireEvents } from "./wire.ts";

/** Most bytes that wait because the other side does not take them: many times all subscriptions of a connection. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;
/** How long the other side may take to close after a close frame, ms. */
export const CLOSE_TIMEOUT: number = 2000;

/** Reads from here on have memory of their own, which is worth giving back at once. */
const LARGE_READ_BYTES = 16 * 1024;

const PORTS = { "ws:": 80, "wss:": 443 } as const;
const NOTHING: Buffer = Buffer.alloc(0);
const FINAL = 0x80;
const MASKED = 0x80;
const MASK_BYTES = 4;

type Socket = Bun.Socket<undefined>;

/**
 * Our own client of the WebSocket protocol (RFC 6455) over Bun's sockets, without extensions.
 *
 * Not for the protocol's sake: Bun's client makes an object of each message and reads one socket for as long as it has something,
 * which costs three times as much a frame and makes all others wait.
 */
export class DirectWire implements Wire {
  readonly #url: URL;
  readonly #ca: string | null;
  readonly #events: WireEvents;
  readonly #key = newKey();
  readonly #reader: FrameReader;
  readonly #turnBytes: number;
  #socket: Socket | null = null;
  /** `head` = the answer to the handshake is awaited. */
  #state: "connecting" | "head" | "open" | "closing" | "ended" = "connecting";
  #head = NOTHING;
  /** Whether what was read is worked off piece by piece; the socket is paused meanwhile. */
  #inTurns = false;
  /** What was read and waits for its turn. */
  #waiting: Buffer | null = null;
  /** The memory that Bun took for it; null = it is in memory of ours. */
  #memory: Buffer | null = null;
  /** What the other side has not taken yet: the bytes `unsentFrom` to `unsentTo`. */
  #unsent = NOTHING;
  #unsentFrom = 0;
  #unsentTo = 0;
  /** Whether our side is closed as soon as everything is sent. */
  #isSaid = false;
  #timer: ReturnType<typeof setTimeout>;

  /** @param ca certificates (PEM) of all authorities that are believed; null = the usual ones */
  constructor(url: string, ca: string | null, { bounds, events }: DialOptions) {
    const { handshakeTimeout, turnBytes, messageBytesMax } = bounds;
    this.#url = new URL(url);
    this.#ca = ca;
    this.#events = events;
    this.#turnBytes = turnBytes;
    this.#reader = new FrameReader(messageBytesMax, this.#reading());
    this.#timer = setTimeout(
      () => this.#fail(`the handshake timed out after ${handshakeTimeout / 1000} s`),
      handshakeTimeout,
    );
    // A system that has no way there says so at once: nobody knows this object yet.
    queueMicrotask(() => this.#connect());
  }

  get #isSecure(): boolean {
    return this.#url.protocol === "wss:";
  }

  get #host(): string {
    return this.#url.hostname.replace(/^\[(.*)\]$/, "$1");
  }

  async #connect(): Promise<void> {
    if (this.#state === "ended") return;
    const host = this.#host;
    const { port, protocol } = this.#url;
    const failed = (cause: unknown) => this.#guard(() => this.#fail(wordsOf(cause)));
    try {
      await Bun.connect({
        hostname: host,
        port: port === "" ? PORTS[protocol as keyof typeof PORTS] : Number(port),
        ...(this.#isSecure
          ? {
              tls: {
                rejectUnauthorized: true,
                ...(isIP(host) === 0 ? { serverName: host } : {}),
                ...(this.#ca === null ? {} : { ca: this.#ca }),
              },
            }
          : {}),
        socket: {
          binaryType: "buffer",
          open: (socket) => this.#guard(() => this.#connected(socket)),
          handshake: (socket, _success, error) => this.#guard(() => this.#secured(socket, error)),
          data: (_socket, bytes) => this.#guard(() => this.#read(bytes)),
          drain: () => this.#guard(() => this.#flush()),
          close: (_socket, error) => this.#guard(() => this.#gone(error)),
          error: (_socket, error) => this.#guard(() => this.#broke(error)),
          connectError: (_socket, error) => failed(error),
        },
      });
    } catch (cause) {
      failed(cause);
    }
  }

  #connected(socket: Socket): void {
    if (this.#state === "ended") {
      // Bun cannot be told to stop before: it goes on until this, or until the kernel gives up, which takes about two minutes.
      socket.terminate();
      return;
    }
    this.#socket = socket;
    socket.setNoDelay(true);
    if (!this.#isSecure) this.#ask();
  }

  /** The other side has shown its certificate: nothing is said before it is known to be the right one. */
  #secured(socket: Socket, error: Error | null): void {
    if (this.#state !== "connecting") return;
    const wrong = error ?? checkServerIdentity(this.#host, socket.getPeerCertificate() as never);
    if (wrong) this.#fail(wordsOf(wrong));
    else this.#ask();
  }

  #ask(): void {
    this.#state = "head";
    this.#write(Buffer.from(upgradeRequest(this.#url, this.#key)));
  }

  /** Runs what the socket brings about. An error of ours is not the socket's, for which Bun would take it. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.terminate();
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #read(bytes: Buffer): void {
    if (this.#inTurns) {
      this.#waiting = this.#waiting === null ? bytes : Buffer.concat([this.#waiting, bytes]);
      this.#memory = null;
    } else if (this.#state === "head") this.#readHead(bytes);
    else this.#take(bytes, bytes);
  }

  /** Works off what came on an open WebSocket. @param memory that Bun took for it; null = it is in memory of ours */
  #take(bytes: Buffer, memory: Buffer | null): void {
    if (bytes.length <= this.#turnBytes) {
      this.#readFrames(bytes);
      giveBack(memory);
      return;
    }
    this.#socket?.pause();
    this.#inTurns = true;
    this.#waiting = bytes;
    this.#memory = memory;
    this.#turn();
  }

  /**
   * Works off a piece of what waits, and goes on when all others had their turn. Left alone, Bun goes on reading one socket: eleven
   * times 512 KiB if others have something too, for ever if they do not yet.
   */
  #turn(): void {
    if (this.#waiting === null) {
      this.#inTurns = false;
      this.#socket?.resume();
      return;
    }
    this.#readPiece(this.#waiting);
    setImmediate(() => this.#guard(() => this.#turn()));
  }

  #readPiece(waiting: Buffer): void {
    const bytes = this.#turnBytes;
    this.#waiting = waiting.length > bytes ? waiting.subarray(bytes) : null;
    this.#readFrames(waiting.subarray(0, bytes));
    if (this.#waiting !== null) return;
    giveBack(this.#memory);
    this.#memory = null;
  }

  #readFrames(bytes: Buffer): void {
    const { messages } = this.#reader;
    this.#reader.read(bytes);
    if (this.#reader.messages === messages && this.#state === "open")
      this.#events.heard(this.#reader.isBetween);
  }

  #readHead(bytes: Buffer): void {
    this.#head = Buffer.concat([this.#head, bytes]);
    const end = this.#head.indexOf("\r\n\r\n");
    if ((end < 0 ? this.#head.length : end) > HEAD_BYTES_MAX) {
      this.#fail("the head of the server's answer is too long");
      return;
    }
    if (end < 0) return;
    const answer = readAnswer(this.#head.toString("latin1", 0, end), this.#key);
    if (answer.kind === "failed") {
      this.#fail(answer.reason);
      return;
    }
    if (answer.kind === "refused") {
      this.terminate();
      this.#events.refused(answer.status, answer.retryAfter);
      return;
    }
    clearTimeout(this.#timer);
    this.#state = "open";
    const rest = this.#head.subarray(end + 4);
    this.#head = NOTHING;
    this.#events.opened();
    // Servers send before they are asked.
    if (rest.length > 0) this.#take(rest, null);
  }

  #reading(): FrameEvents {
    return {
      message: (data, from, to) => {
        if (this.#state === "open") this.#events.message(data, from, to);
      },
      control: (opcode, payload) => {
        if (opcode === OPCODE.close) this.#closedByServer(payload);
        else if (opcode === OPCODE.ping) this.#frame(OPCODE.pong, payload);
      },
      broken: (reason) => this.#fail(reason),
    };
  }

  #closedByServer(payload: Uint8Array): void {
    const code = payload.length === 0 ? NO_CODE : ((payload[0] as number) << 8) | (payload[1] as number);
    if (payload.length === 1 || (payload.length > 1 && !mayStandInFrame(code))) {
      this.#fail("the server broke the WebSocket protocol: a close frame with a code that is none");
      return;
    }
    const wasOpen = this.#state === "open";
    this.#state = "closing";
    // A close frame is answered by one with the same code; it is the last that either side says.
    if (wasOpen) this.#frame(OPCODE.close, payload.subarray(0, 2));
    this.#hangUp();
    if (wasOpen) this.#events.closed(code, new TextDecoder().decode(payload.subarray(2)));
  }

  /** Nothing more is read or said; the connection ends when both sides have closed it, or when that takes too long. */
  #hangUp(): void {
    if (this.#state !== "closing") return;
    this.#reader.end();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.terminate(), CLOSE_TIMEOUT);
    this.#isSaid = true;
    this.#flush();
  }

  send(text: string): void {
    if (this.#state === "open") this.#frame(OPCODE.text, Buffer.from(text));
  }

  ping(): void {
    if (this.#state === "open") this.#frame(OPCODE.ping, Buffer.alloc(0));
  }

  close(code: number): void {
    if (this.#state !== "open") {
      if (this.#state !== "closing") this.terminate();
      return;
    }
    this.#state = "closing";
    this.#timer = setTimeout(() => this.terminate(), CLOSE_TIMEOUT);
    this.#frame(OPCODE.close, Buffer.of(code >> 8, code & 0xff));
  }

  terminate(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    clearTimeout(this.#timer);
    this.#reader.end();
    this.#unsent = NOTHING;
    this.#unsentFrom = 0;
    this.#unsentTo = 0;
    this.#head = NOTHING;
    this.#waiting = null;
    this.#memory = null;
    this.#socket?.terminate();
    this.#socket = null;
  }

  /** No connection, or one that cannot go on. */
  #fail(reason: string): void {
    if (this.#state === "ended") return;
    const told = this.#state !== "closing";
    this.terminate();
    if (told) this.#events.failed(reason);
  }

  /** Works off all that waits: what came before the end is the recorder's. */
  #finish(): void {
    while (this.#waiting !== null && this.#state === "open") this.#readPiece(this.#waiting);
  }

  /** The connection does not work any more. */
  #broke(error: unknown): void {
    this.#finish();
    this.#fail(wordsOf(error));
  }

  /** The connection is gone, whoever closed it. */
  #gone(error: unknown): void {
    this.#finish();
    const state = this.#state;
    this.terminate();
    if (state === "open") this.#events.closed(NO_FRAME, "");
    else if (state === "head" || state === "connecting")
      this.#events.failed(
        error === undefined || error === null ? "closed during the handshake" : wordsOf(error),
      );
  }

  /** Sends a frame as clients do, its payload masked (RFC 6455, 5.3). */
  #frame(opcode: number, payload: Uint8Array): void {
    const { length } = payload;
    const head = length < 126 ? 2 : length < 2 ** 16 ? 4 : 10;
    const frame = Buffer.allocUnsafe(head + MASK_BYTES + length);
    frame[0] = FINAL | opcode;
    if (head === 2) frame[1] = MASKED | length;
    else if (head === 4) {
      frame[1] = MASKED | 126;
      frame.writeUInt16BE(length, 2);
    } else {
      frame[1] = MASKED | 127;
      frame.writeUInt32BE(0, 2);
      frame.writeUInt32BE(length, 6);
    }
    crypto.getRandomValues(frame.subarray(head, head + MASK_BYTES));
    const from = head + MASK_BYTES;
    for (let i = 0; i < length; i++)
      frame[from + i] = (payload[i] as number) ^ (frame[head + (i % MASK_BYTES)] as number);
    this.#write(frame);
  }

  #write(bytes: Buffer): void {
    const sent = this.#unsentFrom === this.#unsentTo ? this.#offer(bytes) : 0;
    if (sent === bytes.length || this.#state === "ended") return;
    const unsent = this.#unsentTo - this.#unsentFrom;
    const left = bytes.length - sent;
    if (unsent + left > UNSENT_BYTES_MAX) {
      this.#fail(`the server does not take what is sent: ${unsent + left} bytes wait`);
      return;
    }
    if (this.#unsentTo + left > this.#unsent.length) {
      const room = Buffer.allocUnsafe(2 * (unsent + left));
      this.#unsent.copy(room, 0, this.#unsentFrom, this.#unsentTo);
      this.#unsent = room;
      this.#unsentFrom = 0;
      this.#unsentTo = unsent;
    }
    bytes.copy(this.#unsent, this.#unsentTo, sent);
    this.#unsentTo += left;
  }

  /** Gives bytes to the socket; how many it takes. */
  #offer(bytes: Buffer): number {
    return Math.max(0, this.#socket?.write(bytes) ?? 0);
  }

  #flush(): void {
    if (this.#unsentFrom < this.#unsentTo)
      this.#unsentFrom += this.#offer(this.#unsent.subarray(this.#unsentFrom, this.#unsentTo));
    // It may have ended meanwhile.
    if (this.#unsentFrom < this.#unsentTo || this.#state === "ended") return;
    this.#unsent = NOTHING;
    this.#unsentFrom = 0;
    this.#unsentTo = 0;
    if (!this.#isSaid) return;
    this.#isSaid = false;
    this.#socket?.end();
  }
}

/**
 * Frees the memory of a read that was worked off, of which nothing is kept: the next read has it again, warm. Left to the collector, each
 * read would be in memory that the system has to make first, a page fault for every 4 KiB. Small reads stand in the collector's own.
 */
function giveBack(read: Buffer | null): void {
  if (read === null || read.length < LARGE_READ_BYTES) return;
  const { buffer } = read;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === read.length) buffer.transfer(0);
}

/** Codes of close frames (RFC 6455, 7.4). */
function mayStandInFrame(code: number): boolean {
  return code >= 1000 && code < 5000 && ![1004, NO_CODE, NO_FRAME, 1015].includes(code);
}

function wordsOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code: unknown = Reflect.get(cause, "code");
  const words = cause.message || "connection failed";
  return typeof code === "string" && !words.includes(code) ? `${code}: ${words}` : words;
}
