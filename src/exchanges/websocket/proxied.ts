import WebSocket from "ws";
import type { DialOptions, Wire, WireEvents } from "./wire.ts";

/** An HTTP proxy as Bun wants it; user and password stand in a header, so that no message can repeat them. */
export interface HttpProxy {
  readonly url: string;
  readonly headers: Record<string, string>;
}

/** What Bun's `ws` understands besides the options of the package it stands in for. */
interface BunWebSocketOptions extends WebSocket.ClientOptions {
  readonly proxy: HttpProxy;
  readonly tls?: { readonly ca: string };
}

/** Bun's own client, which knows proxies: over HTTP and HTTPS, with TLS inside of either. */
export class ProxiedWire implements Wire {
  readonly #socket: WebSocket;
  /** Nothing is told any more. */
  #over = false;

  /** @param ca certificates (PEM) of all authorities that are believed; null = the usual ones */
  constructor(url: string, proxy: HttpProxy, ca: string | null, { bounds, events }: DialOptions) {
    const options: BunWebSocketOptions = {
      // Inflating costs more than the rest of receiving a frame.
      perMessageDeflate: false,
      handshakeTimeout: bounds.handshakeTimeout,
      proxy,
      ...(ca === null ? {} : { tls: { ca } }),
    };
    this.#socket = new WebSocket(url, options);
    this.#listen(events, bounds.messageBytesMax);
  }

  #listen(events: WireEvents, messageBytesMax: number): void {
    const socket = this.#socket;
    const heard = () => {
      if (!this.#over) events.heard(true);
    };
    socket.on("open", () => {
      if (!this.#over) events.opened();
    });
    socket.on("message", (data: Buffer) => {
      if (this.#over) return;
      if (data.length <= messageBytesMax) {
        events.message(data, 0, data.length);
        return;
      }
      this.#end(() => events.failed(`a message of more than ${messageBytesMax} bytes`));
      socket.terminate();
    });
    socket.on("ping", heard);
    socket.on("pong", heard);
    // Bun sends a close event after this only when a handshake timeout is set: it is the end here.
    socket.on(
      "unexpected-response",
      (_request: unknown, response: { statusCode?: number; headers?: unknown }) => {
        this.#end(() => events.refused(response.statusCode ?? 0, headerOf(response.headers, "retry-after")));
      },
    );
    socket.on("error", (error: Error) => {
      this.#end(() => events.failed(error.message || "connection failed"));
      socket.terminate();
    });
    socket.on("close", (code: number, reason: Buffer) => {
      this.#end(() => events.closed(code, reason.toString()));
    });
  }

  #end(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    tell();
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  ping(): void {
    this.#socket.ping();
  }

  close(code: number): void {
    this.#over = true;
    this.#socket.close(code);
  }

  terminate(): void {
    this.#over = true;
    this.#socket.terminate();
  }
}

function headerOf(headers: unknown, name: string): string | null {
  const value: unknown =
    typeof headers === "object" && headers !== null ? Reflect.get(headers, name) : undefined;
  return typeof value === "string" ? value : null;
}
