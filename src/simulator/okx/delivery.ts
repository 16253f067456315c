/** Hands what was queued to the sockets, and deals with those that do not read. Knows nothing of OKX. */
import type { Connection, Counts } from "../connection.ts";

/** Settings of a {@link Delivery}. */
export interface DeliveryOptions {
  readonly connections: ReadonlySet<Connection>;
  /** Where delivered frames are counted. */
  readonly counts: Counts;
  /** True when the slowest reader sets the pace; otherwise one that is far behind is cut. */
  readonly maxRate: boolean;
  /** At a set rate: unsent bytes with which a connection is cut. */
  readonly slowConsumerBytes: number;
  /** At rate "max": unsent bytes with which a connection holds back all others. */
  readonly backPressureBytes: number;
  /** At rate "max": how long one may do so before it is cut. */
  readonly stallTimeoutMs: number;
  /** Frames left on this connection. */
  delivered(connection: Connection): void;
}

/** See the head of the file. */
export class Delivery {
  /** Connections cut because they did not read. */
  slowConsumers = 0;
  readonly #options: DeliveryOptions;
  readonly #blockedSince = new Map<Connection, number>();

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Hands over what is queued on all connections. */
  flush(): void {
    const { connections, maxRate, slowConsumerBytes } = this.#options;
    for (const connection of connections) {
      if (connection.queued === 0) continue;
      this.flushOne(connection);
      if (!maxRate && connection.bufferedBytes > slowConsumerBytes) this.#cut(connection);
    }
  }

  /** Hands over what is queued on one. */
  flushOne(connection: Connection): void {
    connection.flush(this.#options.counts);
    this.#options.delivered(connection);
  }

  /** Whether a reader is behind; one that takes nothing for long is cut. */
  blocked(): boolean {
    const { connections, backPressureBytes, stallTimeoutMs } = this.#options;
    const now = performance.now();
    let blocked = false;
    for (const connection of connections) {
      if (connection.bufferedBytes <= backPressureBytes) {
        this.#blockedSince.delete(connection);
        continue;
      }
      blocked = true;
      const since = this.#blockedSince.get(connection) ?? now;
      this.#blockedSince.set(connection, since);
      if (now - since > stallTimeoutMs) this.#cut(connection);
    }
    return blocked;
  }

  /** A connection has ended. */
  forget(connection: Connection): void {
    this.#blockedSince.delete(connection);
  }

  /** Resolves when every socket has taken its share. */
  async drained(): Promise<void> {
    await Promise.all([...this.#options.connections].map((connection) => connection.drainedTo(0)));
  }

  #cut(connection: Connection): void {
    this.slowConsumers++;
    this.forget(connection);
    connection.terminate();
  }
}
