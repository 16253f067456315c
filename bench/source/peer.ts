/** One connection of the load source: HTTP first, then a WebSocket on which a reel is played. */
import type { Socket } from "bun";
import { z } from "zod";
import type { Reel } from "./tape.ts";
import { ClientReader, frameOf, OPCODE, switchingProtocols } from "./websocket.ts";

/** Most frames that are given to a socket at once: about 100 kB. */
const FRAMES_AT_ONCE = 512;

const utf8 = new TextEncoder();
const requestSchema = z.looseObject({
  method: z.string(),
  params: z.array(z.string()).default([]),
  id: z.int(),
});

/** What a peer needs of the source. */
export interface Host {
  /** Body of an answer over HTTP; null = there is none at this path. */
  answer(path: string): string | null;
  /** A subscription came, or one ended. */
  changed(): void;
  left(peer: Peer): void;
  /** Epoch µs. */
  now(): number;
}

/** See the head of the file. */
export class Peer {
  /** Channels that are subscribed on it. */
  readonly channels = new Set<string>();
  /** What is played; null = nothing yet. */
  reel: Reel | null = null;
  /** Frames and bytes that the socket has taken or is about to. */
  frames = 0;
  bytes = 0;
  /** Part of a frame that is owed: rates are shared out in fractions. */
  owed = 0;
  readonly #socket: Socket<Peer>;
  readonly #host: Host;
  readonly #reader = new ClientReader();
  #head = "";
  #switched = false;
  /** What the socket has not taken yet. */
  #rest: Uint8Array | null = null;
  #replies: Uint8Array[] = [];

  constructor(socket: Socket<Peer>, host: Host) {
    this.#socket = socket;
    this.#host = host;
  }

  /** Whether the socket takes no more at the moment. */
  get blocked(): boolean {
    return this.#rest !== null;
  }

  received(bytes: Uint8Array): void {
    if (!this.#switched) this.#request(bytes);
    else for (const message of this.#reader.read(bytes)) this.#message(message.opcode, message.payload);
  }

  #request(bytes: Uint8Array): void {
    this.#head += Buffer.from(bytes).toString("latin1");
    if (!this.#head.includes("\r\n\r\n")) return;
    const [, path = "/"] = this.#head.split(" ");
    const key = /sec-websocket-key: *(\S+)/i.exec(this.#head)?.[1];
    this.#head = "";
    if (key !== undefined) {
      this.#switched = true;
      this.#write(utf8.encode(switchingProtocols(key)));
      // Streams may stand in the address as well: cryptofeed asks so.
      const streams = new URL(path, "ws://source").searchParams.get("streams") ?? "";
      for (const channel of streams.split("/")) if (channel !== "") this.channels.add(channel);
      if (this.channels.size > 0) this.#host.changed();
      return;
    }
    const body = this.#host.answer(path);
    const content = utf8.encode(body ?? "");
    const status = body === null ? "404 Not Found" : "200 OK";
    const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${content.length}\r\n\r\n`;
    this.#write(Buffer.concat([utf8.encode(head), content]));
  }

  #message(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.ping) this.#write(frameOf(OPCODE.pong, payload));
    if (opcode === OPCODE.close) {
      this.#write(frameOf(OPCODE.close, payload.subarray(0, 2)));
      this.#socket.end();
    }
    if (opcode !== OPCODE.text) return;
    const { method, params, id } = requestSchema.parse(JSON.parse(payload.toString()));
    for (const channel of params) {
      if (method === "SUBSCRIBE") this.channels.add(channel);
      else this.channels.delete(channel);
    }
    this.#write(frameOf(OPCODE.text, utf8.encode(JSON.stringify({ result: null, id }))));
    this.#host.changed();
  }

  /** Sends the next `count` frames, fewer when the socket takes no more; answers how many. */
  play(count: number): number {
    const { reel } = this;
    if (reel === null) return 0;
    let played = 0;
    while (played < count && this.#rest === null) {
      const now = Math.min(count - played, reel.left, FRAMES_AT_ONCE);
      const bytes = reel.take(now, this.#host.now());
      this.bytes += bytes.length;
      played += now;
      this.#write(bytes);
    }
    this.frames += played;
    return played;
  }

  #write(bytes: Uint8Array): void {
    if (this.#rest !== null) {
      this.#replies.push(bytes);
      return;
    }
    const taken = Math.max(0, this.#socket.write(bytes));
    if (taken < bytes.length) this.#rest = bytes.subarray(taken);
  }

  /** The socket takes more. */
  drained(): void {
    const rest = this.#rest;
    if (rest !== null) {
      this.#rest = null;
      this.#write(rest);
    }
    while (this.#rest === null) {
      const next = this.#replies.shift();
      if (next === undefined) break;
      this.#write(next);
    }
  }

  closed(): void {
    this.#rest = null;
    this.#host.left(this);
  }
}
