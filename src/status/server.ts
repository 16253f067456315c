import { createStatusApp } from "./api.ts";
import type { Snapshot } from "./snapshot.ts";

/** The listening status API. */
export interface StatusServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** The address cannot be listened on; the message names it and the mend. */
export class AddressError extends Error {
  override name = "AddressError";
}

/** Longest time a client may be idle, seconds. */
const IDLE_TIMEOUT = 10;
/** Largest request body; no answer needs one. */
const BODY_MAX = 1024;

/**
 * Starts the status API.
 *
 * @param snapshot what to answer from; null while the recorder is starting
 * @throws AddressError when the address is taken or not ours
 */
export function serveStatus(options: {
  host: string;
  port: number;
  snapshot: () => Snapshot | null;
}): StatusServer {
  const { host, port, snapshot } = options;
  const app = createStatusApp(() => snapshot() as Snapshot);
  try {
    const server = Bun.serve({
      hostname: host,
      port,
      idleTimeout: IDLE_TIMEOUT,
      maxRequestBodySize: BODY_MAX,
      fetch: (request) =>
        snapshot() === null
          ? Response.json(
              { error: "starting" },
              { status: 503, headers: { "retry-after": "1", "cache-control": "no-store" } },
            )
          : app.fetch(request),
    });
    return { url: server.url.href.replace(/\/$/, ""), stop: () => server.stop(true) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AddressError(
      `the status API cannot listen on ${host}:${port} (${why}); ` +
        "stop what uses that port, or choose another with --port N (0 = any free one)",
    );
  }
}
