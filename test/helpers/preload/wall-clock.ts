/**
 * Loaded before the program, in each of its threads: its wall clock is off by what the file TEST_CLOCK says (ms), read
 * again all the time, so that a test can set it back under the feet of a recorder without touching the machine's.
 */
import { readFileSync } from "node:fs";

const file = process.env.TEST_CLOCK ?? "";
const READ_EVERY = 20;
const real = Date.now;
let offset = 0;

function read(): void {
  const told = Number(readFileSync(file, "utf8"));
  if (Number.isFinite(told)) offset = told;
}

read();
setInterval(read, READ_EVERY).unref();
Date.now = () => real() + offset;

if (Bun.isMainThread) {
  const Plain = Worker;
  globalThis.Worker = class extends Plain {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, { ...options, preload: import.meta.path });
    }
  };
}
