import type { GapNotice } from "../ingest/messages.ts";

/** Parts of one stream that begin this far apart are no longer one start, µs. */
const BEGIN_APART = 1_000_000;

/** What the workers of one stream have told of its start so far. */
interface Parts {
  readonly byWorker: Map<number, readonly GapNotice[]>;
  /** Calls the end of the waiting off. */
  readonly callOff: () => void;
}

/** What is needed of others. */
export interface PartedStartsOptions {
  /** How many workers carry something of a stream. */
  partsOf(exchange: string, stream: string): number;
  /** Whether a start of a stream was told before: then a later one is of some symbols only. */
  isTold(exchange: string, stream: string): boolean;
  /** Calls `run` in `ms`; what it returns calls that off. */
  later(run: () => void, ms: number): () => void;
  /** How long the first part waits for the others, ms. */
  readonly waitMax: number;
  /** Takes parts for which the others did not come in time. */
  release(gaps: readonly GapNotice[]): void;
}

/**
 * Where several workers share an exchange, each knows of its own symbols only that they have begun. Puts together what
 * they tell of the first start of a stream: one gap of all symbols. Waiting loses nothing: until a start is told, the
 * next run takes all since the run before for missing.
 */
export class PartedStarts {
  readonly #options: PartedStartsOptions;
  readonly #waiting = new Map<string, Parts>();

  constructor(options: PartedStartsOptions) {
    this.#options = options;
  }

  /** Takes what a worker tells; returns what is to be told now. */
  take(notices: readonly GapNotice[], worker: number): readonly GapNotice[] {
    if (!notices.some(({ reason }) => reason === "start")) return notices;
    const now: GapNotice[] = [];
    for (const group of Map.groupBy(notices, groupOf).values()) {
      const [{ exchange, stream, reason }] = group as [GapNotice, ...GapNotice[]];
      const parts = this.#options.partsOf(exchange, stream);
      if (reason !== "start" || parts < 2 || this.#options.isTold(exchange, stream)) now.push(...group);
      else now.push(...this.#part(`${exchange} ${stream}`, group, worker, parts));
    }
    return now;
  }

  #part(name: string, group: readonly GapNotice[], worker: number, parts: number): readonly GapNotice[] {
    const whole = group.every(({ wholePart }) => wholePart === true);
    if (!whole || this.#waiting.get(name)?.byWorker.has(worker) === true)
      return [...this.#end(name), ...group];
    const waiting = this.#waiting.get(name) ?? this.#begin(name);
    waiting.byWorker.set(worker, group);
    return waiting.byWorker.size < parts ? [] : merged(this.#end(name));
  }

  #begin(name: string): Parts {
    const callOff = this.#options.later(() => this.#options.release(this.#end(name)), this.#options.waitMax);
    const parts = { byWorker: new Map<number, readonly GapNotice[]>(), callOff };
    this.#waiting.set(name, parts);
    return parts;
  }

  #end(name: string): readonly GapNotice[] {
    const parts = this.#waiting.get(name);
    this.#waiting.delete(name);
    parts?.callOff();
    return [...(parts?.byWorker.values() ?? [])].flat();
  }

  /** What still waits: it is not waited for any more. */
  close(): readonly GapNotice[] {
    return [...this.#waiting.keys()].flatMap((name) => this.#end(name));
  }
}

function groupOf({ exchange, stream, reason }: GapNotice): string {
  return `${exchange} ${stream} ${reason}`;
}

/** One gap of all symbols, where they begin together: as long as the last of them. */
function merged(gaps: readonly GapNotice[]): readonly GapNotice[] {
  const [first] = gaps;
  if (first === undefined) return [];
  const begins = gaps.map(({ from }) => from ?? Number.NEGATIVE_INFINITY);
  const from = Math.min(...begins);
  if (Math.max(...begins) - from > BEGIN_APART) return gaps;
  const ends = gaps.flatMap(({ to }) => (to === null ? [] : [to]));
  const to = ends.length < gaps.length ? null : Math.max(...ends);
  return [{ ...first, instrument: null, from, to }];
}
