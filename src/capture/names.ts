/** Where captures lie, and how they are called. */
import { join } from "node:path";
import { dateOf } from "../lib/days.ts";

/** End of a finished capture's name. */
export const FILE_END = ".jsonl.zst";
/** Further end of one that is still open; its name begins with a dot, so that no `*.zst` finds it. */
export const OPEN_END = ".tmp";

/** What a capture file is called after. */
export interface RawName {
  readonly exchange: string;
  /** Receive time of its first frame, µs. */
  readonly first: number;
  readonly run: string;
  /** Number of the ingest worker. */
  readonly worker: number;
  /** Number of the file of this exchange and worker within the run, from 0. */
  readonly n: number;
}

/** Folder of a capture below the root, and its name: `exchange=binance/date=2026-11-20/<first>_<run>_<worker>_<n>.jsonl.zst`. */
export function placeOf(root: string, { exchange, first, run, worker, n }: RawName) {
  return {
    folder: join(root, `exchange=${exchange}`, `date=${dateOf(first)}`),
    name: `${first}_${run}_${worker}_${n}${FILE_END}`,
  };
}

/** Name of a capture while it is open. */
export function openName(name: string): string {
  return `.${name}${OPEN_END}`;
}

/** The name that an open capture will have; null when it is none. */
export function closedName(name: string): string | null {
  if (!name.startsWith(".") || !name.endsWith(FILE_END + OPEN_END)) return null;
  return name.slice(1, -OPEN_END.length);
}
