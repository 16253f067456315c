import { z } from "zod";
import type { Settings } from "../config/schema.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { streamsOf } from "../recorder/rings.ts";
import { runSession } from "../recorder/session.ts";
import { openLog } from "../status/open-log.ts";
import { AddressError } from "../status/server.ts";
import { FolderError } from "../storage/folder.ts";
import { PreflightError } from "../storage/upload/preflight.ts";
import { type Command, Failure, UsageError } from "./command.ts";

const options = z.strictObject({ noPreflight: z.literal(true).optional() });

/** `tapedeck record` */
export const command: Command<z.output<typeof options>> = {
  name: "record",
  summary: "Records the exchanges' streams into the lake.",
  description:
    "Records until it is stopped (SIGTERM or SIGINT: everything received is published first) or until " +
    "--duration is over. The lake is DIR/lake; the status API answers on --host and --port.",
  flags: [
    {
      name: "no-preflight",
      meaning: "Does not write, read and delete a probe object at each destination first.",
    },
  ],
  common: "all",
  options,
  async run({ settings: given, options: { noPreflight }, sources }) {
    const settings =
      noPreflight === true ? { ...given, storage: { ...given.storage, preflight: false } } : given;
    const { exchanges, streams } = settings.record;
    if (exchanges.every((exchange) => streamsOf(exchange, settings).length === 0)) {
      const has = exchanges.map((name) => `${name} has ${exchangeByName(name).streams.join(", ")}`);
      throw new UsageError([`record.streams = ${streams.join(",")}: nothing to record: ${has.join("; ")}`]);
    }
    if ([...sources.values()].every((source) => source === "default")) {
      process.stderr.write(`${withoutSettings(settings)}\n`);
    }
    const { log, flush } = openLog(settings);
    try {
      const { exitCode } = await runSession(settings, log);
      await flush();
      // Without waiting for a reader of stdout that may never come back.
      process.exit(exitCode);
    } catch (error) {
      const known =
        error instanceof FolderError || error instanceof AddressError || error instanceof PreflightError;
      if (known) {
        await flush();
        throw new Failure(error.message);
      }
      throw error;
    }
  },
};

/** What is going to happen, in one line, to someone who has set nothing. On stderr: stdout is the log. */
function withoutSettings({ record, data, status }: Settings): string {
  return (
    `tapedeck: nothing is set, so all USDT perpetuals of ${record.exchanges.join(", ")} are recorded to ${data}/lake; ` +
    `how it goes: http://${status.host}:${status.port}/status; Ctrl-C ends it, tapedeck record --help narrows it`
  );
}
