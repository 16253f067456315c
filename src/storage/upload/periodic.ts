/** Something that is done at intervals, never twice at once. */
export class Periodic {
  readonly #every: number;
  readonly #run: (signal: AbortSignal) => Promise<void>;
  #working: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;
  #signal: AbortSignal | null = null;
  #queued = false;

  /** @param every ms; `run` never rejects */
  constructor(every: number, run: (signal: AbortSignal) => Promise<void>) {
    this.#every = every;
    this.#run = run;
  }

  /** Begins; `signal` ends it. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    this.#timer = setInterval(() => void this.now(), this.#every);
    signal.addEventListener("abort", () => clearInterval(this.#timer));
  }

  /** Does it as soon as what is under way is done; resolves when it is done. */
  now(): Promise<void> {
    const signal = this.#signal;
    if (signal === null || signal.aborted || this.#queued) return this.#working;
    this.#queued = true;
    this.#working = this.#working.then(() => {
      this.#queued = false;
      return signal.aborted ? undefined : this.#run(signal);
    });
    return this.#working;
  }

  /** Resolves when nothing is under way any more. */
  get ended(): Promise<void> {
    return this.#working;
  }
}
