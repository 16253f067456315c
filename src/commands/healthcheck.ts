/** `tapedeck healthcheck`: whether the recorder is alive, for containers and supervisors. */
import { z } from "zod";
import { parseDuration } from "../config/units.ts";
import { type Command, Failure } from "./command.ts";
import { ask, recorderAddress } from "./recorder-address.ts";

const options = z.strictObject({
  ready: z.literal(true).optional(),
  timeout: z
    .string()
    .transform((text) => parseDuration(text))
    .pipe(z.number({ error: "is no duration such as 2s" }).min(1).max(60_000, "is more than 60s"))
    .default(2000),
});

/** `tapedeck healthcheck` */
export const command: Command<z.output<typeof options>> = {
  name: "healthcheck",
  summary: "Tells by its exit code whether a recorder is alive.",
  description:
    "Exit code 0 when the recorder on this machine, or at ADDRESS, says that it is alive (/livez): its threads run. An " +
    "exchange or a bucket that is away and a full disk do not fail it: a new container would not mend them. 1 otherwise, with the reason.",
  positionals: { name: "ADDRESS", min: 0, max: 1 },
  flags: [
    { name: "ready", meaning: "Asks /readyz instead: whether it records." },
    { name: "timeout", value: "2s", meaning: "Longest wait for the answer (default 2s)." },
  ],
  common: ["host", "port"],
  options,
  async run({ positionals, options: { ready = false, timeout }, settings }) {
    const base = recorderAddress(positionals[0], settings.status);
    const path = ready ? "/readyz" : "/livez";
    const { status, text } = await ask(base, path, timeout);
    if (status !== 200) throw new Failure(`${base}${path} answered ${status}: ${said(text)}`);
    process.stdout.write("ok\n");
    return 0;
  },
};

/** Longest part of an answer that is shown. */
const SHOWN_MAX = 500;

function said(text: string): string {
  return (
    text
      .slice(0, SHOWN_MAX)
      .replace(/\p{Cc}+/gu, " ")
      .trim() || "nothing"
  );
}
