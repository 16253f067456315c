import type { DecodeCounters, Decoder, FrameClass, SnapshotCounters } from "../exchanges/decoding/decoder.ts";
import type { RawTap } from "./tap.ts";

/** A decoder that gives each frame to the tap before it decodes it, whatever comes of it. */
export class TappedDecoder implements Decoder {
  readonly counters: DecodeCounters;
  readonly #exchange: string;
  readonly #decoder: Decoder;
  readonly #tap: RawTap;

  constructor(exchange: string, decoder: Decoder, tap: RawTap) {
    this.counters = decoder.counters;
    this.#exchange = exchange;
    this.#decoder = decoder;
    this.#tap = tap;
  }

  get snapshots(): SnapshotCounters {
    return this.#decoder.snapshots;
  }

  get snapshot(): boolean {
    return this.#decoder.snapshot;
  }

  get reason(): string {
    return this.#decoder.reason;
  }

  decode(
    data: Uint8Array,
    local: number,
    connection: number,
    from: number = 0,
    to: number = data.length,
  ): FrameClass {
    this.#tap.take(this.#exchange, connection, local, data.subarray(from, to));
    return this.#decoder.decode(data, local, connection, from, to);
  }
}
