/**
 * A recorder against simulated exchanges that go wrong on demand, and what came of it: for each fault the gap rows,
 * the sockets that ended, the log lines; and the account, event by event.
 */
import { expect } from "bun:test";
import { z } from "zod";
import { SIMULATED_EXCHANGES, type SimulatedExchange } from "../../src/simulator/exchanges.ts";
import type { FaultInput } from "../../src/simulator/faults/model.ts";
import type { FaultRecord } from "../../src/simulator/faults/record.ts";
import { auditLake } from "../helpers/audit.ts";
import { type LakeRow, type Sql, streamFrom, withSql } from "../helpers/lake.ts";
import type { LogLine } from "../helpers/process.ts";
import { type RunningRecorder, startRecorder } from "../helpers/recorder.ts";
import { waitFor } from "../helpers/wait.ts";

/** Streams that are recorded: one whose rows are all different, one with ids, one that is slow. */
export const STREAMS = ["bbo", "trade", "mark_price"] as const;
/** One of {@link STREAMS}. */
export type StreamName = (typeof STREAMS)[number];
/** An exchange that is simulated. */
export type Name = keyof typeof SIMULATED_EXCHANGES;

/** The recorder's clock follows the system's, which the simulator reads, to this, µs. */
const CLOCKS = 2_000;
/** Holes that end within a second of each other become one row: faults are kept further apart than that, ms. */
const APART = 1_500;
/** What is made is handed over and read soon after: by as much as what came before it took, but no more than this, µs. */
const LAG_MOST = 100_000;
/** What a gap may begin earlier or later than the fault does: what was on its way, and pauses of the machine, µs. */
const ONSET = 1_000_000;

/** A fault that lasts longer than this has cost events, µs. */
const COSTS = 500_000;

/** How the account names the events of a stream, and which streams come on one connection. */
interface Face {
  readonly kinds: Readonly<Record<string, StreamName>>;
  readonly book: string;
  readonly trade: string;
  readonly carriers: Readonly<Record<StreamName, number>>;
  symbolOf(symbol: string): string;
  /** Column with the time that the account has as `timeMs`. */
  readonly time: "timestamp" | "published_timestamp";
}

const FACES: Readonly<Record<Name, Face>> = {
  binance: {
    kinds: { bookTicker: "bbo", aggTrade: "trade", markPrice: "mark_price" },
    book: "bookTicker",
    trade: "aggTrade",
    carriers: { bbo: 0, trade: 1, mark_price: 1 },
    symbolOf: (symbol) => symbol,
    time: "published_timestamp",
  },
  bybit: {
    kinds: { orderbook: "bbo", publicTrade: "trade", markPrice: "mark_price" },
    book: "orderbook",
    trade: "publicTrade",
    carriers: { bbo: 0, trade: 0, mark_price: 0 },
    symbolOf: (symbol) => symbol,
    time: "published_timestamp",
  },
  okx: {
    kinds: { "bbo-tbt": "bbo", trades: "trade", "mark-price": "mark_price", "index-tickers": "mark_price" },
    book: "bbo-tbt",
    trade: "trades",
    carriers: { bbo: 0, trade: 0, mark_price: 0 },
    symbolOf: (symbol) => symbol.replace(/-SWAP$/, "").replace("-", ""),
    time: "timestamp",
  },
};

/** A row of `gaps`, times in µs. */
export interface Gap {
  readonly exchange: string;
  readonly stream: string;
  /** null = all. */
  readonly symbol: string | null;
  readonly reason: string;
  readonly certainty: string;
  readonly from: number;
  /** Infinite = open. */
  readonly to: number;
  readonly missed: number | null;
}

/** A row of `connections`, times in µs. */
export interface Socket {
  readonly exchange: string;
  readonly connection: number;
  readonly opened: number;
  readonly firstData: number | null;
  readonly closed: number;
  readonly code: number | null;
  readonly reason: string;
}

/** A fault as it went, times in epoch µs of this machine. */
export interface Episode {
  readonly exchange: Name;
  readonly fault: FaultRecord;
  readonly from: number;
  /** When it was over at the exchange. */
  readonly until: number;
  /** When data flowed again, of every symbol. */
  readonly recovered: number;
  /** What the recorder said of the exchange from its beginning until then. */
  readonly lines: readonly LogLine[];
  /** The longest that its main thread, which writes them, took meanwhile to answer, ms. */
  readonly heldUp: number;
}

