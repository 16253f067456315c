/** What the faults of one connection make of its frames, one after the other. */
import type { Made } from "../account/account.ts";
import type { Connection, ConnectionGate } from "../connection.ts";

/** What a frame or a subscription is about, in the exchange's words. */
export interface Topic {
  /** Kind of stream. */
  readonly kind: string;
  /** Undefined = one channel for all of them. */
  readonly symbol: string | undefined;
}

/** A frame on its way. */
export interface Passing extends Topic {
  readonly frame: string | Uint8Array;
  readonly slot: number;
  readonly made: Made | undefined;
}

/** Where in the row an effect stands: what changes frames, then what delays them, then what withholds them. */
export type Stage = "change" | "delay" | "withhold";

const STAGES: readonly Stage[] = ["change", "delay", "withhold"];

/** What one fault does to one connection. What it does not implement passes. */
export interface Effect {
  readonly stage: Stage;
  /** Gives on what is to go on, now or later, once, twice or never. */
  frame?(passing: Passing, next: (passing: Passing) => void): void;
  /** Like `frame` for answers and notices. */
  reply?(text: string, next: (text: string) => void): void;
  /** True = the exchange's own pings do not go out. */
  readonly noPings?: boolean;
  /** The client subscribed (again), or ended a subscription. */
  subscribed?(topic: Topic): void;
  unsubscribed?(topic: Topic): void;
  /** The effect is taken away: gives on what it still holds. */
  end?(): void;
}

/** See the head of the file. */
export class Gate implements ConnectionGate {
  readonly #connection: Connection;
  readonly #describe: (slot: number) => Topic;
  #effects: readonly Effect[] = [];

  constructor(connection: Connection, describe: (slot: number) => Topic) {
    this.#connection = connection;
    this.#describe = describe;
  }

  get empty(): boolean {
    return this.#effects.length === 0;
  }

  get pings(): boolean {
    return !this.#effects.some((effect) => effect.noPings === true);
  }

  add(effect: Effect): void {
    this.#effects = STAGES.flatMap((stage) =>
      [...this.#effects, effect].filter((one) => one.stage === stage),
    );
  }

  /** Takes an effect away; what it held goes on to those after it. */
  remove(effect: Effect): void {
    if (!this.#effects.includes(effect)) return;
    effect.end?.();
    this.#effects = this.#effects.filter((one) => one !== effect);
  }

  frame(frame: string | Uint8Array, slot: number, made: Made | undefined): void {
    this.#frame(0, { ...this.#describe(slot), frame, slot, made });
  }

  reply(text: string): void {
    this.#reply(0, text);
  }

  subscribed(topic: Topic): void {
    for (const effect of this.#effects) effect.subscribed?.(topic);
  }

  unsubscribed(topic: Topic): void {
    for (const effect of this.#effects) effect.unsubscribed?.(topic);
  }

  #frame(from: number, passing: Passing): void {
    for (let at = from; at < this.#effects.length; at++) {
      const effect = this.#effects[at] as Effect;
      if (effect.frame === undefined) continue;
      effect.frame(passing, (onward) => this.#frame(this.#after(effect), onward));
      return;
    }
    this.#connection.put(passing.frame, passing.slot, passing.made);
  }

  #reply(from: number, text: string): void {
    for (let at = from; at < this.#effects.length; at++) {
      const effect = this.#effects[at] as Effect;
      if (effect.reply === undefined) continue;
      effect.reply(text, (onward) => this.#reply(this.#after(effect), onward));
      return;
    }
    this.#connection.say(text);
  }

  /** Looked up when a frame goes on, since faults may have come and gone while it was held. */
  #after(effect: Effect): number {
    return this.#effects.indexOf(effect) + 1;
  }
}

/** Whether a frame is one of those that a fault is narrowed to. */
export function carries(topic: Topic, symbol: string | undefined, stream: string | undefined): boolean {
  return (symbol === undefined || topic.symbol === symbol) && (stream === undefined || topic.kind === stream);
}

/** Whether a subscription brings such frames: one to a channel for all symbols does. */
export function brings(topic: Topic, symbol: string | undefined, stream: string | undefined): boolean {
  return carries({ kind: topic.kind, symbol: topic.symbol ?? symbol }, symbol, stream);
}
