/** A TCP front of an exchange that takes note of every attempt to reach it, and hands on all bytes. */
import { connect, createServer, type Server, type Socket } from "node:net";

/** One attempt to reach the exchange. */
export interface Attempt {
  /**
   * When it was made, ms of `performance.now()`: seen at `at`, and not there yet at `after`. That is when its connection
   * came; of a further request on it, when that did.
   */
  readonly at: number;
  readonly after: number;
  readonly path: string;
  /** A WebSocket, or else a request over REST. */
  readonly upgrade: boolean;
}

/** How often the front notes that it is not held up, ms. */
const LOOK_EVERY = 5;

/** See the head of the file. */
export class Front implements AsyncDisposable {
  readonly attempts: Attempt[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  /** Bytes a second that each connection is given; null = as they come. */
  readonly #rate: number | null;
  #port = 0;
  /** When this process last read what had come. */
  #looked = performance.now();
  readonly #looking = setInterval(() => {
    // The turn after this one reads what lies there, and only then nothing is left from before.
    const at = performance.now();
    setImmediate(() => {
      this.#looked = at;
    });
  }, LOOK_EVERY);

  /** @param options.rate bytes a second that each connection is given */
  constructor(target: number, options: { readonly rate?: number } = {}) {
    this.#rate = options.rate ?? null;
    this.#server = createServer((client) => {
      client.setNoDelay(true);
      const exchange = connect(target, "127.0.0.1");
      exchange.setNoDelay(true);
      let upgraded = false;
      let came: Pick<Attempt, "at" | "after"> | null = this.#now();
      client.on("data", (data: Buffer) => {
        // Requests over REST may follow each other on one connection.
        if (!upgraded) upgraded = this.#note(data.toString("latin1"), came ?? this.#now());
        came = null;
      });
      this.#join(client, exchange);
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.#port = address.port;
    return this;
  }

  /** Bases for the settings `exchanges.<name>.ws_url` and `.rest_url`. */
  get url(): string {
    return `ws://127.0.0.1:${this.#port}`;
  }

  get restUrl(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Attempts of one kind after a time (ms of `performance.now()`), in order. */
  since(at: number, upgrade: boolean): Attempt[] {
    const found = this.attempts.filter((one) => one.upgrade === upgrade && one.at >= at);
    return found.toSorted((one, other) => one.at - other.at);
  }

  /** Takes note of a request; true = of a WebSocket. */
  #note(head: string, came: Pick<Attempt, "at" | "after">): boolean {
    const path = /^[A-Z]+ (\S+) HTTP/.exec(head)?.[1];
    const upgrade = /\r\nupgrade: *websocket/i.test(head);
    if (path !== undefined) this.attempts.push({ ...came, path, upgrade });
    return upgrade;
  }

  #now(): Pick<Attempt, "at" | "after"> {
    return { at: performance.now(), after: this.#looked };
  }

  #join(client: Socket, exchange: Socket): void {
    for (const [one, other] of [
      [client, exchange],
      [exchange, client],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroySoon();
      });
    }
    client.pipe(exchange);
    if (this.#rate === null) exchange.pipe(client);
    else throttle(exchange, client, this.#rate);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Time between two pieces, ms. */
const PIECE_MS = 20;

/** Hands on so many bytes a second: what a narrow line does to one connection. */
function throttle(from: Socket, to: Socket, rate: number): void {
  const waiting: Buffer[] = [];
  let room = 0;
  let before = performance.now();
  from.on("data", (data: Buffer) => {
    waiting.push(data);
  });
  const timer = setInterval(() => {
    const now = performance.now();
    room += (rate * (now - before)) / 1000;
    // A line that was idle has saved up nothing. One that was not goes on while this process is held up.
    if (waiting.length === 0) room = Math.min(room, rate * 0.1);
    before = now;
    for (let piece = waiting[0]; piece !== undefined && room >= 1; piece = waiting[0]) {
      const bytes = Math.min(piece.length, Math.floor(room));
      to.write(piece.subarray(0, bytes));
      room -= bytes;
      if (bytes === piece.length) waiting.shift();
      else waiting[0] = piece.subarray(bytes);
    }
  }, PIECE_MS);
  from.on("close", () => clearInterval(timer));
}

/** The most of these that came for certain in any span of so many ms: a front that is held up reads many at once. */
export function mostWithin(attempts: readonly Attempt[], ms: number): number {
  let most = 0;
  let from = 0;
  for (const [to, { at }] of attempts.entries()) {
    while (at - (attempts[from]?.after ?? at) >= ms) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}
