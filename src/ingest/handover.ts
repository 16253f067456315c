import { LAYOUTS, LOCAL, PUBLISHED, SYMBOL, TIMESTAMP } from "../events/layout.ts";
import { columnsOf, STREAM_NAMES, type Stream } from "../events/streams.ts";
import type { Row } from "../ring/row.ts";
import { TEXT_CELL_BYTES, TEXT_WORDS } from "../ring/text.ts";

/** Rows wait this long for their second copy, µs. */
export const REMEMBER = 30_000_000;
/** Most rows that wait for their second copy. */
export const MAX_PENDING = 1_000_000;
/** Most rows of one frame that can be taken back. */
export const MAX_FRAME_ROWS = 262_144;

/** 32-bit words of one piece of a text. */
const PIECE_WORDS = TEXT_CELL_BYTES / 4;

/** What is known of one stream. */
interface StreamState {
  /** Its number, part of the key. */
  readonly index: number;
  /** Own numeric slots, but for those that the exchange does not say. */
  readonly said: readonly number[];
  readonly texts: number;
  /** Whether a subscription may begin with the state as it stands, in a frame like any other. */
  readonly begins: boolean;
  /** Latest time that the old connection has brought, by symbol: NaN = no row, -Infinity = none with a time. */
  latest: Float64Array;
}

/** Part that a connection plays. */
interface Role {
  /** Latest times of the old connection when this one opened, by stream number; null = it is the old one. */
  readonly before: readonly Float64Array[] | null;
  /** Receive time of the first frame that this one brought, by stream number and symbol; NaN = none yet. */
  readonly first: Float64Array[];
}

/** What was done with a row: how its count was changed, and which counter counted it. */
const DID = { KEPT: 0, SUPPRESSED: 1, RESTATED: 2, UNMATCHED: 3 } as const;
type Did = (typeof DID)[keyof typeof DID];

/**
 * Tells, while an old connection and its successors deliver the same channels, which rows are the second
 * copy of an event: each event is recorded as often as the exchange sent it, not as often as we received it.
 *
 * A signed multiset: a row counts +1 from the old connection and -1 from a new one, under a key made of all
 * that the exchange says in it. A row that brings a count nearer to 0 is the twin of one that was kept. So
 * the order of arrival does not matter, and an event that the exchange sends twice on each is kept twice.
 * What we tell from a frame's place on its connection (`ours`: is_history) is no part of the key: the first push of
 * a new connection may be live on the old one. The copy that comes first is kept, as its connection has it.
 *
 * A new subscription may also restate what the old connection brought before anything was counted. Such a row
 * of a new connection is kept out as well, as long as the old one lives:
 * - in a snapshot of something that the old connection has carried: its changes say all that is in there; so is
 *   the first frame of a stream and symbol where subscriptions may begin with the state (`stateStreams`), be it that
 *   or a change, which the old connection brings as well;
 * - when its time is at or before the last time of its stream and symbol on the old connection at the moment
 *   when the new one opened. That loses nothing, even with many events in one millisecond or times that go
 *   back: the new socket subscribed later than that moment, so whatever row it brings is either one that the
 *   old socket had brought, or one that the old socket is subscribed to as well and still has to bring. When
 *   it does, the copy is kept: rows that are kept out here are not counted, so none can be its twin.
 *   The old connection therefore has to stay open for an overlap longer than it can be behind, and than the
 *   exchange gives successive events the same time; and once it has ended ({@link oldEnded}) both rules end, because nobody else would bring what they keep out.
 *
 * What cannot be told apart: a row that the exchange sends again, the same in every value, after the old
 * connection has ended, where the first one came on the old connection alone within `remember`.
 *
 * @example
 * const handover = new Handover({ old: 3, lastTimes });
 * handover.opened(4);
 * if (handover.admits("bbo", row, 4, now, false)) ring.commit();
 */
export class Handover {
  readonly #streams: Readonly<Record<Stream, StreamState>>;
  readonly #roles = new Map<number, Role>();
  readonly #remember: number;
  readonly #maxPending: number;
  readonly #journal: Journal;
  /** Counts by key, never 0; a key is in one of the two. */
  #recent = new Map<number, number>();
  #older = new Map<number, number>();
  #rotatedAt = Number.NaN;
  #ended = false;
  /** Receive time of the frame that the journal is of. */
  #frameAt = Number.NaN;
  /** Connection and role of the last row: rows come in runs. */
  #connection = Number.NaN;
  #role: Role | undefined = undefined;
  readonly #counts = { suppressed: 0, restated: 0, unmatched: 0 };

