/** `tapedeck verify`: audits a lake. */
import { z } from "zod";
import packageJson from "../../package.json" with { type: "json" };
import { EXCHANGE_NAMES } from "../config/exchanges.ts";
import { DATASETS, STREAM_NAMES } from "../events/streams.ts";
import { DestinationError } from "../storage/destinations/destination.ts";
import { LakeError, openLake } from "../verify/lake.ts";
import { reportText } from "../verify/text.ts";
import { type Command, Failure, UsageError } from "./command.ts";
import { days, namesOf } from "./selection.ts";
import { temporaryFolder } from "./temporary.ts";

const options = z.strictObject({
  deep: z.literal(true).optional(),
  json: z.literal(true).optional(),
  date: days.optional(),
  exchanges: namesOf(EXCHANGE_NAMES).optional(),
  streams: namesOf([...STREAM_NAMES, ...Object.keys(DATASETS)]).optional(),
});

/** `tapedeck verify` */
export const command: Command<z.output<typeof options>> = {
  name: "verify",
  summary: "Audits a lake: every file, every number of every ring, every hole.",
  description:
    "LAKE is a folder (a lake, or a data folder), s3://bucket/prefix or gs://bucket/prefix; without it, the destinations " +
    "of the settings together. A recorder may be recording into it. Checks keys, footers, rows, order, seq and duplicates, compares " +
    "with the ledger and the manifests, and tells how much of each day is not covered. Exit code 0: clean; 1: a fault, " +
    "named with its mend.",
  positionals: { name: "LAKE", min: 0, max: 1 },
  flags: [
    { name: "deep", meaning: "Reads every byte: SHA-256 and all columns; downloads every file of a bucket." },
    { name: "json", meaning: "The report as JSON, as docs/verify.md describes it." },
    { name: "date", value: "DAY|DAY..DAY", meaning: "Only these days, UTC; an end may be left out." },
    { name: "exchanges", value: "a,b", meaning: "Only these exchanges." },
    { name: "streams", value: "a,b", meaning: "Only these streams and datasets." },
  ],
  common: ["data"],
  options,
  async run({ positionals: [name], options: { deep, json, date, exchanges, streams }, settings }) {
    const scratch = temporaryFolder("verify");
    try {
      const lake = await openLake(name, settings, scratch);
      try {
        // Loads DuckDB, which `--help` need not.
        const { audit } = await import("../verify/audit.ts");
        const report = await audit({
          lake,
          selection: {
            from: date?.from ?? null,
            to: date?.to ?? null,
            exchanges: exchanges ?? null,
            streams: streams ?? null,
          },
          deep: deep === true,
          settings,
          version: packageJson.version,
          scratch,
        });
        process.stdout.write(`${json === true ? JSON.stringify(report, null, 2) : reportText(report)}\n`);
        return report.clean ? 0 : 1;
      } finally {
        lake.close();
      }
    } catch (error) {
      if (error instanceof LakeError) throw new UsageError([error.message]);
      if (error instanceof DestinationError)
        throw new Failure(`the lake cannot be audited: ${error.message}`);
      throw error;
    } finally {
      scratch.close();
    }
  },
};
