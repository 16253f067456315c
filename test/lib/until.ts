/** Far above what anything here takes: a wait that ends this way has failed. */
const DEADLINE_MS = 60_000;

/** Waits until something holds; fails naming it. */
export async function until(holds: () => boolean, what: string, timeout = DEADLINE_MS): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeout} ms in vain for: ${what}`);
    await Bun.sleep(2);
  }
}
