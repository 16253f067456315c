/** One fault from its injection to its end. */
import type { Connection } from "../connection.ts";
import type { Random } from "../random.ts";
import type { Behaviour, Context, FaultHost } from "./behaviour.ts";
import { brings, type Effect, Gate } from "./gate.ts";
import { behaviourOf } from "./kinds/index.ts";
import { type Fault, FaultError } from "./model.ts";
import { FaultLog } from "./record.ts";

/** How long a cut waits for a client to take what it was given. */
const CUT_WAIT_MS = 1000;

/** What the faults of an exchange are told of one. */
export interface ActiveOptions {
  readonly id: number;
  readonly fault: Fault;
  readonly host: FaultHost;
  readonly random: Random;
  /** It began: from now on `behaviour` is asked. */
  began(active: ActiveFault): void;
  /** It is over, and will never be asked again. */
  ended(active: ActiveFault): void;
}

/** See the head of the file. */
export class ActiveFault implements Context {
  readonly log: FaultLog;
  readonly host: FaultHost;
  readonly random: Random;
  /** Resolves when it is over and all it did is undone. */
  readonly ended: Promise<void>;
  behaviour: Behaviour = {};
  symbol: string | undefined;
  readonly #options: ActiveOptions;
  readonly #resolve: () => void;
  #chosen: ReadonlySet<number> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Resolves when all that `start` does is done. */
  #starting: Promise<void> = Promise.resolve();

  /** Begins at once, or after its time. @throws FaultError when this exchange cannot have it */
  constructor(options: ActiveOptions) {
    const { id, fault, host, random } = options;
    this.#options = options;
    this.host = host;
    this.random = random;
    this.log = new FaultLog(id, fault);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#check();
    // Nothing happens before `start`: this only shows whether the exchange can have such a fault.
    behaviourOf(fault, this);
    if (fault.afterMs === 0) this.#begin();
    else this.#timer = setTimeout(() => this.#beginLate(), fault.afterMs);
  }

  get #fault(): Fault {
    return this.log.fault;
  }

  get #stream(): string | undefined {
    return "stream" in this.#fault ? this.#fault.stream : undefined;
  }

  /** Ends it now. What it did is undone when `ended` resolves. */
  end(): void {
    const { state } = this.log;
    if (state !== "waiting" && state !== "active") return;
    clearTimeout(this.#timer);
    this.log.ended();
    this.#options.ended(this);
    if (state === "waiting") this.#resolve();
    else void this.#stop();
  }

  over(): void {
    this.end();
  }

  get targeted(): readonly Connection[] {
    return [...this.host.connections].filter((connection) => connection.open && this.targets(connection));
  }

  targets(connection: Connection): boolean {
    return this.#chosen === undefined || this.#chosen.has(connection.id);
  }

  concerns(connection: Connection): boolean {
    if (this.symbol === undefined && this.#stream === undefined) return true;
    return [...connection.streams].some((stream) => {
      const topic = this.host.topic(stream);
      return topic !== undefined && brings(topic, this.symbol, this.#stream);
    });
  }

  attach(connection: Connection, effect: Effect): void {
    if (!(connection.gate instanceof Gate)) {
      connection.gate = new Gate(connection, (slot) => this.host.describe(slot));
    }
    if (connection.gate instanceof Gate) connection.gate.add(effect);
  }

  detach(connection: Connection, effect: Effect): void {
    const { gate } = connection;
    if (!(gate instanceof Gate)) return;
    gate.remove(effect);
    if (gate.empty) connection.gate = undefined;
  }

  touched(connection: Connection | undefined, symbol: string | undefined, frame = false): void {
    this.log.met(connection?.id, symbol);
    if (frame) this.log.frames++;
  }

  /** Nothing more is handed over; what was, leaves first, so that "sent" stays true of it. */
  cut(connection: Connection): void {
    this.attach(connection, { stage: "withhold", frame: () => {}, reply: () => {}, noPings: true });
    const gone = (): void => {
      if (connection.open) connection.terminate();
    };
    if (connection.bufferedBytes === 0) gone();
    else void Promise.race([connection.drainedTo(0), Bun.sleep(CUT_WAIT_MS)]).then(gone);
  }

  #beginLate(): void {
    try {
      this.#check();
      this.#begin();
    } catch (error) {
      this.#failed(error);
    }
  }

  #begin(): void {
    const { random, host } = this;
    const fault = this.#fault;
    if ("symbol" in fault) this.symbol = fault.symbol === "one" ? this.#anySymbol() : fault.symbol;
    if ("connections" in fault && fault.connections !== "all") {
      const { connections } = fault;
      if (connections === "one") {
        const open = [...host.connections].filter((one) => one.open && this.concerns(one));
        const chosen = open[random.below(Math.max(1, open.length))];
        this.#chosen = new Set(chosen === undefined ? [] : [chosen.id]);
      } else {
        this.#chosen = new Set(typeof connections === "number" ? [connections] : connections);
      }
    }
    this.behaviour = behaviourOf(fault, this);
    this.log.began();
    this.log.met(undefined, this.symbol);
    this.#options.began(this);
    if ("forMs" in fault && fault.forMs !== undefined) {
      this.#timer = setTimeout(() => this.end(), fault.forMs);
    }
    try {
      const starting = this.behaviour.start?.();
      if (starting !== undefined) this.#starting = starting.catch((error) => this.#failed(error));
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  async #stop(): Promise<void> {
    try {
      await this.#starting;
      await this.behaviour.stop?.();
    } catch (error) {
      this.log.failed(messageOf(error));
    }
    this.#resolve();
  }

  #failed(error: unknown): void {
    clearTimeout(this.#timer);
    this.log.failed(messageOf(error));
    this.#options.ended(this);
    this.#resolve();
  }

  /** What can only be known where it is to happen. */
  #check(): void {
    const fault = this.#fault;
    const { host } = this;
    const symbols = host.symbols();
    const stream = this.#stream;
    if ("symbol" in fault && fault.symbol !== undefined && fault.symbol !== "one") {
      if (symbols.length > 0 && !symbols.includes(fault.symbol)) {
        throw new FaultError("symbol", `there is no ${fault.symbol} here, as in ${symbols[0]}`);
      }
    }
    if (stream !== undefined && host.kinds.length > 0 && !host.kinds.includes(stream)) {
      throw new FaultError("stream", `one of ${host.kinds.join(", ")} is wanted`);
    }
    if (!("connections" in fault) || fault.afterMs > 0) return;
    const { connections } = fault;
    const open = new Set([...host.connections].map(({ id }) => id));
    const asked = typeof connections === "string" ? [] : [connections].flat();
    const missing = asked.find((id) => !open.has(id));
    if (missing === undefined) return;
    const list = open.size === 0 ? "none is" : [...open].join(", ");
    throw new FaultError("connections", `${missing} is not open; open: ${list}`);
  }

  /** One by the seed of those that are subscribed, or of all where nothing is. */
  #anySymbol(): string {
    const subscribed = new Set<string>();
    for (const connection of this.host.connections) {
      for (const stream of connection.streams) {
        const topic = this.host.topic(stream);
        if (topic?.symbol !== undefined && brings(topic, undefined, this.#stream))
          subscribed.add(topic.symbol);
      }
    }
    const known = this.host.symbols();
    const among = [...subscribed].filter((symbol) => known.length === 0 || known.includes(symbol)).sort();
    const candidates = among.length > 0 ? among : known;
    const symbol = candidates[this.random.below(candidates.length)];
    if (symbol === undefined) throw new FaultError("symbol", "no symbol is known yet: name one");
    return symbol;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
