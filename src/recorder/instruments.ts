import type { Skipped } from "../exchanges/decoding/entries.ts";
import { withoutMultiplier } from "../exchanges/decoding/multiplier.ts";
import { DIRECT, type Dialing, fetcher } from "../exchanges/dialer.ts";
import type { Exchange, Instrument } from "../exchanges/exchange.ts";
import { type RestAnswer, RestError, type RestGet, restAnswer } from "../exchanges/rest.ts";
import { parseRetryAfter } from "../lib/retry-after.ts";

/** An id that may stand in frames, with the number that stands for it in the rows of this run. */
export interface NumberedInstrument {
  readonly number: number;
  readonly instrument: string;
  readonly symbol: string;
}

/** A symbol that was asked for and cannot be recorded on an exchange. */
export interface UnknownSymbol {
  /** As it was asked for, in upper case. */
  readonly symbol: string;
  /** The exchange's id under which it would be listed. */
  readonly lookedFor: string;
  /** Symbols that are recordable there and differ by their multiplier only: PEPEUSDT for 1000PEPEUSDT. */
  readonly similar: readonly string[];
}

/** What a reading of the list of instruments came to. */
export interface Reading {
  /** What is to be recorded now. */
  readonly wanted: readonly Instrument[];
  /** Ids that were never wanted before in this run. */
  readonly fresh: readonly NumberedInstrument[];
  /** Instruments that appeared, went, or changed since the last reading, wanted or not. */
  readonly changed: readonly Instrument[];
  readonly listed: readonly string[];
  readonly delisted: readonly string[];
  /** Whether what is to be subscribed is the same as after the last reading, ids of indices included. */
  readonly same: boolean;
  /** Symbols that were asked for and do not exist or do not trade. */
  readonly unknown: readonly UnknownSymbol[];
}

/** Our word for the state of an instrument that the exchange no longer lists. */
const ABSENT_STATUS = "absent";

/** Largest answer of an exchange's REST interface that is read, bytes. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A reader of REST paths.
 *
 * @param timeout ms for one request
 * @param waits how long the exchange wants to be left alone after an HTTP status, ms, if `Retry-After` names no
 *   longer time
 * @throws Error (from the reader) that names the path and what was wrong with the answer; RestError where the
 *   exchange refused
 */
export function restReader(options: {
  restUrl: string;
  timeout: number;
  signal: AbortSignal;
  waits?: Exchange["restWaits"];
  /** How the exchange is reached; directly unless said otherwise. */
  dialing?: Dialing;
}): RestGet {
  const { restUrl, timeout, signal, waits = {}, dialing = DIRECT } = options;
  const get = fetcher(dialing, { timeout });
  return async (path) => {
    const response = await get(restUrl + path, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    });
    if (!response.ok) {
      const words = `GET ${path} answered ${response.status} ${response.statusText}`.trimEnd();
      const asked = parseRetryAfter(response.headers.get("retry-after"));
      throw new RestError(words, Math.max(asked, waits[response.status] ?? 0));
    }
    const bytes = await response.arrayBuffer();
    if (bytes.byteLength > ANSWER_BYTES_MAX)
      throw new Error(`GET ${path} answered ${bytes.byteLength} bytes`);
    return answerOf(path, new TextDecoder().decode(bytes));
  };
}

function answerOf(path: string, text: string): RestAnswer {
  try {
    return restAnswer(text);
  } catch (cause) {
    throw new Error(`GET ${path} answered something that is not JSON`, { cause });
  }
}

/** Keeps the instruments of one exchange for one run: which there are, which are wanted, and their numbers. */
export class InstrumentList {
  readonly #exchange: Exchange;
  readonly #asked: ReadonlySet<string>;
  readonly #numbers = new Map<string, NumberedInstrument>();
  #known = new Map<string, { readonly one: Instrument; readonly fingerprint: string }>();
  /** Instruments that the last answer left out. */
  #missing: ReadonlySet<string> = new Set();
  #wanted: readonly string[] = [];
  /** Ids under which events of what is wanted come. */
  #heard = "";

  /** @param asked unified symbols or the exchange's own ids, in any case; empty = all */
  constructor(exchange: Exchange, asked: readonly string[]) {
    this.#exchange = exchange;
    this.#asked = new Set(asked.map((symbol) => symbol.toUpperCase()));
  }

