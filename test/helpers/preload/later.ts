/**
 * Loaded before the program: the monotonic clock of its main thread, which counts the windows of the state, is ahead by
 * what the file TEST_LATER says (ms), read again all the time. So a test need not wait a quarter of an hour.
 */
import { existsSync, readFileSync } from "node:fs";

const file = process.env.TEST_LATER ?? "";
const READ_EVERY = 20;

if (Bun.isMainThread) {
  const real = performance.now.bind(performance);
  let ahead = 0;
  const read = () => {
    const told = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
    if (Number.isFinite(told)) ahead = told;
  };
  read();
  setInterval(read, READ_EVERY).unref();
  performance.now = () => real() + ahead;
}
