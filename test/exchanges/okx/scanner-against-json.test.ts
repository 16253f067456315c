import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { Bench, LOCAL, sameRows } from "./bench.ts";
import { COLD_SHAPES, HOT_SHAPES, KNOWN, MUTATIONS, mutatedFrame, plainFrame } from "./frame-maker.ts";

const FRAMES = 30_000;
const CLASSES = ["EVENTS", "CONTROL", "IGNORED", "UNWANTED", "UNDECODABLE", "INSTRUMENTS"] as const;
/** Far above what it takes; Bun's own limit is 5 s. */
const TIMEOUT_MS = 120_000;

/** Pairs of a decoder with scanners and one without, over the tables and streams that matter. */
const PAIRS = {
  "closed table": { known: KNOWN },
  "open table": {},
  "closed table, three streams": { known: KNOWN, streams: ["trade", "mark_price", "liquidation"] },
} as const;

describe("scanner and JSON path", () => {
  test(
    `agree on ${FRAMES} random frames`,
    () => {
      const random = seeded("OKX scanner against JSON");
      const pairs = Object.entries(PAIRS).map(([name, options]) => ({
        name,
        scanning: new Bench(options),
        parsing: new Bench({ ...options, scanners: false }),
      }));
      const classes = new Map<string, number>();
      const used = new Map<string, number>();
      let scannedThoughMutated = 0;
      let ofMany = 0;
      for (let i = 0; i < FRAMES; i++) {
        const { frame, mutations } = mutatedFrame(random);
        for (const name of mutations) used.set(name, (used.get(name) ?? 0) + 1);
        const original = Buffer.from(frame);
        const when = { local: LOCAL + i, connection: random.below(4) };
        for (const { name, scanning, parsing } of pairs) {
          const before = scanning.counters.fallback;
          const scanned = scanning.decode(frame, when);
          const parsed = parsing.decode(frame, when);
          const { fallback: _, ...counted } = scanning.counters;
          const { fallback: __, ...wanted } = parsing.counters;
          const equal =
            scanned.kind === parsed.kind &&
            sameRows(scanned.rows, parsed.rows) &&
            scanning.gaps.length === parsing.gaps.length &&
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
          if (scanned.rows.length > 1) ofMany++;
          if (
            scanned.kind === FRAME.EVENTS &&
            mutations.length > 0 &&
            scanning.counters.fallback === before
          ) {
            scannedThoughMutated++;
          }
        }
      }
      const [{ scanning, parsing }] = pairs as [(typeof pairs)[0], ...typeof pairs];
      console.log(
        `  ${JSON.stringify(Object.fromEntries(classes))}, ${ofMany} of many rows, ${scanning.gaps.length} gaps`,
      );
      console.log(`  ${scannedThoughMutated} scanned though mutated, ${JSON.stringify(scanning.counters)}`);
      expect(scanning.gaps).toEqual(parsing.gaps);
      // Not vacuous: every class, every mutation, and many mutated frames that the scanner took.
      for (const name of CLASSES) expect([name, (classes.get(name) ?? 0) > 300]).toEqual([name, true]);
      for (const name of MUTATIONS) expect([name, (used.get(name) ?? 0) > 300]).toEqual([name, true]);
      expect(scannedThoughMutated).toBeGreaterThan(1000);
      expect(ofMany).toBeGreaterThan(500);
      expect(scanning.gaps.length).toBeGreaterThan(100);
      expect(scanning.counters.fallback).toBeGreaterThan(1000);
      expect(scanning.counters.inexact).toBeGreaterThan(30);
      expect(scanning.counters.oversized).toBeGreaterThan(30);
    },
    TIMEOUT_MS,
  );

  test("plain frames of the hot shapes all go through the scanner", () => {
    const random = seeded("OKX plain frames");
    const scanning = new Bench({ known: KNOWN });
    const parsing = new Bench({ known: KNOWN, scanners: false });
    for (let i = 0; i < 5000; i++) {
      const frame = plainFrame(random, pick(random, HOT_SHAPES));
      const scanned = scanning.decode(frame);
      if (scanned.kind !== FRAME.EVENTS || scanned.rows.length === 0 || scanning.counters.fallback > 0) {
        throw new Error(`not scanned: ${Buffer.from(frame)}`);
      }
      expect(sameRows(scanned.rows, parsing.decode(frame).rows)).toBe(true);
    }
    expect(scanning.counters).toEqual({ fallback: 0, inexact: 0, oversized: 0 });
    expect(scanning.gaps).toEqual(parsing.gaps);
  });

  test("shapes without a scanner are not counted as its fallback", () => {
    const random = seeded("OKX cold shapes");
    const bench = new Bench({ known: KNOWN });
    for (let i = 0; i < 2000; i++) {
      expect(bench.decode(plainFrame(random, pick(random, COLD_SHAPES))).kind).not.toBe(FRAME.UNDECODABLE);
    }
    expect(bench.counters.fallback).toBe(0);
  });
});
