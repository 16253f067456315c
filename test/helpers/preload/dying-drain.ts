/** Loaded before the program: its drain thread ends, as if something had killed it, when the file TEST_DIE is there. */
import { existsSync } from "node:fs";

const file = process.env.TEST_DIE ?? "";
const LOOK_EVERY = 5;

if (Bun.isMainThread) {
  const Plain = Worker;
  globalThis.Worker = class extends Plain {
    constructor(url: string | URL, options?: WorkerOptions) {
      const isDrain = String(url).endsWith("storage/worker.ts");
      super(url, isDrain ? { ...options, preload: import.meta.path } : options);
    }
  };
} else {
  setInterval(() => {
    if (existsSync(file)) process.exit(3);
  }, LOOK_EVERY);
}
