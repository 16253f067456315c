/** Subscriptions that are remembered; the first push after a forgotten one counts as history again. */
const SUBSCRIPTIONS_MAX = 1024;

/**
 * Tells the first push of each subscription, which is history, from later ones, by the order of the frames alone: a
 * clock would say something else at every replay. Subscriptions heard of last are remembered.
 */
export class FirstPushes {
  /** Those that have pushed, in the order in which they were heard of. */
  readonly #pushed = new Set<string>();

  /**
   * A subscription begins, as its ack says: on a connection whose number was not used before this changes nothing;
   * asked for again, or where frames of several runs come one after the other, it begins anew.
   *
   * @param of what is subscribed on that connection: the arg's instType
   */
  begins(connection: number, of: string): void {
    this.#pushed.delete(`${connection} ${of}`);
  }

  /** Whether a push is the first of its subscription. Call it for pushes that hold something. */
  isFirst(connection: number, of: string): boolean {
    const key = `${connection} ${of}`;
    const first = !this.#pushed.delete(key);
    this.#pushed.add(key);
    if (this.#pushed.size > SUBSCRIPTIONS_MAX) {
      for (const oldest of this.#pushed) {
        this.#pushed.delete(oldest);
        break;
      }
    }
    return first;
  }
}
