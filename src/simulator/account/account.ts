/**
 * An account of every event: that it was made, when, and which connections it was handed to. With it a test can
 * say: made = recorded + missing, and each missing one lies in a span that the recorder calls a gap.
 */
import { wallUs } from "../clock.ts";

/** Names and bounds of an {@link Account}. */
export interface AccountOptions {
  readonly symbols: readonly string[];
  readonly kinds: readonly string[];
  /** Events remembered one by one; older ones are forgotten, their counts are not. */
  readonly eventsMax: number;
  /** How the exchange spells an id; absent: as a number. */
  id?(symbol: number, kind: string, id: number): string;
}

/** One event. */
export interface AccountEvent {
  /** Number of the event among all of this exchange, from 0. */
  readonly n: number;
  readonly kind: string;
  readonly symbol: string;
  /** Its own id where it has one (docs/simulator.md), otherwise its time. */
  readonly id: string;
  /** How many ids it stands for, the last of which is `id`. */
  readonly count: number;
  /** The time in its frame, epoch ms. */
  readonly timeMs: number;
  /** When it was made, epoch µs of this machine whatever the exchange's clock says. */
  readonly madeUs: number;
  /** When a socket first took it, about to be written; null = none has. What the source itself waited lies before it. */
  readonly takenUs: number | null;
  /** Made for one new subscriber: the state as it stood, not a change. */
  readonly first: boolean;
  /** Connections whose socket took it, in order, one twice if it was sent twice; empty = nobody's did. */
  readonly sent: readonly number[];
}

/** Counts of one kind of one symbol since its first subscription. They are never forgotten. */
export interface AccountCounts {
  readonly made: number;
  /** Of those made: taken by at least one socket. */
  readonly sent: number;
  /** Handings over: an event with two subscribers counts twice. */
  readonly sends: number;
}

/** Which events are wanted; what is absent does not narrow. */
export interface AccountQuery {
  readonly symbol?: string;
  readonly kind?: string;
  /** true = taken by some socket, false = by none. */
  readonly sent?: boolean;
  /** Taken by this connection's socket. */
  readonly connection?: number;
  /** Made at or after this time, and before that one, epoch µs. */
  readonly fromUs?: number;
  readonly toUs?: number;
  /** With a greater number than this. */
  readonly after?: number;
  readonly limit?: number;
}

/** The events of one frame, told of its fate. */
export interface Made {
  /** Adds an event. `series` = symbol × kinds + kind. */
  add(series: number, id: number, timeMs: number, count?: number): Made;
  /** A connection's socket took the frame. */
  sent(connection: number): void;
  /** It was taken, and thrown away again with what else was unsent. */
  lost(connection: number): void;
}

const FIRST_CAPACITY = 1 << 12;

/** See the head of the file. */
export class Account {
  readonly #options: AccountOptions;
  readonly #counts: { made: Float64Array; sent: Float64Array; sends: Float64Array };
  /** Rings of one cell an event: number n stands at n % capacity. */
  #capacity: number;
  #ids: Float64Array;
  #times: Float64Array;
  #madeUs: Float64Array;
  #takenUs: Float64Array;
  #series: Int32Array;
  #fills: Int32Array;
  #first: Uint8Array;
  /** Number of the first connection that took it; 0 = none. */
  #taker: Uint32Array;
  /** Those after the first, by number of the event: few. */
  readonly #others = new Map<number, number[]>();
  #next = 0;

