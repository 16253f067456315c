import type { Logger } from "../status/log.ts";
import type { FileLedger } from "../storage/ledger-files.ts";
import { expireDays } from "../storage/retention.ts";

const HOUR = 60 * 60_000;
/** How often days that are over are looked for, ms. */
const EVERY = HOUR;
/** By how much this machine's clock may be ahead of an exchange's before that is told, ms. */
const APART = 60_000;

/** What an exchange said of the time. */
interface Told {
  /** Epoch ms. */
  readonly server: number;
  /** When it said so, performance.now(). */
  readonly at: number;
}

/**
 * Keeps a local lake to its last days. A clock that was set ahead, by whatever mistake, would delete all of it: so days are
 * over only when the exchanges say so as well, and until one of them has told the time nothing is deleted.
 */
export class Retention {
  readonly #lake: string;
  readonly #keep: number;
  readonly #ledger: FileLedger;
  readonly #log: Logger;
  readonly #told = new Map<string, Told>();
  readonly #timer: ReturnType<typeof setInterval>;
  #working = false;

  /** @param keep ms */
  constructor(lake: string, keep: number, ledger: FileLedger, log: Logger) {
    this.#lake = lake;
    this.#keep = keep;
    this.#ledger = ledger;
    this.#log = log;
    this.#timer = setInterval(() => void this.#look(), EVERY);
  }

  /** An exchange told the time of its clock just now, epoch ms. */
  clockTold(exchange: string, server: number): void {
    const isFirst = this.#told.size === 0;
    this.#told.set(exchange, { server, at: performance.now() });
    if (isFirst) void this.#look();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** The earliest of all clocks, epoch ms. */
  #now(): number {
    const at = performance.now();
    const theirs = Math.min(...[...this.#told.values()].map((one) => one.server + (at - one.at)));
    const ours = Date.now();
    if (ours - theirs > APART)
      this.#failed(
        `this machine's clock is ${((ours - theirs) / HOUR).toFixed(2)} h ahead of an exchange's: days are deleted by theirs`,
      );
    return Math.min(ours, theirs);
  }

  async #look(): Promise<void> {
    if (this.#working || this.#told.size === 0) return;
    this.#working = true;
    try {
      const note = (date: string) => this.#note(date);
      for (const { date, folders } of await expireDays(this.#lake, this.#keep, this.#now(), note)) {
        // On a full disk it could not be noted before there was room; and a file may have come to it meanwhile.
        note(date);
        this.#log.info("day_deleted", { date, folders, why: "lake.retention" });
      }
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
    }
    this.#working = false;
  }

  #note(date: string): void {
    try {
      this.#ledger.expired("local", date);
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  #failed(error: string): void {
    this.#log.error("retention_failed", { error });
  }
}
