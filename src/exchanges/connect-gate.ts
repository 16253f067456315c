/** Span over which exchanges count attempts beside those of a second, ms. */
const ATTEMPTS_SPAN = 300_000;
/** Tries to take the lock before its holder is believed to be gone: it is held for less than a microsecond. */
const SPINS_MAX = 1_000_000;

/** What an exchange allows of attempts to connect. */
export interface AttemptLimits {
  readonly connectsPerSecond: number;
  /** In any five minutes; null = nothing is said of that. */
  readonly connectsPerFiveMinutes: number | null;
}

/** Places of {@link AttemptLimits} that have to be remembered. */
const placesOf = ({ connectsPerFiveMinutes }: AttemptLimits): number => connectsPerFiveMinutes ?? 0;

/** A turn to attempt, as {@link ConnectGate.giveBack} wants it. */
export interface Place {
  /** Where it is remembered; -1 = nowhere. */
  readonly slot: number;
  /** ms, of the gates' clock. */
  readonly at: number;
}

/** Numbers before the places: until when no attempt is wanted, and when the next one may be. */
const HELD = 0;
const FREE = 1;
const PLACES = 2;
/** Whole numbers at the front: the lock, and which place is next in turn. */
const LOCK = 0;
const NEXT = 1;
const FRONT_BYTES = 8;

/** Memory of the gates to one exchange: those of all workers are one when they have it in common. */
export function createGateMemory(limits: AttemptLimits): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(FRONT_BYTES + 8 * (PLACES + placesOf(limits)));
  new Float64Array(memory, FRONT_BYTES).fill(Number.NEGATIVE_INFINITY);
  return memory;
}

/**
 * Spaces out the attempts to connect to one exchange, first ones and retries alike, of all workers: the exchange
 * counts them by address.
 */
export class ConnectGate {
  readonly #spacing: number;
  readonly #now: () => number;
  readonly #control: Int32Array;
  readonly #times: Float64Array;
  readonly #places: number;
  #taken: Place = { slot: -1, at: Number.NaN };

  /**
   * @param memory see {@link createGateMemory}
   * @param now ms, of a clock that all gates with this memory agree on
   */
  constructor(
    limits: AttemptLimits,
    memory: SharedArrayBuffer = createGateMemory(limits),
    now: () => number = () => performance.timeOrigin + performance.now(),
  ) {
    this.#spacing = 1000 / limits.connectsPerSecond;
    this.#places = placesOf(limits);
    this.#control = new Int32Array(memory, 0, FRONT_BYTES / 4);
    this.#times = new Float64Array(memory, FRONT_BYTES);
    this.#now = now;
  }

  /** Takes the next free place; the ms to wait for it. When it has come, ask {@link isHeld}. */
  take(): number {
    return this.#locked(() => {
      const now = this.#now();
      let at = Math.max(now, this.#times[HELD], this.#times[FREE]);
      if (this.#places > 0) {
        // Each place serves once in five minutes: so no five minutes have more attempts than there are places.
        const slot = this.#placeFor(at);
        at = Math.max(at, this.#times[slot] + ATTEMPTS_SPAN);
        this.#times[slot] = at;
        this.#taken = { slot, at };
      }
      this.#times[FREE] = at + this.#spacing;
      return at - now;
    });
  }

  /** In turn they are the oldest first; one that was given back is looked for only when that would be a wait. */
  #placeFor(at: number): number {
    let slot = PLACES + this.#control[NEXT];
    if (this.#times[slot] + ATTEMPTS_SPAN <= at) {
      this.#control[NEXT] = (this.#control[NEXT] + 1) % this.#places;
      return slot;
    }
    slot = PLACES;
    for (let other = PLACES + 1; other < PLACES + this.#places; other++)
      if (this.#times[other] < this.#times[slot]) slot = other;
    return slot;
  }

  /** The place that the last {@link take} took. */
  get taken(): Place {
    return this.#taken;
  }

  /**
   * No attempt was made at this place, and none will be: it does not count. Else a refusal of a second, told to one of
   * many that wait, would use up the places of five minutes without an attempt.
   */
  giveBack({ slot, at }: Place): void {
    if (slot < 0) return;
    this.#locked(() => {
      // By now it may have been used again.
      if (this.#times[slot] === at) this.#times[slot] = Number.NEGATIVE_INFINITY;
    });
  }

  /** The exchange asked to be left alone for so many ms: whoever waits for a place has to take another one. */
  hold(ms: number): void {
    this.#locked(() => {
      this.#times[HELD] = Math.max(this.#times[HELD], this.#now() + ms);
    });
  }

  /** Whether the exchange wants no attempt now. */
  get isHeld(): boolean {
    return this.#now() < this.#times[HELD];
  }

  #locked<T>(act: () => T): T {
    for (let i = 0; i < SPINS_MAX && Atomics.compareExchange(this.#control, LOCK, 0, 1) !== 0; i++);
    try {
      return act();
    } finally {
      Atomics.store(this.#control, LOCK, 0);
    }
  }
}
