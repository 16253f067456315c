import { z } from "zod";
import { exchangeByName } from "../exchanges/exchanges.ts";
import { streamsOf } from "../recorder/rings.ts";
import { runSession } from "../recorder/session.ts";
import { createLogger } from "../status/log.ts";
import { LogSink } from "../status/log-sink.ts";
import { AddressError } from "../status/server.ts";
import { FolderError } from "../storage/folder.ts";
import { type Command, Failure, UsageError } from "./command.ts";

/** `tapedeck record` */
export const command: Command = {
  name: "record",
  summary: "Records the exchanges' streams into the lake.",
  description:
    "Records until it is stopped (SIGTERM or SIGINT: everything received is published first) or until " +
    "--duration is over. The lake is DIR/lake; the status API answers on --host and --port.",
  flags: [],
  common: "all",
  options: z.strictObject({}),
  async run({ settings }) {
    const { exchanges, streams } = settings.record;
    if (exchanges.every((exchange) => streamsOf(exchange, settings).length === 0)) {
      const has = exchanges.map((name) => `${name} has ${exchangeByName(name).streams.join(", ")}`);
      throw new UsageError([`record.streams = ${streams.join(",")}: nothing to record: ${has.join("; ")}`]);
    }
    const sink = new LogSink();
    try {
      const { exitCode } = await runSession(settings, createLogger({ ...settings.log, write: sink.write }));
      await sink.flush();
      // Without waiting for a reader of stdout that may never come back.
      process.exit(exitCode);
    } catch (error) {
      if (error instanceof FolderError || error instanceof AddressError) throw new Failure(error.message);
      throw error;
    }
  },
};
