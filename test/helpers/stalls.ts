/**
 * What a busy machine takes from the processes under test: time in which their threads were ready to run and did not,
 * because somebody else's had the processors. A bound in ms cannot hold on a machine that does not let a program run; so
 * such a bound is widened by this, and by nothing else: what the program's own threads take from each other counts.
 */
import { readdirSync, readFileSync } from "node:fs";

/** How often it looks, ms, and what it remembers, in looks: ten seconds, unless it is told otherwise. */
const LOOK_EVERY = 20;
const LOOKS = 500;
/** Length of a tick of /proc/stat, ns (USER_HZ is 100 on every Linux that matters). */
const TICK_NS = 10_000_000;
/** Threads on the way of an event, one behind the other: the exchange's, the one that receives, the one that drains. */
const THREADS = 3;

interface Look {
  /** µs since the epoch, as the caller's clock has it. */
  readonly at: number;
  /** By thread: time on a processor, and time ready and waiting for one, ns. */
  readonly threads: ReadonlyMap<string, { readonly ran: number; readonly waited: number }>;
  /** Time that all processors were busy, ns. */
  readonly busy: number;
}

/** Watches processes from now on. */
export class Stalls implements Disposable {
  readonly #pids: readonly number[];
  readonly #now: () => number;
  readonly #most: number;
  readonly #looks: Look[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * @param now µs
   * @param options.every ms between two looks
   * @param options.looks how many are remembered
   */
  constructor(
    pids: readonly number[],
    now: () => number,
    { every = LOOK_EVERY, looks = LOOKS }: { readonly every?: number; readonly looks?: number } = {},
  ) {
    this.#most = looks;
    this.#pids = pids;
    this.#now = now;
    this.#timer = setInterval(() => this.look(), every);
    this.look();
  }

  /** Looks now: to be called before a process is ended. */
  look(): void {
    const threads = new Map<string, { ran: number; waited: number }>();
    try {
      for (const pid of this.#pids) {
        for (const task of readdirSync(`/proc/${pid}/task`)) {
          const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8")
            .split(" ")
            .map(Number);
          threads.set(task, { ran, waited });
        }
      }
      const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync(
        "/proc/stat",
        "utf8",
      )
        .slice(0, 200)
        .split(/\s+/)
        .map(Number);
      const busy = (user + nice + system + irq + softirq + steal) * TICK_NS;
      this.#looks.push({ at: this.#now(), threads, busy });
      if (this.#looks.length > this.#most) this.#looks.shift();
    } catch {
      // Not Linux, or a thread has ended meanwhile: nothing is excused then.
    }
  }

  /** What others took between two times, ms; 0 where that cannot be known. */
  between(from: number, to: number): number {
    const first = this.#looks.findLast(({ at }) => at <= from) ?? this.#looks[0];
    const last = this.#looks.find(({ at }) => at >= to) ?? this.#looks.at(-1);
    if (first === undefined || last === undefined || last === first) return 0;
    let ran = 0;
    const waited: number[] = [];
    for (const [task, now] of last.threads) {
      const then = first.threads.get(task) ?? { ran: 0, waited: 0 };
      ran += now.ran - then.ran;
      waited.push(now.waited - then.waited);
    }
    waited.sort((a, b) => b - a);
    const stalled = waited.slice(0, THREADS).reduce((sum, one) => sum + one, 0);
    // Up to a tick of it may be our own, rounded.
    const others = Math.max(0, last.busy - first.busy - ran - TICK_NS);
    return Math.min(stalled, others) / 1e6;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
