/** Flags > environment > tapedeck.toml > defaults, merged and checked once, all faults at once. */
import { describeSettings, type SettingDescription } from "./describe.ts";
import { readEnvironment } from "./env.ts";
import { readConfigFile } from "./file.ts";
import type { Given } from "./given.ts";
import { writtenValue } from "./leaf.ts";
import { shownValue } from "./mask.ts";
import { type Settings, settingsSchema, valueAt } from "./schema.ts";

/** Where each setting's value came from, by path: `default`, `tapedeck.toml`, `TAPEDECK_X`, `--x`. */
export type Sources = ReadonlyMap<string, string>;

/** What settings are made of. */
export interface LoadInput {
  /** Settings from the command line; the last one of a path wins. */
  readonly flags: readonly Given[];
  /** The file of `--config`; undefined = ./tapedeck.toml if it is there. */
  readonly config?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder in which ./tapedeck.toml is looked for. */
  readonly cwd: string;
}

/** Settings, or every fault. Warnings either way. */
export type Loaded = { readonly warnings: readonly string[] } & (
  | { readonly ok: true; readonly settings: Settings; readonly sources: Sources }
  | { readonly ok: false; readonly faults: readonly string[] }
);

/** Loads the settings. Never throws for what a user wrote. */
export function loadSettings({ flags, config, env, cwd }: LoadInput): Loaded {
  const described = describeSettings();
  const environment = readEnvironment(env, described);
  const file = readConfigFile(config, cwd, described);
  const winners = new Map<string, Given>();
  for (const given of [...file.given, ...environment.given, ...flags]) winners.set(given.path, given);

  const result = settingsSchema.safeParse(treeOf(winners));
  const faults = [...file.faults];
  if (!result.success) faults.push(...explain(result.error.issues, winners, described));
  const { warnings } = environment;
  if (!result.success || faults.length > 0) return { ok: false, faults, warnings };
  const sources = new Map(described.map(({ path }) => [path, winners.get(path)?.source ?? "default"]));
  return { ok: true, settings: result.data, sources, warnings };
}

/** The defaults alone: for commands that take no settings, and so cannot fail for a wrong one. */
export function defaultSettings(): { settings: Settings; sources: Sources } {
  const sources = new Map(describeSettings().map(({ path }) => [path, "default"]));
  return { settings: settingsSchema.parse({}), sources };
}

function treeOf(winners: ReadonlyMap<string, Given>): object {
  const root: Record<string, unknown> = {};
  for (const { path, value } of winners.values()) {
    const keys = path.split(".");
    let table = root;
    for (const key of keys.slice(0, -1)) {
      // Paths are those of the schema, so what stands here is a table of our own making.
      table[key] ??= {};
      table = table[key] as Record<string, unknown>;
    }
    table[keys[keys.length - 1]] = value;
  }
  return root;
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code?: string | undefined;
  readonly params?: Readonly<Record<string, unknown>> | undefined;
}

/** zod's issues as sentences that name source, value, what is allowed and the mend. */
function explain(
  issues: readonly Issue[],
  winners: ReadonlyMap<string, Given>,
  described: readonly SettingDescription[],
): string[] {
  const where = (setting: SettingDescription): string => {
    const given = winners.get(setting.path);
    if (given === undefined) return `${setting.path} = ${setting.default} (default)`;
    return given.where(shownValue(given.value, setting, given.quoted));
  };
  const valueAndSource = (setting: SettingDescription): string => {
    const given = winners.get(setting.path);
    return given === undefined
      ? `${setting.default}, the default`
      : `${shownValue(given.value, setting, given.quoted)} from ${given.source}`;
  };
  const settingOf = (path: string): SettingDescription | undefined =>
    described.find((setting) => path === setting.path || path.startsWith(`${setting.path}.`));

  const faults = new Map<string, string>();
  for (const issue of issues) {
    const setting = settingOf(issue.path.join("."));
    if (setting === undefined) throw new Error(`a fault of no setting: ${issue.message}`);
    const high = typeof issue.params?.high === "string" ? settingOf(issue.params.high) : undefined;
    // One fault a value: what is out of bounds need not be compared with others too.
    const key = setting.kind === "list" ? issue.path.join(".") : setting.path;
    if (faults.has(key) || (high !== undefined && faults.has(high.path))) continue;
    const mend =
      high === undefined ? "" : ` (${valueAndSource(high)}); lower ${setting.path} or raise ${high.path}`;
    faults.set(key, `${where(setting)}: ${issue.message}${mend}`);
  }
  return [...faults.values()];
}

/** A setting's resolved value as a user would write it, and as it resolved. */
export function settingValue(settings: Settings, { path, kind }: SettingDescription) {
  const value = valueAt(settings, path);
  return { value, written: writtenValue(kind, value) };
}
