/** What became of a fault. */
import { wallUs } from "../clock.ts";
import type { Fault } from "./model.ts";

/** A fault that waits for its time, is in force, is over, or could not be. */
export type FaultState = "waiting" | "active" | "past" | "failed";

/** A fault with its times (epoch µs of this machine) and whom it met. */
export interface FaultRecord {
  /** Number since the start, from 1. */
  readonly id: number;
  readonly fault: Fault;
  readonly state: FaultState;
  readonly injectedUs: number;
  /** null = not yet. */
  readonly startedUs: number | null;
  readonly endedUs: number | null;
  /** Numbers of the connections that it met, in order. */
  readonly connections: readonly number[];
  /** Symbols that it met: the one that it is for, or those whose frames it touched. */
  readonly symbols: readonly string[];
  /** Frames that it withheld, held back, doubled, swapped, damaged or changed. */
  readonly frames: number;
  /** Why it could not be. */
  readonly error: string | null;
}

/** Most connections, and most symbols, that a record names. */
const NAMES_MAX = 5000;

/** A {@link FaultRecord} that is being written. */
export class FaultLog implements FaultRecord {
  readonly id: number;
  readonly fault: Fault;
  readonly injectedUs = wallUs();
  state: FaultState = "waiting";
  startedUs: number | null = null;
  endedUs: number | null = null;
  frames = 0;
  error: string | null = null;
  readonly #connections = new Set<number>();
  readonly #symbols = new Set<string>();

  constructor(id: number, fault: Fault) {
    this.id = id;
    this.fault = fault;
  }

  get connections(): readonly number[] {
    return [...this.#connections];
  }

  get symbols(): readonly string[] {
    return [...this.#symbols];
  }

  met(connection: number | undefined, symbol: string | undefined): void {
    if (connection !== undefined && this.#connections.size < NAMES_MAX) this.#connections.add(connection);
    if (symbol !== undefined && this.#symbols.size < NAMES_MAX) this.#symbols.add(symbol);
  }

  began(): void {
    this.state = "active";
    this.startedUs = wallUs();
  }

  ended(): void {
    if (this.state === "active") this.endedUs = wallUs();
    if (this.state !== "failed") this.state = "past";
  }

  failed(why: string): void {
    this.state = "failed";
    this.error = why;
    this.endedUs = wallUs();
  }

  /** As it stands now, for others to keep. */
  toJSON(): FaultRecord {
    const { id, fault, state, injectedUs, startedUs, endedUs, connections, symbols, frames, error } = this;
    return { id, fault, state, injectedUs, startedUs, endedUs, connections, symbols, frames, error };
  }
}
