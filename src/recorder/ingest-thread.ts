import type {
  ConnectionNotice,
  ExchangeJob,
  ExchangeStats,
  FromIngest,
  GapNotice,
  IngestNotice,
  QuarantinedFrame,
  RawStats,
  StreamFreshness,
  ToIngest,
} from "../ingest/messages.ts";
import type { UntoldHoles } from "../ingest/untold.ts";
import { startThread, type Thread } from "./thread.ts";

/** What an ingest thread tells the recorder. */
export interface IngestThreadEvents {
  notice(notice: IngestNotice): void;
  /** A frame that could not be decoded; the promise resolves when it is kept. */
  quarantine(frame: QuarantinedFrame): Promise<void>;
  /**
   * Spans in which something is or may be missing, for whatever reason; `notNamed` more were counted only. `untold`:
   * the holes of the worker that are still to become some, of each exchange where that has changed.
   */
  gaps(gaps: readonly GapNotice[], notNamed: number, untold: readonly UntoldHoles[]): void;
  /** A socket has ended. */
  connectionEnded(ended: ConnectionNotice): void;
  /** An exchange announced a change of its instruments. */
  instrumentsChanged(exchange: string): void;
  /** It cannot go on, or is gone. */
  died(why: string): void;
}

/** The main thread's end of an ingest worker. */
export class IngestThread {
  exchanges: readonly ExchangeStats[] = [];
  /** What the tap of raw frames has counted, per exchange. */
  raw: readonly RawStats[] = [];
  /** µs by which the wall clock is ahead of receive time. */
  clockOffset = 0;
  readonly #thread: Thread<ToIngest>;
  readonly #stopped = Promise.withResolvers<void>();
  /** Those who wait for an answer about freshness, by id; at most one of them at a time (StatusApi asks once for all). */
  readonly #asking = new Map<number, (streams: readonly StreamFreshness[]) => void>();
  #nextId = 0;

  constructor(start: Omit<Extract<ToIngest, { type: "start" }>, "type">, events: IngestThreadEvents) {
    const onMessage = (message: FromIngest) => {
      switch (message.type) {
        case "ready":
          return;
        case "stats":
          this.exchanges = message.exchanges;
          this.raw = message.raw;
          this.clockOffset = message.clockOffset;
          return;
        case "notice":
          events.notice(message.notice);
          return;
        case "freshness":
          this.#asking.get(message.id)?.(message.streams);
          return;
        case "quarantine":
          void events.quarantine(message.frame).then(() => {
            this.#thread.post({ type: "quarantined", bytes: message.frame.frame.length });
          });
          return;
        case "gaps":
          events.gaps(message.gaps, message.notNamed, message.untold);
          return;
        case "connection":
          events.connectionEnded(message.ended);
          return;
        case "instruments":
          events.instrumentsChanged(message.exchange);
          return;
        case "stopped":
          this.#stopped.resolve();
          return;
        case "fatal":
          events.died(message.error);
          return;
      }
    };
    this.#thread = startThread<ToIngest, FromIngest>(
      new Worker(new URL("../ingest/worker.ts", import.meta.url)),
      onMessage,
      (why) => {
        this.#stopped.resolve();
        events.died(why);
      },
    );
    this.#thread.post({ type: "start", ...start }, start.raw === null ? [] : [start.raw.port]);
  }

  /** Opens, changes and closes connections so that they carry exactly what the job wants. */
  apply(job: ExchangeJob): void {
    this.#thread.post({ type: "exchange", job });
  }

  /** When each symbol was last heard; null = the thread has not answered within `timeout` ms. */
  async freshness(timeout: number): Promise<readonly StreamFreshness[] | null> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<readonly StreamFreshness[] | null>();
    this.#asking.set(id, answer.resolve);
    const timer = setTimeout(() => answer.resolve(null), timeout);
    this.#thread.post({ type: "freshness", id });
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#asking.delete(id);
    }
  }

  /** Closes all sockets; resolves when every event is in its ring, or the thread has not answered in time. */
  async stop(timeout: number): Promise<void> {
    this.#thread.post({ type: "stop" });
    await Promise.race([this.#stopped.promise, Bun.sleep(timeout)]);
    this.#thread.terminate();
  }
}
