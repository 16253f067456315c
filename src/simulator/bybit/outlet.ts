/** Hands queued frames to sockets, and cuts those that do not take them. */
import type { Connection } from "../connection.ts";

/** Bounds of an outlet. */
export interface OutletOptions {
  /** At rate "max" the slowest subscriber sets the pace; otherwise a slow one is cut. */
  readonly maxRate: boolean;
  /** At a set rate a connection with more unsent bytes is cut. */
  readonly slowConsumerBytes: number;
  /** At rate "max" nothing is generated while a connection has more unsent bytes than this. */
  readonly backPressureBytes: number;
  /** At rate "max" a connection that blocks all others for this long is cut. */
  readonly stallTimeoutMs: number;
}

/** One exchange's way out. */
export class Outlet {
  /** Connections cut because they did not read. */
  cutTotal = 0;
  readonly #options: OutletOptions;
  readonly #counts: Float64Array;
  readonly #connections: () => Iterable<Connection>;
  readonly #blockedSince = new Map<Connection, number>();

  /** @param counts where a frame that a socket took is counted, by slot */
  constructor(options: OutletOptions, counts: Float64Array, connections: () => Iterable<Connection>) {
    this.#options = options;
    this.#counts = counts;
    this.#connections = connections;
  }

  /** Sends what is queued. */
  flush(): void {
    for (const connection of this.#connections()) this.flushOne(connection);
  }

  /** Sends what is queued for one connection. */
  flushOne(connection: Connection): void {
    const { maxRate, slowConsumerBytes } = this.#options;
    if (connection.queued === 0) return;
    connection.flush(this.#counts);
    if (!maxRate && connection.bufferedBytes > slowConsumerBytes) this.#cut(connection);
  }

  /** Whether somebody has too much unsent; one that takes nothing for long is cut. */
  blocked(): boolean {
    const { backPressureBytes, stallTimeoutMs } = this.#options;
    const now = performance.now();
    let blocked = false;
    for (const connection of this.#connections()) {
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
    await Promise.all([...this.#connections()].map((connection) => connection.drainedTo(0)));
  }

  #cut(connection: Connection): void {
    this.cutTotal++;
    this.#blockedSince.delete(connection);
    connection.terminate();
  }
}
