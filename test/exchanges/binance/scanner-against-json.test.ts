import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { COLD_SHAPES, HOT_SHAPES, KNOWN, MUTATIONS, mutatedFrame, plainFrame } from "./frame-maker.ts";
import { Bench, sameRows } from "./pairs.ts";

const FRAMES = 100_000;
/** Classes that the made frames have; announcements of instruments have a test of their own. */
const CLASSES = ["EVENTS", "CONTROL", "IGNORED", "UNWANTED", "UNDECODABLE"] as const;
/** Far above what it takes; Bun's own limit is 5 s. */
const TIMEOUT_MS = 120_000;

/** Pairs of a decoder with scanners and one without, over the tables and streams that matter. */
const PAIRS = {
  "closed table": { known: KNOWN },
  "open table": {},
  "closed table, three streams": { known: KNOWN, streams: ["trade", "funding", "liquidation"] },
} as const;

describe("scanner and JSON path", () => {
  test(
    `agree on ${FRAMES} random frames`,
    () => {
      const random = seeded("scanner against JSON");
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
      console.log(
        `  ${JSON.stringify(Object.fromEntries(classes))}, ${rows} rows, ${scannedThoughMutated} scanned`,
      );
      console.log(`  ${JSON.stringify(pairs[0].scanning.counters)}`);
      // Not vacuous: every class, every mutation, and many mutated frames that the scanner took.
      for (const name of CLASSES) expect([name, (classes.get(name) ?? 0) > 1000]).toEqual([name, true]);
      for (const name of MUTATIONS) expect([name, (used.get(name) ?? 0) > 1000]).toEqual([name, true]);
      expect(scannedThoughMutated).toBeGreaterThan(3000);
      expect(pairs[0].scanning.counters.fallback).toBeGreaterThan(3000);
      expect(pairs[0].scanning.counters.inexact).toBeGreaterThan(300);
      expect(pairs[0].scanning.counters.oversized).toBeGreaterThan(300);
    },
    TIMEOUT_MS,
  );

  test("plain frames of the hot shapes all go through the scanner", () => {
    const random = seeded("plain frames");
    const scanning = new Bench({ known: KNOWN });
    const parsing = new Bench({ known: KNOWN, scanners: false });
    let rows = 0;
    for (let i = 0; i < 20_000; i++) {
      const shape = pick(random, HOT_SHAPES);
      const frame = plainFrame(random, shape);
      const scanned = scanning.decode(frame);
      const wanted = shape === "markPriceUpdate" ? 2 : 1;
      if (scanned.kind !== FRAME.EVENTS || scanned.rows.length !== wanted || scanning.counters.fallback > 0) {
        throw new Error(`not scanned: ${Buffer.from(frame)}`);
      }
      rows += scanned.rows.length;
      expect(sameRows(scanned.rows, parsing.decode(frame).rows)).toBe(true);
    }
    expect(rows).toBeGreaterThan(20_000);
    expect(scanning.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
  });

  test("an open table takes the first frame of an instrument by JSON and the next ones by the scanner", () => {
    const random = seeded("open table");
    const bench = new Bench();
    for (let i = 0; i < 5000; i++) bench.decode(plainFrame(random, pick(random, HOT_SHAPES)));
    expect(bench.counters.fallback).toBe(KNOWN.length);
    expect([...bench.symbols.instruments].sort()).toEqual([...KNOWN].sort());
  });

  test("shapes without a scanner are not counted as its fallback", () => {
    const random = seeded("cold shapes");
    const bench = new Bench({ known: KNOWN });
    let events = 0;
    for (let i = 0; i < 5000; i++) {
      const { kind } = bench.decode(plainFrame(random, pick(random, COLD_SHAPES)));
      expect(kind).not.toBe(FRAME.UNDECODABLE);
      if (kind === FRAME.EVENTS) events++;
    }
    expect(events).toBeGreaterThan(200);
    expect(bench.counters.fallback).toBe(0);
  });
});
