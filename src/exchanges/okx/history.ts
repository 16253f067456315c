/** Connections that are remembered; a forgotten one may have a second "first" frame. */
const CONNECTIONS_MAX = 1024;

/** Tells the first frame of each connection from later ones; the connections heard of last are remembered. */
export class FirstFrames {
  /** In the order in which they were heard of. */
  readonly #connections = new Set<number>();

  /** Whether this is the first call for a connection. */
  isFirst(connection: number): boolean {
    const first = !this.#connections.delete(connection);
    this.#connections.add(connection);
    if (this.#connections.size > CONNECTIONS_MAX) {
      for (const oldest of this.#connections) {
        this.#connections.delete(oldest);
        break;
      }
    }
    return first;
  }
}