/** An event of the account of which there is no row. */
export interface Missing {
  readonly stream: StreamName;
  readonly symbol: string;
  readonly key: string;
  /** When it would have been received, µs: not before what was made before it on the same connection. */
  readonly due: number;
  /** Whether a gap row covers that. */
  readonly covered: boolean;
}

/** What the lake says at the end. */
export interface Outcome {
  readonly gaps: readonly Gap[];
  readonly sockets: readonly Socket[];
  /** Events without a row, by exchange; states that were restated to a new subscriber aside. */
  readonly missing: ReadonlyMap<Name, readonly Missing[]>;
  /** Rows of an exchange. */
  readonly rows: ReadonlyMap<Name, number>;
  /** When the last of what an exchange had made until then, and that has a row, was received, µs; 0 = nothing was. */
  arrived(name: Name, made: number): number;
}

/** When events were made and received, µs: `received` is the latest time so far. */
interface Arrivals {
  readonly made: number[];
  readonly received: number[];
}

/** How often the recorder is asked whether it is held up, ms. */
const ASK_EVERY = 100;

/** See the head of the file. */
export class Stage {
  readonly #recorder: RunningRecorder;
  readonly #exchanges: ReadonlyMap<Name, SimulatedExchange>;
  readonly #seed: string;
  /** Answers of the recorder: when they came, and how long they took, ms. */
  readonly #answers: { readonly at: number; readonly took: number }[] = [];
  #asking = true;
  /** Subscriptions at each exchange when all was well. */
  readonly #subscriptions = new Map<Name, number>();

