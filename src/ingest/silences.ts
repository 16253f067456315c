import type { Stream } from "../events/streams.ts";
import type { Connection } from "../exchanges/connection.ts";
import type { SymbolWatch } from "../exchanges/watchdog/symbol-watch.ts";
import { gapOf } from "./gaps.ts";
import type { GapNotice, IngestNotice } from "./messages.ts";

/** A symbol, or a stream, is judged beside others on its connection that are at most this old, µs. */
export const SIBLINGS_ALIVE = 2_000_000;

/** A silent symbol is asked for again this often before its connection is replaced. */
const RENEWALS_MAX = 2;

/** From this many silent channels on, if they are half of its channels, a connection is replaced at once. */
const MANY = 20;

/**
 * A channel that brought nothing in the last part of a silence of its symbol, this much of it, is suspected to have died
 * with it.
 */
const SUSPECT_SHARE = 0.5;

/** A symbol that brings nothing of a stream although its siblings live. */
interface Silence {
  readonly stream: Stream;
  readonly instrument: string;
  /** µs */
  readonly since: number;
  /** Times it was asked for again, and where the last time; null = it was not. */
  renewals: number;
  askedOn: Connection | null;
  /** Whether its connection was replaced for it though nothing of it had ever come. */
  replacedUnheard: boolean;
}

/** Where a stream of an instrument comes from. */
export interface Source {
  readonly channel: string;
  /** Streams that this channel brings. */
  readonly streams: readonly Stream[];
  readonly connection: Connection;
}

/** Finds symbols that have fallen silent beside living ones, has them asked for again, and tells of the hole. */
export class Silences {
  readonly #exchange: string;
  readonly #watches: ReadonlyMap<Stream, SymbolWatch>;
  readonly #instrumentOf: (symbol: number) => string | null;
  readonly #kinOf: (symbol: number) => readonly number[];
  readonly #sourceOf: (stream: Stream, instrument: string) => Source | null;
  readonly #notice: (notice: IngestNotice) => void;
  readonly #renewed: (channel: string, from: number) => void;
  readonly #persists: (connection: Connection) => boolean;
  readonly #siblingsAlive: number;
  readonly #unjudged: readonly Stream[];
  /** What is to be asked for again in this tick: channels, and since when they may bring nothing, µs. */
  readonly #due = new Map<Connection, Map<string, number>>();
  /** Those that are silent now, by stream and instrument. */
  readonly #silent = new Map<string, Silence>();
  #changes = 0;

  constructor(options: {
    exchange: string;
    watches: ReadonlyMap<Stream, SymbolWatch>;
    instrumentOf(symbol: number): string | null;
    /** See {@link Kin.of}. */
    kinOf(symbol: number): readonly number[];
    /** null = not wanted, or known to bring nothing for another reason. */
    sourceOf(stream: Stream, instrument: string): Source | null;
    notice(notice: IngestNotice): void;
    /** A channel is asked for again: since `from` (µs) and until that is acknowledged it may bring nothing, of none of its streams. */
    renewed(channel: string, from: number): void;
    /** Asking again has not helped, or would not: false = nothing is done about it. */
    persists(connection: Connection): boolean;
    /** A symbol is called silent only beside siblings on its connection that are at most this old, µs. */
    siblingsAlive: number;
    /** Streams whose silence means nothing; asked for again only along with others. */
    unjudged: readonly Stream[];
  }) {
    this.#exchange = options.exchange;
    this.#watches = options.watches;
    this.#instrumentOf = options.instrumentOf;
    this.#kinOf = options.kinOf;
    this.#sourceOf = options.sourceOf;
    this.#notice = options.notice;
    this.#renewed = options.renewed;
    this.#persists = options.persists;
    this.#siblingsAlive = options.siblingsAlive;
    this.#unjudged = options.unjudged;
  }

  /** Grows with every symbol that falls silent, or is so no longer. */
  get changes(): number {
    return this.#changes;
  }

