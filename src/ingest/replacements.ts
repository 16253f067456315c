import type { Connection } from "../exchanges/connection.ts";
import type { ConnectionPlan } from "../exchanges/planner.ts";
import { splitByRate } from "../exchanges/planner.ts";
import { type Handover, REMEMBER } from "./handover.ts";
import type { IngestNotice, LaneBounds } from "./messages.ts";
import { OVERLAP_MAX, Replacement, type ReplacementReason } from "./replacement.ts";

/** A connection that lags again within this time of its replacement is split, µs. */
const RELAPSE = 15 * 60_000_000;
/** Connections of an exchange on one worker from which on none is split: more would only cost more. */
const SPLIT_MAX = 32;
/** A replacement that failed is tried again after this time, µs. */
const AGAIN_AFTER = 60_000_000;
/** Share of its lifetime at which a connection is replaced: between these, so that not all are at once. */
const AGE_MIN = 0.85;
/** See {@link AGE_MIN}. */
const AGE_MAX = 0.95;

/** What is remembered of a connection beside itself. */
interface Standing {
  /** When it is to be replaced, µs; infinite = never. */
  due: number;
  /** When its age makes it due, µs. */
  ageDue: number;
  why: ReplacementReason;
  /** By how much its data were late when that was noticed, µs. */
  lag: number;
  /** When the connection it came from was replaced because of lag, µs; minus infinity = it was not. */
  lateSince: number;
  /** When it, or the one it came from, last was to be replaced because symbols stayed silent, µs. */
  silentAt: number;
}

/** What {@link Replacements} needs of the lane. */
export interface ReplacementEvents {
  create(plan: ConnectionPlan): Connection;
  /** From now on rows of both are told apart; null = the replacement is over. */
  handover(handover: Handover | null): void;
  /** @param remember how long a row waits for its second copy, µs */
  newHandover(old: number, remember: number): Handover;
  /** What a channel has brought so far, in rows. */
  rowsOf(channel: string): number;
  /** These channels of an old connection were not accepted on the new ones, and it is closed all the same. */
  refused(channels: readonly string[]): void;
  /** A connection is closed although it has not caught up: what it still had to bring is missing. */
  stillBehind(connection: Connection): void;
  /** A connection whose data came late is in time again. */
  caughtUp(connection: Connection): void;
  /** The new connections were given up; the old one carries what it carried before. */
  givenUp(old: Connection, next: readonly Connection[]): void;
  /** A connection stays although its data come late. */
  stillLate(connection: Connection): void;
  /** The connection is not needed any more. */
  dismissed(connection: Connection, why: string): void;
  notice(notice: IngestNotice): void;
}

/** Replaces the connections of an exchange, one at a time, as they become due. */
export class Replacements {
  /** Connections that were replaced without a hole. */
  done = 0;
  /** Second copies that were kept out, the current replacement included. */
  get duplicates(): number {
    return this.#duplicates + copiesOf(this.#current);
  }
  readonly #exchange: string;
  readonly #bounds: LaneBounds;
  readonly #events: ReplacementEvents;
  readonly #standing = new Map<Connection, Standing>();
  #current: Replacement | null = null;
  #duplicates = 0;

  constructor(options: { exchange: string; bounds: LaneBounds; events: ReplacementEvents }) {
    this.#exchange = options.exchange;
    this.#bounds = options.bounds;
    this.#events = options.events;
  }

  /** The replacement that is going on. */
  get current(): Replacement | null {
    return this.#current;
  }

  /** Takes a new connection into account, with what the one it replaces was replaced for. */
  watch(connection: Connection, before: Partial<Pick<Standing, "lateSince" | "silentAt">> = {}): void {
    const never = Number.POSITIVE_INFINITY;
    const { lateSince = -never, silentAt = -never } = before;
    this.#standing.set(connection, { due: never, ageDue: never, why: "age", lag: 0, lateSince, silentAt });
  }

  /** Forgets a connection that has ended. */
  forget(connection: Connection): void {
    this.#standing.delete(connection);
  }

