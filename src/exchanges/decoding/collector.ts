import { LAYOUTS, SYMBOL } from "../../events/layout.ts";
import type { Stream } from "../../events/streams.ts";
import { type Value, valuesOf } from "../../events/value.ts";
import { Row } from "../../ring/row.ts";
import type { Exchange } from "../exchange.ts";
import type { RowWriter, Writers } from "./decoder.ts";
import type { SymbolTable } from "./symbols.ts";

/** A decoded event as `tapedeck decode` prints it. */
export type DecodedEvent = Readonly<Record<string, Value>>;

/** Gathers the events of all streams of an exchange in the order in which they are decoded. */
export class Collector {
  readonly writers: Writers;
  /** Events since the last {@link take}. */
  #events: DecodedEvent[] = [];

  constructor(exchange: Exchange, symbols: SymbolTable) {
    const writers: Partial<Record<Stream, RowWriter>> = {};
    for (const stream of exchange.streams) writers[stream] = this.#writer(exchange, symbols, stream);
    this.writers = writers;
  }

  #writer(exchange: Exchange, symbols: SymbolTable, stream: Stream): RowWriter {
    const { numbers, texts } = LAYOUTS[stream];
    const row = new Row(numbers.length, texts.length);
    let mark = 0;
    return {
      row,
      commit: () => {
        const instrument = symbols.instruments[row.numbers[SYMBOL]];
        this.#events.push({
          exchange: exchange.name,
          stream,
          symbol: exchange.normalizeSymbol(instrument),
          instrument,
          ...valuesOf(stream, row),
        });
        return true;
      },
      mark: () => {
        mark = this.#events.length;
      },
      rewind: () => {
        this.#events.length = mark;
      },
    };
  }

  /** The events decoded since the last call. */
  take(): DecodedEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
