import WebSocket from "ws";
import { binance } from "../../src/exchanges/binance.ts";
import { cpuTime } from "../lib/measure.ts";
import type { StageReport } from "../lib/report.ts";
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

/** A client as the recorder's, which counts frames and does nothing else. */
export class CountingClient {
  frames = 0;
  readonly #sockets: WebSocket[] = [];

  /** Subscribes bookTicker and aggTrade of so many symbols, one connection for each route; resolves when all are asked. */
  async open(source: Source, symbols: number): Promise<void> {
    const instruments = tapeInstruments(symbols).slice(0, symbols);
    const wanted = binance.subscriptions(
      ["bbo", "trade"],
      instruments.map(({ symbol }) => ({ instrument: symbol })),
    );
    for (const [route, subscriptions] of Map.groupBy(wanted, (one) => one.route)) {
      const socket = new WebSocket(binance.connectionUrl(`ws://${source.host}`, route), {
        perMessageDeflate: false,
      });
      this.#sockets.push(socket);
      await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
      socket.on("message", () => {
        this.frames++;
      });
      const channels = subscriptions.map(({ channel }) => channel);
      socket.send(binance.subscribeMessage(channels, 1));
    }
    await source.subscribed(wanted.length);
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
    for (const socket of this.#sockets) socket.terminate();
  }
}

/** Receiving alone: nothing that receives frames over this client can be faster. */
export const receiveStage: Stage = {
  name: "receive",
  about: "frames from a socket, counted and thrown away: the ceiling of everything else",
  always: true,
  async run({ repeats }): Promise<StageReport> {
    using source = await startSource({ ...MIX, symbols: SYMBOLS });
    const client = new CountingClient();
    await client.open(source, SYMBOLS);
    const readings: Received[] = [];
    for (let repeat = -1; repeat < repeats; repeat++) {
      const reading = await client.measure(source, repeat < 0 ? SECONDS / 2 : SECONDS);
      if (repeat >= 0) readings.push(reading);
    }
    client.close();
    return {
      stage: "receive",
      figures: [
        {
          name: "receive only",
          cpuNs: spreadOf(readings.map(({ cpuNs }) => cpuNs)),
          perSecond: spreadOf(readings.map(({ perSecond }) => perSecond)),
          bytes: spreadOf(readings.map(({ bytes }) => bytes)).median,
          sourceNs: spreadOf(readings.map(({ sourceNs }) => sourceNs)).median,
        },
      ],
      bars: [],
      notes: [
        `${SYMBOLS} symbols of Binance, 80 % bookTicker and 20 % aggTrade, over two connections, from a process of its own as fast as they are taken; bytes are those on the wire.`,
      ],
    };
  },
};
