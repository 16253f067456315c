/** Closes connections on which nothing passed for too long, in either direction. */
import type { Connection } from "../connection.ts";

/** OKX's code and words for it. */
const CLOSE_CODE = 4004;
const CLOSE_REASON = "No data received in 30s";
const CHECK_MS_MAX = 1000;

/** Watches the connections of a server. */
export class IdleWatch {
  readonly #connections: ReadonlySet<Connection>;
  readonly #timeoutMs: number;
  readonly #heard = new WeakMap<Connection, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #closed = 0;

  /** @param timeoutMs time without traffic after which a connection is closed */
  constructor(connections: ReadonlySet<Connection>, timeoutMs: number) {
    this.#connections = connections;
    this.#timeoutMs = timeoutMs;
    this.#timer = setInterval(() => this.#check(), Math.min(CHECK_MS_MAX, timeoutMs / 4));
  }

  /** Connections closed so far. */
  get closed(): number {
    return this.#closed;
  }

  /** Something passed on this connection. */
  heard(connection: Connection): void {
    this.#heard.set(connection, performance.now());
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const now = performance.now();
    for (const connection of this.#connections) {
      const last = this.#heard.get(connection) ?? connection.openedAt;
      if (!connection.open || now - last < this.#timeoutMs) continue;
      this.#closed++;
      connection.close(CLOSE_CODE, CLOSE_REASON);
    }
  }
}
