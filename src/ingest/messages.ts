/** Messages between the main thread and an ingest worker. Events never travel here, only control. */

import type { Stream } from "../events/streams.ts";
import type { ConnectionBounds } from "../exchanges/connection.ts";
import type { Dialing } from "../exchanges/dialer.ts";
import type { Subscription } from "../exchanges/exchange.ts";
import type { ConnectionLimits } from "../exchanges/planner.ts";
import type { SymbolWatchOptions } from "../exchanges/watchdog/symbol-watch.ts";
import type { RingHandle } from "../ring/memory.ts";
import type { UntoldHoles } from "./untold.ts";

/** What an ingest worker has to do for one exchange. Sent anew, it replaces what was wanted before. */
export interface ExchangeJob {
  readonly exchange: string;
  readonly wsUrl: string;
  /** Everything that is to be subscribed. */
  readonly subscriptions: readonly Subscription[];
  readonly limits: ConnectionLimits;
  /** Known instruments, by the number that stands in the rows. */
  readonly instruments: readonly KnownInstrument[];
  readonly rings: readonly {
    readonly stream: Stream;
    readonly handle: RingHandle;
    /** Where lags are counted (lag-histogram.ts). */
    readonly lag?: SharedArrayBuffer;
  }[];
  readonly bounds: LaneBounds;
  /** How connections are opened: directly, or by way of a proxy. */
  readonly dialing: Dialing;
  /** When the recording of this exchange began, µs: what came before the first subscription is missing. */
  readonly since: number;
  /** When the list of instruments was read the time before, µs; `since` unless said: what is new was not in it. */
  readonly readBefore?: number;
  /** This worker's part of the exchange, 0 to 1; 1 unless several workers share it. */
  readonly share?: number;
  /** What all workers of this exchange share to keep its limit on attempts to connect (ConnectGate). */
  readonly gate?: SharedArrayBuffer;
}

/** An instrument and the number under which it stands in the rows. */
export interface KnownInstrument {
  readonly instrument: string;
  readonly number: number;
  /** When it was listed, µs; null = the exchange does not say. */
  readonly listed?: number | null;
}

/** Bounds of everything that is done for an exchange; settings `connection.*`. */
export interface LaneBounds extends ConnectionBounds {
  readonly symbols: SymbolWatchOptions;
  /** Rows of bbo that a symbol may have since its trades were accepted without one of those. */
  readonly quotesWithoutTrade: number;
  /** Age at which a connection is replaced, ms; null = only when the exchange asks for it. */
  readonly maxAge: number | null;
  /** How long an old and a new connection run side by side, ms. */
  readonly overlap: number;
  /** How long a new connection may take to be complete before the old one stays, ms. */
  readonly replaceTimeout: number;
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
      /** Difference of the wall clock and receive time from which a gap is written, ms. */
      readonly clockStep: number;
      /** Time slice to ask the system for, µs; 0 = none. */
      readonly timeSlice: number;
      /** Where raw frames go; null = nowhere. */
      readonly raw: RawTarget | null;
    }
  | { readonly type: "exchange"; readonly job: ExchangeJob }
  /** The main thread has written this many bytes of quarantined frames. */
  | { readonly type: "quarantined"; readonly bytes: number }
  /** Asks when each symbol was last heard; answered by a `freshness` with the same id. */
  | { readonly type: "freshness"; readonly id: number }
  | { readonly type: "stop" };

/** When the symbols of one stream were last heard by a worker. */
export interface StreamFreshness {
  readonly exchange: string;
  readonly stream: Stream;
  readonly symbols: readonly SymbolFreshness[];
}

/** See {@link StreamFreshness}. */
export interface SymbolFreshness {
  readonly symbol: string;
  /** Receive time of its last event, µs; null = none came yet. */
  readonly last: number | null;
  /** Events of it. */
  readonly events: number;
  /** Whether it is silent for longer than its own rhythm allows. */
  readonly silent: boolean;
}

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
  /** Connections that were replaced as planned, without a hole. */
  readonly replacements: number;
  /** Second copies of events that came while old and new connection ran side by side; not recorded. */
  readonly duplicates: number;
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
    }
  | {
      readonly event: "connection_lagging";
      readonly exchange: string;
      readonly connection: number;
      readonly url: string;
      /** How late data are, and how late they usually are, ms. */
      readonly lag: number;
      readonly baseline: number;
    }
  | {
      readonly event: "stream_silent";
      readonly exchange: string;
      readonly connection: number;
      readonly stream: Stream;
      /** Channels of it that the connection carries. */
      readonly channels: number;
      /** ms */
      readonly silent: number;
    }
  | {
      readonly event: "symbol_silent";
      readonly exchange: string;
      readonly connection: number;
      readonly stream: Stream;
      readonly instrument: string;
      /** ms */
      readonly silent: number;
    }
  | {
      readonly event: "connection_replaced";
      readonly exchange: string;
      readonly connection: number;
      readonly by: readonly number[];
      readonly why: string;
      /** Whether the new connections were given up and the old one stayed. */
      readonly failed: boolean;
      /** Second copies that were kept out, and rows of which second copies may have been recorded. */
      readonly duplicates: number;
      readonly unmatched: number;
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

/** Why a span of time is or may be incomplete. */
export type GapReason =
  | "start"
  | "disconnect"
  | "silence"
  | "lag"
  | "sequence"
  | "overflow"
  | "decode_error"
  | "storage"
  | "quarantine"
  | "clock"
  | "crash"
  | "stop";

/** A span of time in which a stream, or one instrument of it, is or may be incomplete. */
export interface GapNotice {
  readonly exchange: string;
  readonly stream: Stream;
  /** null = all instruments. */
  readonly instrument: string | null;
  readonly reason: GapReason;
  /** lost = events are missing for sure; possible = they may be; planned = it was us. */
  readonly certainty: "lost" | "possible" | "planned";
  /** Receive times, µs; null = open to that side. */
  readonly from: number | null;
  readonly to: number | null;
  /** First and last missing id and number of missing events, where they are known. */
  readonly firstId: string | null;
  readonly lastId: string | null;
  readonly missed: number | null;
  /** Of an overflow: with it, whatever is missing below this `seq` of the worker's ring is told. */
  readonly toldBelow?: number;
  /** With those of its stream and reason that are told together with it, all that the worker has of an exchange shared with others. */
  readonly wholePart?: true;
}

/** The life of one socket, told when it has ended. */
export interface ConnectionNotice {
  readonly exchange: string;
  /** Its number within the run, as it stands in the rows. */
  readonly connection: number;
  readonly url: string;
  /** Receive times, µs. */
  readonly opened: number;
  /** null = it brought no event. */
  readonly firstData: number | null;
  readonly closed: number;
  /** null = the connection broke without a close frame. */
  readonly code: number | null;
  readonly reason: string;
  /** Channels it carried. */
  readonly subscriptions: number;
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
  | { readonly type: "freshness"; readonly id: number; readonly streams: readonly StreamFreshness[] }
  | {
      readonly type: "gaps";
      readonly gaps: readonly GapNotice[];
      readonly notNamed: number;
      /** Of the exchanges where that changed: the holes that are not told yet, in place of what was sent before. */
      readonly untold: readonly UntoldHoles[];
    }
  | { readonly type: "connection"; readonly ended: ConnectionNotice }
  /** An exchange announced a change of its instruments. */
  | { readonly type: "instruments"; readonly exchange: string }
  | { readonly type: "quarantine"; readonly frame: QuarantinedFrame }
  /** All sockets are closed and every event is published. */
  | { readonly type: "stopped" }
  | { readonly type: "fatal"; readonly error: string };
