import type { Settings } from "../config/schema.ts";
import { createGateMemory } from "../exchanges/connect-gate.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import type { ExchangeJob, ExchangeStats, GapNotice, RawStats, StreamFreshness } from "../ingest/messages.ts";
import type { UntoldHoles } from "../ingest/untold.ts";
import { IngestThread, type IngestThreadEvents } from "./ingest-thread.ts";
import type { RunRing } from "./rings.ts";
import { splitSubscriptions, workersOf } from "./spread.ts";

/** What is to be done for an exchange, by however many workers: which of them do it, and into which rings, is the pool's. */
export type PoolJob = Omit<ExchangeJob, "rings" | "share" | "gate">;

/** What a pool tells the recorder. */
export interface IngestPoolEvents extends Omit<IngestThreadEvents, "died" | "gaps"> {
  /** See {@link IngestThreadEvents.gaps}; `worker` = whose holes they are. */
  gaps(gaps: readonly GapNotice[], notNamed: number, untold: readonly UntoldHoles[], worker: number): void;
  /** A worker cannot go on, or is gone; `worker` names it. */
  died(worker: string, why: string): void;
}

/** How a pool is started. */
export interface IngestPoolOptions {
  readonly settings: Settings;
  /** Where rows go: each worker's own rings. */
  readonly rings: readonly (Pick<RunRing, "worker" | "exchange" | "stream" | "handle"> &
    Partial<Pick<RunRing, "lag">>)[];
  /**
   * Where raw frames go: a port for each worker, which is given away, and whether frames are only captured; null =
   * they are not kept.
   */
  readonly raw: { readonly ports: readonly MessagePort[]; readonly only: boolean } | null;
}

/**
 * All ingest workers of a run (`ingest.workers`), as if they were one: jobs are split over the workers of their
 * exchange, and what several workers count for an exchange is added up.
 */
export class IngestPool {
  readonly #threads: readonly IngestThread[];
  readonly #settings: Settings;
  readonly #rings: IngestPoolOptions["rings"];
  readonly #gates: ReadonlyMap<string, SharedArrayBuffer>;
  /** How many workers carry something of a stream, by exchange and stream. */
  readonly #parts = new Map<string, number>();

