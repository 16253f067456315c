import type { Stream } from "../../src/events/streams.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { decodingVariant, jsonVariant } from "../lib/decoding.ts";
import { collectFrames } from "../lib/frames.ts";
import { interleaved, named } from "../lib/measure.ts";
import type { Bar, Figure, StageReport } from "../lib/report.ts";
import type { Stage, StageOptions } from "../lib/stage.ts";
import { ratioOf } from "../lib/statistics.ts";

/** Frames of one kind, and what is promised of them. */
interface Shape {
  readonly name: string;
  /** Streams that one frame brings. */
  readonly streams: readonly Stream[];
  readonly bar?: number;
  readonly aim?: number;
}

const TICKER: readonly Stream[] = ["mark_price", "funding", "open_interest"];

/** Shapes that are measured, by exchange; those with a bar are hot: most frames of a feed are of them. */
const SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  binance: [
    { name: "bookTicker", streams: ["bbo"], bar: 0.45, aim: 0.25 },
    { name: "aggTrade", streams: ["trade"], bar: 0.45, aim: 0.25 },
    { name: "markPrice", streams: ["mark_price", "funding"] },
  ],
  bybit: [
    { name: "orderbook.1", streams: ["bbo"], bar: 0.5 },
    { name: "publicTrade", streams: ["trade"], bar: 0.5 },
    { name: "tickers", streams: TICKER, bar: 0.5 },
  ],
  okx: [
    { name: "bbo-tbt", streams: ["bbo"], bar: 0.5 },
    { name: "trades", streams: ["trade"], bar: 0.5 },
    { name: "mark-price, index-tickers", streams: ["mark_price"] },
  ],
};

/** Frames of a set: far more than the processor's caches hold of their parsed objects. */
const FRAMES = 8192;
/** Frames of streams that come once a second and instrument. */
const FRAMES_SLOW = 1024;
/**
 * CPU time of each way before it is measured, ms. On a busy machine the compiler, a thread of its own, needs seconds until
 * the last of the decoder's functions is what it is for the rest of a recorder's life; JSON.parse is always.
 */
const WARM_UP = 600;
const INSTRUMENTS = 50;
const INSTRUMENTS_SLOW = 400;

const WAYS = [
  "JSON.parse of texts",
  "JSON.parse of bytes",
  "scanner + ring",
  "scanner + gate + ring",
  "JSON path + ring",
] as const;

async function measureShape(exchange: Exchange, shape: Shape, options: StageOptions) {
  const slow = !shape.streams.includes("bbo") && !shape.streams.includes("trade");
  const set = await collectFrames({
    exchange,
    streams: shape.streams,
    count: slow ? FRAMES_SLOW : FRAMES,
    instruments: slow ? INSTRUMENTS_SLOW : INSTRUMENTS,
  });
  const decoding = (name: string, scanners: boolean, gated: boolean) =>
    decodingVariant(name, exchange, shape.streams, set, { scanners, gated });
  const [texts, bytes, scanner, gate, path] = WAYS;
  const measured = await interleaved(
    [
      jsonVariant(texts, set, "texts"),
      jsonVariant(bytes, set, "bytes"),
      decoding(scanner, true, false),
      decoding(gate, true, true),
      decoding(path, false, false),
    ],
    { ...options, warmUp: WARM_UP },
  );
  const size = set.frames.reduce((sum, frame) => sum + frame.length, 0) / set.frames.length;
  const title = `${exchange.name} ${shape.name}`;
  const base = named(measured, texts);
  const figures: Figure[] = measured.map((one) => ({
    name: `${title}: ${one.name}`,
    cpuNs: one.cpu,
    perSecond: one.rate,
    bytes: size,
    note: `${ratioOf(one.cpuNs, base.cpuNs).median.toFixed(2)} × JSON.parse`,
  }));
  const bars: Bar[] =
    shape.bar === undefined
      ? []
      : [
          {
            name: `${title}: decode + ring write / JSON.parse alone`,
            value: ratioOf(named(measured, scanner).cpuNs, base.cpuNs),
            is: "at most",
            bar: shape.bar,
            ...(shape.aim === undefined ? {} : { aim: shape.aim }),
          },
        ];
  return { figures, bars };
}

/** Decoding of one exchange, each shape on all ways. */
function stageOf(exchange: Exchange): Stage {
  const name = `decode-${exchange.name}`;
  return {
    name,
    about: `bytes of ${exchange.name} frames to rows in the ring: scanner, JSON path, JSON.parse alone`,
    always: true,
    async run(options): Promise<StageReport> {
      const shapes = SHAPES[exchange.name] ?? [];
      const results = [];
      for (const shape of shapes) results.push(await measureShape(exchange, shape, options));
      return {
        stage: name,
        figures: results.flatMap(({ figures }) => figures),
        bars: results.flatMap(({ bars }) => bars),
        notes: [
          `An event here is a frame. Ways take turns of ${options.slice} ms CPU, ${options.repeats} each; a ratio is the median of the turns' ratios.`,
          "Frames are decoded as they come from a socket: with the heads of the WebSocket protocol, in reads of 64 KiB. JSON.parse alone is given ready strings, which flatters it.",
          "Frames are those of the simulated exchange, in the order in which it sent them; the gate is what the recorder has between decoder and ring.",
        ],
      };
    },
  };
}

/** One stage for each exchange, so that the compiler sees what it sees in a process of that exchange. */
export const decodeStages: readonly Stage[] = EXCHANGES.map(stageOf);
