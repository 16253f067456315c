/** A made-up picture of a recorder that is well, to be changed by tests. */
import { createLagMemory, LagRecorder, readLags } from "../../src/ingest/lag-histogram.ts";
import type { ExchangeStats } from "../../src/ingest/messages.ts";
import type { RingStatus, Snapshot } from "../../src/status/snapshot.ts";
import { checksOf, type StateInput, stateOf } from "../../src/status/state.ts";

/** A state in which nothing is wrong. */
export const WELL: StateInput = {
  fatal: null,
  drainFault: null,
  journalFault: null,
  copyFault: null,
  outboxFault: null,
  open: 2,
  fullestRingPct: 10,
  fullestRing: "binance/bbo",
  drops15m: 0,
  exchanges: [
    { exchange: "okx", online: true },
    { exchange: "bybit", online: true },
  ],
  destinationFault: null,
};

/** What an exchange has counted. */
export function statsOf(exchange: string, counts: Partial<ExchangeStats> = {}): ExchangeStats {
  return {
    exchange,
    frames: 0,
    bytes: 0,
    control: 0,
    ignored: 0,
    unwanted: 0,
    undecodable: 0,
    fallback: 0,
    inexact: 0,
    oversized: 0,
    notKept: 0,
    reconnects: 0,
    snapshotFetches: 0,
    snapshots: 0,
    realigned: 0,
    replacements: 0,
    duplicates: 0,
    connections: 1,
    open: 1,
    subscriptions: 1,
    lastEvent: null,
    ...counts,
  };
}

/** See the head of the file. */
export function madeUpSnapshot(changes: Partial<Snapshot> = {}, wrong: Partial<StateInput> = {}): Snapshot {
  const memory = createLagMemory();
  const recorder = new LagRecorder(memory);
  for (const lag of [-3, 512, 513, 1_000_000, 90_000_000]) recorder.observe(1_795_240_000_000_000, lag);
  const input = { ...WELL, ...wrong };
  const ring: RingStatus = {
    ring: 0,
    exchange: "okx",
    stream: "bbo",
    published: 40,
    capacity: 64,
    offered: 100,
    accepted: 95,
    dropped: 5,
    highWater: 33,
    released: 90,
    filed: 50,
    parked: 0,
    used: 5,
  };
  return {
    version: "1.2.3",
    run: "test-1-abcd",
    instance: "test",
    at: 1_795_240_001_000,
    uptime: 12.5,
    ...stateOf(input),
    checks: checksOf(input),
    since: Date.UTC(2026, 10, 20, 1, 2, 3, 4),
    lastEvent: 1_795_240_000_000,
    lastWrite: null,
    symbols: ["BTCUSDT"],
    symbolCounts: { okx: 1 },
    streams: { okx: ["bbo"] },
    rings: [ring],
    lanes: [
      {
        exchange: "okx",
        stream: "bbo",
        health: "fresh",
        perSecond: 7.5,
        offered: 100,
        dropped: 5,
        used: 5,
        capacity: 64,
        highWater: 33,
        ringPct: 7.8125,
        age: 1000,
        lag: readLags([new Float64Array(memory)]),
        lagP50: 0.5,
        lagP99: 90,
        lagP999: 90,
        gaps15m: 1,
        silences: 0,
      },
    ],
    exchanges: [statsOf("okx", { frames: 120, reconnects: 2 })],
    clockOffset: -250,
    exchangeClocks: { okx: { offset: 1.5, error: 0.75 } },
    quarantine: { kept: 1, notKept: 0 },
    balance: {
      received: 100,
      recovered: 0,
      published: 40,
      uploading: 3,
      inOutbox: 7,
      inJournal: 0,
      inTable: 40,
      inRing: 5,
      dropped: 5,
      holds: true,
    },
    eventsPerSecond: { bbo: 7.5, trade: 0, mark_price: 0, funding: 0, open_interest: 0, liquidation: 0 },
    silence15m: 0,
    silenceTotal: 0,
    drops15m: 5,
    reconnects15m: 2,
    gaps15m: 1,
    gapCounts: [{ exchange: "okx", stream: "bbo", reason: "overflow", certainty: "lost", count: 1 }],
    recentGaps: [],
    recentLogs: [
      {
        at: 1_795_240_000_500,
        level: "warn",
        event: "gap",
        fields: { exchange: "okx", symbols: ["BTCUSDT"] },
      },
    ],
    reconnects: { okx: 2 },
    writer: { filesWritten: 1, earlierRows: 0, activeBuffers: 1, inFlightUploads: 1, uploadFailures: 4 },
    journal: { bytes: 10, maxBytes: 100 },
    drain: { rebuilds: 0 },
    outbox: { files: 2, bytes: 2048, maxBytes: 0, since: 1_795_239_991_000 },
    destinations: [
      {
        destination: "s3",
        state: "half_open",
        inFlight: 1,
        window: 2,
        fault: 'a "quoted"\nfault\\',
        files: 1,
      },
    ],
    doubles: 0,
    rssMb: 128,
    cpuSeconds: 3.25,
    ...changes,
  };
}
