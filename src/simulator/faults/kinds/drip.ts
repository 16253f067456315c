/** Data at a share of real time: it all comes, later and later. */
import type { Connection } from "../../connection.ts";
import type { Behaviour, Context } from "../behaviour.ts";
import type { Effect, Passing } from "../gate.ts";
import type { FaultOf } from "../model.ts";

/** What a connection may hold back; beyond, it is cut as a slow consumer is. */
const HELD_CHARS_MAX = 64 << 20;
const RELEASE_MS = 5;

/**
 * What was made `t` after the beginning leaves at `t / share`: after a minute at 82 % it is 13 s late. Only
 * connections that are open meet it; at its end they get all that was held at once.
 */
export function drip({ share }: FaultOf<"drip">, context: Context): Behaviour {
  const pipes: { connection: Connection; pipe: Pipe }[] = [];
  let timer: ReturnType<typeof setInterval> | undefined;
  return {
    start() {
      for (const connection of context.targeted) {
        const pipe = new Pipe(share, performance.now(), (symbol) =>
          context.touched(connection, symbol, true),
        );
        context.touched(connection, undefined);
        context.attach(connection, pipe);
        pipes.push({ connection, pipe });
      }
      timer = setInterval(() => {
        const now = performance.now();
        for (const { connection, pipe } of pipes) {
          if (!connection.open) pipe.drop();
          else if (pipe.chars > HELD_CHARS_MAX) connection.terminate();
          else if (pipe.release(now) > 0) context.host.flush(connection);
        }
      }, RELEASE_MS);
    },
    stop() {
      clearInterval(timer);
      for (const { connection, pipe } of pipes) {
        context.detach(connection, pipe);
        context.host.flush(connection);
      }
    },
  };
}

/** Holds what it is given, in order, frames and answers alike. */
class Pipe implements Effect {
  readonly stage = "delay";
  /** Characters held. */
  chars = 0;
  readonly #share: number;
  readonly #startMs: number;
  readonly #touched: (symbol: string | undefined) => void;
  #held: { readonly dueMs: number; readonly chars: number; go(): void }[] = [];

  constructor(share: number, startMs: number, touched: (symbol: string | undefined) => void) {
    this.#share = share;
    this.#startMs = startMs;
    this.#touched = touched;
  }

  frame(passing: Passing, next: (passing: Passing) => void): void {
    this.#touched(passing.symbol);
    this.#hold(passing.frame.length, () => next(passing));
  }

  reply(text: string, next: (text: string) => void): void {
    this.#hold(text.length, () => next(text));
  }

  /** Lets go what is due, and answers how much that was. */
  release(nowMs: number): number {
    const { length } = this.#held;
    let due = this.#held.findIndex(({ dueMs }) => dueMs > nowMs);
    if (due < 0) due = length;
    if (due === 0) return 0;
    for (const { go, chars } of this.#held.splice(0, due)) {
      this.chars -= chars;
      go();
    }
    return due;
  }

  /** Forgets what is held: its connection is gone. */
  drop(): void {
    this.#held = [];
    this.chars = 0;
  }

  end(): void {
    this.release(Number.POSITIVE_INFINITY);
  }

  #hold(chars: number, go: () => void): void {
    const made = performance.now() - this.#startMs;
    this.#held.push({ dueMs: this.#startMs + made / this.#share, chars, go });
    this.chars += chars;
  }
}