  private constructor(
    recorder: RunningRecorder,
    exchanges: ReadonlyMap<Name, SimulatedExchange>,
    seed: string,
  ) {
    this.#recorder = recorder;
    this.#exchanges = exchanges;
    this.#seed = seed;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    while (this.#asking) {
      const before = performance.now();
      await fetch(`${this.#recorder.url}/livez`)
        .then((answer) => answer.arrayBuffer())
        .catch(() => undefined);
      const at = performance.now();
      this.#answers.push({ at, took: at - before });
      await Bun.sleep(ASK_EVERY);
    }
  }

  /** Starts exchanges and recorder, and waits until data flows. */
  static async start(options: {
    cwd: string;
    names: readonly Name[];
    seed: string;
    set?: Readonly<Record<string, string>>;
    rate?: number;
    instruments?: number;
  }): Promise<Stage> {
    const { cwd, names, seed, set = {}, rate = 300, instruments = 4 } = options;
    const exchanges = new Map(
      names.map((name) => [
        name,
        SIMULATED_EXCHANGES[name]({ seed, rate, instruments, skew: 0, account: true, relay: true }),
      ]),
    );
    const [first] = exchanges.values();
    if (first === undefined) throw new Error("no exchange");
    const places = Object.fromEntries(
      [...exchanges].flatMap(([name, { url, restUrl }]) => [
        [`exchanges.${name}.ws_url`, url],
        [`exchanges.${name}.rest_url`, restUrl],
      ]),
    );
    const recorder = await startRecorder({
      cwd,
      exchange: first,
      set: { ...places, ...set },
      args: ["--exchanges", names.join(","), "--streams", STREAMS.join(",")],
    });
    const stage = new Stage(recorder, exchanges, seed);
    await Promise.all(names.map((name) => stage.flows(name)));
    for (const [name, exchange] of exchanges) stage.#subscriptions.set(name, exchange.stats().subscriptions);
    return stage;
  }

  get recorder(): RunningRecorder {
    return this.#recorder;
  }

  exchange(name: Name): SimulatedExchange {
    const exchange = this.#exchanges.get(name);
    if (exchange === undefined) throw new Error(`${name} is not simulated here`);
    return exchange;
  }

  /** What the recorder has said of an exchange. */
  lines(name: Name, event?: string): LogLine[] {
    return this.#recorder.process.log.filter(
      (line) => line.exchange === name && (event === undefined || line.event === event),
    );
  }

  /** Waits until quotes and trades of every symbol are handed over, from now on. */
  async flows(name: Name, timeout = 90_000): Promise<void> {
    const { book, trade } = FACES[name];
    const { account } = this.exchange(name);
    if (account === undefined) throw new Error("no account is kept");
    const sends = () =>
      Object.entries(account.counts()).flatMap(([symbol, kinds]) =>
        [book, trade].flatMap((kind) => {
          const counts = kinds[kind];
          return counts === undefined ? [] : [[`${symbol} ${kind}`, counts.sends] as const];
        }),
      );
    const before = new Map(sends());
    await waitFor(
      `data of ${name} to flow`,
      () => {
        const now = sends();
        return now.length > 0 && now.every(([key, count]) => count >= (before.get(key) ?? 0) + 3);
      },
      { timeout, every: 40, state: () => this.#recorder.process.words },
    );
  }

  /**
   * Lets one thing go wrong until it has been seen, and then until all is well again.
   *
   * @param seen probed with the lines that the recorder has said of the exchange since it began
   */
  async suffer(
    name: Name,
    fault: FaultInput,
    seen: (lines: readonly LogLine[], record: FaultRecord) => boolean,
    timeout = 60_000,
  ): Promise<Episode> {
    const said = this.lines(name).length;
    const began = performance.now();
    const injected = this.exchange(name).faults.inject(fault);
    const lines = () => this.lines(name).slice(said);
    await waitFor(`${fault.kind} of ${name} to be seen`, () => seen(lines(), injected.record), {
      timeout,
      every: 20,
      state: () => `${JSON.stringify(injected.record)}\n${this.#recorder.process.words}`,
    });
    injected.end();
    await injected.ended;
    // Each once: data flows on a connection that was spared, or is about to be replaced, while another comes back.
    await waitFor(
      `all subscriptions at ${name}, once`,
      () => this.exchange(name).stats().subscriptions === this.#subscriptions.get(name),
      { timeout, state: () => this.#recorder.process.words },
    );
    await this.flows(name, timeout);
    const recovered = Date.now() * 1000;
    await Bun.sleep(APART);
    const { startedUs, endedUs, error } = injected.record;
    expect(error, fault.kind).toBeNull();
    if (startedUs === null || endedUs === null) throw new Error(`${fault.kind} has no times`);
    const record = { ...injected.record, connections: injected.record.connections };
    return {
      exchange: name,
      fault: record,
      from: startedUs,
      until: endedUs,
      recovered,
      lines: lines(),
      heldUp: this.#answers.reduce((most, { at, took }) => (at >= began ? Math.max(most, took) : most), 0),
    };
  }

  /**
   * Stops recorder and exchanges, and reads the lake: its files are sound, the balance holds, each row is an event
   * of the account, none is there twice, and each event without a row lies in a gap.
   */
  async finish(): Promise<Outcome> {
    const { process, data } = this.#recorder;
    this.#asking = false;
    const before = reconnects.parse(await this.#recorder.get("/metrics")).ws_reconnect_total;
    const { code, end } = await this.#recorder.stop();
    expect(code, process.words).toBe(0);
    expect(end).toMatchObject({ holds: true, dropped: 0, lost: 0, published: end.received });
    for (const event of ["thread_died", "frame_quarantined", "gaps_not_named", "gaps_folded"])
      expect(process.events(event), event).toEqual([]);
    const outcome = await withSql(async (sql) => {
      const content = await auditLake(sql, data);
      expect(content.holes).toBe(0);
      expect(content.rows).toBe(end.received);
      const gaps = await readGaps(sql, data);
      const sockets = await readSockets(sql, data);
      const missing = new Map<Name, Missing[]>();
      const rows = new Map<Name, number>();
      const arrivals = new Map<Name, Arrivals>();
      for (const [name, exchange] of this.#exchanges) {
        const own = gaps.filter((gap) => gap.exchange === name);
        const compared = await compare(sql, data, name, exchange, own);
        missing.set(name, compared.missing);
        rows.set(name, compared.rows);
        arrivals.set(name, compared.arrivals);
        const context = `seed ${this.#seed}, ${name}`;
        expect(compared.invented, `${context}: rows of no event`).toEqual([]);
        expect(compared.doubled, `${context}: events with two rows`).toEqual([]);
        // Where trade ids follow each other, what is missing is counted to the trade.
        const missed: Record<string, number> = {};
        for (const gap of own.filter(({ reason }) => reason === "sequence"))
          missed[String(gap.symbol)] = (missed[String(gap.symbol)] ?? 0) + Number(gap.missed);
        const consecutive = name !== "bybit";
        expect(missed, `${context}: missed by the sequence rows`).toEqual(consecutive ? compared.jumped : {});
        const bare = compared.missing.filter(({ covered }) => !covered);
        expect(
          bare.slice(0, 5).map((one) => ({ ...one, near: nearest(own, one) })),
          `${context}: ${bare.length} of ${compared.missing.length} missing events lie in no gap`,
        ).toEqual([]);
      }
      return {
        gaps,
        sockets,
        missing,
        rows,
        arrived: (name: Name, made: number) => arrivedBy(arrivals.get(name), made),
      };
    });
    for (const name of this.#exchanges.keys()) {
      // Every socket that was opened has its row.
      const opened = this.lines(name, "ws_connect").map(({ connection }) => Number(connection));
      const own = outcome.sockets.filter(({ exchange }) => exchange === name);
      expect(own.map(({ connection }) => connection).sort(ascending), name).toEqual(opened.sort(ascending));
      // Reconnects are the sockets that were neither the first of a connection nor a planned successor.
      const planned = this.lines(name, "connection_replaced").flatMap(({ by }) => by).length;
      const waiting = this.#plannedAtStop(name);
      const firsts = name === "binance" ? 2 : 1;
      expect(before[name], `reconnects of ${name}`).toBe(opened.length - firsts - planned - waiting);
    }
    for (const exchange of this.#exchanges.values()) await exchange.stop();
    return outcome;
  }

  /** Successors of connections whose replacement was going on at the stop: lagging was said, replaced was not. */
  #plannedAtStop(name: Name): number {
    const begun = this.lines(name, "connection_lagging").length;
    const over = this.lines(name, "connection_replaced").filter(({ why }) => why === "lag").length;
    return begun - over;
  }

  /** Kills what is left when a test has failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#asking = false;
    await this.#recorder.process.kill();
    for (const exchange of this.#exchanges.values()) await exchange.stop();
  }
}

function arrivedBy(arrivals: Arrivals | undefined, made: number): number {
  const last = arrivals?.made.findLastIndex((one) => one <= made) ?? -1;
  return arrivals?.received[last] ?? 0;
}

const ascending = (a: number, b: number): number => a - b;

const reconnects = z.looseObject({ ws_reconnect_total: z.record(z.string(), z.int()) });

async function readGaps(sql: Sql, data: string): Promise<Gap[]> {
  const rows = await sql.rows(
    `SELECT exchange, affected_stream, symbol, reason, certainty, epoch_us(from_timestamp) AS "from",
       epoch_us(to_timestamp) AS "to", missed
     FROM ${streamFrom(data, "gaps")} ORDER BY exchange, affected_stream, from_timestamp, symbol`,
  );
  return rows.map((row) => ({
    exchange: String(row.exchange),
    stream: String(row.affected_stream),
    symbol: row.symbol === null ? null : String(row.symbol),
    reason: String(row.reason),
    certainty: String(row.certainty),
    from: Number(row.from),
    to: row.to === null ? Number.POSITIVE_INFINITY : Number(row.to),
    missed: row.missed === null ? null : Number(row.missed),
  }));
}

async function readSockets(sql: Sql, data: string): Promise<Socket[]> {
  const rows = await sql.rows(
    `SELECT exchange, connection, epoch_us(opened) AS opened, epoch_us(first_data) AS first_data,
       epoch_us(closed) AS closed, close_code, close_reason
     FROM ${streamFrom(data, "connections")} ORDER BY closed, connection`,
  );
  return rows.map((row) => ({
    exchange: String(row.exchange),
    connection: Number(row.connection),
    opened: Number(row.opened),
    firstData: row.first_data === null ? null : Number(row.first_data),
    closed: Number(row.closed),
    code: row.close_code === null ? null : Number(row.close_code),
    reason: String(row.close_reason),
  }));
}

/** Rows and events of one exchange side by side. */
async function compare(
  sql: Sql,
  data: string,
  name: Name,
  { account }: SimulatedExchange,
  gaps: readonly Gap[],
): Promise<{
  missing: Missing[];
  doubled: string[];
  invented: string[];
  rows: number;
  /** Trades without a row that lie between two that have one, by symbol; a row may stand for several. */
  jumped: Record<string, number>;
  arrivals: Arrivals;
}> {
  const face = FACES[name];
  /** Receive times of the rows of each event, by its key. */
  const received = new Map<string, number[]>();
  let count = 0;
  for (const stream of STREAMS) {
    for (const row of await rowsOf(sql, data, name, stream)) {
      const key = `${stream} ${row.symbol} ${row.key}`;
      const known = received.get(key);
      if (known === undefined) received.set(key, [Number(row.local)]);
      else known.push(Number(row.local));
      count++;
    }
  }
  const missing: (Missing & { readonly event: string; readonly n: number })[] = [];
  const doubled: string[] = [];
  /** What a new subscriber was told of as the state, by stream, symbol and id: it stands for the event itself. */
  const restated = new Set<string>();
  const jumped: Record<string, number> = {};
  /** Trades without a row since the last one with a row, by symbol. */
  const pending = new Map<string, number>();
  const spans = Map.groupBy(gaps, (gap) => gap.stream);
  /** Receive time of the latest row of what was made so far, by connection. */
  const reached = [0, 0];
  const arrivals: Arrivals = { made: [], received: [] };
  /** How long the latest row took from its making, by connection: what follows takes as long, or its gap begins later. */
  const lag = [0, 0];
  /** Number of the last event that has a row, by connection. */
  const last = [-1, -1];
  for (const event of account?.events() ?? []) {
    const { n, kind, symbol: instrument, id, count: fills, timeMs, madeUs, first } = event;
    const stream = face.kinds[kind];
    if (stream === undefined) continue;
    const symbol = face.symbolOf(instrument);
    const key = `${stream} ${symbol} ${keyOf(stream, kind, id, timeMs)}`;
    const carrier = face.carriers[stream];
    const rows = received.get(key);
    const state = `${stream} ${symbol} ${id}`;
    const due = Math.max(madeUs, reached[carrier] ?? 0);
    if (stream === "trade") {
      const before = pending.get(symbol);
      if (rows === undefined && before !== undefined) pending.set(symbol, before + fills);
      if (rows !== undefined) {
        if (before !== undefined && before > 0) jumped[symbol] = (jumped[symbol] ?? 0) + before;
        pending.set(symbol, 0);
      }
    }
    if (rows !== undefined) {
      if (rows.length > 1) doubled.push(key);
      if (first) restated.add(state);
      last[carrier] = n;
      lag[carrier] = Math.min(LAG_MOST, Math.max(0, Math.max(...rows) - madeUs));
      received.delete(key);
      reached[carrier] = Math.max(reached[carrier] ?? 0, ...rows);
      arrivals.made.push(madeUs);
      arrivals.received.push(Math.max(arrivals.received.at(-1) ?? 0, ...rows));
    } else if (!first) {
      const covered = (spans.get(stream) ?? []).some(
        (gap) =>
          (gap.symbol === null || gap.symbol === symbol) &&
          gap.from - CLOCKS <= due + (lag[carrier] ?? 0) &&
          due <= gap.to + CLOCKS,
      );
      missing.push({ stream, symbol, key, event: state, due, covered, n });
    }
  }
  // What was on its way when the recorder stopped would have been received after that, however much earlier it was made.
  const stopped = (stream: StreamName) => (spans.get(stream) ?? []).some(({ reason }) => reason === "stop");
  const told = missing.map((one) =>
    one.n > (last[face.carriers[one.stream]] ?? -1) && stopped(one.stream) ? { ...one, covered: true } : one,
  );
  return {
    missing: told.filter(({ event }) => !restated.has(event)),
    doubled,
    invented: [...received.keys()],
    rows: count,
    jumped,
    arrivals,
  };
}

/** What makes an event one of its stream and symbol: its id and its time, or its time alone. */
function keyOf(stream: StreamName, kind: string, id: string, timeMs: number): string {
  if (stream === "trade") return id;
  if (stream === "bbo") return `${id} ${timeMs}`;
  return `${kind === "index-tickers" ? "index " : ""}${timeMs}`;
}

function rowsOf(sql: Sql, data: string, name: Name, stream: StreamName): Promise<LakeRow[]> {
  const time = `epoch_ms("${FACES[name].time}")`;
  const keys: Readonly<Record<StreamName, string>> = {
    bbo: `coalesce(update_id, sequence) || ' ' || ${time}`,
    trade: "id",
    mark_price: `CASE WHEN exchange = 'okx' AND mark_price IS NULL THEN 'index ' ELSE '' END || ${time}`,
  };
  return sql.rows(
    `SELECT symbol, ${keys[stream]} AS key, epoch_us(local_timestamp) AS local FROM ${streamFrom(data, stream)}
     WHERE exchange = '${name}' ORDER BY seq`,
  );
}

/** The gaps of its stream that an event lies nearest to, and by how much it misses them (µs): for a message. */
function nearest(gaps: readonly Gap[], { stream, due, symbol }: Missing): unknown[] {
  return gaps
    .filter((gap) => gap.stream === stream && (gap.symbol === null || gap.symbol === symbol))
    .map((gap) => ({ reason: gap.reason, before: gap.from - due, after: due - gap.to }))
    .sort((a, b) => Math.max(a.before, a.after) - Math.max(b.before, b.after))
    .slice(0, 2);
}

/** What is expected of a fault. */
export interface Expected {
  /** Reasons of the gap rows of each stream, in order. */
  readonly reasons: readonly string[];
  /** How soon a socket has ended after the fault began, ms; null = none has to end. */
  readonly within: number | null;
  /** How the other side closed the first socket; null = it broke. */
  readonly code?: number | null;
  /** Why the first socket ended. */
  readonly words?: RegExp;
  /** Whether a reason may stand there several times in a row: the next socket met the same. */
  readonly again?: boolean;
  /** How long after the fault began it shows, µs; 0 unless said otherwise. */
  readonly notice?: number;
  /** What a row may end later than all was well, µs: what was asked for while nobody answered is asked for again. */
  readonly askedAgain?: number;
  /** Streams that are struck as a whole; all unless said otherwise. */
  readonly streams?: readonly StreamName[];
}

/** Expects a fault to have been found in time, mended, and written down with the right span. */
export function expectWritten(
  { gaps, sockets, missing, arrived }: Outcome,
  episode: Episode,
  { reasons, within, code, words, again = false, notice = 0, askedAgain = 0, streams = STREAMS }: Expected,
): void {
  const { exchange, fault, from, recovered } = episode;
  const what = `${fault.fault.kind} of ${exchange}`;
  const during = (time: number): boolean => time >= from - ONSET && time <= recovered;
  for (const stream of streams) {
    const found = gaps.filter(
      // Jumps of trade ids are told besides, symbol by symbol, and counted where the lake is read.
      (gap) =>
        gap.exchange === exchange && gap.stream === stream && gap.reason !== "sequence" && during(gap.from),
    );
    expect(
      found
        .filter(({ reason }, at) => !again || reason !== found[at - 1]?.reason)
        .map(({ reason, certainty, symbol }) => ({ reason, certainty, symbol })),
      `gaps of ${stream}, ${what}`,
    ).toEqual(reasons.map((reason) => ({ reason, certainty: "possible", symbol: null })));
    // It begins with the fault, ends when all was accepted again, and no row is longer than the outage: by what the
    // recorder had read by then of what was sent before. A machine that is busy lets it read that later.
    const began = Math.max(from + notice, arrived(exchange, from + notice));
    const over = Math.max(recovered, arrived(exchange, recovered));
    const late = (found[0]?.from ?? 0) - began;
    expect(late, `begin of the gap of ${stream}, ${what}`).toBeLessThan(ONSET);
    expect((found.at(-1)?.to ?? 0) - over, `end of the gap of ${stream}, ${what}`).toBeLessThan(
      CLOCKS + askedAgain,
    );
    const first = found[0]?.from ?? 0;
    const last = found.at(-1)?.to ?? 0;
    const lost = (missing.get(exchange) ?? []).filter(
      (one) => one.stream === stream && one.due >= first - CLOCKS && one.due <= last + CLOCKS,
    );
    console.log(
      `${what}: ${stream} ${reasons.join("+")} from ${ms(first - from)} to ${ms(last - from)} ms after the fault began (it lasted ${ms(episode.until - from)}, all was well after ${ms(recovered - from)}); ${lost.length} events missing`,
    );
  }
  // It really cost events: otherwise that all of them lie in gaps would say nothing.
  const cost = (missing.get(exchange) ?? []).filter(({ due }) => due >= from && due <= recovered);
  if (episode.until - from > COSTS) expect(cost.length, `events missing, ${what}`).toBeGreaterThan(0);
  const ended = sockets.filter(
    (socket) => socket.exchange === exchange && socket.closed >= from - CLOCKS && socket.closed <= recovered,
  );
  if (within !== null) {
    expect(ended.length, `sockets ended by ${what}`).toBeGreaterThan(0);
    expect(ms((ended[0]?.closed ?? 0) - from), `ms to the end of a socket, ${what}`).toBeLessThan(within);
  }
  if (code !== undefined) expect(ended[0]?.code ?? null, what).toBe(code);
  if (words !== undefined) expect(ended[0]?.reason, what).toMatch(words);
}

/** µs as whole ms. */
export const ms = (us: number): number => Math.round(us / 1000);
