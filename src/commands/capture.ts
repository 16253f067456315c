import { z } from "zod";
import { runCapture } from "../recorder/capturer.ts";
import { openLog } from "../status/open-log.ts";
import { FolderError } from "../storage/folder.ts";
import { type Command, Failure } from "./command.ts";

/** `tapedeck capture` */
export const command: Command = {
  name: "capture",
  summary: "Keeps the exchanges' raw frames, as received, and nothing else.",
  description:
    "Connects and subscribes as record does, and writes every frame with its receive time to " +
    "DIR/raw/exchange=NAME/date=YYYY-MM-DD/*.jsonl.zst, until it is stopped (SIGTERM or SIGINT) or until " +
    "--duration is over. There is no lake and no status API. What it keeps is read by replay and decode; " +
    "the settings raw.* bound it.",
  flags: [],
  common: ["data", "exchanges", "streams", "symbols", "duration", "log-format", "log-level"],
  options: z.strictObject({}),
  async run({ settings }) {
    const { log, flush } = openLog(settings);
    try {
      const exitCode = await runCapture(settings, log);
      await flush();
      // Without waiting for a reader of stdout that may never come back.
      process.exit(exitCode);
    } catch (error) {
      if (error instanceof FolderError) throw new Failure(error.message);
      throw error;
    }
  },
};
