/** A loopback exchange whose every reaction the test decides. */
import { createServer, type Server, type Socket } from "node:net";
import type { ServerWebSocket } from "bun";

/** What happens to the next attempts, in order; the last one stays. */
export type Reaction =
  | { kind: "accept" }
  /** Refuses the upgrade. */
  | { kind: "refuse"; status: number; headers?: Record<string, string> };

/** See the head of the file. */
export class ExchangeServer {
  /** Sockets open now. */
  readonly sockets = new Set<ServerWebSocket<undefined>>();
  /** Texts the clients have sent. */
  readonly received: string[] = [];
  /** Paths asked for, one for each attempt. */
  readonly attempts: string[] = [];
  reactions: Reaction[] = [{ kind: "accept" }];
  /** Called for each socket that opens. */
  onOpen: (socket: ServerWebSocket<undefined>) => void = () => {};
  /** Called for each text that a client has sent. */
  onMessage: (socket: ServerWebSocket<undefined>, text: string) => void = () => {};
  readonly #server;

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request, server) => {
        this.attempts.push(new URL(request.url).pathname);
        const reaction = this.reactions.length > 1 ? this.reactions.shift() : this.reactions[0];
        if (reaction?.kind === "refuse") {
          return new Response("no", { status: reaction.status, headers: reaction.headers ?? {} });
        }
        return server.upgrade(request) ? undefined : new Response("not a WebSocket", { status: 400 });
      },
      websocket: {
        open: (socket: ServerWebSocket<undefined>) => {
          this.sockets.add(socket);
          this.onOpen(socket);
        },
        message: (socket, data) => {
          const text = data.toString();
          this.received.push(text);
          this.onMessage(socket, text);
        },
        close: (socket) => {
          this.sockets.delete(socket);
        },
      },
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#server.port}`;
  }

  /** Sends a text to every client. */
  send(text: string): void {
    for (const socket of this.sockets) socket.send(text);
  }

  /** From now on acknowledges each message as Binance does. */
  acknowledge(): void {
    this.onMessage = (socket, text) => {
      const { id } = JSON.parse(text) as { id: number };
      socket.send(JSON.stringify({ result: null, id }));
    };
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}

/** A server that takes connections and then says nothing at all. */
export async function deafServer(): Promise<{ url: string; attempts: () => number; stop: () => void }> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `ws://127.0.0.1:${address.port}`,
    attempts: () => sockets.length,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
