import type { Connection } from "../exchanges/connection.ts";
import type { Handover } from "./handover.ts";

/** Why a connection is replaced although its socket is open. */
export type ReplacementReason =
  | "age"
  | "lag"
  | "silent symbols"
  | "silent stream"
  | "announced by the exchange";

/** done = without a hole; broken = the old one ended before the new ones were complete; given up = it stays. */
export type Outcome = "done" | "broken" | "given up";

/** The longest time that old and new connection run side by side, µs. */
export const OVERLAP_MAX = 60_000_000;

/** Bounds of a replacement, µs. */
export interface ReplacementBounds {
  /**
   * How long old and new connection run side by side once the new one is complete; longer where the old one is
   * late: until it has brought what was made before that, at most {@link OVERLAP_MAX}.
   */
  readonly overlap: number;
  /** How long the new connection may take to be complete. */
  readonly timeout: number;
}

/**
 * A connection and those that take its place: both run until the new ones have had every subscription
 * accepted and an overlap has passed, so that nothing is lost; meanwhile {@link Handover} keeps out second
 * copies. If the new ones do not get there, the old one stays.
 */
export class Replacement {
  readonly old: Connection;
  readonly next: readonly Connection[];
  readonly handover: Handover;
  readonly reason: ReplacementReason;
  /** Channels that a new connection has had accepted. */
  readonly accepted = new Set<string>();
  /** False = the old connection is let go although it is too late to have brought everything. */
  caughtUp = true;
  readonly #bounds: ReplacementBounds;
  readonly #letGo: (replacement: Replacement) => void;
  #startedAt: number;
  #phase: "opening" | "overlap" | "linger" = "opening";
  #since: number;
  #outcome: Outcome = "done";

  constructor(options: {
    old: Connection;
    next: readonly Connection[];
    handover: Handover;
    reason: ReplacementReason;
    bounds: ReplacementBounds;
    /** Told when the old connection is about to be closed for good. */
    letGo(replacement: Replacement): void;
    /** µs */
    now: number;
  }) {
    this.#letGo = options.letGo;
    this.old = options.old;
    this.next = options.next;
    this.handover = options.handover;
    this.reason = options.reason;
    this.#bounds = options.bounds;
    this.#startedAt = options.now;
    this.#since = options.now;
    this.old.retire();
    for (const connection of this.next) connection.start();
  }

  /** What came of it. */
  get outcome(): Outcome {
    return this.#outcome;
  }

  /** Whether the old connection is still relied upon. */
  get oldCarries(): boolean {
    return this.#phase !== "linger" && this.old.isOpen;
  }

  /** The old connection has ended before it was let go: the new ones carry on alone. @param now µs */
  oldEnded(now: number): void {
    if (this.#phase === "linger") return;
    this.#outcome = "broken";
    this.handover.oldEnded();
    this.#enter("linger", now);
  }

  /** A new connection has lost its socket: its channels have to be accepted once more. */
  nextEnded(connection: Connection, now: number): void {
    for (const channel of connection.channels) this.accepted.delete(channel);
    if (this.#phase === "overlap") this.#enter("opening", now);
  }

  /** The receive clock was set ahead. @param by µs */
  stepped(by: number): void {
    this.#startedAt += by;
    this.#since += by;
  }

  /** Goes on with what is due; true when it is over. @param now µs */
  tick(now: number): boolean {
    switch (this.#phase) {
      case "opening":
        if (this.next.every((connection) => connection.isOpen && connection.settled)) {
          this.#enter("overlap", now);
        } else if (now - this.#startedAt > this.#bounds.timeout) {
          this.#giveUp(now);
        }
        return false;
      case "overlap":
        if (now - this.#since < Math.min(this.#overlap, Math.max(this.#bounds.overlap, OVERLAP_MAX)))
          return false;
        if (this.#nextSilent()) {
          this.#giveUp(now);
        } else {
          this.caughtUp = now - this.#since >= this.#overlap;
          this.#enter("linger", now);
          this.#letGo(this);
          this.old.stop(`replaced (${this.reason})`);
          this.handover.oldEnded();
        }
        return false;
      // What one of them is behind by is still to come.
      case "linger":
        return now - this.#since >= this.#bounds.overlap;
    }
  }

  /** Time after which the old connection has brought what was made before the new one was complete. */
  get #overlap(): number {
    return this.#bounds.overlap + this.old.lag.behind;
  }

  /** Whether the old connection brings data and a new one none: it may have been accepted and be dead. */
  #nextSilent(): boolean {
    return this.old.dataAt > this.#since && this.next.some(({ dataAt }) => Number.isNaN(dataAt));
  }

  #giveUp(now: number): void {
    this.#outcome = "given up";
    // What they had accepted they bring no longer: a loss of the old connection is a loss again.
    this.accepted.clear();
    this.#enter("linger", now);
    for (const connection of this.next) connection.stop("given up: the old connection stays");
    this.old.unretire();
  }

  #enter(phase: "opening" | "overlap" | "linger", now: number): void {
    this.#phase = phase;
    this.#since = now;
  }
}
