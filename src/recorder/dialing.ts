import { readCaFile } from "../config/ca-file.ts";
import type { ExchangeName } from "../config/exchanges.ts";
import type { Settings } from "../config/schema.ts";
import type { Dialing } from "../exchanges/dialer.ts";

/** Certificates are read once a run: a file that changes or goes does not disturb a recording. */
const read = new WeakMap<Settings, Map<string, string>>();

/**
 * How the settings want an exchange to be reached.
 *
 * @throws Error when the file of certificates can no longer be read, at the first call for these settings
 */
export function dialingOf(settings: Settings, name: ExchangeName): Dialing {
  const { proxy, ca_file: path } = settings.exchanges[name];
  return { proxy: proxy ?? null, ca: path === undefined ? null : certificates(settings, path) };
}

function certificates(settings: Settings, path: string): string {
  const files = read.get(settings) ?? new Map<string, string>();
  read.set(settings, files);
  const known = files.get(path);
  if (known !== undefined) return known;
  const text = readCaFile(path);
  files.set(path, text);
  return text;
}
