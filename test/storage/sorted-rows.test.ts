/** The rows of a file against a model: every column of every stream, NULLs, long and foreign texts, many vectors. */
import { describe, expect, test } from "bun:test";
import type { Column } from "../../src/events/columns.ts";
import { LEADING, STREAM_NAMES, STREAMS, type Stream } from "../../src/events/streams.ts";
import { RowMemory } from "../../src/storage/sorted-rows.ts";
import { type LakeValue, quoted, withSql } from "../helpers/lake.ts";
import { scratchFolder } from "../helpers/scratch.ts";
import { seeded } from "../lib/seed.ts";
import { type EventValues, Feed, someMidnight, TestDrain } from "./feed.ts";

const folder = scratchFolder("sorted-rows");
const random = seeded("sorted rows");
const NOON = someMidnight() + 43_200_000_000;
/** Inline in a vector and not, beyond ASCII, and one name twice: two instruments of one symbol. */
const SYMBOLS = [
  "ETHUSDT",
  "BTCUSDT",
  "1000000MOGUSDT",
  "币安人生USDT",
  "AUSDT",
  "Aaaaaaaaaaaa",
  "BTCUSDT",
  "ÄUSDT",
];
const ROWS = 5000;

function idOf(style: "short" | "long" | "mixed", i: number): string | null {
  if (random.below(5) === 0) return null;
  if (style === "short") return `t${i}`;
  if (style === "mixed" && random.below(2) === 0) return `é${i}`;
  return `${i}-0123456789-0123456789-0123456789`.slice(0, 13 + random.below(25));
}

function randomValue(column: Column, style: "short" | "long" | "mixed", i: number): LakeValue {
  if (column.type === "VARCHAR" && column.values === undefined) return idOf(style, i);
  // Whole vectors without a value, and without a NULL, and both mixed.
  const part = Math.floor(i / 2500);
  if (part === 1 || (part > 1 && random.below(4) === 0)) return null;
  if (column.values !== undefined) return column.values[random.below(column.values.length)] ?? null;
  switch (column.type) {
    case "BOOLEAN":
      return random.below(2) === 1;
    case "INTEGER":
      return random.below(2 ** 31) - 2 ** 30;
    case "BIGINT":
      return (random.below(2) === 0 ? -1 : 1) * random.below(2 ** 31) * (1 + random.below(2 ** 21));
    case "TIMESTAMPTZ":
      return NOON + random.below(2 ** 31);
    default:
      return (random.below(2 ** 31) - 2 ** 30) / 1000;
  }
}

const CASES: readonly (readonly [Stream, "short" | "long" | "mixed", plain?: "plain"])[] = [
  ...STREAM_NAMES.map((stream) => [stream, "short"] as const),
  ["trade", "long"],
  ["trade", "mixed"],
  ["bbo", "short", "plain"],
];

/** Columns of a plain case that are not as they come: the same in each row, or zeros, which differ in their sign alone. */
function plainValue(name: string, i: number): LakeValue | undefined {
  if (name === "timestamp" || name === "sequence") return null;
  if (name === "bid_amount") return 17;
  return name === "ask_price" ? (i & 1 ? 0 : -0) : undefined;
}

describe("rows of a file", () => {
  for (const [stream, style, plain] of CASES) {
    const words = plain === undefined ? "" : ", no name twice, columns that do not change";
    const names = plain === undefined ? SYMBOLS : [...new Set(SYMBOLS)];
    test(`${stream}, ${style} ids${words}: as they came, by symbol, local_timestamp, seq`, async () => {
      const feed = new Feed(stream, { capacity: 8192 });
      const drain = await TestDrain.open(folder, [feed]);
      drain.symbols(names.slice(0, 4));
      drain.symbols(names.slice(4), 4);
      const times = LEADING.filter(({ name }) => name.endsWith("timestamp") && name !== "local_timestamp");
      const columns: readonly Column[] = [...times, ...STREAMS[stream]];
      const model: { rank: Buffer; seq: number; row: EventValues }[] = [];
      for (let i = 0; i < ROWS; i++) {
        const number = random.below(names.length);
        const values: EventValues = Object.fromEntries(
          columns.map((column) => {
            const fixed = plain === undefined ? undefined : plainValue(column.name, i);
            return [column.name, fixed === undefined ? randomValue(column, style, i) : fixed];
          }),
        );
        const local = NOON + Math.floor(i / 3);
        if (!feed.push(number, local, values)) throw new Error("no room");
        const symbol = names[number] ?? "";
        const instrument = `${symbol}-X`;
        const row = { ...values, symbol, instrument, local, seq: i };
        model.push({ rank: Buffer.from(symbol), seq: i, row });
      }
      expect(await drain.stop()).toBe(0);
      model.sort((a, b) => Buffer.compare(a.rank, b.rank) || a.seq - b.seq);
      const expected = model.map(({ row }) => row);
      const selected = columns.map(({ name, type }) =>
        type === "TIMESTAMPTZ" ? `epoch_us(${name}) AS ${name}` : name,
      );
      await withSql(async (sql) => {
        const rows = await sql.rows(
          `SELECT ${[...selected, "symbol"].join(", ")}, instrument, epoch_us(local_timestamp) AS local, seq
           FROM ${quoted(drain.finished[0]?.path ?? "")}`,
        );
        expect(rows).toEqual(expected);
      });
    });
  }
});

describe("memory for the rows of segments", () => {
  test("segments that grow little by little leave few behind, and none is too small or much too large", () => {
    const memory = new RowMemory();
    const buffers = new Set<ArrayBuffer>();
    for (let bytes = 2 ** 16; bytes <= 2 ** 18; bytes += 16) {
      const buffer = memory.reserve(bytes);
      expect(buffer.byteLength).toBeWithin(bytes, 1.125 * bytes + 1);
      // Numbers are taken from it by eight bytes.
      expect(buffer.byteLength % 8).toBe(0);
      buffers.add(buffer);
    }
    // Two doublings of eight steps each, and the first one.
    expect(buffers.size).toBe(17);
    const largest = memory.reserve(1);
    expect(buffers).toContain(largest);
    expect(memory.reserve(2 ** 18)).toBe(largest);
  });

  test("what it has grown out of is given back at once", () => {
    const memory = new RowMemory();
    const [first, second] = [memory.reserve(1000), memory.reserve(100_000)];
    expect([first.byteLength, first.detached, second.detached]).toEqual([0, true, false]);
  });

  test("the least that can be asked for", () => {
    for (const bytes of [0, 1, 7, 8, 9, 63, 65]) {
      const buffer = new RowMemory().reserve(bytes);
      expect(buffer.byteLength).toBeWithin(bytes, bytes + 9);
      expect(buffer.byteLength % 8).toBe(0);
    }
  });
});
