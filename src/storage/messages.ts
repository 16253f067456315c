/** Messages between the main thread and the drain worker. Events never travel here, only control. */
import type { Dataset } from "../events/streams.ts";
import type { DatasetRow } from "./dataset-segment.ts";
import type { DrainOptions, FinishedFile, LostRows, SymbolSpec } from "./drain.ts";
import type { SpoiledRows } from "./filer.ts";
import type { JournalNotice } from "./journal/recovery.ts";

/** To the drain worker. */
export type ToDrain =
  | { readonly type: "start"; readonly options: DrainOptions; readonly poll: number }
  | {
      readonly type: "symbols";
      readonly id: number;
      readonly exchange: string;
      readonly symbols: readonly SymbolSpec[];
    }
  /** Rows of a dataset, written at `nowUs`. */
  | {
      readonly type: "rows";
      readonly exchange: string;
      readonly dataset: Dataset;
      readonly rows: readonly DatasetRow[];
      readonly nowUs: number;
    }
  /** The file of the message with this id is in the ledger: its journal may go. */
  | { readonly type: "filed"; readonly id: number }
  /** While it is held no file is written: the outbox is full. */
  | { readonly type: "hold"; readonly held: boolean }
  /** Drain what is left in the rings, of which the producers have stopped; `timeout` in ms. */
  | { readonly type: "finish"; readonly timeout: number }
  /** After that: write the datasets and end; `timeout` in ms. */
  | { readonly type: "stop"; readonly timeout: number };

/** What the drain holds, besides the counters that stand in the rings. */
export interface DrainStats {
  readonly openSegments: number;
  readonly journalBytes: number;
  /** Rows moved from rings. */
  readonly moved: number;
  /** How often it was rebuilt after an error. */
  readonly rebuilds: number;
}

/** From the drain worker. */
export type FromDrain =
  | { readonly type: "ready" }
  /** The symbols of the message with this id are known from now on. */
  | { readonly type: "symbols"; readonly id: number }
  | { readonly type: "stats"; readonly stats: DrainStats }
  /** To be answered by `filed`. */
  | { readonly type: "file"; readonly id: number; readonly file: FinishedFile }
  | { readonly type: "copy_failed"; readonly key: string; readonly error: string; readonly retryIn: number }
  | { readonly type: "copy_recovered" }
  /** Rows that stood in a journal alone are lost: it was damaged. */
  | { readonly type: "spoiled"; readonly spoiled: SpoiledRows }
  /** Journals cannot be written: why; null = they can again. */
  | { readonly type: "journal_fault"; readonly why: string | null }
  /** An error in the drain: it is being rebuilt from its journals. */
  | { readonly type: "failed"; readonly error: string }
  /** It goes on; what was told of journals meanwhile. */
  | {
      readonly type: "rebuilt";
      readonly ms: number;
      readonly segments: number;
      readonly rows: number;
      readonly notices: readonly JournalNotice[];
    }
  /** The rings are empty, or given up: these rows could not be brought into a journal. */
  | { readonly type: "finished"; readonly lost: readonly LostRows[] }
  /** The drain has ended; `lost` rows in all, those of datasets included, are in no journal and no file. */
  | { readonly type: "stopped"; readonly lost: number }
  /** The drain cannot go on. */
  | { readonly type: "fatal"; readonly error: string };
