/**
 * docs/exchanges.md and docs/schema.md against what is read: each field of a full frame is changed, and the
 * columns that change with it have to be those that name it as their source; a field that changes none has to
 * stand in the list of those that no column takes.
 */
import { describe, expect, test } from "bun:test";
import { basename } from "node:path";
import { RECORDERS_OWN } from "../../scripts/docs.ts";
import { DATASETS } from "../../src/events/streams.ts";
import { Collector, type DecodedEvent } from "../../src/exchanges/decoding/collector.ts";
import { FRAME } from "../../src/exchanges/decoding/decoder.ts";
import { SymbolTable } from "../../src/exchanges/decoding/symbols.ts";
import type { Exchange } from "../../src/exchanges/exchange.ts";
import { EXCHANGES } from "../../src/exchanges/exchanges.ts";
import { instrumentRow } from "../../src/recorder/datasets.ts";
import { FIXTURES_NOTE, fixtureFilesOf, fixtureLines, HAVE_FIXTURES } from "../lib/fixtures.ts";
import { answered } from "../lib/rest.ts";
import { KNOWN, type Known } from "./frames.ts";
import { leavesOf, othersOf, type Path, valueAt, withField } from "./mutate.ts";

const page = await Bun.file(new URL("../../docs/exchanges.md", import.meta.url)).text();
const [, list = ""] = page.split("## Fields that no column takes\n");

