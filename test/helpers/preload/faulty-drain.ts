/**
 * Loaded before the program: its drain thread does what the first word in the file TEST_DRAIN says. `hold`: it gets no
 * time until the file says something else, as on a machine that is busy. `throw <n>`: an error that nobody catches,
 * once for each n. `throw <n> then hold`: that, and from then on it gets no time.
 */
import { existsSync, readFileSync } from "node:fs";

const file = process.env.TEST_DRAIN ?? "";
const LOOK_EVERY = 5;
const THEN_HOLD = " then hold";

if (Bun.isMainThread) {
  const Plain = Worker;
  globalThis.Worker = class extends Plain {
    constructor(url: string | URL, options?: WorkerOptions) {
      const isDrain = String(url).endsWith("storage/worker.ts");
      super(url, isDrain ? { ...options, preload: import.meta.path } : options);
    }
  };
} else {
  const read = () => (existsSync(file) ? readFileSync(file, "utf8").trim() : "");
  let thrown = "";
  setInterval(() => {
    while (read() === "hold" || read() === thrown + THEN_HOLD) Bun.sleepSync(LOOK_EVERY);
    const word = read().replace(THEN_HOLD, "");
    if (!word.startsWith("throw") || word === thrown) return;
    thrown = word;
    throw new Error(`nobody catches this (${word})`);
  }, LOOK_EVERY);
}