  /** Every id that ever was wanted in this run. */
  get numbered(): readonly NumberedInstrument[] {
    return [...this.#numbers.values()];
  }

  /** Reads the list. @throws Error when the exchange does not answer as it should. */
  async read(get: RestGet, skipped?: Skipped): Promise<Reading> {
    const listed = await this.#exchange.fetchInstruments(get, skipped);
    // Pages are read one after the other: what moved from one to the next meanwhile comes twice.
    const answer = [...new Map(listed.map((one) => [one.instrument, one])).values()];
    if (answer.length === 0 && this.#known.size > 0) throw new Error("the list of instruments came empty");
    const all = [...answer, ...this.#stillThere(answer)];
    const wanted = all.filter((one) => one.recordable && this.#isAskedFor(one));
    wanted.sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0));
    const fresh: NumberedInstrument[] = [];
    const ids = wanted.flatMap((one) => [one.instrument, ...this.#exchange.companions(one)]);
    for (const id of ids) {
      if (this.#numbers.has(id)) continue;
      const symbol = this.#exchange.normalizeSymbol(id);
      const numbered = { number: this.#numbers.size, instrument: id, symbol };
      this.#numbers.set(id, numbered);
      fresh.push(numbered);
    }
    const heard = ids.join();
    const names = wanted.map(({ instrument }) => instrument);
    const before = new Set(this.#wanted);
    const now = new Set(names);
    const reading = {
      wanted,
      fresh,
      changed: this.#changes(all),
      listed: names.filter((name) => !before.has(name)),
      delisted: this.#wanted.filter((name) => !now.has(name)),
      same: heard === this.#heard,
      unknown: this.#unknown(wanted, all),
    };
    this.#wanted = names;
    this.#heard = heard;
    return reading;
  }

  /**
   * Instruments that this answer leaves out for the first time. One answer is not believed: a page may have
   * shifted, an entry may have been unreadable. What the exchange says by a status counts at once.
   */
  #stillThere(answer: readonly Instrument[]): Instrument[] {
    const named = new Set(answer.map(({ instrument }) => instrument));
    const left = [...this.#known.values()].filter(({ one }) => !named.has(one.instrument));
    const first = left.filter(({ one }) => !this.#missing.has(one.instrument)).map(({ one }) => one);
    this.#missing = new Set(left.map(({ one }) => one.instrument));
    return first;
  }

  #isAskedFor({ symbol, instrument }: Instrument): boolean {
    if (this.#asked.size === 0) return true;
    return this.#asked.has(symbol.toUpperCase()) || this.#asked.has(instrument.toUpperCase());
  }

  #unknown(wanted: readonly Instrument[], all: readonly Instrument[]): UnknownSymbol[] {
    const found = new Set(wanted.flatMap((one) => [one.symbol.toUpperCase(), one.instrument.toUpperCase()]));
    const unknown = [...this.#asked].filter((symbol) => !found.has(symbol));
    if (unknown.length === 0) return [];
    const coins = Map.groupBy(
      all.filter(({ recordable }) => recordable).map((one) => one.symbol),
      (symbol) => withoutMultiplier(symbol.toUpperCase()),
    );
    return unknown.map((symbol) => ({
      symbol,
      lookedFor: this.#exchange.instrumentOf(symbol) ?? symbol,
      // What does not trade now is no help; nor is the symbol itself.
      similar: (coins.get(withoutMultiplier(symbol)) ?? []).filter((other) => other.toUpperCase() !== symbol),
    }));
  }

  /** What differs from the last reading; an instrument that is no longer in the list comes as absent. */
  #changes(all: readonly Instrument[]): Instrument[] {
    const known = new Map<string, { readonly one: Instrument; readonly fingerprint: string }>();
    const changed: Instrument[] = [];
    for (const one of all) {
      const fingerprint = JSON.stringify(one);
      known.set(one.instrument, { one, fingerprint });
      if (this.#known.get(one.instrument)?.fingerprint !== fingerprint) changed.push(one);
    }
    for (const [instrument, { one }] of this.#known) {
      if (!known.has(instrument)) changed.push({ ...one, status: ABSENT_STATUS, raw: null });
    }
    this.#known = known;
    return changed;
  }
}
