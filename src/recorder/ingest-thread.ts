import type {
  ExchangeJob,
  ExchangeStats,
  FromIngest,
  GapNotice,
  IngestNotice,
  QuarantinedFrame,
  RawStats,
  ToIngest,
} from "../ingest/messages.ts";
import { startThread, type Thread } from "./thread.ts";

/** What an ingest thread tells the recorder. */
export interface IngestThreadEvents {
  notice(notice: IngestNotice): void;
  /** A frame that could not be decoded; the promise resolves when it is kept. */
  quarantine(frame: QuarantinedFrame): Promise<void>;
  /** Ids that should be consecutive and are not; `notNamed` more were counted only. */
  gaps(gaps: readonly GapNotice[], notNamed: number): void;
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
        case "quarantine":
          void events.quarantine(message.frame).then(() => {
            this.#thread.post({ type: "quarantined", bytes: message.frame.frame.length });
          });
          return;
        case "gaps":
          events.gaps(message.gaps, message.notNamed);
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

  /** Closes all sockets; resolves when every event is in its ring, or the thread has not answered in time. */
  async stop(timeout: number): Promise<void> {
    this.#thread.post({ type: "stop" });
    await Promise.race([this.#stopped.promise, Bun.sleep(timeout)]);
    this.#thread.terminate();
  }
}