  /** A connection has a new socket, whose age counts from now on. */
  opened(connection: Connection): void {
    const standing = this.#standing.get(connection);
    const { maxAge } = this.#bounds;
    if (standing !== undefined) {
      const share = AGE_MIN + Math.random() * (AGE_MAX - AGE_MIN);
      standing.ageDue =
        maxAge === null ? Number.POSITIVE_INFINITY : connection.openedAt + maxAge * 1000 * share;
      standing.due = standing.ageDue;
      standing.why = "age";
    }
    if (this.#current?.next.includes(connection)) this.#current.handover.opened(connection.number);
  }

  /** A connection's data come late by `lag` µs; false = it is being replaced for that already. */
  lagging(connection: Connection, lag: number): boolean {
    const standing = this.#standing.get(connection);
    if (standing === undefined || standing.why === "lag") return false;
    this.soon(connection, "lag");
    standing.lag = lag;
    return true;
  }

  /**
   * Symbols of a connection stay silent: it is replaced, though not again and again.
   *
   * @param now µs
   * @returns whether it is
   */
  silentSymbols(connection: Connection, now: number): boolean {
    const standing = this.#standing.get(connection);
    if (standing === undefined || now - standing.silentAt < RELAPSE) return false;
    standing.silentAt = now;
    this.soon(connection, "silent symbols");
    return true;
  }

  /** A connection is to be replaced as soon as can be. */
  soon(connection: Connection, why: ReplacementReason): void {
    const standing = this.#standing.get(connection);
    if (standing === undefined || connection === this.#current?.old) return;
    standing.due = Number.NEGATIVE_INFINITY;
    standing.why = why;
  }

  /** The receive clock was set ahead: no connection is older for that. @param by µs */
  stepped(by: number): void {
    this.#current?.stepped(by);
    for (const standing of this.#standing.values()) {
      standing.due += by;
      standing.ageDue += by;
      standing.lateSince += by;
      standing.silentAt += by;
    }
  }

  /**
   * Goes on with what is due.
   *
   * @param connections those that carry the channels
   * @returns those that carry them now
   */
  tick(connections: readonly Connection[], now: number): readonly Connection[] {
    if (this.#current !== null) {
      return this.#current.tick(now) ? this.#finish(this.#current, connections, now) : connections;
    }
    for (const connection of connections) this.#caughtUp(connection, now);
    const due = connections.find((one) => one.isOpen && (this.#standing.get(one)?.due ?? now) < now);
    return due === undefined ? connections : this.#begin(due, connections, now);
  }

  /** One that lagged while others were being replaced, and no longer does, stays. */
  #caughtUp(connection: Connection, now: number): void {
    const standing = this.#standing.get(connection);
    if (standing?.why !== "lag" || connection.lag.verdict(now) !== null) return;
    standing.why = "age";
    standing.due = standing.ageDue;
    this.#events.caughtUp(connection);
  }

  #begin(old: Connection, connections: readonly Connection[], now: number): readonly Connection[] {
    const standing = this.#standing.get(old);
    const reason = standing?.why ?? "age";
    const late = reason === "lag";
    const { route } = old;
    const channels = [...old.channels];
    // Replaced before for the same reason: it carries more than one connection can.
    const relapsed =
      late &&
      now - (standing?.lateSince ?? 0) < RELAPSE &&
      channels.length > 1 &&
      connections.length < SPLIT_MAX;
    const parts = relapsed ? splitByRate(channels, (channel) => this.#events.rowsOf(channel)) : [channels];
    const next = parts.map((part) => this.#events.create({ route, channels: part }));
    // Symbols that stay silent on the new one as well are no reason to replace that.
    const silentAt = standing?.silentAt;
    for (const connection of next) {
      connection.inherit(old);
      this.watch(connection, {
        ...(late ? { lateSince: now } : {}),
        ...(silentAt === undefined ? {} : { silentAt }),
      });
    }
    const usual = this.#bounds.overlap * 1000;
    // What a late connection still has to bring takes as long as it is late, and longer where it is slow.
    const overlap = late ? Math.max(usual, Math.min(OVERLAP_MAX, usual + 2 * (standing?.lag ?? 0))) : usual;
    const handover = this.#events.newHandover(old.number, Math.max(REMEMBER, overlap));
    this.#events.handover(handover);
    this.#current = new Replacement({
      old,
      next,
      handover,
      reason,
      bounds: { overlap, timeout: this.#bounds.replaceTimeout * 1000 },
      letGo: ({ accepted, caughtUp }) => {
        this.#events.refused([...old.channels].filter((channel) => !accepted.has(channel)));
        if (!caughtUp) this.#events.stillBehind(old);
      },
      now,
    });
    return [...connections.filter((one) => one !== old), ...next];
  }

  #finish(
    { old, next, outcome, reason, handover }: Replacement,
    connections: readonly Connection[],
    now: number,
  ): readonly Connection[] {
    const duplicates = copiesOf(this.#current);
    this.#current = null;
    this.#events.handover(null);
    this.#duplicates += duplicates;
    const failed = outcome === "given up";
    this.#events.notice({
      event: "connection_replaced",
      exchange: this.#exchange,
      connection: old.number,
      by: next.map(({ number }) => number),
      why: reason,
      failed,
      duplicates,
      unmatched: handover.unmatched,
    });
    if (!failed) {
      if (outcome === "done") this.done++;
      this.#events.dismissed(old, `replaced (${reason})`);
      return connections;
    }
    for (const connection of next) this.#events.dismissed(connection, "given up: the old connection stays");
    const standing = this.#standing.get(old);
    if (standing !== undefined) standing.due = now + AGAIN_AFTER;
    if (reason === "lag") this.#events.stillLate(old);
    this.#events.givenUp(old, next);
    return [...connections.filter((one) => !next.includes(one)), old];
  }
}

function copiesOf(replacement: Replacement | null): number {
  return replacement === null ? 0 : replacement.handover.suppressed + replacement.handover.restated;
}
