/** From a row buffer back to values: what `decode` prints. */
import type { Row } from "../ring/row.ts";
import { readText } from "../ring/text.ts";
import { type Column, ringKind } from "./columns.ts";
import { PUBLISHED, slotsOf, TIMESTAMP } from "./layout.ts";
import { STREAMS, type Stream } from "./streams.ts";

/** A value of a row as JSON has it: times in whole µs since the epoch, absent values null. */
export type Value = string | number | boolean | null;

function jsonOf(column: Column, number: number): Value {
  if (Number.isNaN(number)) return null;
  if (column.values !== undefined) return column.values[number - 1] ?? null;
  return column.type === "BOOLEAN" ? number === 1 : number;
}

/** The two exchange times and the stream's own columns of a row, by name. */
export function valuesOf(stream: Stream, row: Row): Record<string, Value> {
  const values: Record<string, Value> = {
    timestamp: nullable(row.numbers[TIMESTAMP]),
    published_timestamp: nullable(row.numbers[PUBLISHED]),
  };
  const slots: Readonly<Record<string, number>> = slotsOf(stream);
  for (const column of STREAMS[stream] as readonly Column[]) {
    const slot = slots[column.name];
    if (ringKind(column) === "text") {
      const { cells, words } = row.cellsOf(slot);
      values[column.name] = readText(cells, words);
    } else {
      values[column.name] = jsonOf(column, row.numbers[slot]);
    }
  }
  return values;
}

function nullable(number: number): Value {
  return Number.isNaN(number) ? null : number;
}
