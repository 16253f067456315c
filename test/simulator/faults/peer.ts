/** A WebSocket client that keeps all it sees, good or bad. */
import WebSocket from "ws";
import { until } from "../client.ts";

/** See the head of the file. */
export class Peer {
  /** Text frames, as they came. */
  readonly texts: string[] = [];
  readonly binary: Buffer[] = [];
  pings = 0;
  pongs = 0;
  code: number | undefined;
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => {
      if (isBinary) this.binary.push(Buffer.from(data as Buffer));
      else this.texts.push(data.toString());
    });
    socket.on("ping", () => this.pings++);
    socket.on("pong", () => this.pongs++);
    this.closed = new Promise((resolve) =>
      socket.on("close", (code) => {
        this.code = code;
        resolve(code);
      }),
    );
  }

  /** Rejects with the status and Retry-After of a refusal, or the error of the socket. */
  static async open(url: string): Promise<Peer> {
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 64 << 20 });
    const peer = new Peer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.on("open", () => resolve());
      socket.on("unexpected-response", (_, { statusCode, headers }) =>
        reject(new Error(`status ${statusCode} retry-after ${String(headers["retry-after"])}`)),
      );
      socket.on("error", reject);
    });
    return peer;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  ping(): void {
    this.#socket.ping();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  /** Waits for a text, among those that came before too. */
  until(holds: (text: string) => boolean, what: string): Promise<void> {
    return until(() => this.texts.some(holds), what);
  }

  /** Waits for `more` texts from now. */
  more(more: number): Promise<void> {
    const from = this.texts.length;
    return until(() => this.texts.length >= from + more, `${more} more texts`);
  }
}
