/**
 * Markets in which next to nothing happens: 300 symbols with one trade an hour each, on each exchange, for six hours, and
 * for 24 with TAPEDECK_TEST_LONG=1.
 * Nobody is reconnected and nobody is called silent. The lanes and their sockets are real; receive time is the test's
 * own and jumps from one trade or tick to the next, so that the hours pass in seconds.
 */
import { afterAll, expect, test } from "bun:test";
import type { ServerWebSocket } from "bun";
import { z } from "zod";
import { settingsSchema } from "../../src/config/schema.ts";
import { DIRECT } from "../../src/exchanges/dialer.ts";
import { exchangeByName } from "../../src/exchanges/exchanges.ts";
import { Lane } from "../../src/ingest/lane.ts";
import type { ConnectionNotice, ExchangeJob, GapNotice, IngestNotice } from "../../src/ingest/messages.ts";
import { laneBounds } from "../../src/recorder/lane-bounds.ts";
import { createRings } from "../../src/recorder/rings.ts";
import { readRing } from "../../src/ring/memory.ts";
import type { Random } from "../../src/simulator/random.ts";
import { aggTrade } from "../e2e/frames.ts";
import { ExchangeServer } from "../exchanges/exchange-server.ts";
import { exponential } from "../exchanges/watchdog/markets.ts";
import { DEADLINE, waitFor } from "../helpers/wait.ts";
import { seeded } from "../lib/seed.ts";

const SYMBOLS = 300;
const HOURS = process.env.TAPEDECK_TEST_LONG === "1" ? 24 : 6;
const SECOND = 1_000_000;
const HOUR = 3600 * SECOND;
/** µs; the worker's own tick is 250 ms. */
const TICK = SECOND / 2;
const NAMES = ["binance", "bybit", "okx"] as const;
type Name = (typeof NAMES)[number];

/** How an exchange spells a trade, and its answers. */
interface Voice {
  trade(instrument: string, id: number, ms: number): string;
  /** Channels that a message asks for, and the texts that acknowledge them. */
  asked(text: string): { readonly channels: readonly string[]; readonly answers: readonly string[] };
  channel(instrument: string): string;
}

const binanceRequest = z.object({ method: z.literal("SUBSCRIBE"), params: z.array(z.string()), id: z.int() });
const bybitRequest = z.object({ op: z.literal("subscribe"), args: z.array(z.string()), req_id: z.string() });
const okxRequest = z.object({
  op: z.literal("subscribe"),
  id: z.string(),
  args: z.array(z.looseObject({ channel: z.string(), instId: z.string().optional() })),
});

const VOICES: Readonly<Record<Name, Voice>> = {
  binance: {
    trade: aggTrade,
    channel: (instrument) => `${instrument.toLowerCase()}@aggTrade`,
    asked(text) {
      const { params, id } = binanceRequest.parse(JSON.parse(text));
      return { channels: params, answers: [JSON.stringify({ result: null, id })] };
    },
  },
  bybit: {
    trade: (instrument, id, ms) =>
      JSON.stringify({
        topic: `publicTrade.${instrument}`,
        type: "snapshot",
        ts: ms + 2,
        data: [
          {
            T: ms,
            s: instrument,
            S: "Buy",
            v: "0.01",
            p: "61000.20",
            L: "PlusTick",
            i: `00000000-0000-5000-8000-${id.toString(16).padStart(12, "0")}`,
            BT: false,
            RPI: false,
            seq: 820_000_000_000 + id,
          },
        ],
      }),
    channel: (instrument) => `publicTrade.${instrument}`,
    asked(text) {
      const { args, req_id } = bybitRequest.parse(JSON.parse(text));
      const answer = { success: true, ret_msg: "", conn_id: "quiet", req_id, op: "subscribe" };
      return { channels: args, answers: [JSON.stringify(answer)] };
    },
  },
  okx: {
    trade: (instId, id, ms) =>
      JSON.stringify({
        arg: { channel: "trades", instId },
        data: [
          {
            instId,
            tradeId: String(id),
            px: "61000.2",
            sz: "1.5",
            side: "buy",
            ts: String(ms),
            count: "1",
            source: "0",
            seqId: 70_000_000 + id,
          },
        ],
      }),
    channel: (instrument) => `trades:${instrument}`,
    asked(text) {
      const { args, id } = okxRequest.parse(JSON.parse(text));
      return {
        channels: args.map(({ channel, instId }) => `${channel}:${instId}`),
        answers: args.map((arg) => JSON.stringify({ id, event: "subscribe", arg, connId: "quiet" })),
      };
    },
  },
};

const ended: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of ended) await end();
});

/** One exchange, and the lane that records it. */
class Market {
  readonly notices: IngestNotice[] = [];
  readonly sockets: ConnectionNotice[] = [];
  readonly gaps: GapNotice[] = [];
  sent = 0;
  received = 0;
  readonly instruments: readonly string[];
  readonly #voice: Voice;
  readonly #server = new ExchangeServer();
  readonly #carriers = new Map<string, ServerWebSocket<undefined>>();
  readonly #ids: number[] = [];
  readonly #lane: Lane;
  readonly #job: ExchangeJob;
  readonly #rings;

