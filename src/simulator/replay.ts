/** Serves captured frames over WebSocket as the exchange would: each once, in order, to its subscriber. */
import { BinanceReplay } from "./binance/replay.ts";
import { BybitReplay } from "./bybit/replay.ts";
import { type CapturedLine, capturedLines, type OtherLine } from "./capture-file.ts";
import type { Connection } from "./connection.ts";
import { extras } from "./control.ts";
import { type FaultControl, Faults } from "./faults/faults.ts";
import type { Topic } from "./faults/gate.ts";
import { OkxReplay } from "./okx/replay.ts";
import type { Captured, ReplayProtocol, ReplaySink } from "./replay-protocol.ts";
import { type ExchangeServer, type ServerOptions, type ServerStats, serveExchange } from "./server.ts";

/** Exchanges whose captures can be served; a new one is one file and one line here. */
export const REPLAY_EXCHANGES: Readonly<Record<string, () => ReplayProtocol>> = {
  binance: () => new BinanceReplay(),
  bybit: () => new BybitReplay(),
  okx: () => new OkxReplay(),
};

/** Knows which frames of a capture only say again what another connection had brought; told of all lines in order. */
export interface CopyFinder {
  /** A line that is no frame. */
  mark(line: OtherLine): void;
  /** Whether none, some or all of what a frame holds are copies that were not recorded. */
  copiesIn(line: CapturedLine): "none" | "some" | "all";
}

/** Settings of {@link startReplay}. */
export interface ReplayOptions extends ServerOptions {
  /** Captures, served one after the other; see capture-file.ts for what a line may be. */
  readonly files: readonly string[];
  /** A key of {@link REPLAY_EXCHANGES}. */
  readonly exchange?: string;
  /** 1 = as recorded, 10 = ten times faster; absent = as fast as it is taken. Lines without `ts` follow at once. */
  readonly speed?: number;
  /** Nothing is sent before subscriptions have not changed for this long. */
  readonly quietMs?: number;
  /** How much longer to wait while a route that the capture has frames of has no subscriber. */
  readonly routeWaitMs?: number;
  /** Unsent bytes of a connection beyond which reading waits for it. */
  readonly backPressureBytes?: number;
  /** Of the choices that faults leave open. */
  readonly seed?: string | number;
  /** Finds frames that are not sent because another connection had brought all of it; absent = all are sent. */
  readonly copies?: CopyFinder;
}

/** What a replay has done. */
export interface ReplayStats extends ServerStats {
  readonly state: "waiting" | "sending" | "done" | "stopped";
  /** Frames handed over, by stream. */
  readonly sent: Record<string, number>;
  /** Frames of streams that nobody had subscribed, by stream: not sent, as the exchange would not. */
  readonly notSubscribed: Record<string, number>;
  /** Frames whose stream cannot be told, given to the oldest connection. */
  readonly unknown: number;
  /** Acks and errors of the captured session, not sent again. */
  readonly skippedControls: number;
  /** Frames that could not be handed over because their connection closed meanwhile. */
  readonly lost: number;
  /** Packed captures that are torn or damaged, and how; what could be read of them was served. */
  readonly torn: readonly { readonly file: string; readonly why: string }[];
  /** Frames not sent because all they hold came on another connection, which they replaced or which replaced theirs. */
  readonly copies: number;
  /** Frames sent although some of what they hold came on another connection. */
  readonly partCopies: number;
  /** Sum of `sent` and `unknown`. */
  readonly total: number;
}

/** A running replay. */
export interface Replay {
  readonly port: number;
  readonly url: string;
  readonly restUrl: string;
  /** Resolves when the subscriptions are complete and sending begins, or the replay was stopped. */
  readonly started: Promise<void>;
  /** Resolves when every frame was handed over and no buffer holds any; rejects when a file cannot be read. */
  readonly done: Promise<ReplayStats>;
  /** What it can be made to do wrong; clock-step, list and delist need a generated exchange. */
  readonly faults: FaultControl;
  stats(): ReplayStats;
  stop(): Promise<void>;
}

const BATCH_FRAMES = 256;
const BATCH_CHARS = 256 << 10;
/** Slot of frames whose stream cannot be told. */
const UNKNOWN_SLOT = 0;

/**
 * Reads the captures once for their instruments and routes, then serves.
 *
 * Throws when a file cannot be read, the exchange is not known or the port is taken (EADDRINUSE).
 */
