import { expect, test } from "bun:test";
import { startBinance } from "../../src/simulator/binance.ts";
import { FrameWalker } from "../../src/simulator/frame-walker.ts";
import { Random } from "../../src/simulator/random.ts";
import { Client, deafClient, until } from "./client.ts";

const SEED = 20_261_123;
console.log(`relay: seed ${SEED}`);

const HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

function frameOf(opcode: number, length: number): Buffer {
  const head =
    length < 126
      ? [length]
      : length < 65_536
        ? [126, length >> 8, length & 255]
        : [127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255];
  // The payload looks like the head of a binary frame throughout.
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head]), Buffer.alloc(length, 0x82)]);
}

test("binary frames become text frames however the bytes are cut, and nothing else changes", () => {
  const random = new Random(SEED);
  for (let round = 0; round < 30; round++) {
    const lengths = Array.from(
      { length: 12 },
      () => [0, 1, 125, 126, 300, 65_535, 65_536, 70_000][random.below(8)] ?? 0,
    );
    const opcodes = lengths.map(() => [1, 2, 9, 10, 8][random.below(5)] ?? 1);
    const bytes = Buffer.concat([
      Buffer.from(HEAD),
      ...lengths.map((length, i) => frameOf(opcodes[i] ?? 1, length)),
    ]);
    const wanted = Buffer.concat([
      Buffer.from(HEAD),
      ...lengths.map((length, i) => frameOf(opcodes[i] === 2 ? 1 : (opcodes[i] ?? 1), length)),
    ]);
    for (const [on, out] of [
      [true, wanted],
      [false, bytes],
    ] as const) {
      const walker = new FrameWalker();
      walker.binaryAsText = on;
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; ) {
        const end = Math.min(bytes.length, at + 1 + random.below(random.unit() < 0.5 ? 10 : 40_000));
        pieces.push(Uint8Array.from(walker.walk(bytes.subarray(at, end))));
        at = end;
      }
      expect(Buffer.concat(pieces).equals(out)).toBe(true);
      expect(walker.switched).toBe(true);
    }
  }
});

test("what is no WebSocket passes untouched", () => {
  const walker = new FrameWalker();
  walker.binaryAsText = true;
  const bytes = Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), Buffer.alloc(50, 0x82)]);
  expect(Buffer.from(walker.walk(bytes)).equals(bytes)).toBe(true);
  expect(walker.switched).toBe(false);
});

test("behind the relay all is as without it: every frame, REST, back-pressure, the end", async () => {
  const exchange = startBinance({ seed: SEED, instruments: 4, rate: "max", events: 200_000, relay: true });
  const clients = await Promise.all([
    Client.open(`${exchange.url}/public/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker`),
    Client.open(`${exchange.url}/public/stream?streams=btcusdt@bookTicker`),
  ]);
  await exchange.finished;
  const { sent } = exchange.stats();
  await until(
    () => clients.reduce((sum, { frames }) => sum + frames.length, 0) === sent.bookTicker,
    "all frames",
  );
  expect(sent.bookTicker).toBeGreaterThan(50_000);
  expect((await fetch(`${exchange.restUrl}/fapi/v1/time`)).status).toBe(200);
  await exchange.stop();
  expect(await Promise.all(clients.map(({ closed }) => closed))).toEqual([1001, 1001]);
  expect(fetch(`${exchange.restUrl}/fapi/v1/time`)).rejects.toThrow();
}, 180_000);

test("a client that does not read is still a slow consumer behind the relay", async () => {
  const exchange = startBinance({
    seed: SEED,
    instruments: 4,
    rate: 200_000,
    slowConsumerBytes: 1 << 16,
    maxCatchUpMs: 50,
    relay: true,
  });
  const deaf = await deafClient(
    exchange.port,
    "/public/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker",
  );
  await until(() => exchange.stats().slowConsumersTotal === 1, "the deaf client cut");
  deaf.destroy();
  await exchange.stop();
}, 180_000);

test("a taken port is an error with its code, and the exchange behind is gone", () => {
  const taken = startBinance({ events: 0 });
  expect(() => startBinance({ port: taken.port, relay: true })).toThrow(
    expect.objectContaining({ code: "EADDRINUSE" }),
  );
  void taken.stop();
});
