/** A thread that takes places at a gate, for connect-gate.test.ts. */
import { type AttemptLimits, ConnectGate } from "../../src/exchanges/connect-gate.ts";

declare const self: Worker;

interface Task {
  readonly limits: AttemptLimits;
  readonly memory: SharedArrayBuffer;
  readonly each: number;
}

self.onmessage = ({ data: { limits, memory, each } }: MessageEvent<Task>) => {
  const gate = new ConnectGate(limits, memory, () => 0);
  self.postMessage(Array.from({ length: each }, () => gate.take()));
};
