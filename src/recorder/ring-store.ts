/** Where the rings of a run are, and what of earlier runs was found there. */
import type { Settings } from "../config/schema.ts";
import { STREAM_NAMES, type Stream } from "../events/streams.ts";
import type { Logger } from "../status/log.ts";
import type { SymbolSpec } from "../storage/drain.ts";
import { RingFiles } from "../storage/rings/files.ts";
import type { RingFolders } from "../storage/rings/folders.ts";
import type { RescueNotice } from "../storage/rings/rescue.ts";
import { type SealBounds, withinMemory } from "../storage/seal-policy.ts";
import { sealBounds } from "./drain-settings.ts";
import { createRings, type RunRing } from "./rings.ts";
import { VERSION } from "./version.ts";

/** The rings of a run, and the files they are in; null = they are in memory. */
export interface RingStore {
  readonly rings: readonly RunRing[];
  readonly files: RingFiles | null;
}

/**
 * Creates the rings of a run where the settings say.
 *
 * @throws FolderError where they are to be files and cannot
 */
export function openRings(settings: Settings, folders: RingFolders, run: string): RingStore {
  const { backing, folder: parent } = settings.ring;
  const { layout } = settings;
  const files =
    backing === "file" ? RingFiles.open({ folders, parent, run, version: VERSION, layout }) : null;
  return { rings: createRings(settings, files), files };
}

/** When segments are sealed that take the rows of rings that were left: as the drain of that run would have. */
export function rescueBounds(settings: Settings): Record<Stream, SealBounds> {
  const bounds = sealBounds(settings);
  for (const stream of STREAM_NAMES)
    bounds[stream] = withinMemory(bounds[stream], settings.duckdb.memory_limit);
  return bounds;
}

/** Log lines about rings of earlier runs. */
export function logRescue(log: Logger, notices: readonly RescueNotice[]): void {
  for (const { event, ...fields } of notices) {
    if (event === "ring_rescued") log.info(event, fields);
    else log.warn(event, fields);
  }
}

/** Keeps symbols beside the rings. Where that fails recording goes on, and they are kept with the next ones. */
export function keepSymbols(
  files: RingFiles,
  exchange: string,
  symbols: readonly SymbolSpec[],
  log: Logger,
): void {
  try {
    files.keepSymbols(
      exchange,
      symbols.map(({ number, symbol, instrument }) => [number, symbol, instrument]),
    );
  } catch (error) {
    log.error("ring_symbols_failed", { error: error instanceof Error ? error.message : String(error) });
  }
}
