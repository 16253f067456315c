/** The status API: read-only answers derived from a snapshot. Names and meaning are a contract (docs/api.md). */
import { type Context, Hono } from "hono";
import type { StreamFreshness } from "../ingest/messages.ts";
import {
  errorSchema,
  healthAnswer,
  healthSchema,
  metricsAnswer,
  metricsSchema,
  probeAnswer,
  probeSchema,
  statusAnswer,
  statusSchema,
  streamsAnswer,
  streamsSchema,
  streamsVerboseAnswer,
  streamsVerboseSchema,
} from "./answers.ts";
import { CONTENT_TYPES, exposition } from "./exposition.ts";
import { liveSchema } from "./live.ts";
import { LiveFeed } from "./live-feed.ts";
import { liveOf } from "./live-view.ts";
import { metricsForm } from "./negotiate.ts";
import { METRICS_TEXTS, openApi, type PathDescription } from "./openapi.ts";
import { mountPage } from "./page/routes.ts";
import { familiesOf } from "./prometheus.ts";
import { Remembered } from "./remembered.ts";
import type { Snapshot } from "./snapshot.ts";

/** What the API answers from. */
export interface StatusSource {
  /** What is known now; null while the recorder is starting. */
  readonly snapshot: () => Snapshot | null;
  /** When each symbol was last heard; asks the ingest workers, at most `timeout` ms. */
  readonly freshness: (
    timeout: number,
  ) => Promise<{ streams: readonly StreamFreshness[]; complete: boolean }>;
}

/** Bounds of the API; times in ms. */
export interface StatusBounds {
  /** An answer is at most this old; 0 = each is made anew. */
  readonly refresh: number;
  /** Clients that may listen to a stream at once. */
  readonly streamsMax: number;
  /** Time between two messages to listeners; a second unless said otherwise. */
  readonly liveInterval?: number;
}

/** Time between two messages to listeners, ms. */
const LIVE_INTERVAL = 1000;
/** How long the ingest workers may take to say when symbols were last heard, and how old that may be, ms. */
const FRESHNESS_TIMEOUT = 2000;
const FRESHNESS_AGE = 1000;
/** Names in `?exclude=` that are read. */
const EXCLUDES_MAX = 50;

const VERBOSE = { verbose: "With details." };
const PROBE = {
  verbose: "With every check.",
  exclude: "Name of a check that may fail; may come several times.",
};

/** Every path. */
export const PATHS: readonly PathDescription[] = [
  {
    path: "/health",
    summary: "Whether the process answers, and when it last received and wrote.",
    schema: healthSchema,
  },
  {
    path: "/streams",
    summary: "What is recorded; with ?verbose how fresh each stream and symbol is.",
    schema: streamsSchema,
    verbose: streamsVerboseSchema,
    queries: VERBOSE,
  },
  {
    path: "/metrics",
    summary: "All counters, as JSON or for Prometheus.",
    schema: metricsSchema,
    text: METRICS_TEXTS,
  },
  { path: "/status", summary: "The state, and why.", schema: statusSchema },
  {
    path: "/livez",
    summary: "Whether the process should live on.",
    schema: probeSchema,
    queries: PROBE,
    also: [503],
  },
  { path: "/readyz", summary: "Whether it records.", schema: probeSchema, queries: PROBE, also: [503] },
  { path: "/live", summary: "The picture that the page shows.", schema: liveSchema },
  { path: "/events", summary: "The same once a second, as server-sent events.", schema: liveSchema },
];

/** Of every answer. Nothing here may be put into a frame, guessed at, or run. */
const SECURITY = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const;

/** The app and what has to be closed with it. */
export interface StatusApp {
  readonly app: Hono;
  close(): void;
}

