/** Sets of time as lists of spans: sorted, apart from each other. */

/** From, inclusive, to, exclusive; µs. */
export type Span = readonly [from: number, to: number];

/** A set of the union of spans, which come sorted by their beginning. */
export class Spans {
  readonly #spans: [number, number][] = [];

  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** Adds one that does not begin before the last one did. */
  add(from: number, to: number): void {
    if (to <= from) return;
    const last = this.#spans.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else this.#spans.push([from, to]);
  }

  /** What is in this one and not in the other. */
  without(other: Spans): Spans {
    const left = new Spans();
    const holes = other.#spans;
    let next = 0;
    for (const [from, to] of this.#spans) {
      let at = from;
      while (next < holes.length && (holes[next]?.[1] ?? 0) <= at) next++;
      for (let k = next; k < holes.length && at < to; k++) {
        const [holeFrom, holeTo] = holes[k] ?? [to, to];
        if (holeFrom >= to) break;
        left.add(at, Math.min(holeFrom, to));
        at = Math.max(at, holeTo);
      }
      left.add(at, to);
    }
    return left;
  }

  /** What is in this one or the other. */
  with(other: Spans): Spans {
    const both = new Spans();
    for (const [from, to] of [...this.#spans, ...other.#spans].sort(([a], [b]) => a - b)) both.add(from, to);
    return both;
  }
}
