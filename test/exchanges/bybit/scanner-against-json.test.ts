import { describe, expect, test } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import { pick, seeded } from "../../lib/seed.ts";
import { sameRows } from "../decoder-bench.ts";
import { expectAgreement, TIMEOUT_MS } from "../fuzz/agreement.ts";
import { expectEveryByteCounts } from "../fuzz/every-byte.ts";
import { Bench } from "./bench.ts";
import { COLD_SHAPES, HOT_SHAPES, KNOWN, MUTATIONS, mutatedFrame, plainFrame } from "./frame-maker.ts";

/** A sample; TAPEDECK_TEST_LONG=1 takes many more. */
const FRAMES = process.env.TAPEDECK_TEST_LONG === "1" ? 100_000 : 12_000;
const CLASSES = ["EVENTS", "CONTROL", "IGNORED", "UNWANTED", "UNDECODABLE"] as const;

/** The tables and streams that matter. */
const SETTINGS = {
  "closed table": { known: KNOWN },
  "open table": {},
  "closed table, three streams": { known: KNOWN, streams: ["trade", "funding", "liquidation"] },
  "closed table, the other three": { known: KNOWN, streams: ["bbo", "mark_price", "open_interest"] },
} as const;

describe("scanner and JSON path", () => {
  test(
    `agree on ${FRAMES} random frames`,
    () => {
      expectAgreement({
        Bench,
        random: seeded("Bybit scanner against JSON"),
        frames: FRAMES,
        settings: SETTINGS,
        mutated: mutatedFrame,
        classes: CLASSES,
        mutations: MUTATIONS,
        moreThan: {
          eachClass: 0.01 * FRAMES,
          eachMutation: 0.01 * FRAMES,
          scannedThoughMutated: 0.016 * FRAMES,
          fallback: 0.016 * FRAMES,
          inexact: 0.0016 * FRAMES,
          oversized: 0.0016 * FRAMES,
        },
      });
    },
    TIMEOUT_MS,
  );

  test("plain frames of the hot shapes all go through the scanner", () => {
    const random = seeded("plain Bybit frames");
    const scanning = new Bench({ known: KNOWN });
    const parsing = new Bench({ known: KNOWN, scanners: false });
    const streams = new Map<unknown, number>();
    for (let i = 0; i < 5000; i++) {
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

  test(
    "agree on frames of which one byte is another than usual",
    () => {
      const random = seeded("Bybit byte by byte");
      const frames = HOT_SHAPES.map((shape) => plainFrame(random, shape));
      expectEveryByteCounts(Bench, { known: KNOWN }, frames);
    },
    TIMEOUT_MS,
  );
});