  constructor(options: AccountOptions) {
    this.#options = options;
    const series = options.symbols.length * options.kinds.length;
    this.#counts = {
      made: new Float64Array(series),
      sent: new Float64Array(series),
      sends: new Float64Array(series),
    };
    this.#capacity = Math.min(FIRST_CAPACITY, options.eventsMax);
    this.#ids = new Float64Array(this.#capacity);
    this.#times = new Float64Array(this.#capacity);
    this.#madeUs = new Float64Array(this.#capacity);
    this.#takenUs = new Float64Array(this.#capacity);
    this.#series = new Int32Array(this.#capacity);
    this.#fills = new Int32Array(this.#capacity);
    this.#first = new Uint8Array(this.#capacity);
    this.#taker = new Uint32Array(this.#capacity);
  }

  /** Events that are no longer remembered one by one: those of lower numbers. */
  get forgotten(): number {
    return Math.max(0, this.#next - this.#capacity);
  }

  /** Where a kind of a symbol is counted, see {@link Made.add}. */
  series(symbol: number, kind: string): number {
    const index = this.#options.kinds.indexOf(kind);
    if (index < 0) throw new Error(`the account has no kind ${kind}`);
    return symbol * this.#options.kinds.length + index;
  }

  /** A frame is made; its events are added to what this returns. `first` = for one new subscriber only. */
  frame(first = false): Made {
    return new Frame(this.#next, {
      push: (series, id, timeMs, count) => this.#push(series, id, timeMs, count, first),
      sent: (n, connection) => this.#sent(n, connection),
      lost: (n, connection) => this.#lost(n, connection),
    });
  }

  /** Counts by symbol and kind, where there was anything. */
  counts(): Record<string, Record<string, AccountCounts>> {
    const { symbols, kinds } = this.#options;
    const { made, sent, sends } = this.#counts;
    const all: Record<string, Record<string, AccountCounts>> = {};
    symbols.forEach((symbol, at) => {
      kinds.forEach((kind, index) => {
        const series = at * kinds.length + index;
        if (made[series] === 0) return;
        let bySymbol = all[symbol];
        if (bySymbol === undefined) {
          bySymbol = {};
          all[symbol] = bySymbol;
        }
        bySymbol[kind] = {
          made: made[series] as number,
          sent: sent[series] as number,
          sends: sends[series] as number,
        };
      });
    });
    return all;
  }

  /** The events that are remembered, oldest first. May be read while more are made. */
  *events(query: AccountQuery = {}): Generator<AccountEvent> {
    let left = query.limit ?? Number.POSITIVE_INFINITY;
    const from = Math.max(this.forgotten, (query.after ?? -1) + 1);
    for (let n = from; n < this.#next && left > 0; n++) {
      if (n < this.forgotten || !this.#matches(n, query)) continue;
      left--;
      yield this.#event(n);
    }
  }

  #matches(n: number, { symbol, kind, sent, connection, fromUs, toUs }: AccountQuery): boolean {
    const { symbols, kinds } = this.#options;
    const at = n % this.#capacity;
    const series = this.#series[at] as number;
    const madeUs = this.#madeUs[at] as number;
    if (symbol !== undefined && symbols[Math.floor(series / kinds.length)] !== symbol) return false;
    if (kind !== undefined && kinds[series % kinds.length] !== kind) return false;
    if (sent !== undefined && (this.#taker[at] !== 0) !== sent) return false;
    if (connection !== undefined && !this.#takers(n).includes(connection)) return false;
    return madeUs >= (fromUs ?? 0) && madeUs < (toUs ?? Number.POSITIVE_INFINITY);
  }

  #event(n: number): AccountEvent {
    const { symbols, kinds, id } = this.#options;
    const at = n % this.#capacity;
    const series = this.#series[at] as number;
    const symbol = Math.floor(series / kinds.length);
    const kind = kinds[series % kinds.length] as string;
    const number = this.#ids[at] as number;
    return {
      n,
      kind,
      symbol: symbols[symbol] as string,
      id: id?.(symbol, kind, number) ?? String(number),
      count: this.#fills[at] as number,
      timeMs: this.#times[at] as number,
      madeUs: this.#madeUs[at] as number,
      takenUs: this.#taker[at] === 0 ? null : (this.#takenUs[at] as number),
      first: this.#first[at] === 1,
      sent: this.#takers(n),
    };
  }

  #takers(n: number): readonly number[] {
    const taker = this.#taker[n % this.#capacity] as number;
    if (taker === 0) return [];
    return [taker, ...(this.#others.get(n) ?? [])];
  }

  #push(series: number, id: number, timeMs: number, count: number, first: boolean): void {
    if (this.#next === this.#capacity && this.#capacity < this.#options.eventsMax) this.#grow();
    const n = this.#next++;
    const at = n % this.#capacity;
    if (n >= this.#capacity) this.#others.delete(n - this.#capacity);
    this.#ids[at] = id;
    this.#times[at] = timeMs;
    this.#madeUs[at] = wallUs();
    this.#series[at] = series;
    this.#fills[at] = count;
    this.#first[at] = first ? 1 : 0;
    this.#taker[at] = 0;
    add(this.#counts.made, series, 1);
  }

  #sent(n: number, connection: number): void {
    // Forgotten meanwhile: only a frame that was held for very long can be.
    if (n < this.forgotten) return;
    const at = n % this.#capacity;
    const series = this.#series[at] as number;
    add(this.#counts.sends, series, 1);
    if (this.#taker[at] === 0) {
      this.#taker[at] = connection;
      this.#takenUs[at] = wallUs();
      add(this.#counts.sent, series, 1);
      return;
    }
    const others = this.#others.get(n);
    if (others === undefined) this.#others.set(n, [connection]);
    else others.push(connection);
  }

  #lost(n: number, connection: number): void {
    const takers = [...this.#takers(n)];
    const place = takers.lastIndexOf(connection);
    if (n < this.forgotten || place < 0) return;
    takers.splice(place, 1);
    const at = n % this.#capacity;
    const series = this.#series[at] as number;
    const [taker = 0, ...others] = takers;
    this.#taker[at] = taker;
    if (others.length > 0) this.#others.set(n, others);
    else this.#others.delete(n);
    add(this.#counts.sends, series, -1);
    if (taker === 0) add(this.#counts.sent, series, -1);
  }

  /** Nothing has been overwritten yet, so every event keeps its place. */
  #grow(): void {
    this.#capacity = Math.min(this.#capacity * 2, this.#options.eventsMax);
    const grown = <A extends { set(from: A): void }>(from: A, to: A): A => {
      to.set(from);
      return to;
    };
    this.#ids = grown(this.#ids, new Float64Array(this.#capacity));
    this.#times = grown(this.#times, new Float64Array(this.#capacity));
    this.#madeUs = grown(this.#madeUs, new Float64Array(this.#capacity));
    this.#takenUs = grown(this.#takenUs, new Float64Array(this.#capacity));
    this.#series = grown(this.#series, new Int32Array(this.#capacity));
    this.#fills = grown(this.#fills, new Int32Array(this.#capacity));
    this.#first = grown(this.#first, new Uint8Array(this.#capacity));
    this.#taker = grown(this.#taker, new Uint32Array(this.#capacity));
  }
}

/** What a frame does to the account. */
interface Book {
  push(series: number, id: number, timeMs: number, count: number): void;
  sent(n: number, connection: number): void;
  lost(n: number, connection: number): void;
}

/** Events of one frame have consecutive numbers. */
class Frame implements Made {
  readonly #from: number;
  readonly #book: Book;
  #size = 0;

  constructor(from: number, book: Book) {
    this.#from = from;
    this.#book = book;
  }

  add(series: number, id: number, timeMs: number, count = 1): Made {
    this.#book.push(series, id, timeMs, count);
    this.#size++;
    return this;
  }

  sent(connection: number): void {
    for (let i = 0; i < this.#size; i++) this.#book.sent(this.#from + i, connection);
  }

  lost(connection: number): void {
    for (let i = 0; i < this.#size; i++) this.#book.lost(this.#from + i, connection);
  }
}

function add(counts: Float64Array, at: number, by: number): void {
  counts[at] = (counts[at] ?? 0) + by;
}
