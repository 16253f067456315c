/**
 * The manifests of a bucket: which files stand there, with rows, size and SHA-256, so that one that was deleted or changed
 * is found. One object for each day and run, so that no two writers ever share one; lines of JSON.
 */
import { SCHEMA_VERSION } from "../../events/streams.ts";
import type { FileLedger, ManifestLine, ManifestRemoval } from "../ledger-files.ts";
import type { Lane } from "./lane.ts";
import { Periodic } from "./periodic.ts";

/** Largest manifest that is read back, bytes: some hundred thousand files. */
const READ_MAX = 128 * 1024 * 1024;
/** Lines removed in one go. */
const REMOVALS = 1000;

/** Key of the manifest of a day (UTC) and run. Readers of a lake pass over names that begin with `_`. */
export function manifestKey(date: string, run: string): string {
  return `${SCHEMA_VERSION}/_manifest/date=${date}/${run}.jsonl`;
}

/** Content of a manifest. */
export function manifestText(lines: readonly ManifestLine[]): string {
  return lines
    .map(({ key, rows, bytes, sha256 }) => `${JSON.stringify({ key, rows, bytes, sha256 })}\n`)
    .join("");
}

/** See the head of the file. */
export class ManifestWriter {
  readonly #lanes: readonly Lane[];
  readonly #ledger: FileLedger;
  readonly #run: string;
  readonly #trouble: (what: string, error: string) => void;
  readonly #work: Periodic;

  constructor(
    lanes: readonly Lane[],
    ledger: FileLedger,
    run: string,
    every: number,
    trouble: (what: string, error: string) => void,
  ) {
    this.#lanes = lanes.filter(({ destination }) => destination.manifests);
    this.#ledger = ledger;
    this.#run = run;
    this.#trouble = trouble;
    this.#work = new Periodic(every, (signal) => this.#round(signal));
  }

  start(signal: AbortSignal): void {
    if (this.#lanes.length > 0) this.#work.start(signal);
  }

  /** Brings all of them up to date. */
  async flush(_signal: AbortSignal): Promise<void> {
    await this.#work.now();
  }

  /** Resolves when nothing is under way any more. */
  get ended(): Promise<void> {
    return this.#work.ended;
  }

  async #round(signal: AbortSignal): Promise<void> {
    for (const lane of this.#lanes) {
      if (signal.aborted) return;
      if (!lane.mayAsk(performance.now())) continue;
      // One that cannot be read must not keep the others from being written.
      await this.#try(lane, signal, () => this.#remove(lane, signal));
      await this.#try(lane, signal, () => this.#add(lane, signal));
    }
  }

  async #try({ name }: Lane, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!signal.aborted)
        this.#trouble(`a manifest in ${name}`, error instanceof Error ? error.message : String(error));
    }
  }

  /** Writes the manifests of this run anew, where there is something new. */
  async #add({ name, destination }: Lane, signal: AbortSignal): Promise<void> {
    for (const date of this.#ledger.unlistedDays(name)) {
      const lines = this.#ledger.manifest(name, date, this.#run);
      await destination.write(manifestKey(date, this.#run), Buffer.from(manifestText(lines)), signal);
      this.#ledger.listed(
        name,
        this.#run,
        lines.map(({ key }) => key),
      );
    }
  }

  /** Takes lines out of manifests, those of earlier runs too, of which the ledger may not know everything. */
  async #remove(lane: Lane, signal: AbortSignal): Promise<void> {
    const { name, destination } = lane;
    const removals = this.#ledger.removals(name, REMOVALS);
    const byManifest = Map.groupBy(removals, ({ date, run }) => manifestKey(date, run));
    for (const [manifest, group] of byManifest) {
      await this.#try(lane, signal, async () => {
        const found = await destination.read(manifest, READ_MAX, signal);
        if (found !== null) {
          const text = Buffer.from(found).toString();
          // What has come back meanwhile stays.
          const gone = group.filter(({ key }) => this.#ledger.get(key)?.destination !== name);
          const left = without(text, gone);
          if (left === "") await destination.remove(manifest, signal);
          else if (left !== text) await destination.write(manifest, Buffer.from(left), signal);
        }
        for (const removal of group) this.#ledger.removed(removal);
      });
    }
  }
}

function without(text: string, removals: readonly ManifestRemoval[]): string {
  const keys = removals.map(({ key }) => `"key":${JSON.stringify(key)},`);
  const lines = text.split("\n").filter((line) => line !== "" && !keys.some((key) => line.includes(key)));
  return lines.map((line) => `${line}\n`).join("");
}
