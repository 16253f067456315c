/**
 * The page, live. The server renders; this puts what it sends into the page, and says so when nothing comes.
 *
 * Sent to browsers as it stands here.
 */
import { patch } from "./patch.js";

/** Without news for this long, what is shown is called old; ms. */
const QUIET_MAX = 4000;
/** Without news for this long, the connection is given up for a new one; ms. */
const DEAD_AFTER = 15_000;
/** Wait before the next connection where the browser has given up by itself, ms. */
const RETRY = 2000;

const link = need("link");
const stale = need("stale");
const icon = need("icon");

let heardAt = performance.now();
let openedAt = heardAt;
/** @type {EventSource | null} */
let source = null;
/** @type {boolean | null} null = nothing has been said yet */
let old = null;

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function need(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

function connect() {
  source?.close();
  openedAt = performance.now();
  source = new EventSource("page/events");
  source.addEventListener("message", ({ data }) => take(String(data)));
  source.addEventListener("error", () => {
    const failed = source;
    setOld(true);
    // While the recorder starts it answers 503, and browsers do not ask again after that.
    if (failed?.readyState === EventSource.CLOSED) {
      setTimeout(() => {
        if (source === failed) connect();
      }, RETRY);
    }
  });
}

/** @param {string} markup `<main>` as the server renders it now */
function take(markup) {
  const next = new DOMParser().parseFromString(markup, "text/html").querySelector("main");
  const main = need("live");
  if (next === null) return;
  // The recorder is another version than before: its style sheet and script may be, too.
  if (next.dataset.assets !== main.dataset.assets) location.reload();
  patch(main, next);
  heardAt = performance.now();
  setOld(false);
  head();
}

/** Title and icon of the tab. */
function head() {
  const { title = "tapedeck", sign = "stale" } = need("live").dataset;
  const shown = old ? `old · ${title}` : title;
  const href = old ? (icon.dataset.stale ?? "") : `page/${sign}.svg`;
  if (document.title !== shown) document.title = shown;
  if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}

/** @param {boolean} value whether what is shown is old */
function setOld(value) {
  if (old === value) return;
  old = value;
  document.documentElement.classList.toggle("old", value);
  link.textContent = value ? "no connection" : "live";
  // Said once, with a time that does not move: a count of seconds would be read out every second.
  stale.textContent = value
    ? `No news from the recorder: what is shown is as of ${need("as-of").textContent} UTC. Trying again.`
    : "";
  head();
}

setInterval(() => {
  const now = performance.now();
  if (now - heardAt > QUIET_MAX) setOld(true);
  if (now - Math.max(heardAt, openedAt) > DEAD_AFTER) connect();
}, 1000);
connect();
