import type { Settings } from "../config/schema.ts";
import { redactorOf } from "../config/secrets.ts";
import { createLogger, type Logger } from "./log.ts";
import { LogSink } from "./log-sink.ts";
import { paletteFor } from "./palette.ts";

/** The log of a recording on stdout, as it is set, without secrets. `flush` before the process exits. */
export function openLog(settings: Settings): { readonly log: Logger; flush(): Promise<void> } {
  const sink = new LogSink();
  const log = createLogger({
    format: settings.log.format,
    level: settings.log.level,
    write: sink.write,
    redact: redactorOf(settings),
    palette: paletteFor(process.stdout.isTTY === true),
  });
  sink.recovered = (count) => log.warn("log_lines_lost", { count, total: sink.lost });
  return { log, flush: () => sink.flush() };
}
