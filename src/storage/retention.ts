/** Days of a local lake that are over are deleted, oldest first. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SCHEMA_VERSION } from "../events/streams.ts";
import { COMPACTED } from "./compacted.ts";

/** A day that is gone. */
export interface ExpiredDay {
  /** UTC. */
  readonly date: string;
  /** Folders of it, one for each exchange and stream. */
  readonly folders: number;
}

const DAY = 24 * 60 * 60_000;

/**
 * Deletes the days that ended more than `keep` ms before `now` (epoch ms).
 *
 * @param expires called with each day (UTC) before anything of it is deleted: whatever ends this in between, nobody
 *   misses what is gone
 * @throws Error when the lake cannot be read or a folder not be deleted
 */
export async function expireDays(
  lake: string,
  keep: number,
  now: number,
  expires: (date: string) => void,
): Promise<ExpiredDay[]> {
  const days = new Map<string, string[]>();
  const roots = [join(lake, SCHEMA_VERSION), join(lake, COMPACTED)];
  const exchanges = await Promise.all(roots.map((root) => folders(root, "exchange=")));
  // Files first: a record without its file says that rows are missing, but only until it is deleted as well.
  for (const exchange of exchanges.flat()) {
    for (const stream of await folders(exchange, "stream=")) {
      for (const path of await folders(stream, "date=")) {
        const date = path.slice(path.lastIndexOf("date=") + "date=".length);
        const ended = Date.parse(`${date}T00:00:00Z`) + DAY;
        // What is no date is not ours to delete.
        if (!(ended + keep < now)) continue;
        days.set(date, [...(days.get(date) ?? []), path]);
      }
    }
  }
  const gone: ExpiredDay[] = [];
  for (const [date, paths] of [...days].sort(([a], [b]) => a.localeCompare(b))) {
    expires(date);
    for (const path of paths) await rm(path, { recursive: true });
    gone.push({ date, folders: paths.length });
  }
  return gone;
}

async function folders(path: string, prefix: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && entry.name.startsWith(prefix))
      .map(({ name }) => join(path, name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
