/** Messages of the raw capture. Frames go from each ingest worker to the writer by a port of their own. */

/** How captures are written; settings `raw.*`. */
export interface WriterOptions {
  /** Folder below which the files go: DIR/raw. */
  readonly root: string;
  readonly run: string;
  /** A file is closed at this size, bytes. */
  readonly segmentBytes: number;
  /** A file is closed at this age, ms. */
  readonly interval: number;
  /** Bound of everything below `root`, bytes; 0 = none. */
  readonly maxBytes: number;
  /** Characters of lines that one zstd frame holds, about. */
  readonly blockBytes: number;
  /** Lines are written at the latest after this time, ms. */
  readonly blockInterval: number;
  /** Level of zstd. */
  readonly level: number;
}

/** From the ingest worker to the writer, by port. */
export type ToWriter =
  | {
      readonly type: "opened";
      readonly exchange: string;
      readonly connection: number;
      readonly url: string;
    }
  | {
      readonly type: "block";
      readonly buffer: ArrayBuffer;
      readonly used: number;
      readonly exchanges: readonly string[];
    }
  /** There will be no more frames from this worker. */
  | { readonly type: "end" };

/** From the writer to the ingest worker, by port: a block has been worked off. */
export interface BlockDone {
  readonly buffer: ArrayBuffer;
}

/** From the main thread to the writer. */
export type ToCaptureWorker =
  | {
      readonly type: "start";
      readonly options: WriterOptions;
      /** One for each ingest worker, by its number. */
      readonly ports: readonly MessagePort[];
    }
  /** Close what is there, whether the end has come or not. */
  | { readonly type: "stop" };

/** A capture file that was closed. */
export interface RawFile {
  readonly path: string;
  readonly exchange: string;
  readonly frames: number;
  readonly bytes: number;
}

/** A file that an earlier run left open. */
export interface RecoveredFile {
  /** Where it is now; null = it held nothing whole and is gone. */
  readonly path: string | null;
  /** What it was called. */
  readonly from: string;
  /** Whole zstd frames in it. */
  readonly blocks: number;
  readonly bytes: number;
  /** Bytes cut off behind the last whole one. */
  readonly cut: number;
}

/** What the writer has counted for one exchange. */
export interface WriterCounts {
  /** Frames in files. */
  written: number;
  /** Frames not written because `raw.max_bytes` was reached. */
  full: number;
  /** Frames not written because the disk refused. */
  failed: number;
  /** Bytes written, packed. */
  bytes: number;
  /** Files closed. */
  files: number;
}

/** What the writer has counted, per exchange. */
export type WriterStats = Readonly<Record<string, Readonly<WriterCounts>>>;

/** From the writer to the main thread. */
export type FromCaptureWorker =
  | { readonly type: "ready" }
  | { readonly type: "recovered"; readonly file: RecoveredFile }
  | { readonly type: "file"; readonly file: RawFile }
  | { readonly type: "full"; readonly bytes: number }
  | { readonly type: "resumed" }
  | { readonly type: "failed"; readonly error: string }
  | { readonly type: "stats"; readonly stats: WriterStats }
  | { readonly type: "stopped"; readonly stats: WriterStats }
  | { readonly type: "fatal"; readonly error: string };
