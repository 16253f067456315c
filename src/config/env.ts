/** Settings from the environment. Bun has read `.env` before; the real environment wins over it. */
import type { SettingDescription } from "./describe.ts";
import type { Given } from "./given.ts";
import { shownText } from "./mask.ts";
import { didYouMean } from "./suggest.ts";

/** What all names of our own begin with. */
export const ENV_PREFIX = "TAPEDECK_";

/** Names under which operators know a setting; `TAPEDECK_*` wins over them. */
export const OPERATOR_NAMES: Readonly<Record<string, string>> = {
  STORAGE_BACKEND: "storage.backend",
  STORAGE_FALLBACK: "storage.fallback",
  BUFFER_SIZE: "flush.rows",
  FLUSH_INTERVAL: "flush.interval",
  ...bucketNames("S3"),
  ...bucketNames("GCS"),
};

/** `S3_BUCKET` and the like. */
function bucketNames(prefix: "S3" | "GCS"): Record<string, string> {
  const names = ["ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "SESSION_TOKEN", "BUCKET", "PREFIX", "REGION"];
  return Object.fromEntries(
    names.map((name) => [`${prefix}_${name}`, `${prefix.toLowerCase()}.${name.toLowerCase()}`]),
  );
}

/** The environment variable of a setting: `ring.capacity.mark_price` is `TAPEDECK_RING_CAPACITY_MARK_PRICE`. */
export function envName(path: string): string {
  return ENV_PREFIX + path.replaceAll(".", "_").toUpperCase();
}

/** Settings in the environment, weakest first, and a warning for each unknown name of our prefix. */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  settings: readonly SettingDescription[],
): { given: Given[]; warnings: string[] } {
  const names = new Map(settings.map((setting) => [setting.env, setting.path]));
  const candidates = [...Object.entries(OPERATOR_NAMES), ...names];
  const given = candidates.flatMap(([name, path]): Given[] => {
    // An empty value is what `FOO= tapedeck` and compose files write for "not set".
    const value = env[name]?.trim() ?? "";
    const where = (shown: string): string => `${name}=${shown}`;
    return value === "" ? [] : [{ path, value, source: name, where, quoted: false }];
  });
  // Not an end: Kubernetes makes TAPEDECK_PORT and others by itself for a service named "tapedeck".
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith(ENV_PREFIX) && !names.has(name))
    .map((name) => `${shownText(name)} names no setting and is ignored${didYouMean(name, names.keys())}`);
  return { given, warnings };
}
