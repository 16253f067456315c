import type { IngestNotice } from "../ingest/messages.ts";
import type { Logger } from "../status/log.ts";

/** Writes the log line of something that happened on a connection. */
export function logNotice(log: Logger, notice: IngestNotice): void {
  switch (notice.event) {
    case "ws_connect": {
      const { event, ...fields } = notice;
      log.info(event, fields);
      return;
    }
    case "ws_disconnect": {
      const { event, retryIn, ...fields } = notice;
      // Without a next attempt it was us who closed.
      if (retryIn === null) log.info(event, fields);
      else log.warn(event, { ...fields, retry_in_ms: retryIn });
      return;
    }
    case "connection_replaced": {
      const { event, by, ...fields } = notice;
      const line = { ...fields, by: [...by] };
      if (fields.failed) log.warn(event, line);
      else log.info(event, line);
      return;
    }
    case "connection_lagging": {
      const { event, lag, baseline, ...fields } = notice;
      log.warn(event, { ...fields, lag_ms: lag, baseline_ms: baseline });
      return;
    }
    case "stream_silent":
    case "symbol_silent": {
      const { event, silent, ...fields } = notice;
      log.warn(event, { ...fields, silent_ms: silent });
      return;
    }
    case "subscription_refused": {
      const { event, ...fields } = notice;
      log.warn(event, fields);
      return;
    }
  }
}
