/** Opening and checking the destinations, and what the log says of what happens there. */
import type { Settings } from "../config/schema.ts";
import type { Logger } from "../status/log.ts";
import { type Destination, DestinationError } from "../storage/destinations/destination.ts";
import {
  areApart,
  checkDestination,
  mayPass,
  onePlace,
  PreflightError,
} from "../storage/upload/preflight.ts";
import type { UploaderEvents, UploaderOptions } from "../storage/upload/uploader.ts";

/**
 * Checks each destination with a probe object. One that cannot be reached now is no reason not to record.
 *
 * @param ending breaks it off: a destination that has not answered by then counts as one that cannot be reached
 * @throws PreflightError when somebody has to change something first
 */
export async function checkDestinations(
  chain: readonly Destination[],
  settings: Settings,
  log: Logger,
  ending?: AbortSignal,
): Promise<void> {
  if (!settings.storage.preflight) return;
  const { request_timeout } = settings.upload;
  const found = await Promise.all(
    chain.map(async (destination) => ({
      destination,
      error: await checkDestination(destination, request_timeout, ending),
    })),
  );
  const wrong: string[] = [];
  for (const { destination, error } of found) {
    if (error === null) {
      log.info("destination_checked", { destination: destination.name, where: destination.where });
    } else if (mayPass(error)) {
      log.error("preflight_failed", {
        destination: destination.name,
        error: error.message,
        meaning: "recording begins; files wait in the outbox",
      });
    } else {
      wrong.push(error.message);
    }
  }
  const [one, other] = chain;
  if (one !== undefined && other !== undefined && found.every(({ error }) => error === null)) {
    const late = AbortSignal.timeout(request_timeout);
    const signal = ending === undefined ? late : AbortSignal.any([late, ending]);
    try {
      if (!(await areApart(one, other, signal))) wrong.push(onePlace(one, other));
    } catch (error) {
      // Both answered just now; before anything is removed anywhere it is asked again.
      if (!(error instanceof DestinationError)) throw error;
    }
  }
  if (wrong.length > 0) {
    throw new PreflightError(`${wrong.join("; ")}. To begin all the same: --no-preflight`);
  }
}

/** The uploader's bounds as they are set. */
export function uploaderOptions(settings: Settings, run: string): UploaderOptions {
  const { upload, destinations, storage, outbox } = settings;
  return {
    run,
    maxInFlight: upload.max_in_flight,
    maxBytesInFlight: upload.max_bytes_in_flight,
    partSize: upload.part_size,
    retryMin: upload.retry_min,
    retryMax: storage.retry_max,
    breakerFailures: upload.breaker_failures,
    breakerPause: upload.breaker_pause,
    breakerPauseMax: upload.breaker_pause_max,
    reconcile: destinations.reconcile,
    recheck: destinations.recheck,
    manifestInterval: destinations.manifest_interval,
    outboxMax: outbox.max_bytes,
  };
}

/** The log lines of what happens on the way to the destinations; what has arrived is told by the recorder. */
export function uploadLog(
  log: Logger,
): Pick<UploaderEvents, "failed" | "fallback" | "lane" | "missing" | "double" | "trouble" | "full"> {
  return {
    failed: ({ key }, { destination, error, unknown, retryIn }) =>
      log.error("publish_failed", { key, destination, error, unknown, retry_in_ms: retryIn }),
    fallback: ({ key, exchange, stream }, destination, error, { files, bytes }) =>
      log.warn("publish_fallback", {
        key,
        exchange,
        stream,
        destination,
        error,
        outbox_files: files,
        outbox_bytes: bytes,
      }),
    lane: (destination, state, fault) => {
      if (state === "closed") log.info("destination_recovered", { destination });
      else log.error("destination_failing", { destination, error: fault });
    },
    missing: (key) =>
      log.error("file_missing", {
        key,
        why: "the ledger knows it; it is in no destination and not in the outbox",
      }),
    double: ({ key, kept, other, same, removed }) =>
      log.warn(removed ? "double_removed" : "double_found", { key, kept, other, same }),
    trouble: (what, error) => log.warn("upload_trouble", { what, error }),
    full: (full) => {
      if (full)
        log.error("outbox_full", { mend: "raise outbox.max_bytes, or see why files are not published" });
      else log.info("outbox_recovered");
    },
  };
}
