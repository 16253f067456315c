/** The producing end of a ring, as fast as it finds room. */
import { LOCAL } from "../../src/events/layout.ts";
import { HEAD, type RingHandle, TAIL, viewsOf } from "../../src/ring/memory.ts";
import { RingProducer } from "../../src/ring/producer.ts";

declare const self: Worker;

/** What it is told. */
export interface RingOrder {
  readonly handle: RingHandle;
  readonly seq: number;
  readonly count: number;
  readonly batch: number;
}

self.onmessage = ({ data }: MessageEvent<RingOrder>) => {
  const { handle, seq, count, batch } = data;
  const producer = new RingProducer(handle, seq);
  const { control } = viewsOf(handle);
  postMessage("begun");
  for (let i = 0; i < count; i += batch) {
    const rows = Math.min(batch, count - i);
    while (((Atomics.load(control, HEAD) - Atomics.load(control, TAIL)) | 0) > handle.capacity - rows);
    for (let k = 0; k < rows; k++) {
      producer.row.numbers[LOCAL] = i + k;
      producer.commit();
    }
    producer.publish();
  }
};