  /** @throws Error when there is not a port for each worker. */
  constructor({ settings, rings, raw }: IngestPoolOptions, events: IngestPoolEvents) {
    this.#settings = settings;
    this.#rings = rings;
    this.#gates = new Map(
      settings.record.exchanges.map((name) => [name, createGateMemory(exchangeByName(name).limits)]),
    );
    const { workers, publish_batch, clock_step, time_slice } = settings.ingest;
    // Shared, so that a connection's number is its own within the run.
    const connectionCounter = new SharedArrayBuffer(4);
    this.#threads = Array.from({ length: workers }, (_, worker) => {
      const name = workers === 1 ? "ingest worker" : `ingest worker ${worker}`;
      const port = raw?.ports[worker];
      if (raw !== null && port === undefined) throw new Error(`no port for the raw frames of ${name}`);
      return new IngestThread(
        {
          connectionCounter,
          publishBatch: publish_batch,
          clockStep: clock_step,
          timeSlice: time_slice,
          quarantineInFlight: settings.quarantine.in_flight,
          raw:
            raw === null || port === undefined
              ? null
              : { port, inFlight: settings.raw.in_flight, only: raw.only },
        },
        {
          ...events,
          gaps: (gaps, notNamed, untold) => events.gaps(gaps, notNamed, untold, worker),
          died: (why) => events.died(name, why),
        },
      );
    });
  }

  /** Opens, changes and closes connections so that they carry exactly what the job wants. */
  apply(job: PoolJob): void {
    const exchanges: readonly string[] = this.#settings.record.exchanges;
    const index = exchanges.indexOf(job.exchange);
    if (index === -1) throw new Error(`${job.exchange} is not one of record.exchanges`);
    const workers = workersOf(index, exchanges.length, this.#threads.length);
    const gate = this.#gates.get(job.exchange);
    const split = splitSubscriptions(exchangeByName(job.exchange), job.subscriptions, workers.length);
    for (const stream of new Set(job.subscriptions.flatMap(({ streams }) => streams))) {
      const having = split.filter((part) => part.some(({ streams }) => streams.includes(stream)));
      this.#parts.set(`${job.exchange} ${stream}`, having.length);
    }
    for (const [part, worker] of workers.entries()) {
      this.#threads[worker]?.apply({
        ...job,
        subscriptions: split[part] ?? [],
        rings: this.#rings
          .filter((ring) => ring.worker === worker && ring.exchange === job.exchange)
          .map(({ stream, handle, lag }) => ({ stream, handle, ...(lag === undefined ? {} : { lag }) })),
        share: 1 / workers.length,
        // The exchange counts attempts to connect by address, and all workers have the same.
        ...(gate === undefined ? {} : { gate }),
      });
    }
  }

  /** How many workers carry something of a stream, as it was last applied. */
  partsOf(exchange: string, stream: string): number {
    return this.#parts.get(`${exchange} ${stream}`) ?? 0;
  }

  /** What was counted, per exchange over all of its workers. */
  get exchanges(): readonly ExchangeStats[] {
    return sumByExchange(this.#threads.map(({ exchanges }) => exchanges));
  }

  /** What the taps of raw frames have counted, per exchange. */
  get raw(): readonly RawStats[] {
    return rawByExchange(this.#threads.map(({ raw }) => raw));
  }

  /** µs by which the wall clock is ahead of receive time, of the worker where they are farthest apart. */
  get clockOffset(): number {
    return this.#threads.reduce(
      (worst, { clockOffset }) => (Math.abs(clockOffset) > Math.abs(worst) ? clockOffset : worst),
      0,
    );
  }

  /**
   * When each symbol was last heard, by each worker: several of them may tell of the same stream. Workers that have
   * not answered within `timeout` ms are left out; `complete` says whether all have.
   */
  async freshness(timeout: number): Promise<{ streams: StreamFreshness[]; complete: boolean }> {
    const answers = await Promise.all(this.#threads.map((thread) => thread.freshness(timeout)));
    return {
      streams: answers.flatMap((answer) => answer ?? []),
      complete: answers.every((answer) => answer !== null),
    };
  }

  /** Closes all sockets; resolves when every event is in its ring, or when workers have not answered in time. */
  async stop(timeout: number): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.stop(timeout)));
  }
}

/** Adds up what several workers have counted for the same exchange; the last event is the latest of theirs. */
export function sumByExchange(byWorker: readonly (readonly ExchangeStats[])[]): ExchangeStats[] {
  const sums = new Map<string, ExchangeStats>();
  for (const one of byWorker.flat()) {
    const known = sums.get(one.exchange);
    sums.set(one.exchange, known === undefined ? one : sumOf(known, one));
  }
  return [...sums.values()];
}

function sumOf(a: ExchangeStats, b: ExchangeStats): ExchangeStats {
  const sum: { -readonly [K in keyof ExchangeStats]: ExchangeStats[K] } = { ...a };
  for (const key of Object.keys(b) as (keyof ExchangeStats)[]) {
    if (key !== "exchange" && key !== "lastEvent") sum[key] += b[key];
  }
  sum.lastEvent = latest(a.lastEvent, b.lastEvent);
  return sum;
}

function latest(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.max(a, b);
}

function rawByExchange(byWorker: readonly (readonly RawStats[])[]): RawStats[] {
  const sums = new Map<string, RawStats>();
  for (const one of byWorker.flat()) {
    const { captured = 0, notCaptured = 0 } = sums.get(one.exchange) ?? {};
    sums.set(one.exchange, {
      exchange: one.exchange,
      captured: captured + one.captured,
      notCaptured: notCaptured + one.notCaptured,
    });
  }
  return [...sums.values()];
}
