import type { HandoverMark } from "../capture/mark.ts";
import type { RawTap } from "../capture/tap.ts";
import { TappedDecoder } from "../capture/tapped-decoder.ts";
import type { Stream } from "../events/streams.ts";
import type { Connection, ConnectionEvents, LossReason, SocketClosed } from "../exchanges/connection.ts";
import type { DecodeCounters, Decoder, RowWriter } from "../exchanges/decoding/decoder.ts";
import { SequenceFollower, type SequenceGap } from "../exchanges/decoding/sequence.ts";
import { SymbolTable } from "../exchanges/decoding/symbols.ts";
import type { Exchange } from "../exchanges/exchange.ts";
import { exchangeByName } from "../exchanges/exchanges.ts";
import type { RingProducer } from "../ring/producer.ts";
import { Channels } from "./channels.ts";
import { Connections } from "./connections.ts";
import { sequenceGapOf } from "./gaps.ts";
import { Gates } from "./gates.ts";
import { Kin } from "./kin.ts";
import type {
  ConnectionNotice,
  ExchangeJob,
  ExchangeStats,
  GapNotice,
  IngestNotice,
  StreamFreshness,
} from "./messages.ts";
import { Missing } from "./missing.ts";
import type { FrameFacts } from "./row-gate.ts";
import { SilentStreams } from "./silent-streams.ts";
import type { UntoldHoles } from "./untold.ts";

/** A worker that has not got on for this long was away, µs. */
const STALL = 1_000_000;

/** What a lane tells the worker. */
export interface LaneEvents {
  /** Receive time, whole µs. */
  now(): number;
  /** A number for a new socket, unique within the run. */
  nextNumber(): number;
  notice(notice: IngestNotice): void;
  gaps(gaps: readonly GapNotice[]): void;
  /** A socket's life is over. */
  ended(notice: ConnectionNotice): void;
  instrumentsChanged(exchange: string): void;
  /** Takes a frame that could not be decoded; false when there is no room for it. */
  quarantine(exchange: string, connection: number, local: number, reason: string, frame: Uint8Array): boolean;
  /** Rows are staged. */
  staged(): void;
  /** A socket opened or ended. */
  connectionsChanged(): void;
}

/** What a lane works with. */
export interface LaneOptions {
  readonly job: ExchangeJob;
  /** Takes every frame as received; with `writers`, rows go there instead of into rings. */
  readonly raw: { readonly tap: RawTap; readonly writers: Partial<Record<Stream, RowWriter>> | null } | null;
  readonly events: LaneEvents;
}

/**
 * Everything an ingest worker does for one exchange: {@link Channels} says what is wanted, {@link Connections} carry it, a
 * decoder and {@link Gates} bring it into the rings, {@link Missing} keeps account of what did not come.
 */
export class Lane {
  readonly exchange: Exchange;
  readonly producers: readonly RingProducer[];
  readonly #job: ExchangeJob;
  readonly #events: LaneEvents;
  readonly #tap: RawTap | null;
  readonly #symbols = new SymbolTable();
  readonly #counters: DecodeCounters = { fallback: 0, inexact: 0, oversized: 0 };
  readonly #decoder: Decoder;
  readonly #facts: FrameFacts;
  readonly #kin: Kin;
  readonly #channels = new Channels(this.#symbols);
  readonly #gates: Gates;
  readonly #sequence: SequenceFollower;
  readonly #missing: Missing;
  readonly #silentStreams: SilentStreams;
  readonly #connections: Connections;
  /** What was asked for last, and whether it has to be planned anew. */
  #wish: ExchangeJob;
  #replan = false;
  /** When this worker was last known to get on, µs. */
  #aliveAt = Number.NaN;
  #notKept = 0;
  #lastEvent: number | null = null;

