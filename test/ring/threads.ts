/** Messages between the ring's thread test and its three workers. */
import type { RingHandle } from "../../src/ring/memory.ts";

/** Words of the control array that all threads of a scenario share. */
export const FLAG = {
  /** 1 = the producer has published its last record. */
  finished: 0,
  /** 1 = the reader is to end. */
  stop: 1,
  /** Never changes: what stalls wait on. */
  idle: 2,
} as const;

/** What a worker has to do. */
export interface Task {
  readonly role: "producer" | "consumer" | "reader";
  readonly handle: RingHandle;
  readonly flags: SharedArrayBuffer;
  readonly seed: string;
  /** Records the producer offers. */
  readonly records: number;
}

/** Sum and exclusive or of a set of numbers: two sets that differ do not agree in both by chance. */
export interface SetPrint {
  count: number;
  sum: number;
  mix: number;
}

/** Takes a number into a print. */
export function imprint(print: SetPrint, seq: number): void {
  print.count++;
  print.sum += seq;
  print.mix ^= Math.imul(seq + 1, 0x9e3779b1) ^ (seq >>> 7);
}

/** What the producer has seen with its own eyes. */
export interface ProducerReport {
  readonly role: "producer";
  readonly offered: number;
  readonly accepted: number;
  readonly dropped: SetPrint;
  readonly rewinds: number;
  readonly successors: number;
}

/** What the consumer has seen. */
export interface ConsumerReport {
  readonly role: "consumer";
  readonly seen: number;
  readonly holes: SetPrint;
  /** The number that would come next. */
  readonly next: number;
  /** The first thing that was wrong; null = nothing. */
  readonly fault: string | null;
}

/** What the third thread has seen. */
export interface ReaderReport {
  readonly role: "reader";
  readonly readings: number;
  readonly distinct: number;
  readonly faults: number;
  readonly fault: string | null;
}

/** The answer of a worker. */
export type Report = ProducerReport | ConsumerReport | ReaderReport | { role: "failed"; error: string };
