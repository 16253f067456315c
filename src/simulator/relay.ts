/**
 * A TCP relay on loopback in front of a simulated exchange, for what a WebSocket server cannot do itself:
 * keep a socket open and say nothing at all on it (the server answers pings and closes by itself), and send
 * a text frame that is no text.
 */
import type { Socket, TCPSocketListener } from "bun";
import { FrameWalker } from "./frame-walker.ts";

/** Bytes that wait for one end before the other is no longer read. */
const WAITING_BYTES_MAX = 256 << 10;
/** A connection has settled when nothing came from the exchange for so long. */
const SETTLED_MS = 5;
const SETTLE_POLL_MS = 2;
const SETTLE_MAX_MS = 500;
/** How long `stop` waits for the last bytes of connections that the exchange has closed. */
const CLOSING_MS = 500;

/** Starts with its port open. Throws (EADDRINUSE) when the port is taken. */
export class Relay {
  readonly port: number;
  readonly #hostname: string;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  #listener: TCPSocketListener<Pair> | undefined;

  /** @param target port of the exchange itself */
  constructor(hostname: string, port: number, target: number) {
    this.#hostname = hostname;
    this.#target = target;
    this.#listener = this.#listen(port);
    this.port = this.#listener.port;
  }

  /** Opens or closes the port; what is connected stays so. Throws (EADDRINUSE). */
  listen(on: boolean): void {
    if (on) {
      this.#listener ??= this.#listen(this.port);
      return;
    }
    this.#listener?.stop(false);
    this.#listener = undefined;
    // A kept-alive HTTP connection would go on answering.
    for (const pair of [...this.#pairs]) if (!pair.walker.switched) pair.reset();
  }

  /**
   * From now on nothing passes between the client and the exchange, which knows it by this port of its own
   * client. What the exchange has sent so far still arrives.
   */
  async blacken(port: number): Promise<void> {
    const pair = this.#find(port);
    await pair?.settled();
    pair?.blacken();
  }

  /** Ends a connection that was blackened. */
  reset(port: number): void {
    for (const pair of this.#pairs) if (pair.port === port && pair.black) pair.reset();
  }

  /** Turns the binary frames of a connection into text frames. */
  binaryAsText(port: number, on: boolean): void {
    const pair = this.#find(port);
    if (pair !== undefined) pair.walker.binaryAsText = on;
  }

  /** Closes the port and ends all connections; the exchange has closed its own by now, which takes a moment. */
  async stop(): Promise<void> {
    this.listen(false);
    const deadline = performance.now() + CLOSING_MS;
    while ([...this.#pairs].some((pair) => !pair.black) && performance.now() < deadline) {
      await Bun.sleep(SETTLE_POLL_MS);
    }
    for (const pair of [...this.#pairs]) pair.reset();
  }

  #find(port: number): Pair | undefined {
    return [...this.#pairs].find((pair) => pair.port === port);
  }

  #listen(port: number): TCPSocketListener<Pair> {
    return Bun.listen<Pair>({
      hostname: this.#hostname,
      port,
      socket: {
        open: (client) => {
          const pair = new Pair(client, () => this.#pairs.delete(pair));
          client.data = pair;
          this.#pairs.add(pair);
          void pair.connect(this.#hostname, this.#target);
        },
        data: (client, bytes) => client.data.fromClient(bytes),
        drain: (client) => client.data.clientDrained(),
        close: (client) => client.data.clientClosed(),
        error: (client) => client.data.clientClosed(),
      },
    });
  }
}

/** A client and the exchange's end of its connection. */
class Pair {
  readonly walker = new FrameWalker();
  /** Whether nothing passes. */
  black = false;
  readonly #client: Socket<Pair>;
  readonly #ended: () => void;
  readonly #toClient: Outlet;
  readonly #toExchange = new Outlet();
  #exchange: Socket<undefined> | undefined;
  #clientOpen = true;
  #exchangeOpen = true;
  #heardMs = performance.now();

  constructor(client: Socket<Pair>, ended: () => void) {
    this.#client = client;
    this.#ended = ended;
    this.#toClient = new Outlet(client);
  }

  /** The port by which the exchange knows this connection; undefined = not yet connected. */
  get port(): number | undefined {
    return this.#exchange?.localPort;
  }

  async connect(hostname: string, port: number): Promise<void> {
    try {
      const exchange = await Bun.connect({
        hostname,
        port,
        socket: {
          data: (_, bytes) => this.#fromExchange(bytes),
          drain: () => this.#exchangeDrained(),
          close: () => this.#exchangeClosed(),
          error: () => this.#exchangeClosed(),
        },
      });
      this.#exchange = exchange;
      this.#toExchange.open(exchange);
      if (!this.#clientOpen) exchange.end();
    } catch {
      // The exchange is being stopped: the client sees it as a connection that ends.
      this.#exchangeClosed();
    }
  }

  /** Resolves when what the exchange has sent so far is on its way to the client. */
  async settled(): Promise<void> {
    const from = performance.now();
    const quiet = (now: number): boolean =>
      this.#toClient.waiting === 0 && now - Math.max(this.#heardMs, from) >= SETTLED_MS;
    while (!quiet(performance.now()) && performance.now() - from < SETTLE_MAX_MS) {
      await Bun.sleep(SETTLE_POLL_MS);
    }
  }

  blacken(): void {
    this.black = true;
  }

  reset(): void {
    this.black = false;
    if (this.#clientOpen) this.#client.terminate();
    if (this.#exchangeOpen) this.#exchange?.terminate();
  }

  fromClient(bytes: Uint8Array): void {
    if (this.black) return;
    this.#toExchange.write(bytes);
    if (this.#toExchange.waiting > WAITING_BYTES_MAX) this.#client.pause();
  }

  clientDrained(): void {
    if (this.#toClient.drained()) this.#exchange?.resume();
    if (!this.#exchangeOpen && this.#toClient.waiting === 0 && !this.black) this.#client.end();
  }

  clientClosed(): void {
    if (!this.#clientOpen) return;
    this.#clientOpen = false;
    // The exchange must not be kept from seeing it by a client that no longer reads.
    this.#toClient.close();
    this.#exchange?.resume();
    this.#exchange?.end();
    this.#over();
  }

  #fromExchange(bytes: Uint8Array): void {
    this.#heardMs = performance.now();
    if (this.black || !this.#clientOpen) return;
    this.#toClient.write(this.walker.walk(bytes));
    if (this.#toClient.waiting > WAITING_BYTES_MAX) this.#exchange?.pause();
  }

  #exchangeDrained(): void {
    if (this.#toExchange.drained()) this.#client.resume();
  }

  #exchangeClosed(): void {
    if (!this.#exchangeOpen) return;
    this.#exchangeOpen = false;
    this.#toExchange.close();
    if (!this.black && this.#toClient.waiting === 0) this.#client.end();
    this.#over();
  }

  #over(): void {
    if (!this.#clientOpen && !this.#exchangeOpen) this.#ended();
  }
}

/** One direction: what a socket does not take at once waits here. */
class Outlet {
  /** Bytes that wait. */
  waiting = 0;
  #socket: { write(bytes: Uint8Array): number } | undefined;
  #chunks: Uint8Array[] = [];
  #closed = false;

  constructor(socket?: { write(bytes: Uint8Array): number }) {
    this.#socket = socket;
  }

  /** The socket is there. */
  open(socket: { write(bytes: Uint8Array): number }): void {
    this.#socket = socket;
    this.drained();
  }

  write(bytes: Uint8Array): void {
    if (this.#closed) return;
    const taken = this.#socket === undefined || this.waiting > 0 ? 0 : Math.max(0, this.#socket.write(bytes));
    if (taken === bytes.length) return;
    // The buffer that a socket hands over may be used again.
    const rest = Uint8Array.from(bytes.subarray(taken));
    this.#chunks.push(rest);
    this.waiting += rest.length;
  }

  /** The socket takes more; true = nothing waits any more. */
  drained(): boolean {
    while (this.#socket !== undefined) {
      const [chunk] = this.#chunks;
      if (chunk === undefined) break;
      const taken = Math.max(0, this.#socket.write(chunk));
      this.waiting -= taken;
      if (taken === chunk.length) {
        this.#chunks.shift();
        continue;
      }
      this.#chunks[0] = chunk.subarray(taken);
      break;
    }
    return this.waiting === 0;
  }

  close(): void {
    this.#closed = true;
    this.#chunks = [];
    this.waiting = 0;
  }
}
