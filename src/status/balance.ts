import type { RingReading } from "../ring/memory.ts";

/**
 * Where every received event is: received = published + uploading + inOutbox + inTable + inRing + dropped,
 * at every instant.
 */
export interface Balance {
  readonly received: number;
  readonly published: number;
  readonly uploading: number;
  readonly inOutbox: number;
  readonly inTable: number;
  readonly inRing: number;
  readonly dropped: number;
  /** Whether the sum is right and no part is negative. */
  readonly holds: boolean;
}

/**
 * Adds up the balance from independent counts: the producers count what is received and dropped, the
 * drain what it takes from rings and what it files, the publisher what has arrived.
 *
 * @param published rows at the destination, read before the rings were
 * @param uploading rows on their way to it
 */
export function balanceOf(rings: readonly RingReading[], published: number, uploading: number): Balance {
  const sum = (part: (ring: RingReading) => number) => rings.reduce((total, ring) => total + part(ring), 0);
  const received = sum((ring) => ring.offered);
  const dropped = sum((ring) => ring.dropped);
  const inRing = sum((ring) => ring.used);
  const inTable = sum((ring) => ring.released - ring.filed);
  const inOutbox = sum((ring) => ring.filed) - published - uploading;
  const parts = [published, uploading, inOutbox, inTable, inRing, dropped];
  const holds = parts.every((part) => part >= 0) && parts.reduce((a, b) => a + b, 0) === received;
  return { received, published, uploading, inOutbox, inTable, inRing, dropped, holds };
}
