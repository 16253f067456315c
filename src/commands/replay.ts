/** `tapedeck replay`: captured frames over WebSocket, as the exchange would send them. */
import { accessSync, constants, statSync } from "node:fs";
import { z } from "zod";
import { parseDuration } from "../config/units.ts";
import { SecondCopies } from "../ingest/second-copies.ts";
import { REPLAY_EXCHANGES, type Replay, type ReplayStats, startReplay } from "../simulator/replay.ts";
import { untilSignal } from "../simulator/until-signal.ts";
import { type Command, Failure } from "./command.ts";

const PORT_DEFAULT = "9443";
const FILES_MAX = 10_000;
const EXCHANGES = Object.keys(REPLAY_EXCHANGES);

const OPTIONS = z.object({
  exchange: z
    .string()
    .default("binance")
    .refine((name) => EXCHANGES.includes(name), { error: `one of ${EXCHANGES.join(", ")} is wanted` }),
  port: z
    .string()
    .default(PORT_DEFAULT)
    .refine((text) => /^\d+$/.test(text) && Number(text) <= 65_535, {
      error: "a whole number from 0 to 65535 is wanted",
    })
    .transform(Number),
  speed: z
    .string()
    .refine((text) => Number(text) > 0 && Number.isFinite(Number(text)), {
      error: "a number above 0 is wanted",
    })
    .transform(Number)
    .optional(),
  quiet: z
    .string()
    .default("1s")
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== undefined) return ms;
      context.addIssue({ code: "custom", message: "a duration such as 500ms or 1s is wanted" });
      return z.NEVER;
    }),
  exitWhenDone: z.boolean().default(false),
});

/** The command. */
export const command: Command<z.infer<typeof OPTIONS>> = {
  name: "replay",
  summary: "Serves captured frames over WebSocket as the exchange would.",
  description:
    "Each line of a FILE is a raw frame, or {ts, dir, raw} with ts in µs; it may be packed by zstd, as " +
    "record --raw and capture do. Waits until subscriptions on all " +
    "routes have been quiet, sends each frame once, in order, to the connection that subscribed its stream " +
    "(none of which the recording kept nothing because two connections ran side by side), " +
    "and stays open until Ctrl-C. The instruments list is made from the symbols in the files.",
  positionals: { name: "FILE", min: 1, max: FILES_MAX },
  flags: [
    {
      name: "exchange",
      value: "NAME",
      meaning: `Whose frames they are: ${EXCHANGES.join(", ")} (default binance).`,
    },
    { name: "port", value: "N", meaning: `Port on 127.0.0.1; 0 = any free one (default ${PORT_DEFAULT}).` },
    {
      name: "speed",
      value: "X",
      meaning: "1 = as recorded, 10 = ten times faster (default: as fast as they are taken).",
    },
    {
      name: "quiet",
      value: "1s",
      meaning: "Subscriptions must not have changed for this long (default 1s).",
    },
    { name: "exit-when-done", meaning: "Close and exit when every frame was sent." },
  ],
  common: [],
  options: OPTIONS,
  async run({ positionals, options }) {
    for (const file of positionals) checkReadable(file);
    const { exchange, port, speed, quiet, exitWhenDone } = options;
    const ended = untilSignal();
    const served = await start({
      files: positionals,
      exchange,
      port,
      quietMs: quiet,
      copies: new SecondCopies(exchange),
      ...(speed === undefined ? {} : { speed }),
    });
    console.log(
      `replay: ${exchange} at ${served.url}, waiting for subscriptions; record it: tapedeck record ` +
        `--set exchanges.${exchange}.ws_url=${served.url} --set exchanges.${exchange}.rest_url=${served.restUrl}`,
    );
    try {
      const outcome = await Promise.race([served.done, ended]);
      console.log(outcome === undefined ? `replay: ended early, ${summary(served.stats())}` : done(outcome));
      for (const { file, why } of served.stats().torn) {
        process.stderr.write(`tapedeck: ${file} is ${why}; all before was served\n`);
      }
      if (outcome !== undefined && !exitWhenDone) await ended;
    } finally {
      await served.stop();
    }
    return served.stats().torn.length === 0 ? 0 : 1;
  },
};

function done(stats: ReplayStats): string {
  return `replay: done, ${summary(stats)}`;
}

function summary(stats: ReplayStats): string {
  const { total, sent, notSubscribed, unknown, skippedControls, copies, partCopies, lost } = stats;
  const unsent = Object.values(notSubscribed).reduce((sum, count) => sum + count, 0);
  const parts = [
    `${total} frames sent on ${Object.keys(sent).length} streams`,
    `${unsent} not sent (nobody subscribed ${Object.keys(notSubscribed).length} streams)`,
  ];
  if (unknown > 0) parts.push(`${unknown} of them of no known stream`);
  if (skippedControls > 0) parts.push(`${skippedControls} acks skipped`);
  if (copies > 0) parts.push(`${copies} second copies skipped`);
  if (partCopies > 0) parts.push(`${partCopies} sent whole although the recording has only a part of each`);
  if (lost > 0) parts.push(`${lost} lost with a connection that closed`);
  return parts.join(", ");
}

function checkReadable(file: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new Failure(
      missing
        ? `there is no file ${file}: check the path`
        : `the file ${file} cannot be read: check its permissions`,
    );
  }
  if (!statSync(file).isFile()) throw new Failure(`${file} is not a file: name the files inside it`);
}

async function start(options: Parameters<typeof startReplay>[0]): Promise<Replay> {
  try {
    return await startReplay(options);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
      throw new Failure(`port ${options.port} on 127.0.0.1 is taken: choose another with --port`);
    }
    throw error;
  }
}