export async function startReplay({
  exchange = "binance",
  files,
  speed,
  quietMs = 1000,
  routeWaitMs = 5000,
  backPressureBytes = 1 << 20,
  seed = 1,
  copies,
  ...server
}: ReplayOptions): Promise<Replay> {
  const create = REPLAY_EXCHANGES[exchange];
  if (create === undefined) {
    throw new Error(`no replay for exchange ${exchange}; known: ${Object.keys(REPLAY_EXCHANGES).join(", ")}`);
  }
  const protocol = create();
  const routes = new Set<string>();
  const seenAgain = () => undefined;
  for await (const { raw } of capturedLines(files, seenAgain)) {
    if (typeof raw !== "string") continue;
    protocol.learn(raw);
    const captured = protocol.read(raw);
    const route = captured.kind === "frame" ? protocol.routeOf(captured.streams[0]) : undefined;
    if (route !== undefined) routes.add(route);
  }
  return new FileReplay({
    protocol,
    routes,
    files,
    speed,
    quietMs,
    routeWaitMs,
    backPressureBytes,
    seed,
    copies,
    server,
  });
}

interface FileReplayOptions {
  readonly protocol: ReplayProtocol;
  readonly routes: ReadonlySet<string>;
  readonly files: readonly string[];
  readonly speed: number | undefined;
  readonly quietMs: number;
  readonly routeWaitMs: number;
  readonly backPressureBytes: number;
  readonly seed: string | number;
  readonly copies: CopyFinder | undefined;
  readonly server: ServerOptions;
}

class FileReplay implements Replay, ReplaySink {
  readonly started: Promise<void>;
  readonly done: Promise<ReplayStats>;
  readonly faults: Faults;
  readonly #options: FileReplayOptions;
  readonly #server: ExchangeServer;
  readonly #subscribers = new Map<string, Connection[]>();
  readonly #slots = new Map<string, number>();
  /** By slot, what it is about. */
  readonly #topics: Topic[] = [{ kind: "", symbol: undefined }];
  readonly #counts: number[] = [0];
  readonly #notSubscribed = new Map<string, number>();
  readonly #batch = new Set<Connection>();
  #wake: (() => void) | undefined;
  #state: ReplayStats["state"] = "waiting";
  #controls = 0;
  #copies = 0;
  #partCopies = 0;
  #lost = 0;
  readonly #torn: { file: string; why: string }[] = [];
  #changedAt = performance.now();
  #batchFrames = 0;
  #batchChars = 0;