/** Fields that docs/exchanges.md lists for an exchange, as `channel field`. */
function listed(exchange: string): string[] {
  const [, section = ""] = list.split(`### ${exchange}\n`);
  const [own = ""] = section.split("\n### ", 1);
  return [...own.matchAll(/^\| ([^|]+) \| ([^|]+) \|/gm)].flatMap(([, channels = "", fields = ""]) =>
    channels
      .split(", ")
      .flatMap((channel) => [...fields.matchAll(/`([^`]+)`/g)].map(([, field]) => `${channel} ${field}`)),
  );
}

/** `details.posSide`, `asks[3]`: what wraps the payload and numbers of entries are left out. */
function nameOf(path: Path): string {
  const [head, ...rest] = path[0] === "data" ? path.slice(1) : path;
  const keys = [head, ...rest].filter((key) => typeof key === "string").join(".");
  const last = path.at(-1);
  return typeof last === "number" ? `${keys}[${last}]` : keys;
}

function decode(exchange: Exchange, frame: unknown): { kind: number; rows: DecodedEvent[] } {
  const symbols = new SymbolTable({ open: true });
  const collector = new Collector(exchange, symbols);
  const counters = { fallback: 0, inexact: 0, oversized: 0 };
  const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
  const kind = decoder.decode(new TextEncoder().encode(JSON.stringify(frame)), 0, 0);
  return { kind, rows: collector.take() };
}

/** Columns of `after` that differ, as `stream.column`; one "row" when there are other rows at all. */
function changes(before: readonly DecodedEvent[], after: readonly DecodedEvent[]): string[] {
  if (before.length !== after.length) return ["row"];
  return before.flatMap((row, i) =>
    Object.keys(row)
      .filter((column) => row[column] !== after[i]?.[column])
      .map((column) => `${row.stream}.${column}`),
  );
}

/** Whether a text of a source names a key. */
function names(source: string | null | undefined, key: string): boolean {
  return new RegExp(`(?<!\\w)${key}(?!\\w)`).test(source ?? "");
}

const lastKey = (path: Path) => String(path.findLast((key) => typeof key === "string"));

const knownOf = ({ name }: Exchange): Known => {
  const known = KNOWN[name];
  if (known === undefined) throw new Error(`test/docs/frames.ts has no frames of ${name}`);
  return known;
};

describe.each([...EXCHANGES])("$name", (exchange) => {
  const { frames, instruments } = knownOf(exchange);

  test("every field of a frame is in a column that names it, or in the list of those that are not recorded", () => {
    const untaken = new Set<string>();
    const streams = new Set<unknown>();
    for (const [channel, texts] of Object.entries(frames)) {
      for (const text of texts) {
        const frame: unknown = JSON.parse(text);
        const before = decode(exchange, frame);
        expect([text, before.kind]).toEqual([text, FRAME.EVENTS]);
        for (const { stream } of before.rows) streams.add(stream);
        for (const path of leavesOf(frame)) {
          const changed = new Set<string>();
          for (const other of othersOf(valueAt(frame, path))) {
            const after = decode(exchange, withField(frame, path, other));
            if (after.kind !== before.kind) changed.add("row");
            else for (const column of changes(before.rows, after.rows)) changed.add(column);
          }
          if (changed.size === 0) untaken.add(`${channel} ${nameOf(path)}`);
          for (const one of changed) {
            const [stream = "", column = ""] = one.split(".");
            if (one === "row" || column === "symbol" || column === "instrument") continue;
            const source = exchange.streams.find((name) => name === stream);
            const said = source && exchange.sources[source]?.columns[column];
            expect([channel, nameOf(path), one, names(said, lastKey(path))]).toEqual([
              channel,
              nameOf(path),
              one,
              true,
            ]);
          }
        }
      }
    }
    expect([...streams].sort()).toEqual([...exchange.streams].sort());
    expect([...untaken].sort()).toEqual([...new Set(listed(exchange.name))].sort());
  });

  test("every column of a stream that has a source is filled by a full frame, every other one never", () => {
    const filled = new Set<string>();
    for (const text of Object.values(frames).flat()) {
      for (const row of decode(exchange, JSON.parse(text)).rows) {
        for (const [column, value] of Object.entries(row))
          if (value !== null) filled.add(`${row.stream}.${column}`);
      }
    }
    for (const stream of exchange.streams) {
      for (const [column, source] of Object.entries(exchange.sources[stream]?.columns ?? {})) {
        const sent = source !== null && !source.startsWith("NULL");
        expect([stream, column, filled.has(`${stream}.${column}`)]).toEqual([stream, column, sent]);
      }
    }
  });

  test.skipIf(!HAVE_FIXTURES)(
    `a column that some recorded frames fill and others do not says when it is NULL${FIXTURES_NOTE}`,
    () => {
      const symbols = new SymbolTable({ open: true });
      const collector = new Collector(exchange, symbols);
      const counters = { fallback: 0, inexact: 0, oversized: 0 };
      const decoder = exchange.createDecoder({ symbols, writers: collector.writers, counters });
      const files = fixtureFilesOf(exchange.name).filter((file) => !basename(file).startsWith("rest."));
      for (const frame of files.flatMap(fixtureLines)) decoder.decode(new TextEncoder().encode(frame), 1, 0);
      const rows = collector.take();
      expect(rows.length).toBeGreaterThan(10);
      for (const stream of exchange.streams) {
        const own = rows.filter((row) => row.stream === stream);
        for (const [column, source] of Object.entries(exchange.sources[stream]?.columns ?? {})) {
          const nulls = own.filter((row) => row[column] === null).length;
          const varies = nulls > 0 && nulls < own.length;
          expect([stream, column, !varies || /NULL/.test(source ?? "")]).toEqual([stream, column, true]);
        }
      }
    },
  );

  test("every column of the dataset instruments names its source", async () => {
    const { columns } = exchange.instrumentSources;
    const own = DATASETS.instruments.map(({ name }) => name).filter((name) => !(name in RECORDERS_OWN));
    expect(Object.keys(columns)).toEqual(own);
    const read = async (answer: unknown) => {
      const [one] = await exchange.fetchInstruments(async () => answered(answer)).catch(() => []);
      return one === undefined ? null : instrumentRow(one, 0);
    };
    const before = await read(instruments);
    expect(before).not.toBeNull();
    for (const column of own) {
      expect([column, before?.[column] !== null]).toEqual([column, columns[column] !== null]);
    }
    const moved = new Set<string>();
    for (const path of leavesOf(instruments)) {
      for (const other of othersOf(valueAt(instruments, path))) {
        const after = await read(withField(instruments, path, other));
        for (const column of own) {
          if (after === null || column === "raw" || before?.[column] === after[column]) continue;
          moved.add(column);
          expect([column, path.join("."), names(columns[column], lastKey(path))]).toEqual([
            column,
            path.join("."),
            true,
          ]);
        }
      }
    }
    const ours = own.filter((column) => /^ours: /.test(columns[column] ?? ""));
    expect(own.filter((column) => column !== "raw" && !moved.has(column))).toEqual(ours);
  });
});
