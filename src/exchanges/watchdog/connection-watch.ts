import { RHYTHM, Rhythm, type RhythmOptions } from "./rhythm.ts";

/** Bounds of a {@link ConnectionWatch}. Times in ms. */
export interface ConnectionWatchOptions extends RhythmOptions {
  /** A silence longer than this is judged even where the rhythm would allow more, but see `quietFactor`. */
  readonly cap: number;
  /** ... only beyond this many times the longest silence remembered. */
  readonly quietFactor: number;
  /** How long the first data of a socket with prompt channels may take. */
  readonly firstData: number;
  /** How long the first data of any other socket may take. */
  readonly firstDataQuiet: number;
  /** The least silence that says anything early on; `firstDataQuiet` where that is less. */
  readonly earlyFloor: number;
  /** Fewer intervals than this say nothing. */
  readonly earlySamples: number;
  /** Between `earlySamples` and `samplesMin`, silence is too long from this many times the longest interval. */
  readonly earlyFactor: number;
  /** Start of a socket with prompt channels in which nothing is learned: its snapshots are no rhythm. */
  readonly settle: number;
}

/** Defaults of {@link ConnectionWatchOptions}. */
export const CONNECTION_WATCH: ConnectionWatchOptions = {
  ...RHYTHM,
  cap: 900_000,
  quietFactor: 5,
  firstData: 10_000,
  firstDataQuiet: 300_000,
  earlyFloor: 60_000,
  earlySamples: 5,
  earlyFactor: 50,
  settle: 1_000,
};

/** A silence that is too long; µs. */
export interface Silence {
  /** The last data of the socket, or when data was first due. */
  readonly silentSince: number;
  /** Within this time there should have been some. */
  readonly expected: number;
}

/**
 * Whether the sockets of one connection, one after the other, are silent for too long.
 *
 * Before a socket's first data its patience is `firstData` or `firstDataQuiet`, or what the rhythm of earlier
 * sockets asks for, and doubles with each socket in a row that was given up for bringing nothing, up to `cap`.
 * A socket that the exchange closed before that does not count: it says nothing on how long data takes. Nothing is
 * known of a market then: with 100 symbols that trade once an hour each, one first wait in 4,000 is longer than the
 * 5 minutes of `firstDataQuiet` (of one minute, one in 5 would be).
 *
 * After it, the {@link Rhythm} decides once it is known. Before, n intervals are. In a Poisson market, however
 * slow, a silence of g times the longest of n intervals has the chance 1 / C(n + g, n). That is 3e-7 for
 * (`earlyFactor` 50, 5 intervals) and less for more, so with at least 5 intervals, max(`earlyFloor`, 50 ×
 * longest) is safe, and with fewer nothing is: there is no verdict,
 * but for a socket with prompt channels, which is found to have died within its first second after `earlyFloor`, doubled
 * with each such verdict in a row. From 29 intervals on (30 events) the p99 is
 * the longest, and 8 times it has the chance 3e-8, less with each further one. So a busy connection is judged
 * at `floor` from its 30th event on, and one with an event an hour is left alone. For the same reason a
 * rhythm that is slower than `cap` is judged at `cap` only beyond `quietFactor` times its longest silence: 5
 * times has the chance 4e-6 after 29 intervals, 3 times would be a false alarm in 5,000.
 *
 * Snapshots at the start of a socket are no rhythm (`settle`). Should it look like one all the same, silence after
 * it would end each new socket in the same way, and the true rhythm would never be learned: so the threshold
 * doubles with each socket in a row that was given up silent, until one has brought data for longer than that.
 */
export class ConnectionWatch {
  readonly #options: ConnectionWatchOptions;
  readonly #rhythm: Rhythm;
  #open = false;
  #prompt = false;
  #openedAt = Number.NaN;
  #firstAt = Number.NaN;
  #lastAt = Number.NaN;
  /** By how much the clock was set ahead since then: no silence, µs. */
  #skipped = 0;
  /** Learning begins here. */
  #learnFrom = Number.NaN;
  /** Sockets in a row given up before their first data, and after it. */
  #barren = 0;
  #fellSilent = 0;
  /** Data for this long shows that a socket lives, µs. */
  #proof = 0;
  /** The silence last judged too long on this socket; 0 = none. */
  #judged = 0;