  /** Judges every symbol; the holes that have ended. @param now µs */
  tick(now: number): GapNotice[] {
    const gaps: GapNotice[] = [];
    for (const [stream, watch] of this.#watches) {
      if (this.#unjudged.includes(stream)) continue;
      watch.overdue(now, (symbol, since) => this.#overdue(stream, symbol, since, now));
      watch.recovered((symbol, from, to) => {
        const instrument = this.#instrumentOf(symbol);
        // Silent along with its whole connection, or not wanted any more: not a hole of its own.
        const silence = instrument === null ? undefined : this.#silent.get(keyOf(stream, instrument));
        if (instrument === null || silence === undefined) return;
        this.#silent.delete(keyOf(stream, instrument));
        this.#changes++;
        // What was asked for again meanwhile counts its silence anew; the hole is as old as it was.
        gaps.push(this.#gap(stream, instrument, Math.min(from, silence.since), to));
        if (silence.askedOn !== null) this.#suspectOthers(silence, symbol, now);
      });
    }
    for (const [connection, channels] of this.#due) this.#askAgain(connection, channels);
    this.#due.clear();
    return gaps;
  }

  /** A stream of an instrument is not wanted any more; its hole, if it was silent. @param now µs */
  forget(stream: Stream, instrument: string, now: number): GapNotice[] {
    const silence = this.#silent.get(keyOf(stream, instrument));
    if (this.#silent.delete(keyOf(stream, instrument))) this.#changes++;
    return silence === undefined ? [] : [this.#gap(stream, instrument, silence.since, now)];
  }

  /** All channels of a connection at once: one by one they would wait for the exchange's message rate. */
  #askAgain(connection: Connection, channels: ReadonlyMap<string, number>): void {
    // So many at once are no matter of single channels: a new connection loses nothing of the others meanwhile.
    const many = channels.size >= MANY && 2 * channels.size >= connection.channels.size;
    if (many && this.#persists(connection)) return;
    connection.renew([...channels.keys()]);
    for (const [channel, from] of channels) this.#renewed(channel, from);
  }

  #ask(connection: Connection, channel: string, from: number): void {
    const due = this.#due.get(connection) ?? new Map<string, number>();
    this.#due.set(connection, due.set(channel, Math.min(from, due.get(channel) ?? from)));
  }

  /**
   * A channel was silent and lives now that it was asked for again: other channels of its symbol on the same
   * connection, under whatever id, may be as dead, and too slow to be judged by themselves.
   */
  #suspectOthers({ stream, since, askedOn }: Silence, silent: number, now: number): void {
    // What fell silent along with it may have had its last event a little later.
    const limit = since + SUSPECT_SHARE * (now - since);
    for (const symbol of this.#kinOf(silent)) {
      const instrument = this.#instrumentOf(symbol);
      if (instrument === null) continue;
      for (const [other, watch] of this.#watches) {
        const last = watch.lastEvent(symbol);
        if (!(last <= limit)) continue;
        const suspect = this.#sourceOf(other, instrument);
        if (suspect === null || suspect.connection !== askedOn) continue;
        if (symbol === silent && suspect.streams.includes(stream)) continue;
        // A channel that has brought anything of the symbol lives: its rarer streams may just have nothing to tell.
        if (suspect.streams.some((one) => (this.#watches.get(one)?.lastEvent(symbol) ?? 0) > limit)) continue;
        this.#ask(suspect.connection, suspect.channel, Math.max(since, last));
        watch.mended(symbol, now);
      }
    }
  }

  /** Those that are silent still. @param to µs; null = for how long is not known */
  open(to: number | null): GapNotice[] {
    return [...this.#silent.values()].map(({ stream, instrument, since }) =>
      this.#gap(stream, instrument, since, to),
    );
  }

  #overdue(stream: Stream, symbol: number, since: number, now: number): void {
    const instrument = this.#instrumentOf(symbol);
    const source = instrument === null ? null : this.#sourceOf(stream, instrument);
    // A connection that is silent altogether is another's business.
    if (instrument === null || source === null || !(now - source.connection.dataAt < this.#siblingsAlive))
      return;
    const { connection, channel, streams } = source;
    const key = keyOf(stream, instrument);
    const silence: Silence = this.#silent.get(key) ?? {
      stream,
      instrument,
      since,
      renewals: 0,
      askedOn: null,
      replacedUnheard: false,
    };
    this.#silent.set(key, silence);
    this.#changes++;
    this.#notice({
      event: "symbol_silent",
      exchange: this.#exchange,
      connection: connection.number,
      stream,
      instrument,
      silent: Math.round((now - since) / 1000),
    });
    if (silence.renewals >= RENEWALS_MAX) {
      // What nobody ever heard may be something that the exchange does not send at all.
      if (silence.replacedUnheard) return;
      const unheard = Number.isNaN(this.#watches.get(stream)?.lastEvent(symbol));
      silence.replacedUnheard = this.#persists(connection) && unheard;
      return;
    }
    silence.renewals++;
    silence.askedOn = connection;
    this.#ask(connection, channel, now);
    for (const other of streams) this.#watches.get(other)?.mended(symbol, now);
  }

  #gap(stream: Stream, instrument: string, from: number, to: number | null): GapNotice {
    return gapOf({ exchange: this.#exchange, stream, instrument }, "silence", "possible", from, to);
  }
}

function keyOf(stream: Stream, instrument: string): string {
  return `${stream} ${instrument}`;
}
