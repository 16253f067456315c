import type { Backoff } from "../../lib/backoff.ts";
import type { FileDigest } from "../destinations/destination.ts";

/** A file in the outbox that has to reach a destination. */
export interface OutboxFile {
  readonly key: string;
  readonly path: string;
  /** Exchange, and stream or dataset. */
  readonly exchange: string;
  readonly stream: string;
  /** null = not known: a file of an earlier run without a ledger. */
  readonly rows: number | null;
  /** Ring of this run whose events it holds; null for a dataset and for a file of an earlier run. */
  readonly ring: number | null;
  /** As it was when it was written, hexadecimal; null = not noted then. */
  readonly sha256: string | null;
}

/** A file on its way, with what is known of its attempts. */
export interface Job {
  readonly file: OutboxFile;
  /** Size; 0 where it is gone. */
  readonly bytes: number;
  /** When it was written, epoch ms. */
  readonly since: number;
  /** Whether an earlier run had it. */
  readonly recovered: boolean;
  readonly backoff: Backoff;
  digest: FileDigest | null;
  /** Destinations that have to be asked for it before it is sent anywhere. */
  readonly ask: Set<string>;
  /** Destinations in which it may stand, or turn up later. */
  readonly doubtful: Set<string>;
  /** Failures that were the file's own, by destination. */
  readonly ownFailures: Map<string, number>;
  /** Why the last attempt failed for a reason of the file's own. */
  ownFault: string | null;
  attempts: number;
  /** Monotonic, ms. */
  notBefore: number;
  busy: boolean;
}
