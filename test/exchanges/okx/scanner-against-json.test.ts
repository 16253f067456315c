import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { sameRows } from "../decoder-bench.ts";
import { expectAgreement, TIMEOUT_MS } from "../fuzz/agreement.ts";
import { expectEveryByteCounts } from "../fuzz/every-byte.ts";
import { Bench, LOCAL } from "./bench.ts";
import { COLD_SHAPES, HOT_SHAPES, KNOWN, MUTATIONS, mutatedFrame, plainFrame } from "./frame-maker.ts";

/** A sample; TAPEDECK_TEST_LONG=1 takes many more. */
const FRAMES = process.env.TAPEDECK_TEST_LONG === "1" ? 100_000 : 12_000;
const CLASSES = ["EVENTS", "CONTROL", "IGNORED", "UNWANTED", "UNDECODABLE", "INSTRUMENTS"] as const;

/** The tables and streams that matter. */
const SETTINGS = {
  "closed table": { known: KNOWN },
  "open table": {},
  "closed table, three streams": { known: KNOWN, streams: ["trade", "mark_price", "liquidation"] },
} as const;

describe("scanner and JSON path", () => {
  test(
    `agree on ${FRAMES} random frames`,
    () => {
      expectAgreement({
        Bench,
        random: seeded("OKX scanner against JSON"),
        frames: FRAMES,
        settings: SETTINGS,
        mutated: mutatedFrame,
        receipt: (from, i) => ({ local: LOCAL + i, connection: from.below(4) }),
        classes: CLASSES,
        mutations: MUTATIONS,
        moreThan: {
          eachClass: 0.01 * FRAMES,
          eachMutation: 0.01 * FRAMES,
          scannedThoughMutated: 0.033 * FRAMES,
          fallback: 0.033 * FRAMES,
          inexact: 0.001 * FRAMES,
          oversized: 0.001 * FRAMES,
          ofMany: 0.016 * FRAMES,
          gaps: 0.003 * FRAMES,
        },
      });
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

  test(
    "agree on frames of which one byte is another than usual",
    () => {
      const random = seeded("OKX byte by byte");
      const frames = HOT_SHAPES.flatMap((shape) => [1, 2].map(() => plainFrame(random, shape)));
      expectEveryByteCounts(Bench, { known: KNOWN }, frames);
    },
    TIMEOUT_MS,
  );
});
