/** Messages between the main thread and the drain worker. Events never travel here, only control. */
import type { Dataset } from "../events/streams.ts";
import type { DatasetRow } from "./dataset-segment.ts";
import type { DrainOptions, FinishedFile, SymbolSpec } from "./drain.ts";

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
  /** Drain what is left and end; `timeout` in ms. */
  | { readonly type: "stop"; readonly timeout: number };

/** What the drain holds, besides the counters that stand in the rings. */
export interface DrainStats {
  readonly openRows: number;
  readonly openSegments: number;
  /** Rows moved from rings. */
  readonly moved: number;
}

/** From the drain worker. */
export type FromDrain =
  | { readonly type: "ready" }
  /** The symbols of the message with this id are known from now on. */
  | { readonly type: "symbols"; readonly id: number }
  | { readonly type: "stats"; readonly stats: DrainStats }
  | { readonly type: "file"; readonly file: FinishedFile }
  | { readonly type: "copy_failed"; readonly key: string; readonly error: string; readonly retryIn: number }
  | { readonly type: "copy_recovered" }
  /** The drain has ended; `lost` rows could not be brought into the outbox. */
  | { readonly type: "stopped"; readonly lost: number }
  /** The drain cannot go on. */
  | { readonly type: "fatal"; readonly error: string };
