/** Waits for the end that a user or a service manager asks for. */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
/** `bun run` and `timeout` deliver one Ctrl-C twice: only a later second signal means "at once". */
const SECOND_SIGNAL_MS = 1000;
const EXIT_AT_ONCE = 130;

/** Resolves at the first SIGINT or SIGTERM; a second one, at least 1 s later, ends the process at once. */
export function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = (): void => {
      const now = performance.now();
      if (firstAt !== undefined && now - firstAt >= SECOND_SIGNAL_MS) process.exit(EXIT_AT_ONCE);
      firstAt ??= now;
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
  });
}
