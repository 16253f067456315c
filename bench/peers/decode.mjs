/**
 * What a peer does with frames in memory, in this process: no socket, no storage. Plain JavaScript, so that Node runs it
 * as well as Bun.
 *
 *     node decode.mjs json|ccxt|tardis FRAMES.jsonl   → {"version":…,"runtime":…,"cpuNs":…,"frames":…}
 */
import { readFileSync } from "node:fs";

const WARM_UP_MS = 1000;
const MEASURED_MS = 500;

const [peer, file] = process.argv.slice(2);
const frames = readFileSync(file, "utf8")
  .split("\n")
  .filter((line) => line !== "");

const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), "utf8")).version;

const PEERS = {
  /** The yardstick. */
  async json() {
    return { version: "", run: (text) => JSON.parse(text) };
  },

  /** As its own real-time feed does: parse, ask each mapper whether it is its message, take what it yields. */
  async tardis() {
    const tardis = await import("tardis-dev");
    const now = new Date();
    const mappers = [
      tardis.normalizeBookTickers("binance-futures", now),
      tardis.normalizeTrades("binance-futures", now),
    ];
    const run = (text) => {
      const message = JSON.parse(text);
      const local = new Date();
      let last;
      for (const mapper of mappers)
        if (mapper.canHandle(message)) for (const event of mapper.map(message, local)) last = event;
      if (last === undefined) throw new Error(`tardis-dev made nothing of ${text}`);
      return last;
    };
    return { version: versionOf("tardis-dev"), run };
  },

  /** Parse and handleMessage, markets loaded, nobody waiting for a result, its caches at their smallest. */
  async ccxt() {
    const { default: ccxt } = await import("ccxt");
    const exchange = new ccxt.pro.binanceusdm({ newUpdates: true, options: { tradesLimit: 1 } });
    const symbols = new Set(frames.map((text) => JSON.parse(text).data.s));
    exchange.setMarkets(
      [...symbols].map((id) => {
        const base = id.replace(/USDT$/, "");
        return {
          id,
          symbol: `${base}/USDT:USDT`,
          base,
          quote: "USDT",
          settle: "USDT",
          type: "swap",
          swap: true,
          spot: false,
          contract: true,
          linear: true,
          inverse: false,
          contractSize: 1,
          precision: { price: 0.01, amount: 0.001 },
          limits: {},
          info: {},
        };
      }),
    );
    let resolved = 0;
    const client = {
      url: "wss://fstream.binance.com/stream",
      subscriptions: {},
      futures: {},
      resolve: (result) => {
        resolved++;
        return result;
      },
      reject: (error) => {
        throw error;
      },
    };
    const run = (text) => {
      const before = resolved;
      exchange.handleMessage(client, JSON.parse(text));
      if (resolved === before) throw new Error(`ccxt made nothing of ${text}`);
    };
    return { version: versionOf("ccxt"), run };
  },
};

const { version, run } = await PEERS[peer]();

function spend(ms) {
  const from = process.cpuUsage();
  let done = 0;
  let spent = 0;
  do {
    for (const frame of frames) run(frame);
    done += frames.length;
    const { user, system } = process.cpuUsage(from);
    spent = user + system;
  } while (spent < ms * 1000);
  return (spent * 1000) / done;
}

spend(WARM_UP_MS);
const runtime = globalThis.Bun === undefined ? `node ${process.version}` : `bun ${globalThis.Bun.version}`;
console.log(JSON.stringify({ version, runtime, cpuNs: spend(MEASURED_MS), frames: frames.length }));
process.exit(0);
