/** `tapedeck config`: the resolved settings and where each came from. */
import { z } from "zod";
import { describeSettings } from "../config/describe.ts";
import { settingValue } from "../config/load.ts";
import { maskValue } from "../config/mask.ts";
import { toToml } from "../config/toml.ts";
import type { Command, Invocation } from "./command.ts";

const options = z.object({ json: z.literal(true).optional() });

/** Unit of a resolved value in `--json`. */
const UNITS: Readonly<Record<string, string>> = { duration: "ms", size: "bytes" };

/** Prints the resolved settings as TOML, or as JSON with the source of each; secrets masked. */
export const command: Command<z.output<typeof options>> = {
  name: "config",
  summary: "Prints the resolved settings and where they come from.",
  description:
    "Prints every setting as tapedeck.toml would hold it, with a comment at each that is not a default. " +
    "The output is a valid tapedeck.toml; secrets are masked.",
  flags: [
    { name: "json", meaning: "As JSON: value, unit and source of each setting; absent ones are null." },
  ],
  common: "all",
  options,
  async run(invocation) {
    process.stdout.write(`${invocation.options.json ? asJson(invocation) : asToml(invocation)}\n`);
    return 0;
  },
};

function asToml({ settings, sources }: Invocation): string {
  return toToml(describeSettings(), (setting) => settingValue(settings, setting).written, sources);
}

function asJson({ settings, sources }: Invocation): string {
  const entries = describeSettings().map((setting) => {
    const value = maskValue(settingValue(settings, setting).value, setting) ?? null;
    const unit = UNITS[setting.kind];
    const source = sources.get(setting.path) ?? "default";
    return [setting.path, { value, ...(unit === undefined ? {} : { unit }), source }] as const;
  });
  return JSON.stringify(Object.fromEntries(entries), null, 2);
}
