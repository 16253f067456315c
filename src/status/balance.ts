import type { RingReading } from "../ring/memory.ts";
import type { RecoveredReading } from "../storage/recovered.ts";

/**
 * Where every event is: received + recovered = published + uploading + inOutbox + inJournal + inTable + inRing +
 * dropped, at every instant.
 */
export interface Balance {
  readonly received: number;
  /** Taken over from journals of earlier runs. */
  readonly recovered: number;
  readonly published: number;
  readonly uploading: number;
  readonly inOutbox: number;
  /** In a journal only; rows of tables are in a journal as well. */
  readonly inJournal: number;
  readonly inTable: number;
  readonly inRing: number;
  /** By full rings, and on disk: see `spoiled` of {@link balanceOf}. */
  readonly dropped: number;
  /** Whether the sum is right and no part is negative. */
  readonly holds: boolean;
}

/**
 * Adds up the balance from independent counts: the producers count what is received and dropped, the
 * drain what it takes from rings, what of it is not in memory and what it files, the publisher what has arrived.
 *
 * @param recovered what became of rows of earlier runs, read after `published`
 * @param published rows at the destination, read before the rings were
 * @param uploading rows on their way to it
 * @param spoiled rows whose journal or file was damaged on disk, read with `published`; the drain counts them as filed
 */
export function balanceOf(
  rings: readonly RingReading[],
  recovered: RecoveredReading,
  published: number,
  uploading: number,
  spoiled = 0,
): Balance {
  const sum = (part: (ring: RingReading) => number) => rings.reduce((total, ring) => total + part(ring), 0);
  const received = sum((ring) => ring.offered);
  const dropped = sum((ring) => ring.dropped) + spoiled;
  const inRing = sum((ring) => ring.used);
  const { taken, filed, parked } = recovered;
  const inJournal = sum((ring) => ring.parked) + parked;
  const inTable = sum((ring) => ring.released - ring.filed - ring.parked) + taken - filed - parked;
  const inOutbox = sum((ring) => ring.filed) + filed - published - uploading - spoiled;
  const parts = [published, uploading, inOutbox, inJournal, inTable, inRing, dropped];
  const holds = parts.every((part) => part >= 0) && parts.reduce((a, b) => a + b, 0) === received + taken;
  return {
    received,
    recovered: taken,
    published,
    uploading,
    inOutbox,
    inJournal,
    inTable,
    inRing,
    dropped,
    holds,
  };
}
