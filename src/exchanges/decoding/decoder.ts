/** What every exchange's decoder is: bytes of a frame in, rows out. */
import type { Stream } from "../../events/streams.ts";
import type { Row } from "../../ring/row.ts";

/** What a frame turned out to be. */
export const FRAME = {
  /** It held events of wanted streams; their rows were committed. */
  EVENTS: 0,
  /** An answer of the exchange to us: ack, error, pong. */
  CONTROL: 1,
  /** Known by name and not recorded: klines, books, tickers' other fields. */
  IGNORED: 2,
  /** Events of instruments or streams that were not asked for. */
  UNWANTED: 3,
  /** Not decodable: counted and kept in quarantine; no row of it was committed. */
  UNDECODABLE: 4,
  /** The exchange announces a change of instruments: the list should be read again. */
  INSTRUMENTS: 5,
} as const;

/** One of {@link FRAME}. */
export type FrameClass = (typeof FRAME)[keyof typeof FRAME];

/** Where a decoder puts the rows of one stream: a ring's producer, or a list. */
export interface RowWriter {
  readonly row: Row;
  /** Takes the row as it stands; false when it had to be dropped (the writer counts that). */
  commit(): boolean;
  /** Remembers the place before a frame. */
  mark(): void;
  /** Takes back the rows committed since {@link mark}. */
  rewind(): void;
}

/** Writers of the wanted streams; a stream that is not wanted has none. */
export type Writers = Readonly<Partial<Record<Stream, RowWriter>>>;

/** What a decoder counts beside its events. */
export interface DecodeCounters {
  /** Frames that had to go through JSON.parse although their kind has a scanner. */
  fallback: number;
  /** Decimals whose digits a double does not hold. */
  inexact: number;
  /** Integers above 2^53, recorded as NULL. */
  oversized: number;
}

/** Snapshots of channels that go on with changes. */
export interface SnapshotCounters {
  /** Snapshot frames received. */
  frames: number;
  /** Symbols whose state a snapshot on a new connection re-based. */
  realigned: number;
}

/** A decoder of one exchange, for one connection or for `decode`. Single-threaded, reused for ever. */
export interface Decoder {
  readonly counters: DecodeCounters;
  readonly snapshots: SnapshotCounters;
  /** Whether the current or last frame was a snapshot of a channel that goes on with changes. */
  readonly snapshot: boolean;
  /** Why the last frame was UNDECODABLE. */
  readonly reason: string;
  /**
   * Decodes one frame.
   *
   * @param data holds its bytes; not kept
   * @param local receive time, whole µs
   * @param connection number of the connection within the run
   * @param from where the frame begins in `data`
   * @param to where it ends; in the frame memory itself (`BYTES`), zeros stand behind it
   */
  decode(data: Uint8Array, local: number, connection: number, from?: number, to?: number): FrameClass;
}
