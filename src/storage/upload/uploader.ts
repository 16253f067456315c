/** The uploader: files of the outbox to the destinations, until each is there, whatever happens on the way. */
import { existsSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Backoff } from "../../lib/backoff.ts";
import { type Destination, DestinationError } from "../destinations/destination.ts";
import type { FileLedger } from "../ledger-files.ts";
import { digestFile } from "./digest.ts";
import type { Job, OutboxFile } from "./job.ts";
import { Lane, type LaneState } from "./lane.ts";
import { ManifestWriter } from "./manifest.ts";
import { type Double, Reconciler } from "./reconciler.ts";

/** Bounds of the uploader; times in ms, sizes in bytes. */
export interface UploaderOptions {
  readonly run: string;
  readonly maxInFlight: number;
  readonly maxBytesInFlight: number;
  readonly partSize: number;
  readonly retryMin: number;
  readonly retryMax: number;
  readonly breakerFailures: number;
  readonly breakerPause: number;
  readonly breakerPauseMax: number;
  readonly reconcile: "remove" | "report";
  readonly recheck: number;
  readonly manifestInterval: number;
  /** 0 = no bound. */
  readonly outboxMax: number;
  readonly random?: () => number;
}

/** How a file arrived. */
export interface Arrival {
  readonly destination: string;
  readonly bytes: number;
  readonly attempts: number;
  /** It stood there already, from an attempt whose end nobody saw. */
  readonly found: boolean;
  readonly recovered: boolean;
}

/** Why an attempt failed. */
export interface Failure {
  readonly destination: string;
  readonly error: string;
  /** Whether the file may stand there all the same. */
  readonly unknown: boolean;
  /** ms */
  readonly retryIn: number;
}

/** What waits. */
export interface OutboxStatus {
  readonly files: number;
  readonly bytes: number;
}

/** What the uploader tells the world. */
export interface UploaderEvents {
  published(file: OutboxFile, arrival: Arrival): void;
  failed(file: OutboxFile, failure: Failure): void;
  /** A file goes to the fallback; `error` is why the primary is left alone. */
  fallback(file: OutboxFile, destination: string, error: string, outbox: OutboxStatus): void;
  /** A destination is left alone, or in use again. */
  lane(destination: string, state: LaneState, fault: string | null): void;
  /** A file is not what it was when it was written; resolves when it is out of the outbox. */
  corrupt(file: OutboxFile, why: string): Promise<void>;
  /** A file that the ledger knows is neither in the outbox nor at a destination. */
  missing(key: string): void;
  /** After `corrupt` or `missing`: its rows will not reach a destination. */
  lost(file: OutboxFile, why: Gone): void;
  double(double: Double): void;
  /** Something beside the files failed and will be tried again: manifest, reconciliation, ledger. */
  trouble(what: string, error: string): void;
  /** The outbox has reached its bound, or is below it again. */
  full(full: boolean): void;
}

/** Why there is nothing left to be done for a file. */
type Gone = "corrupt" | "missing";

/** One destination as it is now. */
export interface LaneStatus {
  readonly destination: string;
  readonly state: LaneState;
  readonly inFlight: number;
  readonly window: number;
  readonly fault: string | null;
  /** Files that have arrived there in this run. */
  readonly files: number;
}

/** Longest wait for what is under way when the end has come, ms. */
const END_GRACE = 2000;
/** How often the last attempts before the end are made, ms. */
const HURRY = 500;
/** Longest wait before the fallback is looked through again, ms. */
const SWEEP_RETRY_MAX = 10 * 60_000;
/** Share of `outboxMax` below which a full outbox counts as not full again. */
const FULL_UNTIL = 0.9;

