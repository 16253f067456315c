/** A worker thread with typed messages in both directions. */

/** Messages a thread may be sent. */
export interface Thread<To> {
  /** @param transfer what is given away with the message, not copied */
  post(message: To, transfer?: Bun.Transferable[]): void;
  /** Ends the thread at once. Never while a DuckDB call of it is in flight: that aborts the process. */
  terminate(): void;
}

/**
 * Starts a worker.
 *
 * @param worker where it is; `new Worker(new URL("./x.ts", import.meta.url))` so that a bundler sees it
 * @param onMessage gets each message
 * @param onDeath the thread ended without being asked to, or could not start
 */
export function startThread<To, From>(
  worker: Worker,
  onMessage: (message: From) => void,
  onDeath: (why: string) => void,
): Thread<To> {
  let ended = false;
  const die = (why: string) => {
    if (ended) return;
    ended = true;
    onDeath(why);
  };
  worker.addEventListener("message", (event: MessageEvent<From>) => onMessage(event.data));
  worker.addEventListener("error", (event) => die(event.message || "uncaught error"));
  worker.addEventListener("close", () => die("the thread ended"));
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    terminate: () => {
      ended = true;
      worker.terminate();
    },
  };
}
