/** Settings as tapedeck.toml. */
import type { SettingDescription } from "./describe.ts";
import type { Written } from "./leaf.ts";
import type { Sources } from "./load.ts";
import { maskValue } from "./mask.ts";

/** A TOML 1.0 value; texts as basic strings. */
export function tomlValue(value: Written): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return `[${value.map(tomlValue).join(", ")}]`;
  // JSON's escapes are TOML's, but TOML wants DEL escaped too.
  return JSON.stringify(value).replaceAll("\u007f", "\\u007f");
}

/**
 * Writes settings as TOML: every leaf, a comment at each that is not a default, naming its source, absent
 * ones as comments, secrets masked. What is not masked reads back to the same settings.
 *
 * @param written the value of a setting as a user would write it; undefined when it is absent
 */
export function toToml(
  settings: readonly SettingDescription[],
  written: (setting: SettingDescription) => Written | undefined,
  sources: Sources,
): string {
  const tables = new Map<string, string[]>();
  for (const setting of settings) {
    const dot = setting.path.lastIndexOf(".");
    const [name, key] = [setting.path.slice(0, Math.max(0, dot)), setting.path.slice(dot + 1)];
    const lines = tables.get(name) ?? [];
    tables.set(name, lines);
    const value = written(setting);
    const source = sources.get(setting.path) ?? "default";
    if (value === undefined) {
      lines.push(`# ${key} is not set: ${setting.default}`);
    } else {
      const shown = tomlValue(maskValue(value, setting) as Written);
      lines.push(`${key} = ${shown}${source === "default" ? "" : ` # from ${comment(source)}`}`);
    }
  }
  return [...tables]
    .map(([name, lines]) => [...(name === "" ? [] : [`[${name}]`]), ...lines].join("\n"))
    .join("\n\n");
}

/** A path given to `--config` may hold what would end a comment. */
function comment(text: string): string {
  return text.replace(/\p{Cc}/gu, "\uFFFD");
}
