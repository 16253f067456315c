/** A plain WebSocket client for tests: keeps every text it is sent. */
import { connect, type Socket } from "node:net";
import WebSocket from "ws";

/** Far above what anything here takes: a wait that ends this way has failed. */
const DEADLINE_MS = 60_000;

/** A connected client. */
export class Client {
  readonly frames: string[] = [];
  readonly #socket: WebSocket;
  readonly closed: Promise<number>;
  pings = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => this.frames.push(data.toString()));
    socket.on("ping", () => this.pings++);
    this.closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  }

  /** Rejects with the HTTP status when the upgrade is refused. */
  static async open(url: string): Promise<Client> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    const client = new Client(socket);
    await new Promise<void>((resolve, reject) => {
      socket.on("open", () => resolve());
      socket.on("unexpected-response", (_, response) => reject(new Error(`status ${response.statusCode}`)));
      socket.on("error", reject);
    });
    return client;
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  request(method: string, id: number, params?: readonly string[]): void {
    this.send(JSON.stringify({ method, ...(params === undefined ? {} : { params }), id }));
  }

  /** Subscribes and waits for the ack, which it takes out of `frames`. */
  async subscribe(streams: readonly string[], id = 1): Promise<void> {
    this.request("SUBSCRIBE", id, streams);
    const ack = `{"result":null,"id":${id}}`;
    await until(() => this.frames.includes(ack), `ack ${id}`);
    this.frames.splice(this.frames.indexOf(ack), 1);
  }

  close(): void {
    this.#socket.close();
  }
}

/** Waits until something holds; fails naming it. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${DEADLINE_MS} ms in vain for: ${what}`);
    await Bun.sleep(2);
  }
}

/** Turns in which a number has to stay as it is, and ms of each. */
const STILL_TURNS = 5;
const STILL_MS = 10;

/**
 * Waits until a number stays as it is and gives it: what was on its way has arrived then. Turns are counted and not
 * time alone, so that a process which was paused meanwhile reads what lies there first.
 */
export async function still(value: () => number, what: string): Promise<number> {
  let last = value();
  let turns = 0;
  const deadline = performance.now() + DEADLINE_MS;
  while (turns < STILL_TURNS) {
    if (performance.now() > deadline)
      throw new Error(`waited ${DEADLINE_MS} ms in vain for an end of: ${what}`);
    await Bun.sleep(STILL_MS);
    const now = value();
    turns = now === last ? turns + 1 : 0;
    last = now;
  }
  return last;
}

/** A client that upgrades by hand and then neither reads nor answers pings. */
export async function deafClient(port: number, path: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await new Promise<void>((resolve) => socket.on("connect", () => resolve()));
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
  );
  socket.pause();
  return socket;
}
