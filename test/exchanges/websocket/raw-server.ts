/** A server that is told byte by byte what it says, over TCP or TLS on loopback; and a client that keeps what it is told. */
import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { DirectWire } from "../../../src/exchanges/websocket/direct.ts";
import type { WireBounds } from "../../../src/exchanges/websocket/wire.ts";
import { TEST_BOUNDS } from "../../helpers/connection.ts";
import { within } from "../../helpers/wait.ts";
import { until } from "../../lib/until.ts";
import { type ClientFrame, readClientFrame } from "./frames.ts";

/** The answer that opens a WebSocket. @param more further headers, each with the end of its line */
export function acceptance(request: string, more = ""): string {
  const key = /^sec-websocket-key: *(\S+)/im.exec(request)?.[1] ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n${more}\r\n`
  );
}

/** What the server sees of one client. */
export class Client {
  /** The head of its request; empty until it has come. */
  request = "";
  /** Whole frames so far. */
  readonly frames: ClientFrame[] = [];
  /** Bytes after the request that are no whole frame yet. */
  rest: Buffer = Buffer.alloc(0);
  /** All bytes that came, the request too. */
  bytes = 0;
  isEnded = false;
  isClosed = false;

  constructor(
    readonly socket: Socket,
    private readonly asked: (client: Client) => void,
  ) {
    socket.on("data", (data: Buffer) => this.#read(data));
    socket.on("end", () => {
      this.isEnded = true;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.isClosed = true;
    });
  }

  #read(data: Buffer): void {
    this.bytes += data.length;
    this.rest = Buffer.concat([this.rest, data]);
    if (this.request === "") {
      const end = this.rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.request = this.rest.toString("latin1", 0, end + 4);
      this.rest = this.rest.subarray(end + 4);
      this.asked(this);
    }
    for (let one = readClientFrame(this.rest); one !== null; one = readClientFrame(this.rest)) {
      this.frames.push(one);
      this.rest = this.rest.subarray(one.size);
    }
  }

  /** Opens the WebSocket, and says something at once. */
  accept(...first: Uint8Array[]): void {
    this.socket.write(Buffer.concat([Buffer.from(acceptance(this.request)), ...first]));
  }

  say(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** The frame of this number, from 0, when it has come. */
  async frame(number: number): Promise<ClientFrame> {
    await until(() => this.frames.length > number, `frame ${number} of the client`);
    return this.frames[number];
  }
}

/** See the head of the file. */
export class RawServer implements AsyncDisposable {
  readonly clients: Client[] = [];
  /** Bytes that came in plain, for TLS: those that were said after the handshake. */
  readonly #server: Server;
  #url = "";

  /** @param asked what is done about a request; nothing if it is not said */
  constructor(
    asked: (client: Client) => void = () => undefined,
    private readonly tls: { readonly cert: string; readonly key: string } | null = null,
  ) {
    const take = (socket: Socket) => {
      socket.setNoDelay(true);
      this.clients.push(new Client(socket, asked));
    };
    // Who has closed his side is still said something.
    this.#server = tls === null ? createServer({ allowHalfOpen: true }, take) : createTlsServer(tls, take);
    this.#server.on("tlsClientError", () => undefined);
  }

  async listen(host = "127.0.0.1"): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const name = host.includes(":") ? `[${host}]` : host;
    this.#url = `${this.tls === null ? "ws" : "wss"}://${name}:${address.port}/`;
    return this;
  }

  get url(): string {
    return this.#url;
  }

  /** The client of this number, from 0, when it has come. */
  async client(number = 0): Promise<Client> {
    await until(() => this.clients.length > number, `client ${number}`);
    return this.clients[number];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.clients) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What a client does about what it is told, besides keeping it. */
export interface Does {
  opened?(wire: DirectWire): void;
  message?(wire: DirectWire, text: string): void;
}

/** A client that keeps what it is told, one line each. */
export class Listener {
  readonly told: string[] = [];
  /** Bytes of all messages. */
  bytes = 0;
  messages = 0;
  readonly wire: DirectWire;
  readonly #ended = Promise.withResolvers<string>();
  #isReturned = false;

  constructor(
    url: string,
    {
      ca = null,
      timeout = 60_000,
      bounds = {},
      does = {},
    }: { ca?: string | null; timeout?: number; bounds?: Partial<WireBounds>; does?: Does } = {},
  ) {
    const tell = (line: string) => {
      if (!this.#isReturned) this.told.push("told before the call has returned");
      this.told.push(line);
    };
    const end = (line: string) => {
      tell(line);
      this.#ended.resolve(line);
    };
    this.wire = new DirectWire(url, ca, {
      bounds: { ...TEST_BOUNDS, handshakeTimeout: timeout, ...bounds },
      events: {
        opened: () => {
          tell("opened");
          does.opened?.(this.wire);
        },
        message: (data, from, to) => {
          this.bytes += to - from;
          this.messages++;
          const text =
            to - from > 100 ? `${to - from} bytes` : Buffer.from(data.subarray(from, to)).toString();
          tell(`message ${text}`);
          does.message?.(this.wire, text);
        },
        heard: (whole) => tell(whole ? "heard" : "heard a piece"),
        refused: (status, retryAfter) => end(`refused ${status} ${retryAfter}`),
        failed: (reason) => end(`failed ${reason}`),
        closed: (code, reason) => end(`closed ${code} ${reason}`),
      },
    });
    this.#isReturned = true;
  }

  /** How it ended. */
  ended(): Promise<string> {
    return within("the end of the WebSocket", this.#ended.promise, { state: () => this.told.join("\n") });
  }

  /** What it was told but for pieces, of which there may be any number. */
  get essence(): string[] {
    return this.told.filter((line) => line !== "heard a piece");
  }

  async opened(): Promise<void> {
    await until(() => this.told.includes("opened"), "an open WebSocket");
  }
}
