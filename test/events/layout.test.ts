/** Everything about columns derives from the one table: these tests compare it with itself, and with the design. */
import { describe, expect, test } from "bun:test";
import { type Column, ringKind } from "../../src/events/columns.ts";
import { LAYOUTS, LOCAL, PUBLISHED, SYMBOL, slotsOf, TIMESTAMP } from "../../src/events/layout.ts";
import {
  columnsOf,
  DATASETS,
  LEADING,
  SIDE_BUY,
  SIDE_SELL,
  SIDES,
  STREAM_NAMES,
  STREAMS,
  type Stream,
  TRAILING,
} from "../../src/events/streams.ts";
import { valuesOf } from "../../src/events/value.ts";
import { Row } from "../../src/ring/row.ts";

const own = (stream: Stream): readonly Column[] => STREAMS[stream];
const names = (columns: readonly Column[]) => columns.map(({ name }) => name);

/** Schema v1 as the design has it. It is frozen: a change here is a change of the published files. */
const SCHEMA_V1: Readonly<Record<Stream, string>> = {
  bbo: "bid_price bid_amount ask_price ask_amount update_id:BIGINT sequence:BIGINT",
  trade:
    "id:VARCHAR side:VARCHAR price amount count:INTEGER first_id:BIGINT sequence:BIGINT is_block:BOOLEAN is_rpi:BOOLEAN",
  mark_price: "mark_price index_price settlement_price average_price",
  funding:
    "funding_rate next_funding_timestamp:TIMESTAMPTZ funding_interval_hours predicted_funding_rate settled_funding_rate",
  open_interest: "open_interest open_interest_base open_interest_value open_interest_single",
  liquidation: "side:VARCHAR price amount average_price filled_amount is_history:BOOLEAN",
};

const spell = (columns: readonly Column[]) =>
  columns.map(({ name, type }) => (type === "DOUBLE" ? name : `${name}:${type}`)).join(" ");

describe("schema v1", () => {
  for (const stream of STREAM_NAMES) {
    test(stream, () => {
      expect(spell(STREAMS[stream])).toBe(SCHEMA_V1[stream]);
      expect(spell(columnsOf(stream))).toBe(
        `symbol:VARCHAR instrument:VARCHAR timestamp:TIMESTAMPTZ published_timestamp:TIMESTAMPTZ ` +
          `local_timestamp:TIMESTAMPTZ ${SCHEMA_V1[stream]} ` +
          `run:VARCHAR ring:SMALLINT seq:BIGINT connection:INTEGER`,
      );
    });
  }

  test("no column twice, none that is also a key of the path, each with a meaning", () => {
    const tables = [...STREAM_NAMES.map(columnsOf), ...Object.values(DATASETS)] as (readonly Column[])[];
    for (const columns of tables) {
      expect(new Set(names(columns)).size).toBe(columns.length);
      for (const { name, meaning } of columns) {
        expect(["exchange", "stream", "date"]).not.toContain(name);
        expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
        expect(meaning).not.toBe("");
      }
    }
  });

  test("only closed sets of words and non-texts travel as numbers", () => {
    expect(
      own("trade")
        .filter((column) => ringKind(column) === "text")
        .map(({ name }) => name),
    ).toEqual(["id"]);
    for (const stream of STREAM_NAMES) {
      for (const column of own(stream)) {
        const text = column.type === "VARCHAR" && column.values === undefined;
        expect(ringKind(column)).toBe(text ? "text" : "number");
      }
    }
    expect([SIDES[SIDE_BUY - 1], SIDES[SIDE_SELL - 1]]).toEqual(["buy", "sell"]);
  });
});

describe("layout", () => {
  for (const stream of STREAM_NAMES) {
    test(`${stream}: slots are those of the table, each once`, () => {
      const { numbers, texts, seq, connection } = LAYOUTS[stream];
      expect([numbers[SYMBOL], numbers[TIMESTAMP], numbers[PUBLISHED], numbers[LOCAL]]).toEqual([
        "symbol",
        "timestamp",
        "published_timestamp",
        "local_timestamp",
      ]);
      expect([numbers[seq], numbers[connection]]).toEqual(["seq", "connection"]);
      expect(numbers.length + texts.length).toBe(own(stream).length + 6);
      const slots: Readonly<Record<string, number>> = slotsOf(stream);
      expect(Object.keys(slots)).toEqual(names(own(stream)));
      for (const column of own(stream)) {
        const list = ringKind(column) === "text" ? texts : numbers;
        expect(list[slots[column.name]]).toBe(column.name);
      }
    });
  }

  test("leading and trailing columns are those that every stream has", () => {
    expect(names(LEADING)).toEqual([
      "symbol",
      "instrument",
      "timestamp",
      "published_timestamp",
      "local_timestamp",
    ]);
    expect(names(TRAILING)).toEqual(["run", "ring", "seq", "connection"]);
  });
});

describe("values of a row", () => {
  function rowOf(stream: Stream): Row {
    return new Row(LAYOUTS[stream].numbers.length, LAYOUTS[stream].texts.length);
  }

  test("names and order derive from the table", () => {
    for (const stream of STREAM_NAMES) {
      const values = valuesOf(stream, rowOf(stream));
      expect(Object.keys(values)).toEqual(["timestamp", "published_timestamp", ...names(own(stream))]);
      expect(Object.values(values).every((value) => value === null)).toBe(true);
    }
  });

  test("each number slot comes out under its own name, none under another", () => {
    for (const stream of STREAM_NAMES) {
      const slots: Readonly<Record<string, number>> = slotsOf(stream);
      for (const column of own(stream)) {
        if (ringKind(column) === "text") continue;
        const row = rowOf(stream);
        row.numbers[slots[column.name]] = 1;
        const filled = Object.entries(valuesOf(stream, row)).filter(([, value]) => value !== null);
        const wanted = column.values?.[0] ?? (column.type === "BOOLEAN" ? true : 1);
        expect(filled).toEqual([[column.name, wanted]]);
      }
    }
  });

  test("sides, booleans, times, texts, and zero, which is not NULL", () => {
    const row = rowOf("trade");
    const slots = slotsOf("trade");
    row.numbers[TIMESTAMP] = 1_790_000_000_000_001;
    row.numbers[PUBLISHED] = 1_790_000_000_000_999;
    row.numbers[slots.side] = SIDE_SELL;
    row.numbers[slots.is_block] = 1;
    row.numbers[slots.is_rpi] = 0;
    row.numbers[slots.price] = 0;
    row.numbers[slots.count] = 3;
    row.setText(slots.id, Buffer.from("18446744073709551615"), 0, 20);
    expect(valuesOf("trade", row)).toEqual({
      timestamp: 1_790_000_000_000_001,
      published_timestamp: 1_790_000_000_000_999,
      id: "18446744073709551615",
      side: "sell",
      price: 0,
      amount: null,
      count: 3,
      first_id: null,
      sequence: null,
      is_block: true,
      is_rpi: false,
    });
    row.numbers[slots.side] = SIDE_BUY;
    row.numbers[slots.price] = -0;
    const values = valuesOf("trade", row);
    expect(values.side).toBe("buy");
    expect(Object.is(values.price, -0)).toBe(true);
    const liquidation = rowOf("liquidation");
    liquidation.numbers[slotsOf("liquidation").side] = SIDE_BUY;
    expect(valuesOf("liquidation", liquidation).side).toBe("buy");
  });
});
