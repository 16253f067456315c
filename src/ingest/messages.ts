/** Messages between the main thread and an ingest worker. Events never travel here, only control. */

import type { Stream } from "../events/streams.ts";
import type { ConnectionBounds } from "../exchanges/connection.ts";
import type { Subscription } from "../exchanges/exchange.ts";
import type { ConnectionLimits } from "../exchanges/planner.ts";
import type { RingHandle } from "../ring/memory.ts";

/** What an ingest worker has to do for one exchange. Sent anew, it replaces what was wanted before. */
export interface ExchangeJob {
  readonly exchange: string;
  readonly wsUrl: string;
  /** Everything that is to be subscribed. */
  readonly subscriptions: readonly Subscription[];
  readonly limits: ConnectionLimits;
  /** Known instruments, by the number that stands in the rows. */
  readonly instruments: readonly { readonly instrument: string; readonly number: number }[];
  readonly rings: readonly { readonly stream: Stream; readonly handle: RingHandle }[];
  readonly bounds: ConnectionBounds;
}

/** Capture of raw frames. */
export interface RawTarget {
  /** To the writer. */
  readonly port: MessagePort;
  /** Bytes of frames that may be on their way to the writer. */
  readonly inFlight: number;
  /** Whether frames are only captured: their rows are decoded and discarded. */
  readonly only: boolean;
}

/** To the ingest worker. */
export type ToIngest =
  | {
      readonly type: "start";
      /** Next connection number, shared by all workers of the run. */
      readonly connectionCounter: SharedArrayBuffer;
      /** Events staged before a ring's head is published even inside one socket read. */
      readonly publishBatch: number;
      /** Bytes of undecodable frames that may be on their way to the main thread. */
      readonly quarantineInFlight: number;
      /** Where raw frames go; null = nowhere. */
      readonly raw: RawTarget | null;
    }
  | { readonly type: "exchange"; readonly job: ExchangeJob }
  /** The main thread has written this many bytes of quarantined frames. */
  | { readonly type: "quarantined"; readonly bytes: number }
  | { readonly type: "stop" };

/** What a worker has counted for one exchange since its start. */
export interface ExchangeStats {
  readonly exchange: string;
  readonly frames: number;
  readonly bytes: number;
  readonly control: number;
  readonly ignored: number;
  readonly unwanted: number;
  readonly undecodable: number;
  readonly fallback: number;
  readonly inexact: number;
  readonly oversized: number;
  /** Undecodable frames that were counted but not kept: too many at once. */
  readonly notKept: number;
  readonly reconnects: number;
  /** Subscriptions sent that begin with a snapshot, snapshot frames received, symbols re-based by one. */
  readonly snapshotFetches: number;
  readonly snapshots: number;
  readonly realigned: number;
  /** Connections that should be open, and that are. */
  readonly connections: number;
  readonly open: number;
  readonly subscriptions: number;
  /** Receive time of the last event, µs; null before the first. */
  readonly lastEvent: number | null;
}

/** What the tap of raw frames has counted for one exchange. */
export interface RawStats {
  readonly exchange: string;
  /** Frames handed to the writer. */
  readonly captured: number;
  /** Frames that found no room because the writer is too far behind. */
  readonly notCaptured: number;
}

/** Something worth a log line. */
export type IngestNotice =
  | {
      readonly event: "ws_connect";
      readonly exchange: string;
      readonly connection: number;
      readonly url: string;
      readonly subscriptions: number;
    }
  | {
      readonly event: "ws_disconnect";
      readonly exchange: string;
      readonly connection: number;
      readonly url: string;
      readonly code: number | null;
      readonly reason: string;
      readonly retryIn: number | null;
    }
  | {
      readonly event: "subscription_refused";
      readonly exchange: string;
      readonly connection: number;
      readonly channels: readonly string[];
      readonly error: string;
    };

/** A frame that could not be decoded. */
export interface QuarantinedFrame {
  readonly exchange: string;
  readonly connection: number;
  /** Receive time, µs. */
  readonly local: number;
  readonly reason: string;
  readonly frame: Uint8Array;
}

/** Ids that should be consecutive and are not: events that were lost before they reached us. */
export interface GapNotice {
  readonly exchange: string;
  readonly stream: Stream;
  readonly instrument: string;
  /** Receive times of the last event before and the first one after, µs. */
  readonly from: number;
  readonly to: number;
  readonly firstId: number;
  readonly lastId: number;
}

/** From the ingest worker. */
export type FromIngest =
  | { readonly type: "ready" }
  | {
      readonly type: "stats";
      readonly exchanges: readonly ExchangeStats[];
      readonly raw: readonly RawStats[];
      readonly clockOffset: number;
    }
  | { readonly type: "notice"; readonly notice: IngestNotice }
  | { readonly type: "gaps"; readonly gaps: readonly GapNotice[]; readonly notNamed: number }
  /** An exchange announced a change of its instruments. */
  | { readonly type: "instruments"; readonly exchange: string }
  | { readonly type: "quarantine"; readonly frame: QuarantinedFrame }
  /** All sockets are closed and every event is published. */
  | { readonly type: "stopped" }
  | { readonly type: "fatal"; readonly error: string };
