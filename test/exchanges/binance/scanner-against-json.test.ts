import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { sameRows } from "../decoder-bench.ts";
import { expectAgreement, TIMEOUT_MS } from "../fuzz/agreement.ts";
import { expectEveryByteCounts } from "../fuzz/every-byte.ts";
import { Bench } from "./bench.ts";
import { COLD_SHAPES, HOT_SHAPES, KNOWN, MUTATIONS, mutatedFrame, plainFrame } from "./frame-maker.ts";

/** A sample; TAPEDECK_TEST_LONG=1 takes many more. */
const FRAMES = process.env.TAPEDECK_TEST_LONG === "1" ? 100_000 : 20_000;
const PLAIN = 5000;
/** Classes that the made frames have; announcements of instruments have a test of their own. */
const CLASSES = ["EVENTS", "CONTROL", "IGNORED", "UNWANTED", "UNDECODABLE"] as const;

/** The tables and streams that matter. */
const SETTINGS = {
  "closed table": { known: KNOWN },
  "open table": {},
  "closed table, three streams": { known: KNOWN, streams: ["trade", "funding", "liquidation"] },
} as const;

describe("scanner and JSON path", () => {
  test(
    `agree on ${FRAMES} random frames`,
    () => {
      expectAgreement({
        Bench,
        random: seeded("scanner against JSON"),
        frames: FRAMES,
        settings: SETTINGS,
        mutated: mutatedFrame,
        classes: CLASSES,
        mutations: MUTATIONS,
        moreThan: {
          eachClass: 0.01 * FRAMES,
          eachMutation: 0.01 * FRAMES,
          scannedThoughMutated: 0.03 * FRAMES,
          fallback: 0.03 * FRAMES,
          inexact: 0.003 * FRAMES,
          oversized: 0.003 * FRAMES,
        },
      });
    },
    TIMEOUT_MS,
  );

  test("plain frames of the hot shapes all go through the scanner", () => {
    const random = seeded("plain frames");
    const scanning = new Bench({ known: KNOWN });
    const parsing = new Bench({ known: KNOWN, scanners: false });
    let rows = 0;
    for (let i = 0; i < PLAIN; i++) {
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
    expect(rows).toBeGreaterThan(PLAIN);
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

  test(
    "agree on frames of which one byte is another than usual",
    () => {
      const random = seeded("Binance byte by byte");
      const frames = HOT_SHAPES.flatMap((shape) => [1, 2].map(() => plainFrame(random, shape)));
      expectEveryByteCounts(Bench, { known: KNOWN }, frames);
    },
    TIMEOUT_MS,
  );
});
