import type { HandoverMark } from "../capture/mark.ts";
import { ConnectGate } from "../exchanges/connect-gate.ts";
import {
  Connection,
  type ConnectionCounters,
  type ConnectionEvents,
  noCounts,
} from "../exchanges/connection.ts";
import type { Decoder } from "../exchanges/decoding/decoder.ts";
import { dialer } from "../exchanges/dialer.ts";
import type { Exchange } from "../exchanges/exchange.ts";
import { type ConnectionPlan, planChanges } from "../exchanges/planner.ts";
import type { Dial } from "../exchanges/websocket/wire.ts";
import type { Channels } from "./channels.ts";
import type { Gates } from "./gates.ts";
import type { Handover } from "./handover.ts";
import type { ExchangeJob, ExchangeStats, IngestNotice } from "./messages.ts";
import type { Missing } from "./missing.ts";
import { type ReplacementEvents, Replacements } from "./replacements.ts";
import { TappedHandover } from "./tapped-handover.ts";

/** What {@link Connections} tells its lane, and asks of it. */
export interface ConnectionsEvents {
  /** Receive time, µs. */
  now(): number;
  notice(notice: IngestNotice): void;
  /** From now on rows of two connections are told apart; null = no longer. */
  handover(handover: Handover | null): void;
  /** A step of a hand-over, before the next frame is received. */
  mark(mark: HandoverMark): void;
  /** A replacement was given up: what is wanted has to be planned once more. */
  givenUp(): void;
}

/** What {@link Connections} works with. */
export interface ConnectionsOptions {
  readonly exchange: Exchange;
  readonly job: ExchangeJob;
  readonly decoder: Decoder;
  readonly channels: Channels;
  readonly gates: Gates;
  readonly missing: Missing;
  /** Is told by each connection what becomes of it. */
  readonly listener: ConnectionEvents;
  readonly events: ConnectionsEvents;
}

/** The connections of one exchange on this worker: opened, changed, replaced and closed as what is wanted asks for. */
export class Connections {
  readonly replacements: Replacements;
  readonly #options: ConnectionsOptions;
  readonly #gate: ConnectGate;
  readonly #dial: Dial;
  /** Those that carry the channels: of a replacement, the new ones. */
  #carrying: readonly Connection[] = [];
  /** What connections counted that are no longer needed. */
  readonly #past: ConnectionCounters = noCounts();
  readonly #dismissed = new WeakSet<Connection>();

  constructor(options: ConnectionsOptions) {
    const { exchange, job } = options;
    this.#options = options;
    this.#gate = new ConnectGate(exchange.limits, job.gate);
    this.#dial = dialer(job.dialing);
    this.replacements = new Replacements({
      exchange: job.exchange,
      bounds: job.bounds,
      events: this.#replacing(),
    });
  }

  /** Those that carry the channels: of a replacement, the new ones. */
  get carrying(): readonly Connection[] {
    return this.#carrying;
  }

  /** The one that carries a channel. */
  find(channel: string): Connection | undefined {
    return this.#carrying.find(({ channels }) => channels.has(channel));
  }

