/** Characters of log lines that may wait for a slow reader of stdout. */
const WAITING_MAX = 1 << 20;
/** Longest wait at the end for a reader to take the last lines, ms. */
const FLUSH_TIMEOUT = 1000;

/**
 * Log lines to stdout that never hold up or end a recording: a reader that is slow loses lines, counted,
 * and a reader that is gone loses the log, not the data.
 */
export class LogSink {
  /** Lines that could not be written. */
  lost = 0;
  /** Told of lines that were lost when there is room again. */
  recovered: (count: number) => void = () => undefined;
  #told = 0;
  #gone = false;

  constructor() {
    // Elsewhere a broken pipe ends the program; a recorder goes on.
    process.stdout.removeAllListeners("error");
    process.stdout.on("error", () => {
      this.#gone = true;
    });
  }

  readonly write = (line: string): void => {
    if (this.#gone || process.stdout.writableLength > WAITING_MAX) {
      this.lost++;
      return;
    }
    const untold = this.lost - this.#told;
    // First, since telling writes a line of its own.
    this.#told = this.lost;
    if (untold > 0) this.recovered(untold);
    process.stdout.write(line);
  };

  /** Waits for the last lines to be taken, within a bound. */
  async flush(): Promise<void> {
    if (this.#gone) return;
    await Promise.race([
      new Promise<void>((resolve) => process.stdout.write("", () => resolve())),
      Bun.sleep(FLUSH_TIMEOUT),
    ]);
  }
}
