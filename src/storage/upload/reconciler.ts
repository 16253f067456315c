import { SCHEMA_VERSION } from "../../events/streams.ts";
import type { ExpectedContent } from "../destinations/destination.ts";
import type { FileLedger, FileRecord } from "../ledger-files.ts";
import { instanceOf, parseKey } from "../names.ts";
import type { Lane } from "./lane.ts";
import { Periodic } from "./periodic.ts";
import { areApart, onePlace } from "./preflight.ts";

/** A file that stood in two destinations. */
export interface Double {
  readonly key: string;
  /** Where it counts. */
  readonly kept: string;
  readonly other: string;
  /** Whether the other copy was the same. */
  readonly same: boolean;
  /** Whether the other copy is gone. */
  readonly removed: boolean;
}

/** Settings of the reconciler; times in ms. */
export interface ReconcilerOptions {
  readonly mode: "remove" | "report";
  readonly recheck: number;
  readonly run: string;
  trouble(what: string, error: string): void;
  double(double: Double): void;
}

/** How often a destination has to say that a file is not there, before it is believed. */
const CHECKS = 3;
/** Each time is this much later than the one before. */
const GROWTH = 4;
/** Files asked for in one go. */
const BATCH = 100;
/** Least and longest time between two looks into the ledger, ms. */
const EVERY_MIN = 50;
const EVERY_MAX = 15_000;

/**
 * Looks later, and again, whether an upload of unknown outcome has arrived after all, while its file went elsewhere.
 * Of two copies the fallback's is removed, after the primary's was looked at: the union of both holds the file at
 * every moment.
 */
export class Reconciler {
  readonly #lanes: readonly Lane[];
  readonly #ledger: FileLedger;
  readonly #options: ReconcilerOptions;
  readonly #work: Periodic;
  /** Whether the destinations are two places; null = not found out yet. */
  #apart: boolean | null = null;

  constructor(lanes: readonly Lane[], ledger: FileLedger, options: ReconcilerOptions) {
    this.#lanes = lanes;
    this.#ledger = ledger;
    this.#options = options;
    const every = Math.min(EVERY_MAX, Math.max(EVERY_MIN, options.recheck / 4));
    this.#work = new Periodic(every, (signal) => this.#round(signal));
  }

  start(signal: AbortSignal): void {
    this.#work.start(signal);
  }

  /** A destination is back: looks at once. */
  hurry(): void {
    void this.#work.now();
  }

  /** Resolves when nothing is under way any more. */
  get ended(): Promise<void> {
    return this.#work.ended;
  }

  async #round(signal: AbortSignal): Promise<void> {
    try {
      const waitMax = this.#options.recheck * GROWTH ** CHECKS;
      for (const record of this.#ledger.doubtful(Date.now(), BATCH, waitMax)) {
        if (signal.aborted) return;
        await this.#look(record, signal);
      }
    } catch (error) {
      this.#options.trouble("the ledger", error instanceof Error ? error.message : String(error));
    }
  }

  async #look(record: FileRecord, signal: AbortSignal): Promise<void> {
    const { key } = record;
    const { recheck } = this.#options;
    const left: string[] = [];
    let at = record;
    let answered = true;
    for (const name of record.doubtful) {
      let open = true;
      try {
        open = !(await this.#settled(at, name, signal));
      } catch (error) {
        answered = false;
        if (signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        if (why !== NOT_NOW) this.#options.trouble(`asking for ${key} again`, why);
      }
      if (open) left.push(name);
      at = this.#ledger.get(key) ?? at;
    }
    const checks = record.checks + (answered ? 1 : 0);
    const believed = answered && checks >= CHECKS;
    const wait = recheck * GROWTH ** (answered ? checks : 0);
    this.#ledger.asked(key, believed ? [] : left, checks, Date.now() + wait);
  }

  /** Whether it is clear what stands at `name`; false = nothing, so far. */
  async #settled(record: FileRecord, name: string, signal: AbortSignal): Promise<boolean> {
    const { key, destination } = record;
    const other = this.#lane(name);
    const home = this.#lane(destination);
    const copy = await other.destination.stat(key, signal);
    if (copy === null) return false;
    const expected = await this.#expected(record, home, signal);
    const same = (await other.destination.holds(key, expected, signal)) === "same";
    const isPrimary = this.#lanes.indexOf(other) < this.#lanes.indexOf(home);
    const keep = same && isPrimary ? other : home;
    const drop = keep === other ? home : other;
    // Looked at just before the other copy goes; of the one that is kept the content itself has been compared.
    const kept = keep === other || (await home.destination.holds(key, expected, signal)) === "same";
    if (!kept) {
      // Not where it should be, but here: then this is where it is.
      if (!same) throw new Error(`${key} in ${home.name} is not what was published`);
      this.#ledger.moved(key, home.name, other.name, this.#options.run);
      return true;
    }
    // Where both names lead to one bucket there is one copy, and no other to be removed.
    this.#apart ??= await areApart(keep.destination, drop.destination, signal);
    if (!this.#apart) {
      this.#options.trouble("the fallback", onePlace(keep.destination, drop.destination));
      return true;
    }
    const removed = this.#options.mode === "remove";
    if (removed) {
      await drop.destination.remove(key, signal);
      if (keep !== home) this.#ledger.moved(key, drop.name, keep.name, this.#options.run);
    }
    this.#options.double({ key, kept: keep.name, other: drop.name, same, removed });
    return true;
  }

  /** What was published: by the ledger, or, where it was lost, by what is noted at the object itself. */
  async #expected(record: FileRecord, home: Lane, signal: AbortSignal): Promise<ExpectedContent> {
    const { key, bytes, sha256 } = record;
    if (bytes !== null && sha256 !== null) return { bytes, sha256, digest: null };
    const stored = await home.destination.stat(key, signal);
    if (stored?.sha256 === undefined || stored.sha256 === null)
      throw new Error(`nothing is noted of ${key} in ${home.name}`);
    return { bytes: stored.bytes, sha256: stored.sha256, digest: null };
  }

  #lane(name: string | null): Lane {
    const lane = this.#lanes.find((one) => one.name === name);
    // Not a destination of these settings, or left alone.
    if (lane === undefined || !lane.mayAsk(performance.now())) throw new Error(NOT_NOW);
    return lane;
  }

  /**
   * Looks through the fallback for files that the ledger does not know, since it was lost or is an old copy: each of
   * them may stand in the primary as well.
   */
  async sweep(signal: AbortSignal): Promise<void> {
    const [primary, fallback] = this.#lanes;
    if (primary === undefined || fallback === undefined) return;
    const own = instanceOf(this.#options.run);
    let seen = 0;
    for await (const { key, bytes } of fallback.destination.list(`${SCHEMA_VERSION}/exchange=`, signal)) {
      if (++seen > SWEEP_MAX) return;
      const parts = parseKey(key);
      if (parts === null || instanceOf(parts.run) !== own || this.#ledger.get(key) !== null) continue;
      this.#ledger.foundAt(key, fallback.name, bytes, [primary.name]);
    }
    this.hurry();
  }
}

/** Keys of the fallback that are looked at. */
const SWEEP_MAX = 1_000_000;

/** Nothing to be told: it is asked again when the destination is in use. */
const NOT_NOW = "not now";
