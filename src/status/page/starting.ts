import { html } from "./html.ts";

/** What stands at `/` while the recorder starts, and of it only this is known: looks again every second. */
export const STARTING_DOCUMENT = `<!doctype html>${
  html`
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta http-equiv="refresh" content="1">
        <title>starting · tapedeck</title>
        <link rel="icon" type="image/svg+xml" href="page/stale.svg">
        <link rel="stylesheet" href="page/page.css">
      </head>
      <body>
        <div class="top"><h1>tapedeck</h1></div>
        <main>
          <header class="state">
            <div>
              <p class="word" role="status">STARTING</p>
              <p class="reason">The recorder reads its journals and connects; this page looks again every second.</p>
            </div>
          </header>
        </main>
      </body>
    </html>`.text
}\n`;
