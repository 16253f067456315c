/** Far above what anything here takes: a wait that ends this way has failed. */
const DEADLINE_MS = 15_000;

/** Waits until something holds; fails naming it. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${DEADLINE_MS} ms in vain for: ${what}`);
    await Bun.sleep(2);
  }
}
