/** The page as it is sent first: complete without a script. */
import type { Live } from "../live.ts";
import { html, type Markup } from "./html.ts";
import { iconFile, signOf } from "./icons.ts";
import { titleOf } from "./view.ts";

/** How often the page loads itself anew where there is no script, s. */
const RELOAD = 5;

/** Sent with the page: who does not answer cannot send an icon either. */
const STALE_ICON = `data:image/svg+xml,${encodeURIComponent(iconFile("stale"))}`;

/**
 * The document around `<main>`. All addresses are relative: the page may stand behind a proxy, under any path.
 *
 * @param main see view.ts
 */
export function documentOf(live: Live, main: Markup): string {
  const document = html`
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>${titleOf(live)}</title>
        <link rel="icon" id="icon" type="image/svg+xml" href="page/${signOf(live.state)}.svg" data-stale="${STALE_ICON}">
        <link rel="stylesheet" href="page/page.css">
        <script type="module" src="page/page.js"></script>
        <noscript><meta http-equiv="refresh" content="${RELOAD}"></noscript>
      </head>
      <body>
        <div class="top">
          <h1>tapedeck <span class="instance">${live.instance}</span></h1>
          <p id="link" class="link">
            <noscript>a snapshot; reloads every ${RELOAD} s</noscript>
          </p>
        </div>
        <p id="stale" class="stale" role="status"></p>
        ${main}
        <footer>
          <p>
            tapedeck ${live.version} · <a href="status">status</a> · <a href="metrics">metrics</a> ·${" "}
            <a href="streams">streams</a> · <a href="health">health</a> · <a href="openapi.json">API</a>
          </p>
        </footer>
      </body>
    </html>`;
  return `<!doctype html>${document.text}\n`;
}
