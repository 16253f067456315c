import type { News, NewsKind } from "./news.ts";

/** News that go out together. */
export interface Batch {
  /** Oldest first. */
  readonly news: readonly News[];
  /** Older ones that are only counted, by kind. */
  readonly heldBack: Readonly<Record<NewsKind, number>>;
}

/** Things in a batch, the counted ones included. */
export function sizeOf({ news, heldBack }: Batch): number {
  const counted = Object.values(heldBack).reduce((sum, count) => sum + count, 0);
  return news.reduce((sum, { count }) => sum + count, counted);
}

const none = (): Record<NewsKind, number> => ({ state: 0, gap: 0, run: 0 });

/** News that wait for the next message. Bounded: of more than `max` the oldest are only counted, the last state excepted. */
export class Digest {
  readonly #max: number;
  #news: News[] = [];
  #heldBack = none();

  constructor(max: number) {
    this.#max = max;
  }

  get empty(): boolean {
    return this.#news.length === 0;
  }

  add(news: News): void {
    this.#news.push(news);
    this.#bound();
  }

  /** Takes everything out. */
  take(): Batch {
    const batch = { news: this.#news, heldBack: this.#heldBack };
    this.#news = [];
    this.#heldBack = none();
    return batch;
  }

  /** Puts back what could not be sent, before what has come since. */
  putBack({ news, heldBack }: Batch): void {
    this.#news = [...news, ...this.#news];
    for (const kind of Object.keys(heldBack) as NewsKind[]) this.#heldBack[kind] += heldBack[kind];
    this.#bound();
  }

  /** The oldest go first, but never the last change of state: what is so now must not drown in gaps. */
  #bound(): void {
    while (this.#news.length > this.#max) {
      const state = this.#news.findLastIndex(({ kind }) => kind === "state");
      for (const { kind, count } of this.#news.splice(state === 0 ? 1 : 0, 1)) this.#heldBack[kind] += count;
    }
  }
}
