/** Hands what was queued to the sockets, and deals with those that do not read. */
import type { Connection, Counts } from "./connection.ts";

/** Bounds of a {@link Delivery}. */
export interface DeliveryBounds {
  /** At a set rate a connection with more unsent bytes is cut, as a slow consumer is. */
  readonly slowConsumerBytes: number;
  /** At rate "max" nothing is generated while a connection has more unsent bytes than this. */
  readonly backPressureBytes: number;
  /** At rate "max" a connection that blocks all others for this long is cut. */
  readonly stallTimeoutMs: number;
}

/** What a {@link Delivery} works on. */
export interface DeliveryOptions extends DeliveryBounds {
  readonly connections: ReadonlySet<Connection>;
  /** Where a frame that a socket took is counted, by slot. */
  readonly counts: Counts;
  /** True when the slowest reader sets the pace; otherwise one that is far behind is cut. */
  readonly maxRate: boolean;
  /** Told of each connection that frames left on. */
  delivered(connection: Connection): void;
}

/** One exchange's way out. */
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
    for (const connection of this.#options.connections) this.flushOne(connection);
  }

  /** Hands over what is queued on one. */
  flushOne(connection: Connection): void {
    const { counts, maxRate, slowConsumerBytes } = this.#options;
    if (connection.queued === 0) return;
    connection.flush(counts);
    this.#options.delivered(connection);
    if (!maxRate && connection.bufferedBytes > slowConsumerBytes) this.#cut(connection);
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

  /** Forgets a connection that ended. */
  forget(connection: Connection): void {
    this.#blockedSince.delete(connection);
  }

  /** Resolves when every socket has taken all it was given. */
  async drained(): Promise<void> {
    await Promise.all([...this.#options.connections].map((connection) => connection.drainedTo(0)));
  }

  #cut(connection: Connection): void {
    this.slowConsumers++;
    this.forget(connection);
    connection.terminate();
  }
}
