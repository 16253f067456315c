import type { Hono } from "hono";
import type { Live } from "../live.ts";
import type { LiveFeed } from "../live-feed.ts";
import { ASSETS, Page } from "./page.ts";
import { STARTING_DOCUMENT } from "./starting.ts";

const HTML = { "content-type": "text/html; charset=utf-8" };
const EVENT_STREAM = { "content-type": "text/event-stream; charset=utf-8" };
/** Between two readings for the charts, ms. */
const SAMPLE_INTERVAL = 1000;

/**
 * Puts the page on a status API: `/`, the files under `/page/`, and `/page/events`, which sends an open page what it
 * shows, once a second, as `<main>`.
 *
 * @param options.live the picture of this moment; null while the recorder starts
 * @param options.openFeed makes a feed of messages to listeners, which whoever owns the API closes
 * @returns what has to be closed with the API
 */
export function mountPage(
  app: Hono,
  { live, openFeed }: { live: () => Live | null; openFeed: (message: () => string) => LiveFeed },
): { close(): void } {
  const page = new Page(live);
  const feed = openFeed(() => page.main() ?? "");
  // Also while nobody looks: who opens the page sees the minute before.
  const sampling = setInterval(() => page.sample(), SAMPLE_INTERVAL);
  sampling.unref();

  app.get("/", (context) => {
    const document = page.document();
    if (document !== null) return context.body(document, 200, HTML);
    context.header("retry-after", "1");
    return context.body(STARTING_DOCUMENT, 503, HTML);
  });
  app.get("/page/events", (context) => {
    if (page.main() === null) return context.json({ error: "starting" }, 503, { "retry-after": "1" });
    // HEAD must not begin to listen.
    return context.req.method === "HEAD" ? context.body(null, 200, EVENT_STREAM) : feed.response();
  });
  for (const [path, { type, body }] of ASSETS) {
    app.get(`/${path}`, (context) => context.body(body, 200, { "content-type": type }));
  }
  return { close: () => clearInterval(sampling) };
}