/** The app. GET and HEAD only; nothing is ever cached by others. */
export function createStatusApp(version: string, source: StatusSource, bounds: StatusBounds): StatusApp {
  const app = new Hono();
  const snapshots = new Remembered(bounds.refresh, () => source.snapshot());
  const texts = new Map<string, Remembered<string | null>>();

  /** The text of an answer: made from one snapshot, at most as old as `refresh`. */
  function text(name: string, make: (snapshot: Snapshot) => string): string | null {
    const known =
      texts.get(name) ??
      new Remembered(bounds.refresh, () => {
        const snapshot = snapshots.value;
        return snapshot === null ? null : make(snapshot);
      });
    texts.set(name, known);
    return known.value;
  }

  const starting = (context: Context) => {
    context.header("retry-after", "1");
    return context.json({ error: "starting" }, 503);
  };
  const answered = (context: Context, body: string | null, type = "application/json") =>
    body === null ? starting(context) : context.body(body, 200, { "content-type": type });
  const json = (path: string, make: (snapshot: Snapshot) => unknown) =>
    app.get(path, (context) =>
      answered(
        context,
        text(path, (snapshot) => JSON.stringify(make(snapshot))),
      ),
    );

  app.use(async (context, next) => {
    if (context.req.method !== "GET" && context.req.method !== "HEAD") {
      context.res = Response.json(
        { error: `${context.req.method} is not allowed; use GET` },
        { status: 405, headers: { allow: "GET, HEAD" } },
      );
    } else {
      await next();
    }
    for (const [name, value] of Object.entries(SECURITY)) context.res.headers.set(name, value);
  });

  json("/health", healthAnswer);
  json("/status", statusAnswer);
  json("/live", liveOf);

  const freshness = new Remembered(FRESHNESS_AGE, async () => {
    const { streams, complete } = await source.freshness(FRESHNESS_TIMEOUT);
    const snapshot = snapshots.value;
    return snapshot === null ? null : JSON.stringify(streamsVerboseAnswer(snapshot, streams, complete));
  });
  app.get("/streams", async (context) => {
    if (context.req.query("verbose") === undefined)
      return answered(
        context,
        text("/streams", (snapshot) => JSON.stringify(streamsAnswer(snapshot))),
      );
    return snapshots.value === null ? starting(context) : answered(context, await freshness.value);
  });

  app.get("/metrics", (context) => {
    context.header("vary", "accept");
    const form = metricsForm(context.req.header("accept") ?? null);
    if (form === "json")
      return answered(
        context,
        text("/metrics", (snapshot) => JSON.stringify(metricsAnswer(snapshot))),
      );
    return answered(
      context,
      text(`/metrics ${form}`, (snapshot) => exposition(familiesOf(snapshot), form)),
      CONTENT_TYPES[form],
    );
  });

  for (const probe of ["livez", "readyz"] as const) {
    app.get(`/${probe}`, (context) => {
      const verbose = context.req.query("verbose") !== undefined;
      const exclude = (context.req.queries("exclude") ?? []).slice(0, EXCLUDES_MAX);
      const snapshot = snapshots.value;
      // A process that is starting, from long journals perhaps, is alive.
      const answer = probeAnswer(probe, snapshot, { verbose, exclude });
      return context.json(answer, answer.status === "ok" ? 200 : 503);
    });
  }

  const feeds: LiveFeed[] = [];
  const openFeed = (message: () => string): LiveFeed => {
    const feed = new LiveFeed({
      message,
      interval: bounds.liveInterval ?? LIVE_INTERVAL,
      clientsMax: bounds.streamsMax,
    });
    feeds.push(feed);
    return feed;
  };
  const events = openFeed(() => text("/live", (snapshot) => JSON.stringify(liveOf(snapshot))) ?? "null");
  app.get("/events", (context) => {
    if (snapshots.value === null) return starting(context);
    // HEAD must not begin to listen.
    if (context.req.method === "HEAD")
      return context.body(null, 200, { "content-type": "text/event-stream; charset=utf-8" });
    return events.response();
  });

  const pictures = new Remembered(bounds.refresh, () => {
    const snapshot = snapshots.value;
    return snapshot === null ? null : liveOf(snapshot);
  });
  const page = mountPage(app, { live: () => pictures.value, openFeed });

  // Made when somebody asks: few do, and it is a good part of what a start costs.
  let document: string | undefined;
  app.get("/openapi.json", (context) => {
    document ??= JSON.stringify(openApi(version, PATHS, errorSchema));
    return answered(context, document);
  });

  const known = ["/", ...PATHS.map(({ path }) => path), "/openapi.json"];
  app.notFound((context) => context.json({ error: `no such path; there are ${known.join(", ")}` }, 404));
  app.onError((error, context) => context.json({ error: error.message }, 500));
  return {
    app,
    close: () => {
      page.close();
      for (const feed of feeds) feed.close();
    },
  };
}
