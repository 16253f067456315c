import type { Stream } from "../events/streams.ts";
import type { Connection } from "../exchanges/connection.ts";
import { type Channels, UNJUDGED } from "./channels.ts";
import type { Gates } from "./gates.ts";
import type { IngestNotice, LaneBounds } from "./messages.ts";
import { SIBLINGS_ALIVE } from "./silences.ts";

/** How often streams are looked at that have brought nothing yet, µs. */
const STREAMS_WATCHED = 1_000_000;
/** Of this many channels at least one should have something to say. */
const PLENTY = 20;

/**
 * Finds streams of which a connection has brought nothing since it was opened although others live on it: such a
 * subscription was accepted and is dead. Once a stream has been heard, its symbols are judged one by one.
 */
export class SilentStreams {
  readonly #exchange: string;
  readonly #bounds: LaneBounds["watch"];
  readonly #promptStreams: readonly Stream[];
  readonly #channels: Channels;
  readonly #gates: Gates;
  readonly #notice: (notice: IngestNotice) => void;
  readonly #found: (connection: Connection, channels: readonly string[], since: number) => void;
  /** Connections in a row that brought nothing of a stream. */
  readonly #unheard = new Map<Stream, number>();
  #watchedAt = Number.NEGATIVE_INFINITY;

  constructor(options: {
    exchange: string;
    bounds: LaneBounds["watch"];
    /** Streams that begin with a snapshot. */
    promptStreams: readonly Stream[];
    channels: Channels;
    gates: Gates;
    notice(notice: IngestNotice): void;
    /** These channels of a connection, all that it has of a stream, have brought nothing since then (µs). */
    found(connection: Connection, channels: readonly string[], since: number): void;
  }) {
    this.#exchange = options.exchange;
    this.#bounds = options.bounds;
    this.#promptStreams = options.promptStreams;
    this.#channels = options.channels;
    this.#gates = options.gates;
    this.#notice = options.notice;
    this.#found = options.found;
  }

  /** Looks at connections none of which is being replaced. @param now µs */
  tick(connections: readonly Connection[], now: number): void {
    if (now - this.#watchedAt < STREAMS_WATCHED) return;
    this.#watchedAt = now;
    for (const connection of connections) {
      if (!connection.settled || !(now - connection.dataAt < SIBLINGS_ALIVE)) continue;
      const since = connection.openedAt;
      if (!(now - since > this.#bounds.firstData * 1000)) continue;
      for (const stream of this.#channels.streamsOf(connection.channels)) {
        if (this.#gates.all.get(stream)?.isHeardOn(connection.number) !== false) this.#unheard.delete(stream);
        else this.#unheardOn(connection, stream, since, now);
      }
    }
  }

  #unheardOn(connection: Connection, stream: Stream, since: number, now: number): void {
    const { wanted } = this.#channels;
    const channels = [...connection.channels].filter((one) => wanted.get(one)?.streams.includes(stream));
    const prompt = this.#promptStreams.includes(stream);
    // A few symbols may really have nothing to say.
    if (UNJUDGED.includes(stream) || (!prompt && channels.length < PLENTY)) return;
    const { firstData, firstDataQuiet, cap } = this.#bounds;
    const times = this.#unheard.get(stream) ?? 0;
    const patience = (prompt || stream === "bbo" ? firstData : firstDataQuiet) * 2 ** Math.min(times, 30);
    if (now - since <= 1000 * Math.min(patience, Math.max(cap, firstDataQuiet))) return;
    this.#unheard.set(stream, times + 1);
    this.#notice({
      event: "stream_silent",
      exchange: this.#exchange,
      connection: connection.number,
      stream,
      channels: channels.length,
      silent: Math.round((now - since) / 1000),
    });
    this.#found(connection, channels, since);
  }
}
