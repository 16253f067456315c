/** Reads the engine's own log of garbage collections (`BUN_JSC_logGC=1`). */

const PAUSE = /\bp=([\d.]+)ms/g;

/** Time for which threads stood still for collections, ms, over all threads; marking beside them is not in the log. */
export function collectionOf(log: string): number {
  let sum = 0;
  for (const [, pause = "0"] of log.matchAll(PAUSE)) sum += Number(pause);
  return sum;
}
