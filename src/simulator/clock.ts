/** The clock of a simulated exchange: the machine's, plus what a fault has set it off by. */
export class Clock {
  /** What is added to the machine's time, ms; 0 but during a fault. */
  offsetMs = 0;

  /** Epoch ms as the exchange has it. */
  now(): number {
    return Date.now() + this.offsetMs;
  }
}

/** Wall time of this machine in epoch µs. */
export function wallUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
