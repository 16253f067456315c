import { expect, test } from "bun:test";
import { LAYOUTS, LOCAL, SYMBOL, slotsOf } from "../../../src/events/layout.ts";
import { STREAM_NAMES, type Stream } from "../../../src/events/streams.ts";
import { binance } from "../../../src/exchanges/binance.ts";
import { Collector } from "../../../src/exchanges/decoding/collector.ts";
import type { RowWriter } from "../../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../../src/exchanges/decoding/symbols.ts";
import { RingConsumer } from "../../../src/ring/consumer.ts";
import { createRing, viewsOf } from "../../../src/ring/memory.ts";
import { RingProducer } from "../../../src/ring/producer.ts";
import { seeded } from "../../lib/seed.ts";
import { HOT_SHAPES, KNOWN, plainFrame } from "../binance/frame-maker.ts";

function collector(): { collector: Collector; writer: (stream: Stream) => RowWriter } {
  const symbols = new SymbolTable();
  symbols.add("BTCUSDT", 0);
  symbols.add("ETHUSDT", 1);
  const made = new Collector(binance, symbols);
  return {
    collector: made,
    writer(stream) {
      const found = made.writers[stream];
      if (found === undefined) throw new Error(`no writer for ${stream}`);
      return found;
    },
  };
}

test("an event is exchange, stream, symbol, instrument, the two times and the stream's columns, in this order", () => {
  const { collector: made, writer } = collector();
  for (const stream of binance.streams) {
    writer(stream).row.numbers[SYMBOL] = 1;
    writer(stream).commit();
    const [event, ...more] = made.take();
    expect(more).toEqual([]);
    expect(Object.keys(event ?? {})).toEqual([
      "exchange",
      "stream",
      "symbol",
      "instrument",
      "timestamp",
      "published_timestamp",
      ...Object.keys(slotsOf(stream)),
    ]);
    expect(event).toMatchObject({ exchange: "binance", stream, symbol: "ETHUSDT", instrument: "ETHUSDT" });
  }
});

test("there is a writer for each stream the exchange has, and for no other", () => {
  const { collector: made } = collector();
  expect(Object.keys(made.writers).sort()).toEqual([...binance.streams].sort());
  expect(STREAM_NAMES).toEqual(expect.arrayContaining([...binance.streams]));
});

test("events come in the order of their commits, whatever the stream, and once", () => {
  const { collector: made, writer } = collector();
  for (const stream of ["trade", "bbo", "trade", "funding"] as const) {
    writer(stream).row.numbers[SYMBOL] = 0;
    writer(stream).commit();
  }
  expect(made.take().map(({ stream }) => stream)).toEqual(["trade", "bbo", "trade", "funding"]);
  expect(made.take()).toEqual([]);
});

test("rewind takes back what came since mark, over all streams", () => {
  const { collector: made, writer } = collector();
  const all = Object.values(made.writers);
  const commit = (stream: Stream) => {
    writer(stream).row.numbers[SYMBOL] = 0;
    writer(stream).commit();
  };
  commit("bbo");
  for (const one of all) one.mark();
  commit("trade");
  commit("bbo");
  for (const one of all) one.rewind();
  commit("funding");
  expect(made.take().map(({ stream }) => stream)).toEqual(["bbo", "funding"]);
});

test("scanner and JSON path fill every slot of a ring's row alike, receive time and connection too", () => {
  const random = seeded("rows into rings");
  const sides = [true, false].map((scanners) => {
    const symbols = new SymbolTable();
    KNOWN.forEach((instrument, number) => {
      // Numbers of a recording are not in the order of the table.
      symbols.add(instrument, 100 - number);
    });
    const rings = binance.streams.map((stream) => {
      const { numbers, texts } = LAYOUTS[stream];
      const handle = createRing({ capacity: 1024, numbers: numbers.length, texts: texts.length });
      return {
        stream,
        handle,
        producer: new RingProducer(handle, LAYOUTS[stream].seq),
        consumer: new RingConsumer(handle),
      };
    });
    const decoder = binance.createDecoder({
      symbols,
      writers: Object.fromEntries(rings.map(({ stream, producer }) => [stream, producer])),
      counters: { fallback: 0, inexact: 0, oversized: 0 },
      scanners,
    });
    return { decoder, rings };
  });
  const local = 1_790_000_000_000_123;
  for (let i = 0; i < 800; i++) {
    const frame = plainFrame(random, HOT_SHAPES[i % HOT_SHAPES.length]);
    for (const { decoder } of sides) decoder.decode(frame, local + i, 42);
  }
  for (const { rings } of sides) for (const { producer } of rings) producer.publish();
  const [a, b] = sides;
  for (const [i, { stream, consumer, handle }] of a.rings.entries()) {
    const other = b.rings[i];
    const count = consumer.available(1024);
    expect(count).toBe(200);
    expect(other.consumer.available(1024)).toBe(count);
    // Ring memory behind the control block, byte by byte.
    const start = consumer.numberOffset(0);
    const bytes = (one: typeof handle) => Buffer.from(viewsOf(one).buffer, start);
    expect(bytes(handle).equals(bytes(other.handle))).toBe(true);
    for (let row = 0; row < count; row++) {
      expect(consumer.number(LAYOUTS[stream].seq, row)).toBe(row);
      expect(consumer.number(LAYOUTS[stream].connection, row)).toBe(42);
      expect(consumer.number(LOCAL, row)).toBeGreaterThanOrEqual(local);
      expect(consumer.number(SYMBOL, row)).toBeGreaterThan(100 - KNOWN.length);
    }
  }
});