  constructor(options: Partial<ConnectionWatchOptions> = {}) {
    this.#options = { ...CONNECTION_WATCH, ...options };
    this.#rhythm = new Rhythm(this.#options);
  }

  /** The connection takes the place of another, whose rhythm is to be expected of it. */
  inherit(from: ConnectionWatch): void {
    this.#rhythm.inherit(from.#rhythm);
  }

  /**
   * Data is due on a new socket: its subscriptions are acknowledged.
   *
   * @param now µs
   * @param prompt it carries channels that send soon whatever the market does
   */
  opened(now: number, prompt: boolean): void {
    this.#open = true;
    this.#prompt = prompt;
    this.#openedAt = now;
    this.#firstAt = Number.NaN;
    this.#lastAt = now;
    this.#skipped = 0;
    this.#learnFrom = prompt ? now + this.#options.settle * 1000 : now;
    this.#judged = 0;
    this.#rhythm.pause();
  }

  /** A frame with events came; to be called once per frame. Hot. @param now µs */
  data(now: number): void {
    if (!this.#open) return;
    this.#lastAt = now;
    this.#skipped = 0;
    if (now >= this.#learnFrom) this.#rhythm.event(now);
    if (now - this.#firstAt < this.#proof) return;
    if (Number.isNaN(this.#firstAt)) {
      this.#firstAt = now;
      this.#barren = 0;
    } else {
      this.#fellSilent = 0;
      this.#proof = Number.POSITIVE_INFINITY;
    }
  }

  /** The own clock was set ahead: that much of the time since the last data did not pass. @param by µs */
  stepped(by: number): void {
    this.#skipped += by;
    this.#firstAt += by;
    this.#learnFrom += by;
    this.#rhythm.pause();
  }

  /** We ourselves were away until now: that says nothing, and the interval in progress is not learned. @param now µs */
  interrupted(now: number): void {
    if (!this.#open) return;
    const since = Number.isNaN(this.#firstAt) ? this.#openedAt : this.#lastAt;
    this.#skipped = Math.max(0, now - since);
    this.#rhythm.pause();
  }

  /** The socket ended, or was given up. */
  closed(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#judged === 0) return;
    if (Number.isNaN(this.#firstAt)) this.#barren++;
    else this.#fellSilent++;
    this.#proof = this.#judged;
  }

  /** The silence if it is too long; null = all is well, or nothing can be said. @param now µs */
  verdict(now: number): Silence | null {
    if (!this.#open) return null;
    const first = Number.isNaN(this.#firstAt);
    const silentSince = first ? this.#openedAt : this.#lastAt;
    const silence = now - silentSince - this.#skipped;
    // Most of the time this is all.
    if (silence < Math.min(this.#options.floor, this.#options.firstData) * 1000) return null;
    const expected = first ? this.#patience() : this.#threshold();
    if (silence <= expected) return null;
    this.#judged = expected;
    return { silentSince, expected };
  }

  #patience(): number {
    const { cap, firstData, firstDataQuiet } = this.#options;
    const least = (this.#prompt ? firstData : firstDataQuiet) * 1000;
    const rhythm = this.#rhythm.threshold();
    const patience = rhythm === null ? least : Math.max(least, this.#capped(rhythm));
    return Math.max(patience, Math.min(cap * 1000, patience * 2 ** Math.min(this.#barren, 30)));
  }

  #threshold(): number {
    const { cap, firstDataQuiet, earlyFloor, earlySamples, earlyFactor } = this.#options;
    const rhythm = this.#rhythm.threshold();
    const unknown = rhythm === null && this.#rhythm.samples < earlySamples;
    if (unknown && !this.#prompt) return Number.POSITIVE_INFINITY;
    const floor = Math.min(firstDataQuiet, earlyFloor) * 1000;
    const base = rhythm === null ? Math.max(floor, earlyFactor * this.#rhythm.longest) : this.#capped(rhythm);
    return Math.max(base, Math.min(cap * 1000, base * 2 ** Math.min(this.#fellSilent, 30)));
  }

  #capped(threshold: number): number {
    const { cap, quietFactor } = this.#options;
    return Math.min(threshold, Math.max(cap * 1000, quietFactor * this.#rhythm.longest));
  }
}
