/** What consecutive ids told: events that the exchange made and we did not get, or that the ids tell nothing. */
export type SequenceGap = MissingIds | UnknownIds;

/** Where a gap is. */
interface SequenceSpan {
  /** Number of the symbol. */
  readonly symbol: number;
  /**
   * Receive times, µs: of the last event before and the first one after a jump; of what is `renumbered`, of the last
   * event with an id above all others and of the one by which it was seen that ids start anew.
   */
  readonly from: number;
  readonly to: number;
}

/** Ids that should be there. */
export interface MissingIds extends SequenceSpan {
  readonly kind: "missing";
  readonly firstId: number;
  readonly lastId: number;
}

/** Ids went back for good (`renumbered`), or further ahead than is believed (`leap`): what is missing is not known. */
export interface UnknownIds extends SequenceSpan {
  readonly kind: "renumbered" | "leap";
}

/** How long a jump is held before it is told, µs. */
export const SETTLE = 2_000_000;
/** Most jumps that are held. */
export const MAX_HELD = 1000;
/** How long no id must have come above all others before lower ones are believed, µs of receive time. */
export const REBASE_AFTER = 30_000_000;
/** Most ids that are believed to be missing in one jump. */
export const MAX_MISSING = 100_000_000;
/** Events with lower and rising ids that show that the exchange numbers anew. */
const RISING = 3;

/** A jump that may still be filled. */
interface Held {
  readonly symbol: number;
  readonly from: number;
  readonly to: number;
  firstId: number;
  lastId: number;
}

/** Lower ids of a symbol that rise and fill no jump: resends, or a numbering that starts anew. */
interface Lower {
  /** Receive time of the highest id when the first of them came, µs: they count until a higher one comes. */
  readonly risen: number;
  count: number;
  lastId: number;
}

/**
 * Follows the consecutive ids of one stream, symbol by symbol.
 *
 * What is missing may come a little later: sent out of order, or on the other of two sockets. A jump is
 * therefore held for a while; ids that come meanwhile make it smaller, split it or fill it, and
 * {@link settled} tells what is left.
 *
 * A lower id is a resend, as a rule. But exchanges may start their ids anew, and one absurdly high id makes all that
 * follow look low: where no id has come above the highest for a while, and lower ones rise, those are believed.
 */
export class SequenceFollower {
  readonly #gap: (gap: SequenceGap) => void;
  readonly #settle: number;
  readonly #maxHeld: number;
  readonly #rebaseAfter: number;
  readonly #maxMissing: number;
  #overlapping = false;
  /** Highest id and its receive time by symbol; -1 = none yet. */
  #ids = new Float64Array(64).fill(-1);
  #times = new Float64Array(64);
  /** Held jumps, oldest first, and the same by symbol. */
  readonly #held = new Set<Held>();
  readonly #bySymbol = new Map<number, Held[]>();
  readonly #lower = new Map<number, Lower>();

  /**
   * @param gap is told of each jump that was not filled
   * @param options.settle how long a jump is held, µs; 0 = until the next {@link settled}
   * @param options.maxHeld most jumps that are held; beyond, the oldest is told early
   * @param options.rebaseAfter how long no id must have come above the highest before lower ones that rise are
   *   believed, µs
   * @param options.maxMissing most ids that are believed to be missing in one jump
   */
  constructor(
    gap: (gap: SequenceGap) => void,
    {
      settle = SETTLE,
      maxHeld = MAX_HELD,
      rebaseAfter = REBASE_AFTER,
      maxMissing = MAX_MISSING,
    }: { settle?: number; maxHeld?: number; rebaseAfter?: number; maxMissing?: number } = {},
  ) {
    this.#gap = gap;
    this.#settle = settle;
    this.#maxHeld = maxHeld;
    this.#rebaseAfter = rebaseAfter;
    this.#maxMissing = maxMissing;
  }

  /**
   * Whether two sockets bring the same now. One that is behind brings nothing but lower ids that rise, and of a symbol
   * that is seldom traded no other may come meanwhile: then no lower ids are believed.
   */
  set overlapping(on: boolean) {
    this.#overlapping = on;
    this.#lower.clear();
  }

  /** Jumps that are held. */
  get held(): number {
    return this.#held.size;
  }

