/** Frames to decode: what the simulated exchanges send, byte for byte, kept in memory. */
import WebSocket from "ws";
import type { Stream } from "../../src/events/streams.ts";
import type { Exchange, Subscription } from "../../src/exchanges/exchange.ts";
import { restAnswer } from "../../src/exchanges/rest.ts";
import { SIMULATED_EXCHANGES, type SimulatedName } from "../../src/simulator/exchanges.ts";

/** How long an exchange may take to send what is wanted, ms. */
const PATIENCE = 20_000;

/** Frames of some streams of an exchange, and the instruments they are of. */
export interface FrameSet {
  readonly frames: readonly Uint8Array[];
  readonly instruments: readonly string[];
}

/** Names one set of frames. */
export interface FrameWish {
  readonly exchange: Exchange;
  readonly streams: readonly Stream[];
  readonly count: number;
  readonly instruments: number;
}

/**
 * Subscribes streams at a simulated exchange of fixed seed that sends as fast as it can, and keeps `count` frames
 * that are no answers.
 *
 * @throws Error when they do not come in time
 */
export async function collectFrames({ exchange, streams, count, instruments }: FrameWish): Promise<FrameSet> {
  const simulated = SIMULATED_EXCHANGES[exchange.name as SimulatedName]({
    seed: "bench",
    rate: 100_000,
    instruments,
    messagesPerSecond: 10_000,
  });
  const sockets: WebSocket[] = [];
  try {
    const listed = await exchange.fetchInstruments(async (path) =>
      restAnswer(await (await fetch(simulated.restUrl + path)).text()),
    );
    const wanted = listed.filter(({ recordable }) => recordable);
    const frames: Uint8Array[] = [];
    const full = Promise.withResolvers<void>();
    const take = (frame: Buffer) => {
      if (frames.length >= count || !isData(exchange, frame)) return;
      frames.push(Uint8Array.from(frame));
      if (frames.length === count) full.resolve();
    };
    const routes = Map.groupBy(exchange.subscriptions(streams, wanted), ({ route }) => route);
    for (const [route, subscriptions] of routes) {
      sockets.push(subscribe(exchange, simulated.url, route, subscriptions, take));
    }
    const timer = setTimeout(
      () =>
        full.reject(
          new Error(`${exchange.name} sent ${frames.length} of ${count} frames of ${streams.join()}`),
        ),
      PATIENCE,
    );
    await full.promise;
    clearTimeout(timer);
    return { frames, instruments: wanted.map(({ instrument }) => instrument) };
  } finally {
    for (const socket of sockets) socket.terminate();
    await simulated.stop();
  }
}

function subscribe(
  exchange: Exchange,
  wsUrl: string,
  route: string,
  subscriptions: readonly Subscription[],
  take: (frame: Buffer) => void,
): WebSocket {
  const socket = new WebSocket(exchange.connectionUrl(wsUrl, route));
  const channels = subscriptions.map(({ channel }) => channel);
  const { channelsPerMessage } = exchange.limits;
  socket.on("open", () => {
    for (let at = 0, id = 1; at < channels.length; at += channelsPerMessage, id++)
      socket.send(exchange.subscribeMessage(channels.slice(at, at + channelsPerMessage), id));
  });
  socket.on("message", take);
  return socket;
}

/** Whether a frame is none of the answers to our subscriptions. */
function isData(exchange: Exchange, frame: Buffer): boolean {
  const text = frame.toString();
  switch (exchange.name) {
    case "binance":
      return text.startsWith('{"stream"') && !text.includes('"contractInfo"');
    case "bybit":
      return text.startsWith('{"topic"');
    default:
      return text.startsWith('{"arg"');
  }
}
