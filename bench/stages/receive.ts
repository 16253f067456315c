import WebSocket from "ws";
import { settingsSchema } from "../../src/config/schema.ts";
import { binance } from "../../src/exchanges/binance.ts";
import { DIRECT, dialer } from "../../src/exchanges/dialer.ts";
import type { Dial, Wire } from "../../src/exchanges/websocket/wire.ts";
import { laneBounds } from "../../src/recorder/lane-bounds.ts";
import { cpuTime } from "../lib/measure.ts";
import type { Figure, StageReport } from "../lib/report.ts";
import type { Stage } from "../lib/stage.ts";
import { spreadOf } from "../lib/statistics.ts";
import { type Source, startSource } from "../source/handle.ts";
import { MIX, tapeInstruments } from "../source/tape.ts";

const SYMBOLS = 200;
/** Length of one reading, s. */
const SECONDS = 1.5;

/** What receiving alone came to, once. */
export interface Received {
  readonly cpuNs: number;
  readonly perSecond: number;
  readonly bytes: number;
  readonly sourceNs: number;
}

/** The recorder's client. */
export const OURS: Dial = dialer(DIRECT);
/** Bun's, which the recorder uses by way of a proxy: an object for each message. */
export const BUNS: Dial = (url, { events }) => {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on("open", () => events.opened());
  socket.on("message", (data: Buffer) => events.message(data, 0, data.length));
  socket.on("error", ({ message }: Error) => events.failed(message));
  return {
    send: (text) => socket.send(text),
    ping: () => socket.ping(),
    close: (code) => socket.close(code),
    terminate: () => socket.terminate(),
  };
};

/** Counts frames and does nothing else. */
export class CountingClient {
  frames = 0;
  readonly #dial: Dial;
  readonly #wires: Wire[] = [];

  constructor(dial: Dial = OURS) {
    this.#dial = dial;
  }

  /** Subscribes bookTicker and aggTrade of so many symbols, one connection for each route; resolves when all are asked. */
  async open(source: Source, symbols: number): Promise<void> {
    const instruments = tapeInstruments(symbols).slice(0, symbols);
    const wanted = binance.subscriptions(
      ["bbo", "trade"],
      instruments.map(({ symbol }) => ({ instrument: symbol })),
    );
    for (const [route, subscriptions] of Map.groupBy(wanted, (one) => one.route)) {
      const wire = await this.#opened(binance.connectionUrl(`ws://${source.host}`, route));
      this.#wires.push(wire);
      const channels = subscriptions.map(({ channel }) => channel);
      wire.send(binance.subscribeMessage(channels, 1));
    }
    await source.subscribed(wanted.length);
  }

  #opened(url: string): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const failed = (why: string) => reject(new Error(why));
      const wire = this.#dial(url, {
        bounds: laneBounds(settingsSchema.parse({}), "binance"),
        events: {
          opened: () => resolve(wire),
          message: () => {
            this.frames++;
          },
          heard: () => undefined,
          refused: (status) => failed(`the source answered ${status}`),
          failed,
          closed: (code) => failed(`the source closed with ${code}`),
        },
      });
    });
  }

  /** Takes what the source sends at full speed for a while. */
  async measure(source: Source, seconds: number): Promise<Received> {
    const framesBefore = this.frames;
    const cpu = cpuTime();
    const began = performance.now();
    const played = await source.play({ rate: "max", seconds });
    while (this.frames - framesBefore < played.frames) await Bun.sleep(1);
    const spent = cpuTime() - cpu;
    return {
      cpuNs: (spent * 1000) / played.frames,
      perSecond: (played.frames * 1000) / (performance.now() - began),
      bytes: played.bytes / played.frames,
      sourceNs: (played.cpuUs * 1000) / played.frames,
    };
  }

  close(): void {
    for (const wire of this.#wires) wire.terminate();
  }
}

/** Receiving alone: nothing that receives frames over this client can be faster. */
export const receiveStage: Stage = {
  name: "receive",
  about: "frames from a socket, counted and thrown away: the ceiling of everything else",
  always: true,
  async run({ repeats }): Promise<StageReport> {
    using source = await startSource({ ...MIX, symbols: SYMBOLS });
    const [ours, buns] = await readings(source, repeats);
    return {
      stage: "receive",
      figures: [figureOf("receive only", ours), figureOf("the same by Bun's client", buns)],
      bars: [],
      notes: [
        `${SYMBOLS} symbols of Binance, 80 % bookTicker and 20 % aggTrade, over two connections, from a process of its own as fast as they are taken; bytes are those on the wire.`,
      ],
    };
  },
};

/** Both clients in turns. */
async function readings(source: Source, repeats: number): Promise<[Received[], Received[]]> {
  const ours: Received[] = [];
  const buns: Received[] = [];
  for (let repeat = -1; repeat < repeats; repeat++) {
    for (const [dial, to] of [
      [OURS, ours],
      [BUNS, buns],
    ] as const) {
      const client = new CountingClient(dial);
      await client.open(source, SYMBOLS);
      const reading = await client.measure(source, repeat < 0 ? SECONDS / 2 : SECONDS);
      if (repeat >= 0) to.push(reading);
      client.close();
      await source.subscribed(0);
    }
  }
  return [ours, buns];
}

function figureOf(name: string, readings: readonly Received[]): Figure {
  return {
    name,
    cpuNs: spreadOf(readings.map(({ cpuNs }) => cpuNs)),
    perSecond: spreadOf(readings.map(({ perSecond }) => perSecond)),
    bytes: spreadOf(readings.map(({ bytes }) => bytes)).median,
    sourceNs: spreadOf(readings.map(({ sourceNs }) => sourceNs)).median,
  };
}
