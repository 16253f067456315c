/** `tapedeck compact`: makes few large files of a closed day's many small ones. */
import { z } from "zod";
import packageJson from "../../package.json" with { type: "json" };
import { CompactionError } from "../compaction/steps.ts";
import { megabytes } from "../compaction/text.ts";
import { EXCHANGE_NAMES } from "../config/exchanges.ts";
import { STREAM_NAMES } from "../events/streams.ts";
import { DestinationError } from "../storage/destinations/destination.ts";
import { type Command, Failure } from "./command.ts";
import { isDay, namesOf } from "./selection.ts";

const WANTED = "a day such as 2026-11-20 is wanted";
const day = z.string({ error: WANTED }).refine(isDay, WANTED);

const options = z.strictObject({
  date: day,
  exchanges: namesOf(EXCHANGE_NAMES).optional(),
  streams: namesOf(STREAM_NAMES).optional(),
  dryRun: z.literal(true).optional(),
});

/** `tapedeck compact` */
export const command: Command<z.output<typeof options>> = {
  name: "compact",
  summary: "Makes few large files of a closed day's many small ones.",
  description:
    "Works on the destinations of the settings: the lake of the data folder, or the buckets. Nothing is deleted before what " +
    "replaces it is published, read back and compared, row by row; whatever ends it, the next one goes on from there. A " +
    "recorder may be running. Exit code 0: done, or nothing to do; 1: a stream was left as it is, with the reason.",
  flags: [
    { name: "date", value: "DAY", meaning: "The day, UTC; it has to be over for compaction.grace." },
    { name: "exchanges", value: "a,b", meaning: "Only these exchanges." },
    { name: "streams", value: "a,b", meaning: "Only these streams." },
    { name: "dry-run", meaning: "Only says what would be done." },
  ],
  common: ["data"],
  options,
  async run({ options: { date, exchanges = EXCHANGE_NAMES, streams = STREAM_NAMES, dryRun }, settings }) {
    const say = (line: string) => void process.stdout.write(`${line}\n`);
    try {
      // Loads DuckDB, which `--help` need not.
      const { compact } = await import("../compaction/compact.ts");
      const done = await compact({
        settings,
        date,
        exchanges,
        streams,
        dryRun: dryRun === true,
        version: packageJson.version,
        now: Date.now(),
        signal: new AbortController().signal,
        say,
      });
      const { filesBefore, filesAfter, rows, bytesBefore, bytesAfter, faults } = done;
      if (dryRun === true) say(`${filesBefore} files would become about ${filesAfter}`);
      else if (filesBefore === 0) say(`nothing to do for ${date}`);
      else
        say(
          `${filesBefore} files (${megabytes(bytesBefore)}) became ${filesAfter} (${megabytes(bytesAfter)}), ${rows} rows`,
        );
      if (faults.length > 0) say(`${faults.length} streams were left as they are, see above`);
      return faults.length === 0 ? 0 : 1;
    } catch (error) {
      if (error instanceof CompactionError || error instanceof DestinationError)
        throw new Failure(`${date} cannot be compacted: ${error.message}`);
      throw error;
    }
  },
};
