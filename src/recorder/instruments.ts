import type { Skipped } from "../exchanges/decoding/entries.ts";
import type { Exchange, Instrument } from "../exchanges/exchange.ts";
import { parseRetryAfter } from "../lib/retry-after.ts";

/** An id that may stand in frames, with the number that stands for it in the rows of this run. */
export interface NumberedInstrument {
  readonly number: number;
  readonly instrument: string;
  readonly symbol: string;
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
  /** Symbols that were asked for and do not exist or do not trade. */
  readonly unknown: readonly string[];
}

/** Our word for the state of an instrument that the exchange no longer lists. */
const ABSENT_STATUS = "absent";

/** Largest answer of an exchange's REST interface that is read, bytes. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** An exchange refused a request; `retryAfter` is how long it wants to be left alone, ms. */
export class RestError extends Error {
  constructor(
    message: string,
    readonly retryAfter: number,
  ) {
    super(message);
    this.name = "RestError";
  }
}

/**
 * A reader of REST paths.
 *
 * @param timeout ms for one request
 * @throws Error (from the reader) that names the path and what was wrong with the answer
 */
export function restReader(options: {
  restUrl: string;
  timeout: number;
  signal: AbortSignal;
}): (path: string) => Promise<unknown> {
  const { restUrl, timeout, signal } = options;
  return async (path) => {
    const response = await fetch(restUrl + path, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    });
    if (!response.ok) {
      const words = `GET ${path} answered ${response.status} ${response.statusText}`.trimEnd();
      throw new RestError(words, parseRetryAfter(response.headers.get("retry-after")));
    }
    const bytes = await response.arrayBuffer();
    if (bytes.byteLength > ANSWER_BYTES_MAX)
      throw new Error(`GET ${path} answered ${bytes.byteLength} bytes`);
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  };
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
  async read(get: (path: string) => Promise<unknown>, skipped?: Skipped): Promise<Reading> {
    const answer = await this.#exchange.fetchInstruments(get, skipped);
    if (answer.length === 0 && this.#known.size > 0) throw new Error("the list of instruments came empty");
    const all = [...answer, ...this.#stillThere(answer)];
    const wanted = all.filter((one) => one.recordable && this.#isAskedFor(one));
    wanted.sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0));
    const fresh: NumberedInstrument[] = [];
    for (const { instrument } of wanted) {
      for (const id of [instrument, ...this.#exchange.companions(instrument)]) {
        if (this.#numbers.has(id)) continue;
        const symbol = this.#exchange.normalizeSymbol(id);
        const numbered = { number: this.#numbers.size, instrument: id, symbol };
        this.#numbers.set(id, numbered);
        fresh.push(numbered);
      }
    }
    const names = wanted.map(({ instrument }) => instrument);
    const before = new Set(this.#wanted);
    const now = new Set(names);
    const reading = {
      wanted,
      fresh,
      changed: this.#changes(all),
      listed: names.filter((name) => !before.has(name)),
      delisted: this.#wanted.filter((name) => !now.has(name)),
      unknown: this.#unknown(wanted),
    };
    this.#wanted = names;
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

  #unknown(wanted: readonly Instrument[]): string[] {
    const found = new Set(wanted.flatMap((one) => [one.symbol.toUpperCase(), one.instrument.toUpperCase()]));
    return [...this.#asked].filter((symbol) => !found.has(symbol));
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
