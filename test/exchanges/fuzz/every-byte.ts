/** Whether a decoder with scanners and one without agree on frames in which one byte is another than usual. */
import { expect } from "bun:test";
import { type BenchMaker, type BenchOptions, sameRows } from "../decoder-bench.ts";

/** What may stand in place of a byte, or before it: whatever means something in JSON, and what is no ASCII. */
const BYTES = Buffer.from('"\\ 0159.-e,:{}[]aZ\0\x1f\xff', "latin1");

/** What is done to a frame at one place. */
function* changed(frame: Uint8Array, at: number): Generator<Uint8Array> {
  for (const byte of BYTES) {
    const replaced = Uint8Array.from(frame);
    replaced[at] = byte;
    yield replaced;
  }
  yield Buffer.concat([
    frame.subarray(0, at),
    BYTES.subarray(at % BYTES.length).subarray(0, 1),
    frame.subarray(at),
  ]);
  yield Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1)]);
  yield frame.subarray(0, at);
}

/**
 * Decodes each frame, so that it is known to be usual, and then once for each of its bytes with that one changed, left out,
 * or as the first that is missing. Fails at the first on which the decoders do not agree.
 */
export function expectEveryByteCounts(
  Bench: BenchMaker,
  options: BenchOptions,
  frames: Iterable<Uint8Array>,
): void {
  const scanning = new Bench(options);
  const parsing = new Bench({ ...options, scanners: false });
  let accepted = 0;
  let compared = 0;
  const compare = (frame: Uint8Array) => {
    const before = scanning.counters.fallback;
    const scanned = scanning.decode(frame, { inPlace: compared % 2 === 1 });
    const parsed = parsing.decode(frame);
    const { fallback, ...counted } = scanning.counters;
    const { fallback: _, ...wanted } = parsing.counters;
    compared++;
    if (fallback === before && scanned.rows.length > 0) accepted++;
    const equal = scanned.kind === parsed.kind && sameRows(scanned.rows, parsed.rows);
    if (equal && counted.inexact === wanted.inexact && counted.oversized === wanted.oversized) return;
    const text = Buffer.from(frame).toString("latin1");
    expect({ text, ...scanned, counted }).toEqual({ text, ...parsed, counted: wanted });
    throw new Error(`the decoders differ on ${text}`);
  };
  for (const frame of frames) {
    compare(frame);
    const before = scanning.counters.fallback;
    compare(frame);
    expect([Buffer.from(frame).toString(), scanning.counters.fallback - before]).toEqual([
      Buffer.from(frame).toString(),
      0,
    ]);
    for (let at = 0; at < frame.length; at++) for (const other of changed(frame, at)) compare(other);
  }
  // Other digits are other values: if none of them was taken by a scanner, nothing was compared.
  expect(accepted).toBeGreaterThan(compared / 20);
}