  /**
   * @param options.old number of the old connection, or of several
   * @param options.next numbers of the new ones that are open already; {@link opened} adds others
   * @param options.lastTimes time (timestamp, else published_timestamp, µs) of the last row by symbol, NaN =
   * none, as the old connection has brought them so far; copied
   * @param options.stateStreams streams of which a subscription may begin with the state as it stands
   * @param options.remember how long a row waits for its twin at least, µs (at most twice as long); more than
   * one connection may be behind the other
   * @param options.maxPending most rows that wait; beyond, rows are kept without being remembered
   * @param options.maxFrameRows most rows of a frame that {@link rewind} takes back; beyond, likewise
   */
  constructor(options: {
    old: number | Iterable<number>;
    next?: Iterable<number>;
    lastTimes: ReadonlyMap<Stream, Float64Array>;
    stateStreams?: readonly Stream[];
    remember?: number;
    maxPending?: number;
    maxFrameRows?: number;
  }) {
    const { old, next = [], lastTimes, stateStreams = [] } = options;
    this.#remember = options.remember ?? REMEMBER;
    this.#maxPending = options.maxPending ?? MAX_PENDING;
    this.#journal = new Journal(options.maxFrameRows ?? MAX_FRAME_ROWS);
    const stateOf = (stream: Stream): StreamState => ({
      index: STREAM_NAMES.indexOf(stream),
      said: saidSlots(stream),
      texts: LAYOUTS[stream].texts.length,
      begins: stateStreams.includes(stream),
      latest: lastTimes.get(stream)?.slice() ?? new Float64Array(0),
    });
    this.#streams = {
      bbo: stateOf("bbo"),
      trade: stateOf("trade"),
      mark_price: stateOf("mark_price"),
      funding: stateOf("funding"),
      open_interest: stateOf("open_interest"),
      liquidation: stateOf("liquidation"),
    };
    for (const number of typeof old === "number" ? [old] : old)
      this.#roles.set(number, { before: null, first: [] });
    for (const number of next) this.opened(number);
  }

  /** Second copies of events that were kept out. */
  get suppressed(): number {
    return this.#counts.suppressed;
  }

  /** Rows kept out because they restate what the old connection brings or has brought. */
  get restated(): number {
    return this.#counts.restated;
  }

  /** Rows kept without being remembered, for want of room: their second copies are recorded too. */
  get unmatched(): number {
    return this.#counts.unmatched;
  }

  /** Different rows that wait for their second copies. */
  get pending(): number {
    return this.#recent.size + this.#older.size;
  }

  /**
   * A successor's socket was opened and has brought no row yet: it takes part from now on, and may restate
   * what the old connection has brought up to now. To be called for each socket that a successor opens.
   */
  opened(connection: number): void {
    const before = STREAM_NAMES.map((stream) => this.#streams[stream].latest.slice());
    this.#roles.set(connection, { before, first: STREAM_NAMES.map(() => new Float64Array(0)) });
    this.#connection = Number.NaN;
  }

  /** The old connection brings nothing from now on: successors' rows are kept unless their twin has come. */
  oldEnded(): void {
    this.#ended = true;
  }

  /**
   * Whether a row is to be recorded.
   *
   * @param row as it would be committed; `seq` may be anything
   * @param connection number of the connection that brought it
   * @param now receive time of its frame, µs: the same for all rows of one frame
   * @param snapshot whether its frame is a snapshot of a channel that goes on with changes
   */
  admits(stream: Stream, row: Row, connection: number, now: number, snapshot: boolean): boolean {
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#role = this.#roles.get(connection);
    }
    const role = this.#role;
    if (role === undefined) return true;
    const journal = this.#journal;
    if (now !== this.#frameAt) {
      this.#frameAt = now;
      journal.clear();
      // By the frames alone, so that a capture of them decodes to the rows that were recorded.
      this.tick(now);
    }
    if (journal.full) {
      this.#counts.unmatched++;
      journal.beyond++;
      return true;
    }
    const state = this.#streams[stream];
    const { numbers } = row;
    const timestamp = numbers[TIMESTAMP];
    const time = Number.isNaN(timestamp) ? numbers[PUBLISHED] : timestamp;
    const key = keyOf(state, row, time);
    const count = this.#recent.get(key) ?? this.#older.get(key) ?? 0;
    if (role.before === null) {
      const at = journal.length;
      const kept = this.#settle(key, count, 1);
      this.#carried(state, numbers[SYMBOL], time, at);
      return kept;
    }
    // Looked at for every row: also one whose twin has come was the first.
    const restating = snapshot || (state.begins && isFirst(role, state.index, numbers[SYMBOL], now));
    if (
      count <= 0 &&
      !this.#ended &&
      restates(state, role.before[state.index], numbers[SYMBOL], time, restating)
    ) {
      this.#did(key, 0, DID.RESTATED);
      return false;
    }
    return this.#settle(key, count, -1);
  }

  /** Changes the count of a key by `delta`; false when that brings it nearer to 0: the twin was kept. */
  #settle(key: number, count: number, delta: 1 | -1): boolean {
    const twin = count * delta < 0;
    if (count === 0 && this.pending >= this.#maxPending) {
      this.#did(key, 0, DID.UNMATCHED);
      return true;
    }
    this.#put(key, count + delta);
    this.#did(key, delta, twin ? DID.SUPPRESSED : DID.KEPT);
    return !twin;
  }

  #put(key: number, count: number): void {
    if (this.#older.size > 0) this.#older.delete(key);
    if (count === 0) this.#recent.delete(key);
    else this.#recent.set(key, count);
  }

  #did(key: number, delta: number, did: Did): void {
    this.#count(did, 1);
    this.#journal.add(key, delta, did);
  }

  #count(did: Did, by: number): void {
    if (did === DID.SUPPRESSED) this.#counts.suppressed += by;
    else if (did === DID.RESTATED) this.#counts.restated += by;
    else if (did === DID.UNMATCHED) this.#counts.unmatched += by;
  }

  /** The old connection has brought a row of this time; noted with the entry `at` of the journal. */
  #carried(state: StreamState, symbol: number, time: number, at: number): void {
    if (symbol >= state.latest.length) state.latest = grown(state.latest, symbol);
    const before = state.latest[symbol];
    if (!Number.isNaN(before) && !(time > before)) return;
    this.#journal.moved(at, state.index, symbol, before);
    state.latest[symbol] = Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time;
  }

  /** Remembers the place before a frame. Calling it again before the first row changes nothing. */
  mark(): void {
    this.#journal.clear();
  }

  /** Takes back what was decided since {@link mark}: the frame was not decodable, or is read anew. */
  rewind(): void {
    const journal = this.#journal;
    for (let at = journal.length - 1; at >= 0; at--) {
      const { key, delta, did, stream, symbol, before } = journal.entry(at);
      if (delta !== 0) this.#put(key, (this.#recent.get(key) ?? this.#older.get(key) ?? 0) - delta);
      this.#count(did, -1);
      if (stream >= 0) this.#streams[STREAM_NAMES[stream]].latest[symbol] = before;
    }
    this.#counts.unmatched -= journal.beyond;
    journal.clear();
  }

  /** Forgets rows that have waited long enough; every frame that brings rows does so. @param now µs */
  tick(now: number): void {
    if (Number.isNaN(this.#rotatedAt)) this.#rotatedAt = now;
    if (now - this.#rotatedAt < this.#remember) return;
    this.#rotatedAt = now;
    const forgotten = this.#older;
    this.#older = this.#recent;
    forgotten.clear();
    this.#recent = forgotten;
  }
}

/** Whether a successor's row may have come on the old connection before rows were counted. */
function restates(
  { latest }: StreamState,
  before: Float64Array,
  symbol: number,
  time: number,
  snapshot: boolean,
): boolean {
  if (symbol < before.length && time <= before[symbol]) return true;
  return snapshot && symbol < latest.length && !Number.isNaN(latest[symbol]);
}

/** Whether this is the first frame of a stream and symbol that a successor brought; a frame may be read twice. */
function isFirst({ first }: Role, stream: number, symbol: number, now: number): boolean {
  if (symbol >= first[stream].length) first[stream] = grown(first[stream], symbol);
  if (Number.isNaN(first[stream][symbol])) first[stream][symbol] = now;
  return first[stream][symbol] === now;
}

function grown(times: Float64Array, symbol: number): Float64Array {
  const longer = new Float64Array(2 ** Math.ceil(Math.log2(symbol + 2))).fill(Number.NaN);
  longer.set(times);
  return longer;
}

/** Numeric slots of what the exchange itself says in a stream's own columns. */
function saidSlots(stream: Stream): number[] {
  const ours = new Set(columnsOf(stream).flatMap(({ name, ours }) => (ours === true ? [name] : [])));
  const { numbers, seq } = LAYOUTS[stream];
  return numbers.flatMap((name, slot) => (slot > LOCAL && slot < seq && !ours.has(name) ? [slot] : []));
}

/** What a key is made of, number by number and then word by word of the texts. */
const numbersOfKey = new Float64Array(64);
const wordsOfKey = new Int32Array(numbersOfKey.buffer);

/**
 * 53 bits of stream, symbol, time and all that the exchange says in the stream's own columns.
 *
 * Two lanes of 32 bits, each with a step like that of MurmurHash3 (which rotates, so that the high bits of a
 * double reach the low ones of the key): among a million waiting rows 32 bits would match strangers.
 */
function keyOf({ index, said, texts }: StreamState, { numbers, words }: Row, time: number): number {
  let length = 0;
  numbersOfKey[length++] = numbers[SYMBOL];
  numbersOfKey[length++] = defined(time);
  for (let at = 0; at < said.length; at++) numbersOfKey[length++] = defined(numbers[said[at]]);
  length *= 2;
  // A piece without length ends a text; its bytes are zero.
  for (let text = 0; text < texts; text++) {
    const from = text * TEXT_WORDS;
    for (let at = from; at < from + TEXT_WORDS; at += PIECE_WORDS) {
      for (let word = at; word < at + PIECE_WORDS; word++) wordsOfKey[length++] = words[word];
      if (words[at] === 0) break;
    }
  }
  let a = index;
  let b = ~index;
  for (let at = 0; at < length; at++) {
    const word = wordsOfKey[at];
    const one = Math.imul(word, 0xcc9e2d51);
    a ^= Math.imul((one << 15) | (one >>> 17), 0x1b873593);
    a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0;
    const other = Math.imul(word, 0x239b961b);
    b ^= Math.imul((other << 16) | (other >>> 16), 0xab0e9789);
    b = (Math.imul((b << 17) | (b >>> 15), 5) + 0x561ccd1b) | 0;
  }
  a = (a + b) | 0;
  b = (b + a) | 0;
  return (finish(a) & 0x1fffff) * 0x1_0000_0000 + (finish(b) >>> 0);
}

/** Whatever bits a NaN has, it is NULL; and -0 is 0. */
function defined(value: number): number {
  return Number.isNaN(value) ? Number.NaN : value + 0;
}

function finish(lane: number): number {
  const once = Math.imul(lane ^ (lane >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}

/** What was done with the rows of one frame; room for `max`, taken as it is needed. */
class Journal {
  length = 0;
  /** Rows that found no room. */
  beyond = 0;
  readonly #max: number;
  #keys = new Float64Array(64);
  #deltas = new Int8Array(64);
  #dids = new Uint8Array(64);
  /** Number of the stream of which a latest time was moved; -1 = none. */
  #streams = new Int8Array(64);
  #symbols = new Int32Array(64);
  #befores = new Float64Array(64);

  constructor(max: number) {
    this.#max = max;
  }

  get full(): boolean {
    return this.length >= this.#max;
  }

  clear(): void {
    this.length = 0;
    this.beyond = 0;
  }

  add(key: number, delta: number, did: Did): void {
    const at = this.length++;
    if (at >= this.#keys.length) this.#grow();
    this.#keys[at] = key;
    this.#deltas[at] = delta;
    this.#dids[at] = did;
    this.#streams[at] = -1;
  }

  moved(at: number, stream: number, symbol: number, before: number): void {
    this.#streams[at] = stream;
    this.#symbols[at] = symbol;
    this.#befores[at] = before;
  }

  entry(at: number) {
    return {
      key: this.#keys[at],
      delta: this.#deltas[at],
      did: this.#dids[at] as Did,
      stream: this.#streams[at],
      symbol: this.#symbols[at],
      before: this.#befores[at],
    };
  }

  #grow(): void {
    const longer = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    const size = this.#keys.length * 2;
    this.#keys = longer(new Float64Array(size), this.#keys);
    this.#deltas = longer(new Int8Array(size), this.#deltas);
    this.#dids = longer(new Uint8Array(size), this.#dids);
    this.#streams = longer(new Int8Array(size), this.#streams);
    this.#symbols = longer(new Int32Array(size), this.#symbols);
    this.#befores = longer(new Float64Array(size), this.#befores);
  }
}
