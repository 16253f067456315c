import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { sameRows } from "../binance/pairs.ts";
import { Bench } from "./bench.ts";
import { COLD_SHAPES, HOT_SHAPES, KNOWN, MUTATIONS, mutatedFrame, plainFrame } from "./frame-maker.ts";

const FRAMES = 30_000;
const CLASSES = ["EVENTS", "CONTROL", "IGNORED", "UNWANTED", "UNDECODABLE"] as const;
/** Far above what it takes; Bun's own limit is 5 s. */
const TIMEOUT_MS = 120_000;

/** Pairs of a decoder with scanners and one without, over the tables and streams that matter. */
const PAIRS = {
  "closed table": { known: KNOWN },
  "open table": {},
  "closed table, three streams": { known: KNOWN, streams: ["trade", "funding", "liquidation"] },
  "closed table, the other three": { known: KNOWN, streams: ["bbo", "mark_price", "open_interest"] },
} as const;

describe("scanner and JSON path", () => {
  test(
    `agree on ${FRAMES} random frames`,
    () => {
      const random = seeded("Bybit scanner against JSON");
      const pairs = Object.entries(PAIRS).map(([name, options]) => ({
        name,
        scanning: new Bench(options),
        parsing: new Bench({ ...options, scanners: false }),
      }));
      const classes = new Map<string, number>();
      const used = new Map<string, number>();
      let scannedThoughMutated = 0;
      let rows = 0;
      for (let i = 0; i < FRAMES; i++) {
        const { frame, mutations } = mutatedFrame(random);
        for (const name of mutations) used.set(name, (used.get(name) ?? 0) + 1);
        const original = Buffer.from(frame);
        for (const { name, scanning, parsing } of pairs) {
          const before = scanning.counters.fallback;
          const scanned = scanning.decode(frame);
          const parsed = parsing.decode(frame);
          const { fallback: _, ...counted } = scanning.counters;
          const { fallback: __, ...wanted } = parsing.counters;
          const equal =
            scanned.kind === parsed.kind &&
            sameRows(scanned.rows, parsed.rows) &&
            counted.inexact === wanted.inexact &&
            counted.oversized === wanted.oversized;
          if (!equal || !original.equals(frame)) {
            const what = { frame: original.toString(), hex: original.toString("hex"), mutations };
            expect({ i, name, ...what, ...scanned, counted }).toEqual({
              i,
              name,
              ...what,
              ...parsed,
              counted: wanted,
            });
            throw new Error(
              `frame ${i}: ${JSON.stringify(what)}: the decoders differ, or one changed the frame`,
            );
          }
          for (const row of parsed.rows) {
            const odd = Object.entries(row).find(
              ([, value]) => typeof value === "number" && !Number.isFinite(value),
            );
            if (odd !== undefined) throw new Error(`frame ${i}: ${odd} in a row of ${original}`);
          }
          if (name !== "closed table") continue;
          const kind = CLASSES.find((candidate) => FRAME[candidate] === scanned.kind) ?? "OTHER";
          classes.set(kind, (classes.get(kind) ?? 0) + 1);
          rows += scanned.rows.length;
          if (
            scanned.kind === FRAME.EVENTS &&
            mutations.length > 0 &&
            scanning.counters.fallback === before
          ) {
            scannedThoughMutated++;
          }
        }
      }
      const [{ scanning }] = pairs;
      console.log(
        `  ${JSON.stringify(Object.fromEntries(classes))}, ${rows} rows, ${scannedThoughMutated} scanned`,
      );
      console.log(`  ${JSON.stringify(scanning.counters)}`);
      // Not vacuous: every class, every mutation, and many mutated frames that the scanner took.
      for (const name of CLASSES) expect([name, (classes.get(name) ?? 0) > 300]).toEqual([name, true]);
      for (const name of MUTATIONS) expect([name, (used.get(name) ?? 0) > 300]).toEqual([name, true]);
      expect(scannedThoughMutated).toBeGreaterThan(500);
      expect(scanning.counters.fallback).toBeGreaterThan(500);
      expect(scanning.counters.inexact).toBeGreaterThan(50);
      expect(scanning.counters.oversized).toBeGreaterThan(50);
    },
    TIMEOUT_MS,
  );

  test("plain frames of the hot shapes all go through the scanner", () => {
    const random = seeded("plain Bybit frames");
    const scanning = new Bench({ known: KNOWN });
    const parsing = new Bench({ known: KNOWN, scanners: false });
    const streams = new Map<unknown, number>();
    for (let i = 0; i < 10_000; i++) {
      const frame = plainFrame(random, pick(random, HOT_SHAPES));
      const scanned = scanning.decode(frame);
      const parsed = parsing.decode(frame);
      const taken = scanned.kind === FRAME.EVENTS || scanned.kind === FRAME.IGNORED;
      if (!taken || scanning.counters.fallback > 0) throw new Error(`not scanned: ${Buffer.from(frame)}`);
      expect(scanned.kind).toBe(parsed.kind);
      expect(sameRows(scanned.rows, parsed.rows)).toBe(true);
      for (const { stream } of scanned.rows) streams.set(stream, (streams.get(stream) ?? 0) + 1);
    }
    expect(streams.size).toBe(6);
    for (const [, count] of streams) expect(count).toBeGreaterThan(500);
    expect(scanning.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
  });

  test("an open table takes the first frame of an instrument by JSON and the next ones by the scanner", () => {
    const random = seeded("open table of Bybit");
    const bench = new Bench();
    for (let i = 0; i < 3000; i++) bench.decode(plainFrame(random, pick(random, HOT_SHAPES)));
    expect(bench.counters.fallback).toBe(KNOWN.length);
    expect([...bench.symbols.instruments].sort()).toEqual([...KNOWN].sort());
  });

  test("frames of shapes that are not recorded are not counted as a fallback", () => {
    const random = seeded("cold Bybit shapes");
    const bench = new Bench({ known: KNOWN });
    const cold = COLD_SHAPES.filter((shape) => shape !== "spotTrades");
    for (let i = 0; i < 3000; i++) {
      const { kind } = bench.decode(plainFrame(random, pick(random, cold)));
      expect(kind === FRAME.IGNORED || kind === FRAME.CONTROL).toBe(true);
    }
    expect(bench.counters.fallback).toBe(0);
  });
});
