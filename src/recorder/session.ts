import type { Settings } from "../config/schema.ts";
import type { Logger } from "../status/log.ts";
import { Notifier, notifying } from "../status/notify/notifier.ts";
import { type StatusServer, serveStatus } from "../status/server.ts";
import { Recorder, type RecorderEnd } from "./recorder.ts";
import { VERSION } from "./version.ts";

/** A second signal within this many ms of the first is the same one: `bun run` and `timeout` double them. */
const SIGNAL_ECHO = 1000;
/** What news have to reach people where the drain is dead, ms: all that comes in meanwhile is lost. */
const DEAD_NEWS_MAX = 500;

/**
 * One recording from start to end, as `record` and `demo` run it: status API, recorder, signals, duration.
 *
 * Resolves when the recording has ended, by a signal, by `record.duration`, or because a thread died.
 *
 * @param onStart called once when recording has begun
 * @throws FolderError or AddressError when it cannot begin
 */
export async function runSession(
  settings: Settings,
  lines: Logger,
  onStart: (recorder: Recorder, status: StatusServer) => void = () => undefined,
): Promise<RecorderEnd> {
  const notifier = Notifier.open(settings, lines);
  const log = notifier === null ? lines : notifying(lines, notifier);
  let recorder: Recorder | null = null;
  const status = await serveStatus({
    settings: settings.status,
    version: VERSION,
    source: {
      snapshot: () => recorder?.snapshot() ?? null,
      freshness: async (timeout) => recorder?.freshness(timeout) ?? { streams: [], complete: false },
    },
  });
  const signals = watchSignals(log);
  const ending = new AbortController();
  void signals.first.then(() => ending.abort());
  try {
    recorder = await Recorder.start(settings, log, ending.signal);
    log.info("status_api", { url: status.url });
    onStart(recorder, status);
    const why = await Promise.race([
      signals.first,
      recorder.died.then(() => "died" as const),
      ...(settings.record.duration === undefined ? [] : [Bun.sleep(settings.record.duration)]),
    ]);
    if (why === "died" && recorder.drainDied) {
      // Nothing can be drained any more, so end at once; what stands in files is safe.
      return { run: recorder.run, exitCode: 1, snapshot: recorder.snapshot() };
    }
    const end = await recorder.stop();
    return why === "died" ? { ...end, exitCode: 1 } : end;
  } finally {
    signals.stop();
    const isDead = recorder?.drainDied === true;
    await Promise.all([status.stop(), notifier?.close(isDead ? DEAD_NEWS_MAX : undefined)]);
  }
}

/** Waits for SIGINT or SIGTERM; a second one, a second later, ends the process at once with exit code 1. */
export function watchSignals(log: Logger): { first: Promise<"signal">; stop(): void } {
  const first = Promise.withResolvers<"signal">();
  let firstAt: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (firstAt === null) {
      firstAt = now;
      log.info("signal", { signal, meaning: "stopping; send it again after a second to end at once" });
      first.resolve("signal");
    } else if (now - firstAt >= SIGNAL_ECHO) {
      log.error("signal", { signal, meaning: "ending at once; events not yet published are lost" });
      process.exit(1);
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    first: first.promise,
    stop() {
      // The echo of a signal may come as late as this: without a listener it would kill the process.
      if (firstAt !== null) return;
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
