/** Whether a decoder with scanners and one without decode random frames alike. */
import { expect } from "bun:test";
import { FRAME } from "../../../src/exchanges/decoding/decoder.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { type BenchMaker, type BenchOptions, type Receipt, sameRows } from "../decoder-bench.ts";
import type { MutatedFrame } from "./frames.ts";

/** For a test of {@link expectAgreement}; far above what it takes, and Bun's own limit is 5 s. */
export const TIMEOUT_MS = 120_000;

/** Names of classes of frames. */
export type ClassName = keyof typeof FRAME;

/** What a comparison must have seen with its first settings so as not to be vacuous: more than this of each. */
export interface Coverage {
  /** Frames of each class that the made frames have. */
  readonly eachClass: number;
  /** Uses of each mutation. */
  readonly eachMutation: number;
  /** Frames of events that the scanner took though something had been done to them. */
  readonly scannedThoughMutated: number;
  /** Frames that the scanner left to the JSON path; values that are inexact, and that are oversized. */
  readonly fallback: number;
  readonly inexact: number;
  readonly oversized: number;
  /** Frames of more than one row. */
  readonly ofMany?: number;
  /** Jumps of trade ids. */
  readonly gaps?: number;
}

/** What to compare. */
export interface ComparisonOptions {
  readonly Bench: BenchMaker;
  readonly random: Random;
  /** How many frames. */
  readonly frames: number;
  /** Tables and streams that matter by name; what happened is counted with the first. */
  readonly settings: Readonly<Record<string, BenchOptions>>;
  /** Makes the next frame. */
  mutated(random: Random): MutatedFrame;
  /** When and where frame `i` is received. */
  receipt?(random: Random, i: number): Receipt;
  /** Classes that the made frames have, and mutations that they undergo. */
  readonly classes: readonly ClassName[];
  readonly mutations: readonly string[];
  readonly moreThan: Coverage;
}

/** Decodes random frames on both ways; throws, or fails the test, at the first that they do not agree on. */
export function expectAgreement({
  Bench,
  random,
  frames,
  settings,
  mutated,
  receipt = () => ({}),
  classes: classNames,
  mutations: mutationNames,
  moreThan,
}: ComparisonOptions): void {
  const pairs = Object.entries(settings).map(([name, options]) => ({
    name,
    scanning: new Bench(options),
    parsing: new Bench({ ...options, scanners: false }),
  }));
  const [first] = pairs;
  const classes = new Map<string, number>();
  const used = new Map<string, number>();
  let scannedThoughMutated = 0;
  let rows = 0;
  let ofMany = 0;
  for (let i = 0; i < frames; i++) {
    const { frame, mutations } = mutated(random);
    for (const name of mutations) count(used, name);
    const original = Buffer.from(frame);
    const received = receipt(random, i);
    for (const pair of pairs) {
      const { name, scanning, parsing } = pair;
      const before = scanning.counters.fallback;
      const scanned = scanning.decode(frame, { ...received, inPlace: i % 2 === 1 });
      const parsed = parsing.decode(frame, received);
      const { fallback, ...counted } = scanning.counters;
      const { fallback: _, ...wanted } = parsing.counters;
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
        throw new Error(`frame ${i}: ${JSON.stringify(what)}: the decoders differ, or one changed the frame`);
      }
      for (const row of parsed.rows) {
        const odd = Object.entries(row).find(
          ([, value]) => typeof value === "number" && !Number.isFinite(value),
        );
        if (odd !== undefined) throw new Error(`frame ${i}: ${odd} in a row of ${original}`);
      }
      if (pair !== first) continue;
      count(classes, className(scanned.kind));
      rows += scanned.rows.length;
      if (scanned.rows.length > 1) ofMany++;
      if (scanned.kind === FRAME.EVENTS && mutations.length > 0 && fallback === before)
        scannedThoughMutated++;
    }
  }
  if (first === undefined) throw new Error("there is nothing to compare: no settings");
  const { scanning, parsing } = first;
  console.log(
    `  ${JSON.stringify(Object.fromEntries(classes))}, ${rows} rows, ${scannedThoughMutated} scanned though mutated`,
  );
  console.log(`  ${JSON.stringify(scanning.counters)}, ${ofMany} of many rows, ${scanning.gaps.length} gaps`);
  expect(scanning.gaps).toEqual(parsing.gaps);
  for (const name of classNames) {
    expect([name, (classes.get(name) ?? 0) > moreThan.eachClass]).toEqual([name, true]);
  }
  for (const name of mutationNames) {
    expect([name, (used.get(name) ?? 0) > moreThan.eachMutation]).toEqual([name, true]);
  }
  expect(scannedThoughMutated).toBeGreaterThan(moreThan.scannedThoughMutated);
  expect(scanning.counters.fallback).toBeGreaterThan(moreThan.fallback);
  expect(scanning.counters.inexact).toBeGreaterThan(moreThan.inexact);
  expect(scanning.counters.oversized).toBeGreaterThan(moreThan.oversized);
  expect(ofMany).toBeGreaterThan(moreThan.ofMany ?? -1);
  expect(scanning.gaps.length).toBeGreaterThan(moreThan.gaps ?? -1);
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function className(kind: number): string {
  return Object.entries(FRAME).find(([, value]) => value === kind)?.[0] ?? "OTHER";
}