  /**
   * Takes note of an event that stands for the ids `first` to `last`.
   *
   * An id at or below the highest is a resend or comes late: it fills what is held. Only a numbering that starts anew
   * moves back.
   *
   * @param local receive time, µs
   */
  observe(symbol: number, first: number, last: number, local: number): void {
    if (symbol >= this.#ids.length) this.#grow(symbol);
    const before = this.#ids[symbol];
    if (first > before + 1) {
      if (before >= 0) this.#hold(symbol, this.#times[symbol], local, before + 1, first - 1);
    } else if (first <= before) {
      this.#late(symbol, first, last, local);
    }
    if (!(last > before)) return;
    this.#ids[symbol] = last;
    this.#times[symbol] = local;
  }

  /** Tells of the jumps that have been held long enough; to be called every few hundred ms. @param now µs */
  settled(now: number): void {
    if (this.#held.size === 0) return;
    // All of them: the receive times of a replay need not be in order.
    for (const held of this.#held) if (now - held.to >= this.#settle) this.#tell(held);
  }

  /** Tells of all jumps that are held: nothing more will come. */
  flush(): void {
    for (const held of this.#held) this.#tell(held);
  }

  #hold(symbol: number, from: number, to: number, firstId: number, lastId: number): void {
    const held: Held = { symbol, from, to, firstId, lastId };
    this.#held.add(held);
    const list = this.#bySymbol.get(symbol);
    if (list === undefined) this.#bySymbol.set(symbol, [held]);
    else list.push(held);
    if (this.#held.size <= this.#maxHeld) return;
    const [oldest] = this.#held;
    if (oldest !== undefined) this.#tell(oldest);
  }

  /** An event at or below the highest id of its symbol. */
  #late(symbol: number, first: number, last: number, local: number): void {
    if (this.#held.size > 0 && this.#fill(symbol, first, last)) return;
    // At the highest id it is a resend of what came last; beyond, it rises.
    if (this.#overlapping || last >= this.#ids[symbol]) return;
    const risen = this.#times[symbol];
    const lower = this.#lower.get(symbol);
    if (lower === undefined || lower.risen !== risen || first <= lower.lastId) {
      this.#lower.set(symbol, { risen, count: 1, lastId: last });
      return;
    }
    lower.count++;
    lower.lastId = last;
    if (lower.count >= RISING && local - risen >= this.#rebaseAfter) this.#rebase(symbol, last, local);
  }

  /** The exchange numbers anew, and has come to `last`. */
  #rebase(symbol: number, last: number, local: number): void {
    this.#lower.delete(symbol);
    // Ids of before: those of now must not fill them.
    for (const held of [...(this.#bySymbol.get(symbol) ?? [])]) this.#tell(held);
    const from = this.#times[symbol];
    this.#ids[symbol] = last;
    this.#times[symbol] = local;
    this.#gap({ kind: "renumbered", symbol, from, to: local });
  }

  /** The ids `first` to `last` have come, late or again; whether any of them was missing. */
  #fill(symbol: number, first: number, last: number): boolean {
    const list = this.#bySymbol.get(symbol);
    if (list === undefined) return false;
    let filled = false;
    // A copy: dropping changes the list.
    for (const held of [...list]) {
      if (last < held.firstId || first > held.lastId) continue;
      filled = true;
      const { from, to, lastId } = held;
      if (first > held.firstId) {
        held.lastId = first - 1;
        if (last < lastId) {
          this.#hold(symbol, from, to, last + 1, lastId);
          // Within one jump: it concerns no other, and that one may just have been told for want of room.
          return true;
        }
      } else if (last < lastId) {
        held.firstId = last + 1;
      } else {
        this.#drop(held);
      }
    }
    return filled;
  }

  #tell(held: Held): void {
    this.#drop(held);
    const { symbol, from, to, firstId, lastId } = held;
    if (lastId - firstId >= this.#maxMissing) this.#gap({ kind: "leap", symbol, from, to });
    else this.#gap({ kind: "missing", symbol, from, to, firstId, lastId });
  }

  #drop(held: Held): void {
    this.#held.delete(held);
    const list = this.#bySymbol.get(held.symbol);
    if (list === undefined) return;
    if (list.length === 1) this.#bySymbol.delete(held.symbol);
    else list.splice(list.indexOf(held), 1);
  }

  #grow(symbol: number): void {
    const size = 2 ** Math.ceil(Math.log2(symbol + 1));
    const ids = new Float64Array(size).fill(-1);
    ids.set(this.#ids);
    const times = new Float64Array(size);
    times.set(this.#times);
    this.#ids = ids;
    this.#times = times;
  }
}
