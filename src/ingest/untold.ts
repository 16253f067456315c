import type { GapNotice } from "./messages.ts";

/** Holes of one exchange that a worker has noted and not told; more become one a stream and reason. */
const NOTED_MAX = 1000;
/** Between two notes of one exchange that nothing forces, µs: each is a transaction of the main thread. */
const NOTED_APART = 1_000_000;

/** What an exchange's holes are at the moment, on one worker. */
export interface UntoldHoles {
  readonly exchange: string;
  /** Those that are open (`to` null), and those that have closed and are told soon. */
  readonly holes: readonly GapNotice[];
}

/** Where holes are kept until they are told. */
interface Keeper {
  /** Grows with every change. */
  readonly changes: number;
}

/**
 * Follows the holes of one exchange that have begun and are not told yet, so that they can be noted where kill -9 does
 * not lose them: a hole is told when it is over, and the process may be over before.
 */
export class Untold {
  readonly #exchange: string;
  readonly #keepers: readonly Keeper[];
  readonly #list: (now: number) => GapNotice[];
  #changes = 0;
  /** When a list is due though nothing changed, µs: one that was put off, or a `start` that has grown old. */
  #again = Number.POSITIVE_INFINITY;
  #notedAt = Number.NEGATIVE_INFINITY;
  #empty = true;

  /** @param list the holes of all keepers */
  constructor(exchange: string, keepers: readonly Keeper[], list: (now: number) => GapNotice[]) {
    this.#exchange = exchange;
    this.#keepers = keepers;
    this.#list = list;
  }

  /**
   * The holes as they are now; null = as they were, or too soon after the last time.
   *
   * @param now µs
   * @param told some were told just now: the list without them goes with them
   */
  take(now: number, told: boolean): UntoldHoles | null {
    const changes = this.#keepers.reduce((sum, keeper) => sum + keeper.changes, 0);
    if (changes === this.#changes && now < this.#again) return null;
    if (!told && now - this.#notedAt < NOTED_APART) return null;
    this.#changes = changes;
    this.#notedAt = now;
    const all = this.#list(now);
    // What is left out for its youth is looked for again.
    this.#again = now + 15 * NOTED_APART;
    if (all.length === 0 && this.#empty) return null;
    this.#empty = all.length === 0;
    return { exchange: this.#exchange, holes: all.length > NOTED_MAX ? folded(all) : all };
  }
}

/** One for all of a stream, reason and certainty, over the whole span. */
function folded(holes: readonly GapNotice[]): GapNotice[] {
  const all = new Map<string, GapNotice>();
  for (const hole of holes) {
    const key = `${hole.stream} ${hole.reason} ${hole.certainty}`;
    const known = all.get(key) ?? hole;
    all.set(key, {
      ...known,
      instrument: null,
      from: known.from === null || hole.from === null ? null : Math.min(known.from, hole.from),
      to: known.to === null || hole.to === null ? null : Math.max(known.to, hole.to),
    });
  }
  return [...all.values()];
}
