/** The load source: were its frames not what the exchange sends, every figure of the bench would be of something else. */
import { describe, expect, test } from "bun:test";
import WebSocket from "ws";
import { startSource } from "../../bench/source/handle.ts";
import { newTradeIds, Reel, spellTape, tapeInstruments } from "../../bench/source/tape.ts";
import { ClientReader, frameOf, OPCODE } from "../../bench/source/websocket.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { FRAME } from "../../src/exchanges/decoding/decoder.ts";
import { restAnswer } from "../../src/exchanges/rest.ts";
import { DecoderBench } from "../exchanges/decoder-bench.ts";

const SYMBOLS = 12;

describe("the tape", () => {
  test("has the mix that is asked for, and every frame is scanned, none parsed", () => {
    const tape = spellTape({ symbols: SYMBOLS, frames: 1000, quotes: 0.8 });
    expect(tape.filter(({ isQuote }) => isQuote)).toHaveLength(800);
    const known = tapeInstruments(SYMBOLS).map(({ symbol }) => symbol);
    const bench = new DecoderBench(binance, 1, { known });
    for (const { text } of tape) expect(bench.decode(text).kind).toBe(FRAME.EVENTS);
    expect(bench.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
  });

  test("a reel changes times and ids in place: trade ids go on over its end, update_id is the time", () => {
    const tape = spellTape({ symbols: 2, frames: 50, quotes: 0.5 });
    const reel = new Reel(tape, newTradeIds(2));
    const now = Date.now() * 1000 + 123;
    const lengths = tape.map(({ text }) => Buffer.byteLength(text));
    const trades = new Map<string, number[]>();
    for (let round = 0; round < 3; round++) {
      const bytes = Buffer.from(reel.take(50, now + round));
      let at = 0;
      for (const length of lengths) {
        at += length < 126 ? 2 : 4;
        const { data } = JSON.parse(bytes.toString("utf8", at, at + length));
        at += length;
        expect([data.E, data.T]).toEqual([
          Math.floor((now + round) / 1000),
          Math.floor((now + round) / 1000),
        ]);
        if (data.e === "bookTicker") expect(data.u).toBe(now + round);
        else trades.set(data.s, [...(trades.get(data.s) ?? []), data.a]);
      }
      expect(at).toBe(bytes.length);
    }
    for (const ids of trades.values())
      for (let i = 1; i < ids.length; i++) expect(ids[i]).toBe((ids[i - 1] as number) + 1);
    expect([...trades.values()].flat()).toHaveLength(75);
  });
});

test("a client's messages are read whatever pieces they come in", () => {
  const text = Buffer.from(JSON.stringify({ method: "SUBSCRIBE", params: ["x".repeat(300)], id: 1 }));
  const frame = Buffer.from(frameOf(OPCODE.text, text));
  const mask = Buffer.from([1, 2, 3, 4]);
  frame[1] = (frame[1] as number) | 0x80;
  const masked = Buffer.concat([
    frame.subarray(0, 4),
    mask,
    text.map((byte, i) => byte ^ (mask[i % 4] as number)),
  ]);
  const reader = new ClientReader();
  const messages = [...masked].flatMap((byte) => reader.read(Uint8Array.of(byte)));
  expect(messages).toEqual([{ opcode: OPCODE.text, payload: text }]);
});

test("over real sockets: instruments by REST, each channel to who subscribed it, every frame once", async () => {
  using source = await startSource({ symbols: SYMBOLS, frames: 500, quotes: 0.8 });
  const listed = await binance.fetchInstruments(async (path) =>
    restAnswer(await (await fetch(`http://${source.host}${path}`)).text()),
  );
  const wanted = listed.filter(({ recordable }) => recordable);
  expect(wanted).toHaveLength(SYMBOLS);
  const seen = { bookTicker: 0, aggTrade: 0 };
  const sockets = (["bookTicker", "aggTrade"] as const).map((kind) => {
    const socket = new WebSocket(`ws://${source.host}/${kind}/stream`);
    const channels = wanted.map(({ instrument }) => `${instrument.toLowerCase()}@${kind}`);
    socket.on("open", () => socket.send(binance.subscribeMessage(channels, 1)));
    socket.on("message", (frame: Buffer) => {
      const { stream, data } = JSON.parse(frame.toString());
      if (stream === undefined) return;
      expect(data.e).toBe(kind);
      seen[kind]++;
    });
    return socket;
  });
  await source.subscribed(2 * SYMBOLS);
  const played = await source.play({ rate: 5000, seconds: 0.5 });
  const deadline = performance.now() + 20_000;
  while (seen.bookTicker + seen.aggTrade < played.frames && performance.now() < deadline) await Bun.sleep(10);
  expect(seen.bookTicker + seen.aggTrade).toBe(played.frames);
  expect(played.frames).toBeGreaterThan(0);
  for (const socket of sockets) socket.terminate();
});