  constructor(
    readonly name: Name,
    now: () => number,
  ) {
    const exchange = exchangeByName(name);
    this.#voice = VOICES[name];
    this.instruments = Array.from({ length: SYMBOLS }, (_, i) => exchange.instrumentOf(`C${i}USDT`) ?? "");
    this.#server.onMessage = (socket, text) => {
      // A machine that takes long over the hours is pinged meanwhile.
      if (text.includes("ping")) return;
      const { channels, answers } = this.#voice.asked(text);
      for (const channel of channels) this.#carriers.set(channel, socket);
      for (const answer of answers) socket.send(answer);
    };
    const settings = settingsSchema.parse({
      record: { exchanges: name, streams: "trade" },
      ring: { capacity: { trade: 16_384 } },
    });
    this.#rings = createRings(settings);
    let number = 0;
    this.#job = {
      exchange: name,
      wsUrl: this.#server.url,
      subscriptions: exchange.subscriptions(
        ["trade"],
        this.instruments.map((instrument) => ({ instrument })),
      ),
      limits: {
        channels: settings.exchanges[name].streams_per_connection,
        characters: exchange.limits.charactersPerConnection,
      },
      instruments: this.instruments.map((instrument, place) => ({ instrument, number: place })),
      rings: this.#rings,
      // The defaults; but no pong comes along with a clock of ours, nor is 24 h of it an age.
      bounds: { ...laneBounds(settings, name), pongTimeout: 1e12, maxAge: null },
      dialing: DIRECT,
      since: now(),
    };
    this.#lane = new Lane({
      job: this.#job,
      raw: null,
      events: {
        now,
        nextNumber: () => number++,
        notice: (notice) => this.notices.push(notice),
        gaps: (gaps) => this.gaps.push(...gaps),
        ended: (socket) => this.sockets.push(socket),
        instrumentsChanged: () => undefined,
        quarantine: () => true,
        staged: () => {
          this.received++;
          for (const producer of this.#lane.producers) producer.publish();
        },
        connectionsChanged: () => undefined,
      },
    });
    ended.push(() => this.#server.stop());
  }

  /** Connects, and waits until everything is subscribed. */
  async start(): Promise<void> {
    this.#lane.apply(this.#job);
    await waitFor(`${SYMBOLS} subscriptions of ${this.name}`, () =>
      this.instruments.every((instrument) => this.#carriers.has(this.#voice.channel(instrument))),
    );
  }

  /** Brings one trade. */
  async trade(place: number, ms: number): Promise<void> {
    const instrument = this.instruments[place] ?? "";
    const id = (this.#ids[place] ?? 1000 * place) + 1;
    this.#ids[place] = id;
    this.#carriers.get(this.#voice.channel(instrument))?.send(this.#voice.trade(instrument, id, ms));
    this.sent++;
    const deadline = performance.now() + DEADLINE;
    while (this.received < this.sent) {
      if (performance.now() > deadline) throw new Error(`trade ${this.sent} of ${this.name} did not arrive`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  tick(now: number): void {
    this.#lane.tick(now, false);
  }

  stop(): void {
    this.#lane.stop();
  }

  get offered(): number {
    return this.#rings.reduce((sum, { handle, views }) => sum + readRing(handle, views).offered, 0);
  }
}

/** The next trade of a symbol. */
interface Due {
  readonly place: number;
  at: number;
}

/** When the trades of a market come, soonest first for ever: Poisson, each symbol for itself. */
function* poisson(random: Random, start: number): Generator<Due> {
  const due: Due[] = Array.from({ length: SYMBOLS }, (_, place) => ({
    place,
    at: start + Math.ceil(HOUR * exponential(random)),
  }));
  for (;;) {
    const next = due.reduce((first, one) => (one.at < first.at ? one : first));
    yield { ...next };
    next.at += Math.ceil(HOUR * exponential(random));
  }
}

test(`${SYMBOLS} symbols with one trade an hour for ${HOURS} hours, on three exchanges: no reconnect, no false gap`, async () => {
  const start = Date.now() * 1000;
  let now = start;
  const markets = NAMES.map((name) => {
    const market = new Market(name, () => now);
    const trades = poisson(seeded(`quiet ${name}`), start);
    return { market, trades, next: trades.next().value as Due };
  });
  await Promise.all(markets.map(({ market }) => market.start()));
  while (now < start + HOURS * HOUR) {
    const tick = now + TICK;
    for (const one of markets) {
      for (; one.next.at <= tick; one.next = one.trades.next().value as Due) {
        now = Math.max(now, one.next.at);
        await one.market.trade(one.next.place, Math.floor(now / 1000));
      }
    }
    now = tick;
    for (const { market } of markets) market.tick(now);
  }
  for (const { market } of markets) {
    const { name, sent, notices, sockets, gaps, offered } = market;
    const connections = notices.length;
    console.log(`quiet ${name}: ${sent} trades on ${connections} connections`);
    expect(
      notices.filter(({ event }) => event !== "ws_connect"),
      name,
    ).toEqual([]);
    expect(sockets).toEqual([]);
    expect(gaps.filter(({ reason }) => reason !== "start")).toEqual([]);
    expect(sent).toBeGreaterThan(0.9 * SYMBOLS * HOURS);
    expect(offered).toBe(sent);
    market.stop();
  }
}, 180_000);
