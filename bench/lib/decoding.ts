/** The ways of decoding one set of frames, as variants to be measured side by side. */
import { LAYOUTS } from "../../src/events/layout.ts";
import type { Stream } from "../../src/events/streams.ts";
import { FRAME, type RowWriter, type Writers } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { SYMBOL_WATCH, SymbolWatch } from "../../src/exchanges/watchdog/symbol-watch.ts";
import { FrameReader } from "../../src/exchanges/websocket/frame-reader.ts";
import { type FrameFacts, RowGate } from "../../src/ingest/row-gate.ts";
import { RingConsumer } from "../../src/ring/consumer.ts";
import { createRing, type RingHandle } from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";
import { textFrameHead } from "../source/websocket.ts";
import type { FrameSet } from "./frames.ts";
import type { Variant } from "./measure.ts";

/** Frames between two publications of the ring, as `ingest.publish_batch` has it. */
const PUBLISH_BATCH = 64;
/** Events of a ring, as `ring.capacity.bbo` has it. */
const CAPACITY = 262_144;
/** Bytes of a read, as `connection.turn_bytes` has it. */
const READ_BYTES = 64 * 1024;
/** Time between two frames, µs. */
const FRAME_TIME = 5;

/** A ring of a stream with both of its ends; what is published is given back at once. */
class OpenRing {
  readonly producer: RingProducer;
  readonly #consumer: RingConsumer;

  constructor(stream: Stream) {
    const { numbers, texts, seq } = LAYOUTS[stream];
    const handle: RingHandle = createRing({
      capacity: CAPACITY,
      numbers: numbers.length,
      texts: texts.length,
    });
    this.producer = new RingProducer(handle, seq);
    this.#consumer = new RingConsumer(handle);
  }

  publish(): void {
    this.producer.publish();
    const count = this.#consumer.available(CAPACITY);
    if (count > 0) this.#consumer.release(count);
  }
}

/** How a decoder is to be driven. */
interface Way {
  readonly scanners: boolean;
  /** Whether rows pass the gate that stands between decoder and ring in the recorder. */
  readonly gated: boolean;
}

/**
 * A variant that takes all frames as they come from a socket and decodes them into rings, published every {@link PUBLISH_BATCH} frames.
 *
 * @throws Error when a frame is neither events nor, as some ticker deltas are, known to hold nothing that is recorded
 */
export function decodingVariant(
  name: string,
  exchange: Exchange,
  streams: readonly Stream[],
  { frames, instruments }: FrameSet,
  { scanners, gated }: Way,
): Variant {
  const symbols = new SymbolTable();
  for (const [number, instrument] of instruments.entries()) symbols.add(instrument, number);
  for (const instrument of instruments)
    for (const other of exchange.companions({ instrument })) symbols.add(other, symbols.instruments.length);
  const rings = streams.map((stream) => new OpenRing(stream));
  const facts: FrameFacts = { published: Number.NaN, handover: null, isSnapshot: () => decoder.snapshot };
  const writers: Writers = Object.fromEntries(
    streams.map((stream, i): [Stream, RowWriter] => {
      const to = (rings[i] as OpenRing).producer;
      if (!gated) return [stream, to];
      return [stream, new RowGate({ stream, to, watch: new SymbolWatch(SYMBOL_WATCH), facts })];
    }),
  );
  const counters = { fallback: 0, inexact: 0, oversized: 0 };
  const decoder = exchange.createDecoder({ symbols, writers, counters, scanners });
  let local = Date.now() * 1000;
  let staged = 0;
  const reader = new FrameReader(READ_BYTES, {
    message(data, from, to) {
      local += FRAME_TIME;
      const kind = decoder.decode(data, local, 1, from, to);
      if (kind !== FRAME.EVENTS && kind !== FRAME.IGNORED)
        throw new Error(unexpected(data.subarray(from, to), decoder.reason, kind));
      if (++staged < PUBLISH_BATCH) return;
      for (const ring of rings) ring.publish();
      staged = 0;
    },
    control: () => undefined,
    broken(reason) {
      throw new Error(reason);
    },
  });
  const reads = readsOf(frames);
  return {
    name,
    run() {
      const { messages } = reader;
      for (const read of reads) reader.read(read);
      for (const ring of rings) ring.publish();
      if (reader.messages - messages !== frames.length) throw new Error("not all frames were read");
      if (scanners && counters.fallback > 0) throw new Error(`${counters.fallback} frames were not scanned`);
      return frames.length;
    },
  };
}

/** The frames as a socket brings them: with their heads, one behind the other, in pieces. */
function readsOf(frames: readonly Uint8Array[]): Uint8Array[] {
  const bytes = Buffer.concat(frames.flatMap((frame) => [textFrameHead(frame.length), frame]));
  const reads: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += READ_BYTES) reads.push(bytes.subarray(at, at + READ_BYTES));
  return reads;
}

function unexpected(frame: Uint8Array, reason: string, kind: number): string {
  return `class ${kind} (${reason}) of ${Buffer.from(frame).toString()}`;
}

/** JSON.parse and nothing else, on the same frames: as texts that are ready, or as the bytes that arrive. */
export function jsonVariant(name: string, { frames }: FrameSet, from: "texts" | "bytes"): Variant {
  const sources = frames.map((frame) => Buffer.from(frame));
  const texts = sources.map((frame) => frame.toString());
  let kept: unknown = null;
  return {
    name,
    run() {
      if (from === "texts") for (let i = 0; i < texts.length; i++) kept = JSON.parse(texts[i] as string);
      else for (let i = 0; i < sources.length; i++) kept = JSON.parse((sources[i] as Buffer).toString());
      if (typeof kept !== "object") throw new Error("a frame is no object");
      return frames.length;
    },
  };
}
