/** Where finished files go. A local folder, S3 and GCS fill in the same contract and pass the same suite of tests. */

/** A finished file on its way to a destination. */
export interface PutFile {
  /** Where it stands. */
  readonly path: string;
  /** Below the lake's prefix: `v1/exchange=…/….parquet`. */
  readonly key: string;
  readonly digest: FileDigest;
  /** Whether an earlier attempt may have left something behind, such as parts of a multipart upload. */
  readonly again: boolean;
}

/** What is known of a file's content. */
export interface FileDigest {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** Size of the parts in {@link partMd5}, bytes. */
  readonly partSize: number;
  /** Base64, of each part, of which a file has one at least; empty where no destination wants them. */
  readonly partMd5: readonly string[];
}

/** What a file is compared by with what stands at its key. */
export interface ExpectedContent {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** What else is known of it, which may spare reading the content. */
  readonly digest: FileDigest | null;
}

/** A key of a lake and what stands there. */
export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
}

/** What stands at a key, as far as it can be known without reading a bucket's content. */
export interface StoredObject {
  readonly bytes: number;
  /** Of its content, as noted at the upload or as read just now; null where nobody noted it. */
  readonly sha256: string | null;
}

/**
 * A place for finished files. Every call ends within its limits of time, whatever the other side does, and at once
 * when `signal` is aborted. Every call may be repeated.
 *
 * All of them throw {@link DestinationError} and nothing else.
 */
export interface Destination {
  /** `local`, `s3` or `gcs`: for logs, and for the ledger, which remembers what stands where. */
  readonly name: string;
  /** For people: `s3://bucket/prefix at https://…`. */
  readonly where: string;
  /** Whether it keeps the day's manifest. */
  readonly manifests: boolean;
  /** Whether it is to be given the MD5s of a file's parts, which cost more than the SHA-256. */
  readonly wantsMd5: boolean;
  /**
   * Brings a file to its key. When it resolves, the file stands there whole, verified and safe from a power loss;
   * the local copy may be gone.
   */
  put(file: PutFile, signal: AbortSignal): Promise<void>;
  /** What stands at a key; null = nothing. */
  stat(key: string, signal: AbortSignal): Promise<StoredObject | null>;
  /**
   * Whether the very content of a file stands at its key, also after an upload that nobody saw the end of: where what is
   * noted about the object does not prove it, it is read.
   */
  holds(key: string, expected: ExpectedContent, signal: AbortSignal): Promise<"same" | "other" | "nothing">;
  /** Every object below a prefix of keys, in no promised order. */
  list(prefix: string, signal: AbortSignal): AsyncIterable<ListedObject>;
  /** The content at a key, at most `maxBytes` of it; null = nothing. */
  read(key: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | null>;
  /** Writes a small object. */
  write(key: string, content: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Removes what stands at a key; nothing there is no error. */
  remove(key: string, signal: AbortSignal): Promise<void>;
  /** Frees what it holds. */
  close(): void;
}

/**
 * What went wrong, by what follows from it:
 * `unreachable` it may pass by itself; `throttled` too much at once; `refused` somebody has to change a setting, a
 * right or the bucket; `clock` this machine's time is wrong; `full` no room; `file` it is the file, not the destination.
 */
export type Trouble = "unreachable" | "throttled" | "refused" | "clock" | "full" | "file";

/** A call of a destination failed; the message names it and, where there is one, the mend. */
export class DestinationError extends Error {
  override name = "DestinationError";

  constructor(
    message: string,
    readonly trouble: Trouble,
    /** Whether what was to be stored may stand there all the same: a time limit, a broken connection. */
    readonly unknown: boolean,
  ) {
    super(message);
  }
}