/** See the head of the file. */
export class Uploader {
  /** Attempts that failed. */
  failures = 0;
  /** Events on their way at this moment. */
  uploadingRows = 0;
  /** Doubles that were found. */
  doubles = 0;
  /** Whether the fallback has been looked through for what the ledger does not know. */
  swept = false;
  readonly #options: UploaderOptions;
  readonly #events: UploaderEvents;
  readonly #ledger: FileLedger;
  readonly #lanes: readonly Lane[];
  readonly #arrived = new Map<string, number>();
  /** Oldest first. */
  readonly #queue: Job[] = [];
  readonly #keys = new Set<string>();
  readonly #reconciler: Reconciler;
  readonly #manifests: ManifestWriter;
  readonly #end = new AbortController();
  readonly #random: () => number;
  #inFlight = 0;
  #bytesInFlight = 0;
  #bytes = 0;
  #full = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #empty: (() => void) | null = null;

  /** @param chain the primary, then its fallback if there is one */
  constructor(
    chain: readonly Destination[],
    ledger: FileLedger,
    options: UploaderOptions,
    events: UploaderEvents,
  ) {
    this.#options = options;
    this.#events = events;
    this.#ledger = ledger;
    this.#random = options.random ?? Math.random;
    this.#lanes = chain.map(
      (destination) =>
        new Lane(destination, {
          maxInFlight: options.maxInFlight,
          failures: options.breakerFailures,
          pauseMin: options.breakerPause,
          pauseMax: options.breakerPauseMax,
          random: this.#random,
        }),
    );
    const trouble = (what: string, error: string) => events.trouble(what, error);
    this.#manifests = new ManifestWriter(this.#lanes, ledger, options.run, options.manifestInterval, trouble);
    this.#reconciler = new Reconciler(this.#lanes, ledger, {
      mode: options.reconcile,
      recheck: options.recheck,
      run: options.run,
      trouble,
      double: (double) => {
        this.doubles++;
        events.double(double);
      },
    });
  }

  /** Begins with what has to be done at intervals. */
  start(): void {
    this.#note(() => this.#ledger.takeUnlisted(this.#options.run));
    this.#reconciler.start(this.#end.signal);
    this.#manifests.start(this.#end.signal);
  }

  /** Files on their way at this moment. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** What is not at a destination yet, files on their way included. */
  get outbox(): OutboxStatus {
    return { files: this.#queue.length, bytes: this.#bytes };
  }

  /** When the file that waits longest was written, epoch ms; null = none waits. */
  get oldest(): number | null {
    const least = this.#queue.reduce((time, job) => Math.min(time, job.since), Number.POSITIVE_INFINITY);
    return Number.isFinite(least) ? least : null;
  }

  /** Whether the outbox has reached its bound. */
  get full(): boolean {
    return this.#full;
  }

  get lanes(): LaneStatus[] {
    return this.#lanes.map((lane) => ({
      destination: lane.name,
      state: lane.state,
      inFlight: lane.inFlight,
      window: lane.window,
      fault: lane.fault,
      files: this.#arrived.get(lane.name) ?? 0,
    }));
  }

  /** Why files cannot be published at the moment: every destination fails, or a file does; null when all is well. */
  get fault(): string | null {
    const faults = this.#lanes.map(({ fault }) => fault);
    if (faults.every((fault) => fault !== null)) return faults.join("; ");
    return this.#queue.find(({ ownFault }) => ownFault !== null)?.ownFault ?? null;
  }

  /**
   * Takes over a file that was finished just now.
   *
   * @param askFirst whether it may stand at a destination already, as one may that was written from the journal of an
   *   earlier run: each of them is asked before it is sent
   */
  add(file: OutboxFile, askFirst = false): void {
    this.#take(file, askFirst);
  }

  /**
   * Takes over what earlier runs left: files in the outbox, of which nobody knows for certain where they may stand
   * already, so each destination is asked before any is sent; and what the ledger alone knows of.
   *
   * @param coming keys of files that are being written anew, from journals: they are missing in the outbox, not lost
   */
  recover(files: readonly OutboxFile[], coming: ReadonlySet<string> = new Set()): void {
    const byAge = (a: OutboxFile, b: OutboxFile) => timeOf(a.key) - timeOf(b.key);
    for (const file of [...files].sort(byAge)) this.#take(file, true);
    const open = this.#note(() => this.#ledger.unfinished()) ?? [];
    for (const { key, exchange, stream, rows, sha256 } of open) {
      if (!this.#keys.has(key) && !coming.has(key)) {
        this.#take({ key, path: "", exchange, stream, rows, ring: null, sha256 }, true);
      }
    }
    void this.#sweep();
  }

  /** Until it has gone through once: what a lost ledger knew is found again. */
  async #sweep(): Promise<void> {
    const { signal } = this.#end;
    const backoff = new Backoff(this.#options.recheck, SWEEP_RETRY_MAX, this.#random);
    while (!signal.aborted) {
      try {
        await this.#reconciler.sweep(signal);
        this.swept = true;
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#events.trouble(
          "looking through the fallback",
          error instanceof Error ? error.message : String(error),
        );
        await Promise.race([Bun.sleep(backoff.next()), aborted(signal)]);
      }
    }
  }

  #take(file: OutboxFile, recovered: boolean): void {
    if (this.#keys.has(file.key)) return;
    this.#keys.add(file.key);
    const { bytes, since } = factsOf(file.path);
    const names = recovered ? this.#lanes.map(({ name }) => name) : [];
    this.#queue.push({
      file,
      bytes,
      since,
      recovered,
      backoff: new Backoff(this.#options.retryMin, this.#options.retryMax, this.#random),
      digest: null,
      ask: new Set(names),
      doubtful: new Set(names),
      ownFailures: new Map(),
      ownFault: null,
      attempts: 0,
      notBefore: 0,
      busy: false,
    });
    this.#bytes += bytes;
    this.#judgeRoom();
    this.#pump();
  }

  #judgeRoom(): void {
    const { outboxMax } = this.#options;
    if (outboxMax === 0) return;
    const full = this.#bytes > outboxMax * (this.#full ? FULL_UNTIL : 1);
    if (full === this.#full) return;
    this.#full = full;
    this.#events.full(full);
  }

  /** Sends what may be sent now, oldest first, and sets the clock for what may be sent later. */
  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#end.signal.aborted) return;
    const now = performance.now();
    let wake = Number.POSITIVE_INFINITY;
    for (const job of this.#queue) {
      if (this.#inFlight >= this.#options.maxInFlight) return;
      if (job.busy) continue;
      if (job.notBefore > now) {
        wake = Math.min(wake, job.notBefore);
        continue;
      }
      const lane = this.#laneFor(job, now);
      if (lane === null) {
        // Only a file with a trouble of its own goes other ways than those behind it.
        if (job.ownFailures.size === 0) break;
        continue;
      }
      const { maxBytesInFlight } = this.#options;
      if (this.#inFlight > 0 && this.#bytesInFlight + job.bytes > maxBytesInFlight) return;
      void this.#send(job, lane);
    }
    for (const { opensAt } of this.#lanes) if (opensAt !== null) wake = Math.min(wake, opensAt);
    if (this.#queue.length > 0 && wake < Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.#pump(), Math.max(1, wake - now));
  }

  /** The way a file takes now: the first destination that is in use, or that may be tried again; null = it waits. */
  #laneFor(job: Job, now: number): Lane | null {
    for (const [index, lane] of this.#lanes.entries()) {
      const own = job.ownFailures.get(lane.name) ?? 0;
      const isLast = index === this.#lanes.length - 1;
      // A file that one destination does not take, whatever it is: the other one may.
      if (own >= this.#options.breakerFailures && !isLast) continue;
      if (lane.allows(now)) return lane;
      if (lane.state === "closed") return null;
    }
    return null;
  }

  async #send(job: Job, lane: Lane): Promise<void> {
    const { file } = job;
    const rows = file.ring === null ? 0 : (file.rows ?? 0);
    job.busy = true;
    this.#inFlight++;
    this.#bytesInFlight += job.bytes;
    this.uploadingRows += rows;
    lane.begin();
    const [primary] = this.#lanes;
    if (lane !== primary && primary !== undefined) {
      const why = primary.fault ?? job.ownFault ?? "it is left alone";
      this.#events.fallback(file, lane.name, why, this.outbox);
    }
    let error: DestinationError | null = null;
    let arrival: Arrival | Gone | null = null;
    try {
      arrival = await this.#attempt(job, lane);
    } catch (thrown) {
      error =
        thrown instanceof DestinationError
          ? thrown
          : new DestinationError(thrown instanceof Error ? thrown.message : String(thrown), "file", false);
    }
    // From here on in one turn: the balance must not see an event twice, or not at all.
    job.busy = false;
    this.#inFlight--;
    this.#bytesInFlight -= job.bytes;
    this.uploadingRows -= rows;
    if (error !== null) this.#failed(job, lane, error);
    else this.#settle(job, lane, arrival);
    this.#pump();
  }

  /** One attempt. */
  async #attempt(job: Job, lane: Lane): Promise<Arrival | Gone> {
    const { file } = job;
    const { signal } = this.#end;
    job.attempts++;
    const isHere = file.path !== "" && existsSync(file.path);
    if (isHere && job.digest === null) {
      // Of all lanes: it may be another one that takes the file in the end.
      const wanted = this.#lanes.some(({ destination }) => destination.wantsMd5);
      job.digest = await digestFile(file.path, wanted ? this.#options.partSize : null);
      if (file.sha256 !== null && file.sha256 !== job.digest.sha256) {
        const why = `its SHA-256 is ${job.digest.sha256}, and was ${file.sha256} when it was written`;
        await this.#events.corrupt(file, why);
        this.#note(() => this.#ledger.gone(file.key, "corrupt", why));
        return "corrupt";
      }
    }
    // Gone under our hands: a destination that moves files may have been broken off after that.
    if (!isHere) for (const { name } of this.#lanes) job.ask.add(name);
    const found = await this.#lookUp(job, lane);
    if (found !== null) return this.#arrive(job, found.name, found.bytes, true);
    if (!isHere) {
      if (job.ask.size > 0)
        throw new DestinationError(`${file.key}: not every destination answers`, "file", false);
      this.#note(() => this.#ledger.gone(file.key, "missing", "neither in the outbox nor at a destination"));
      this.#events.missing(file.key);
      return "missing";
    }
    const { digest } = job;
    if (digest === null) throw new Error(`${file.path} was not read`);
    this.#note(() => this.#ledger.uploading(file.key, lane.name));
    const again = job.recovered || job.attempts > 1;
    await lane.destination.put({ path: file.path, key: file.key, digest, again }, signal);
    return this.#arrive(job, lane.name, digest.bytes, false);
  }

  /** Asks the destinations in which the file may stand; the one it is to be sent to has to answer. */
  async #lookUp(job: Job, target: Lane): Promise<{ name: string; bytes: number } | null> {
    const { key, sha256 } = job.file;
    const { signal } = this.#end;
    let first: { name: string; bytes: number } | null = null;
    for (const lane of this.#lanes) {
      if (!job.ask.has(lane.name)) continue;
      try {
        const { destination } = lane;
        const stored = await destination.stat(key, signal);
        if (stored !== null) {
          const expected = job.digest ?? { bytes: stored.bytes, sha256: sha256 ?? stored.sha256 ?? "" };
          const holds = await destination.holds(key, { ...expected, digest: job.digest }, signal);
          if (holds === "same") first ??= { name: lane.name, bytes: stored.bytes };
        }
        job.ask.delete(lane.name);
      } catch (error) {
        if (lane === target) throw error;
      }
    }
    return first;
  }

  async #arrive(job: Job, destination: string, bytes: number, found: boolean): Promise<Arrival> {
    const { key, path } = job.file;
    job.doubtful.delete(destination);
    this.#note(() =>
      this.#ledger.published(key, {
        destination,
        bytes,
        sha256: job.digest?.sha256 ?? null,
        doubtful: [...job.doubtful],
        // What stood in one place may stand in the other as well: that is asked at once.
        recheckAt: Date.now() + (found ? 0 : this.#options.recheck),
        run: this.#options.run,
      }),
    );
    if (path !== "") {
      await rm(path, { force: true }).catch((error: unknown) =>
        this.#events.trouble(`${path} was published and cannot be removed`, String(error)),
      );
    }
    return { destination, bytes, attempts: job.attempts, found, recovered: job.recovered };
  }

  #settle(job: Job, lane: Lane, arrival: Arrival | Gone | null): void {
    const { file } = job;
    this.#queue.splice(this.#queue.indexOf(job), 1);
    this.#keys.delete(file.key);
    this.#bytes -= job.bytes;
    this.#judgeRoom();
    if (arrival === null || typeof arrival === "string") lane.released(performance.now());
    else if (arrival.destination !== lane.name) lane.released(performance.now());
    else if (lane.succeeded()) {
      this.#note(() => this.#ledger.askAgain(lane.name, Date.now()));
      this.#reconciler.hurry();
      this.#events.lane(lane.name, "closed", null);
    }
    if (typeof arrival === "string") this.#events.lost(file, arrival);
    else if (arrival !== null) {
      this.#arrived.set(arrival.destination, (this.#arrived.get(arrival.destination) ?? 0) + 1);
      this.#events.published(file, arrival);
    }
    if (this.#queue.length === 0) this.#empty?.();
  }

  #failed(job: Job, lane: Lane, error: DestinationError): void {
    const { file } = job;
    const { name } = lane;
    const now = performance.now();
    const broken = this.#end.signal.aborted;
    if (error.unknown) {
      job.ask.add(name);
      job.doubtful.add(name);
    }
    if (error.trouble === "file" || broken) {
      lane.released(now);
      if (!broken) {
        job.ownFailures.set(name, (job.ownFailures.get(name) ?? 0) + 1);
        job.ownFault = error.message;
        // It may have been changed, or read wrongly.
        job.digest = null;
      }
    } else {
      job.ownFault = null;
      if (lane.failed(error, now)) this.#events.lane(name, "open", error.message);
    }
    this.failures++;
    const retryIn = job.backoff.next();
    job.notBefore = now + retryIn;
    this.#note(() => this.#ledger.failed(file.key, error.message, [...job.doubtful]));
    this.#events.failed(file, { destination: name, error: error.message, unknown: error.unknown, retryIn });
  }

  /** The ledger may be full or broken; files go their way all the same. */
  #note<T>(run: () => T): T | null {
    try {
      return run();
    } catch (error) {
      this.#events.trouble("the ledger", error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  /**
   * Waits until all files are at a destination, at most `timeout` ms, and ends; the rest stays in the outbox for the
   * next start, and what is broken off in the middle is known as unknown.
   */
  async finish(timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    const left = () => Math.max(0, deadline - performance.now());
    while (this.#queue.length > 0 && left() > 0) {
      const now = performance.now();
      for (const job of this.#queue) job.notBefore = Math.min(job.notBefore, now);
      for (const lane of this.#lanes) lane.hurry(now);
      this.#pump();
      const empty = new Promise<void>((resolve) => {
        this.#empty = resolve;
      });
      await Promise.race([empty, Bun.sleep(Math.min(HURRY, left()))]);
    }
    if (left() > 0) await Promise.race([this.#manifests.flush(this.#end.signal), Bun.sleep(left())]);
    this.#end.abort();
    clearTimeout(this.#timer);
    const grace = performance.now() + END_GRACE;
    while (this.#inFlight > 0 && performance.now() < grace) await Bun.sleep(5);
    await Promise.race([
      Promise.all([this.#reconciler.ended, this.#manifests.ended]),
      Bun.sleep(Math.max(0, grace - performance.now())),
    ]);
    for (const { destination } of this.#lanes) destination.close();
  }
}

function factsOf(path: string): { readonly bytes: number; readonly since: number } {
  try {
    if (path !== "") {
      const { size, mtimeMs } = statSync(path);
      return { bytes: size, since: mtimeMs };
    }
  } catch {
    // Gone: a destination has it, or nobody.
  }
  return { bytes: 0, since: Date.now() };
}

/** Receive time of a file's first row, µs, by its name. */
function timeOf(key: string): number {
  return Number(/\/(\d+)_[^/]*$/.exec(key)?.[1] ?? 0);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