  constructor(options: FileReplayOptions) {
    this.#options = options;
    const { protocol, server, seed } = options;
    this.faults = new Faults(seed);
    const dialect = protocol.dialect(this, () => this.stats());
    this.#server = serveExchange(dialect, server, extras(this.faults, dialect, undefined));
    const { connections, wire } = this.#server;
    const notice = protocol.notice?.bind(protocol);
    this.faults.attach({
      connections,
      kinds: [],
      symbols: () => [],
      ...(wire === undefined ? {} : { wire }),
      ...(notice === undefined ? {} : { notice }),
      describe: (slot) => this.#topics[slot] ?? { kind: "", symbol: undefined },
      topic: (stream) => protocol.topic(stream),
      flush: (connection) => {
        this.#lost += connection.flush(this.#counts);
      },
      listen: (on) => this.#server.listen(on),
    });
    this.started = this.#quiet();
    this.done = this.started.then(() => this.#send());
    // Who does not ask for the outcome must not be ended by it.
    this.done.catch(() => {});
  }

  get port(): number {
    return this.#server.port;
  }

  get url(): string {
    return this.#server.url;
  }

  get restUrl(): string {
    return this.#server.restUrl;
  }

  stats(): ReplayStats {
    const sent: Record<string, number> = {};
    for (const [stream, slot] of this.#slots) sent[stream] = this.#counts[slot] ?? 0;
    return {
      state: this.#state,
      total: this.#counts.reduce((sum, count) => sum + count, 0),
      sent,
      notSubscribed: Object.fromEntries(this.#notSubscribed),
      unknown: this.#counts[UNKNOWN_SLOT] ?? 0,
      skippedControls: this.#controls,
      copies: this.#copies,
      partCopies: this.#partCopies,
      lost: this.#lost,
      torn: this.#torn,
      ...this.#server.stats(),
    };
  }

  async stop(): Promise<void> {
    if (this.#state !== "done") this.#state = "stopped";
    this.#wake?.();
    await this.faults.stop();
    await this.#server.stop();
  }

  changed(): void {
    this.#changedAt = performance.now();
  }

  refuses(connection: Connection, stream: string): boolean {
    return this.faults.refuses(connection, stream);
  }

  subscribed(connection: Connection, stream: string): void {
    this.faults.subscribed(connection, stream);
    this.changed();
    // A stream asked for on the wrong route is acknowledged and silent for ever.
    if (this.#options.protocol.routeOf(stream) !== connection.endpoint.route) return;
    const subscribers = this.#subscribers.get(stream);
    if (subscribers === undefined) this.#subscribers.set(stream, [connection]);
    else subscribers.push(connection);
  }

  unsubscribed(connection: Connection, stream: string): void {
    this.faults.unsubscribed(connection, stream);
    this.changed();
    const left = this.#subscribers.get(stream)?.filter((other) => other !== connection) ?? [];
    if (left.length > 0) this.#subscribers.set(stream, left);
    else this.#subscribers.delete(stream);
  }

  /** Waits until subscriptions on all routes of the capture have been quiet for long enough. */
  async #quiet(): Promise<void> {
    const { quietMs, routeWaitMs } = this.#options;
    while (this.#running) {
      const sinceChange = performance.now() - this.#changedAt;
      const needed = this.#routesMissing() ? quietMs + routeWaitMs : quietMs;
      if (this.#subscribers.size > 0 && sinceChange >= needed) return;
      const wait = this.#subscribers.size > 0 ? quietMs - sinceChange : quietMs;
      await this.#sleep(Math.max(5, Math.min(wait, 50)));
    }
  }

  #routesMissing(): boolean {
    const present = new Set([...this.#subscribers.values()].map(([first]) => first?.endpoint.route));
    return [...this.#options.routes].some((route) => !present.has(route));
  }

  async #send(): Promise<ReplayStats> {
    if (this.#running) this.#state = "sending";
    const { files, protocol, speed, copies } = this.#options;
    let startMs = 0;
    let startTs: number | undefined;
    const torn = (file: string, why: string) => this.#torn.push({ file, why });
    for await (const line of capturedLines(files, torn, (other) => copies?.mark(other))) {
      if (!this.#running) break;
      if (this.#isCopy(line)) continue;
      const { ts, raw } = line;
      if (speed !== undefined && ts !== null) {
        startMs = startTs === undefined ? performance.now() : startMs;
        startTs ??= ts;
        const ahead = startMs + (ts - startTs) / 1000 / speed - performance.now();
        if (ahead > 0) {
          await this.#flush();
          await this.#sleep(ahead);
        }
      }
      // What is no text is of no known stream.
      this.#hand(typeof raw === "string" ? protocol.read(raw) : { kind: "unknown" }, raw);
      if (this.#batchFrames >= BATCH_FRAMES || this.#batchChars >= BATCH_CHARS) await this.#flush();
    }
    await this.#flush();
    await Promise.all([...this.#server.connections].map((connection) => connection.drainedTo(0)));
    if (this.#running) this.#state = "done";
    return this.stats();
  }

  #isCopy(line: CapturedLine): boolean {
    const found = this.#options.copies?.copiesIn(line) ?? "none";
    if (found === "all") this.#copies++;
    if (found === "some") this.#partCopies++;
    return found === "all";
  }

  #hand(captured: Captured, raw: string | Uint8Array): void {
    if (captured.kind === "control") {
      this.#controls++;
      return;
    }
    if (captured.kind === "unknown") {
      const [oldest] = this.#server.connections;
      if (oldest === undefined) this.#lost++;
      else this.#queue(oldest, raw, UNKNOWN_SLOT);
      return;
    }
    for (const stream of captured.streams) {
      const connection = this.#subscribers.get(stream)?.find((candidate) => candidate.open);
      if (connection === undefined) continue;
      this.#queue(connection, captured.text(stream, connection), this.#slot(stream));
      return;
    }
    const [stream] = captured.streams;
    this.#notSubscribed.set(stream, (this.#notSubscribed.get(stream) ?? 0) + 1);
  }

  #queue(connection: Connection, text: string | Uint8Array, slot: number): void {
    connection.queue(text, slot);
    this.#batch.add(connection);
    this.#batchFrames++;
    this.#batchChars += text.length;
  }

  /** Sends the batch, then waits for those who are behind. */
  async #flush(): Promise<void> {
    this.#batchFrames = 0;
    this.#batchChars = 0;
    const batch = [...this.#batch];
    this.#batch.clear();
    for (const connection of batch) this.#lost += connection.flush(this.#counts);
    for (const connection of batch) await connection.drainedTo(this.#options.backPressureBytes);
  }

  #slot(stream: string): number {
    let slot = this.#slots.get(stream);
    if (slot === undefined) {
      slot = this.#counts.length;
      this.#counts.push(0);
      this.#slots.set(stream, slot);
      this.#topics.push(this.#options.protocol.topic(stream) ?? { kind: stream, symbol: undefined });
    }
    return slot;
  }

  get #running(): boolean {
    return this.#state === "waiting" || this.#state === "sending";
  }

  /** Ends early when the replay is stopped. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