  /** Makes them carry exactly what the job wants. @param gone channels that it does not want any more */
  apply(job: ExchangeJob, gone: ReadonlySet<string>): void {
    const { updates, open } = planChanges(this.#carrying, job.subscriptions, job.limits);
    this.#carrying.forEach((connection, index) => {
      const update = updates[index];
      if (update !== undefined) connection.update(update.add, update.remove);
    });
    this.replacements.current?.old.update([], [...gone]);
    for (const connection of this.#carrying) {
      if (connection.channels.size === 0) this.#dismiss(connection, "nothing left to carry");
    }
    this.#carrying = this.#carrying.filter((connection) => !connection.isStopped);
    for (const plan of open) {
      const connection = this.#create(plan);
      this.replacements.watch(connection);
      this.#carrying = [...this.#carrying, connection];
      connection.start();
    }
  }

  #create(plan: ConnectionPlan): Connection {
    const { exchange, job, decoder, listener, channels } = this.#options;
    return new Connection({
      exchange,
      wsUrl: job.wsUrl,
      plan,
      decoder,
      bounds: job.bounds,
      events: listener,
      gate: this.#gate,
      dial: this.#dial,
      judged: (some) => channels.expectation(some),
    });
  }

  /** Ends a connection that is no longer needed; what it counted stays counted. */
  #dismiss(connection: Connection, why: string): void {
    if (!connection.isStopped) connection.stop(why);
    if (this.#dismissed.has(connection)) return;
    this.#dismissed.add(connection);
    this.replacements.forget(connection);
    addCounts(this.#past, connection.counters);
  }

  /** What a replacement asks for, and what is missing through it. */
  #replacing(): ReplacementEvents {
    const { exchange, channels, gates, missing, events } = this.#options;
    return {
      create: (plan) => this.#create(plan),
      newHandover: (old, remember) =>
        new TappedHandover(
          { old, remember, lastTimes: gates.lastTimes(), stateStreams: exchange.stateStreams ?? [] },
          events.mark,
        ),
      handover: events.handover,
      rowsOf: (channel) => {
        const subscription = channels.wanted.get(channel);
        return subscription === undefined ? 0 : gates.rowsOf(subscription, channels.symbolOf(subscription));
      },
      refused: (some) => missing.begin(some, "disconnect", events.now()),
      stillBehind: (old) => {
        const now = events.now();
        for (const channel of old.channels) {
          if (missing.holes.isOpen(channel)) continue;
          missing.begin([channel], "lag", now - old.lag.behind);
          missing.holes.end(channel, now);
        }
      },
      caughtUp: (connection) => {
        for (const channel of connection.channels) missing.holes.endIf(channel, "lag", events.now());
      },
      givenUp: (old, next) => {
        const gained = next.flatMap((one) => [...one.channels]).filter((one) => !old.channels.has(one));
        missing.begin(gained, "disconnect", events.now());
        events.givenUp();
      },
      stillLate: (connection) => missing.begin(connection.channels, "lag", events.now()),
      dismissed: (connection, why) => this.#dismiss(connection, why),
      notice: events.notice,
    };
  }

  /** Looks after each of them. @param now µs */
  watchOver(now: number): void {
    for (const connection of this.#carrying) this.#watchOver(connection, now);
    this.replacements.current?.old.tick(now);
  }

  #watchOver(connection: Connection, now: number): void {
    const { job, missing, events } = this.#options;
    connection.tick(now);
    const late = connection.lag.verdict(now);
    if (late === null || !this.replacements.lagging(connection, late.lag)) return;
    missing.begin(connection.channels, "lag", late.since);
    events.notice({
      event: "connection_lagging",
      exchange: job.exchange,
      connection: connection.number,
      url: connection.url,
      lag: Math.round(late.lag / 1000),
      baseline: Math.round(late.baseline / 1000),
    });
  }

  /** Goes on with what is being replaced, or is due to be. @param now µs */
  replace(now: number): void {
    this.#carrying = this.replacements.tick(this.#carrying, now);
  }

  /** We ourselves were away until now. @param now µs */
  interrupted(now: number): void {
    for (const connection of this.#carrying) connection.interrupted(now);
    this.replacements.current?.old.interrupted(now);
  }

  /** The receive clock was set ahead. @param by µs */
  stepped(by: number): void {
    for (const connection of this.#carrying) connection.stepped(by);
    this.replacements.current?.old.stepped(by);
    this.replacements.stepped(by);
  }

  /** Closes all sockets. */
  stop(): void {
    const { current } = this.replacements;
    for (const connection of [...this.#carrying, ...(current?.next ?? [])]) connection.stop();
    current?.old.stop();
  }

  /** What they counted, those that are gone included, and how many there are. */
  stats(): ConnectionCounters &
    Pick<ExchangeStats, "replacements" | "duplicates" | "connections" | "open" | "subscriptions"> {
    const counted = { ...this.#past };
    const { current } = this.replacements;
    const alive = new Set(this.#carrying);
    if (current !== null) for (const one of [current.old, ...current.next]) alive.add(one);
    for (const { counters } of alive) addCounts(counted, counters);
    const open = [...alive].filter(({ isOpen }) => isOpen);
    return {
      ...counted,
      replacements: this.replacements.done,
      duplicates: this.replacements.duplicates,
      connections: this.#carrying.length,
      open: open.length,
      subscriptions: open.reduce((sum, { channels }) => sum + channels.size, 0),
    };
  }
}

function addCounts(to: ConnectionCounters, from: Readonly<ConnectionCounters>): void {
  for (const key of Object.keys(to) as (keyof ConnectionCounters)[]) to[key] += from[key];
}
