/** An ingest worker: a thread around {@link Ingest}. */
import type { BlockDone } from "../capture/messages.ts";
import { RawTap } from "../capture/tap.ts";
import { setTimeSlice } from "../lib/time-slice.ts";
import { Clock } from "./clock.ts";
import { Ingest } from "./ingest.ts";
import type { FromIngest, RawTarget, ToIngest } from "./messages.ts";

declare const self: {
  onmessage: ((event: MessageEvent<ToIngest>) => void) | null;
  postMessage(message: FromIngest): void;
};

/** How often statistics go to the main thread, connections are looked after and the clock is set, ms. */
const STATS_INTERVAL = 250;

const post = (message: FromIngest) => self.postMessage(message);

function fatal(error: unknown): void {
  post({ type: "fatal", error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

process.on("uncaughtException", fatal);
process.on("unhandledRejection", fatal);

const clock = new Clock();
let ingest: Ingest | null = null;

const report = () => {
  if (ingest === null) return;
  post({
    type: "stats",
    exchanges: ingest.stats(),
    raw: ingest.rawStats(),
    clockOffset: clock.offset(),
  });
};
const timer = setInterval(() => {
  ingest?.tick(STATS_INTERVAL);
  report();
}, STATS_INTERVAL);

function openTap({ port, inFlight, only }: RawTarget) {
  const tap = new RawTap(inFlight, (message, transfer) => port.postMessage(message, transfer));
  port.onmessage = ({ data }: { readonly data: BlockDone }) => tap.done(data.buffer);
  return { tap, only };
}

self.onmessage = ({ data }) => {
  switch (data.type) {
    case "start":
      if (data.timeSlice > 0) setTimeSlice(data.timeSlice);
      ingest = new Ingest({
        ...data,
        clock,
        post,
        connectionsChanged: report,
        raw: data.raw === null ? null : openTap(data.raw),
      });
      post({ type: "ready" });
      return;
    case "exchange":
      ingest?.apply(data.job);
      return;
    case "quarantined":
      ingest?.quarantined(data.bytes);
      return;
    case "freshness":
      post({ type: "freshness", id: data.id, streams: ingest?.freshness() ?? [] });
      return;
    case "stop":
      clearInterval(timer);
      ingest?.stop();
      report();
      post({ type: "stopped" });
      self.onmessage = null;
      return;
  }
};