  constructor({ job, raw, events }: LaneOptions) {
    const { exchange: name, bounds } = job;
    this.#job = job;
    this.#wish = job;
    this.#events = events;
    this.#tap = raw?.tap ?? null;
    this.exchange = exchangeByName(name);
    this.#kin = new Kin(this.exchange);
    this.#facts = {
      published: Number.NaN,
      handover: null,
      isSnapshot: () => this.#decoder.snapshot,
    };
    this.#sequence = new SequenceFollower((gap) => this.#jumped(gap));
    const writers = raw?.writers ?? null;
    this.#gates = new Gates({ exchange: this.exchange, job, facts: this.#facts, writers });
    this.producers = this.#gates.producers;
    const decoder = this.exchange.createDecoder({
      symbols: this.#symbols,
      writers: Object.fromEntries(this.#gates.all),
      counters: this.#counters,
      tradeSequence: this.#sequence,
    });
    this.#decoder = this.#tap === null ? decoder : new TappedDecoder(name, decoder, this.#tap);
    const notice = (notice: IngestNotice) => events.notice(notice);
    const { promptStreams } = this.exchange;
    const channels = this.#channels;
    const gates = this.#gates;
    this.#missing = new Missing({
      job,
      promptStreams,
      channels,
      gates,
      events: {
        notice,
        instrumentOf: (symbol) => this.#symbols.instrumentOf(symbol),
        kinOf: (symbol) => this.#kin.of(symbol),
        connectionOf: (channel) => this.#connections.find(channel),
        persists: (connection) => this.#connections.replacements.silentSymbols(connection, events.now()),
      },
    });
    this.#silentStreams = new SilentStreams({
      exchange: name,
      bounds: bounds.watch,
      promptStreams,
      channels,
      gates,
      notice,
      found: (connection, channels, since) => {
        this.#missing.begin(channels, "silence", since);
        this.#connections.replacements.soon(connection, "silent stream");
      },
    });
    this.#connections = new Connections({
      exchange: this.exchange,
      job,
      decoder: this.#decoder,
      channels,
      gates,
      missing: this.#missing,
      listener: this.#listener(),
      events: {
        now: () => events.now(),
        notice,
        mark: (mark) => this.#mark(mark),
        handover: (handover) => {
          this.#facts.handover = handover;
          if (handover === null) this.#mark({ handover: "none" });
          this.#sequence.overlapping = handover !== null;
        },
        givenUp: () => {
          this.#replan = true;
        },
      },
    });
    this.#mark({ handover: "none" });
  }

  /** A step of a replacement, at its place among the raw frames. */
  #mark(mark: HandoverMark): void {
    this.#tap?.mark(this.exchange.name, this.#events.now(), mark);
  }

  /** Opens, changes and closes connections so that they carry exactly what the job wants. */
  apply(job: ExchangeJob): void {
    const now = this.#events.now();
    for (const { instrument, number } of job.instruments) {
      this.#symbols.add(instrument, number);
      this.#kin.add(instrument, number);
    }
    this.#wish = job;
    // The old connection is about to carry everything again: planned once it does.
    if (this.#connections.replacements.current?.outcome === "given up") {
      this.#replan = true;
      return;
    }
    const { added, gone } = this.#channels.want(job, now);
    for (const [channel, since] of added) this.#missing.holes.begin(channel, "start", since);
    for (const channel of gone) this.#tell(this.#missing.forget(channel, now));
    this.#connections.apply(job, gone);
  }

  #listener(): ConnectionEvents {
    const { exchange } = this.#job;
    return {
      nextNumber: () => this.#events.nextNumber(),
      now: () => this.#events.now(),
      opened: (connection) => this.#opened(connection),
      closed: (connection, why) => this.#closed(connection, why),
      lost: (connection, reason, from) => this.#lost(connection, reason, from),
      accepted: (connection, channels) => this.#accepted(connection, channels),
      arriving: (local) => {
        if (local - this.#aliveAt > STALL) this.#woke(local);
      },
      decoded: (connection, local) => {
        this.#lastEvent = local;
        const facts = this.#facts;
        connection.lag.observe(local - facts.published, local);
        facts.published = Number.NaN;
        this.#events.staged();
      },
      instrumentsChanged: () => this.#events.instrumentsChanged(exchange),
      undecodable: (connection, frame, local, reason) => {
        const kept = this.#events.quarantine(exchange, connection.number, local, reason, frame);
        if (!kept) this.#notKept++;
        this.#missing.losses.undecodable(connection, kept, local);
      },
      refused: ({ number }, channels, error) =>
        this.#events.notice({
          event: "subscription_refused",
          exchange,
          connection: number,
          channels,
          error,
        }),
      leaving: (connection) => this.#connections.replacements.soon(connection, "announced by the exchange"),
    };
  }

  #opened(connection: Connection): void {
    const { number, url, channels } = connection;
    const { exchange } = this.#job;
    this.#tap?.opened(exchange, number, url);
    this.#connections.replacements.opened(connection);
    const subscriptions = channels.size;
    this.#events.notice({ event: "ws_connect", exchange, connection: number, url, subscriptions });
    this.#events.connectionsChanged();
  }

  #closed({ url, channels }: Connection, why: SocketClosed): void {
    const { exchange } = this.#job;
    const { code, reason, retryIn, number, openedAt, firstDataAt } = why;
    this.#events.notice({ event: "ws_disconnect", exchange, connection: number, url, code, reason, retryIn });
    if (number >= 0) {
      this.#gates.forgetConnection(number);
      this.#events.ended({
        exchange,
        connection: number,
        url,
        opened: openedAt,
        firstData: Number.isNaN(firstDataAt) ? null : firstDataAt,
        closed: this.#events.now(),
        code,
        reason,
        subscriptions: channels.size,
      });
    }
    this.#events.connectionsChanged();
  }

  /** What a connection brought is or may be missing from now on. */
  #lost(connection: Connection, reason: LossReason, from: number): void {
    const now = this.#events.now();
    const replacement = this.#connections.replacements.current;
    let whole: ReadonlySet<string> = new Set();
    let carried: ReadonlySet<string> = new Set();
    if (replacement?.next.includes(connection)) {
      replacement.nextEnded(connection, now);
      // The old connection still brings what it did.
      if (replacement.oldCarries) carried = replacement.old.channels;
    } else if (replacement?.old === connection) {
      whole = new Set(replacement.accepted);
      replacement.oldEnded(now);
    }
    this.#missing.lost(connection.channels, reason, from, now, { carried, whole });
  }

  /** What these channels bring is whole from now on. */
  #accepted(connection: Connection, channels: readonly string[]): void {
    const now = this.#events.now();
    const replacement = this.#connections.replacements.current;
    if (replacement?.next.includes(connection)) {
      const { wanted } = this.#channels;
      for (const channel of channels) if (wanted.has(channel)) replacement.accepted.add(channel);
    }
    this.#missing.accepted(channels, now);
  }

  /**
   * Looks after connections, symbols and what has to be told; to be called every few hundred milliseconds.
   *
   * @param now µs
   * @param stalled whether we ourselves have been away for longer: then silence says nothing, because what
   * came meanwhile has not been read yet
   */
  tick(now: number, stalled: boolean): void {
    const gaps: GapNotice[] = [];
    // While two connections bring the same, what one of them jumped over may still come on the other, which may be late.
    if (this.#connections.replacements.current === null) this.#sequence.settled(now);
    if (stalled || now - this.#aliveAt > STALL) this.#woke(now);
    this.#aliveAt = now;
    if (!stalled) {
      this.#connections.watchOver(now);
      gaps.push(...this.#missing.judge(now));
      if (this.#connections.replacements.current === null)
        this.#silentStreams.tick(this.#connections.carrying, now);
    }
    this.#connections.replace(now);
    if (this.#replan && this.#connections.replacements.current === null) {
      this.#replan = false;
      this.apply(this.#wish);
    }
    gaps.push(...this.#missing.take(now));
    this.#tell(gaps);
  }

  /** We ourselves were away until now: nothing that did not come meanwhile was silent, nor is it learned. */
  #woke(now: number): void {
    this.#aliveAt = now;
    this.#connections.interrupted(now);
    this.#gates.interrupted(now);
  }

  #jumped(gap: SequenceGap): void {
    const instrument = this.#symbols.instrumentOf(gap.symbol);
    if (instrument === null) return;
    const of = { exchange: this.#job.exchange, stream: "trade", instrument } as const;
    this.#tell([sequenceGapOf(of, gap)]);
  }

  /** The receive clock and the wall clock do not agree. @param since µs */
  clockApart(since: number): void {
    this.#missing.clock.begin(since);
  }

  /** They agree again, or it is over. @param now µs */
  clockAgrees(now: number): void {
    this.#tell(this.#missing.clock.end(now));
  }

  /** The receive clock was set ahead by `by` µs: what comes is no later for that, and what does not no longer silent. */
  clockStepped(by: number): void {
    this.#connections.stepped(by);
    this.#gates.stepped(by);
  }

  /** The holes that are not told yet; null = they are as they were. See {@link Untold.take}. */
  untold(now: number, told: boolean): UntoldHoles | null {
    return this.#missing.untold(now, told);
  }

  /** What was counted. */
  stats(): ExchangeStats {
    return {
      exchange: this.exchange.name,
      ...this.#connections.stats(),
      ...this.#counters,
      snapshots: this.#decoder.snapshots.frames,
      realigned: this.#decoder.snapshots.realigned,
      notKept: this.#notKept,
      lastEvent: this.#lastEvent,
    };
  }

  /** When each symbol that is recorded was last heard, by stream. Asked for by people: it may allocate. */
  freshness(): StreamFreshness[] {
    return this.#gates.freshness(this.#wish.instruments, this.#channels);
  }

  /** Closes all sockets and tells what is still to be told. */
  stop(): void {
    const now = this.#events.now();
    this.#connections.stop();
    this.#sequence.flush();
    this.#tell(this.#missing.takeAll(now));
  }

  #tell(gaps: readonly GapNotice[]): void {
    if (gaps.length > 0) this.#events.gaps(gaps);
  }
}
