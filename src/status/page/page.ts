/** The page at `/`: what it sends, made at most once for each picture of the recorder, whoever asks how often. */
import type { Live } from "../live.ts";
import css from "./browser/page.css" with { type: "text" };
import pageScript from "./browser/page.js" with { type: "text" };
import patchScript from "./browser/patch.js" with { type: "text" };
import { documentOf } from "./document.ts";
import { RateHistory } from "./history.ts";
import type { Markup } from "./html.ts";
import { iconFile, SIGN_NAMES } from "./icons.ts";
import { mainView } from "./view.ts";

/** Length of the small charts, s: one reading a second. */
const CHART_SECONDS = 60;
/** What a point of them is the mean of, s. */
const RATE_SECONDS = 3;

/** A file that is sent from memory. */
export interface Asset {
  readonly type: string;
  readonly body: string;
}

/** Files of the page by path, without the leading slash. */
export const ASSETS: ReadonlyMap<string, Asset> = new Map([
  ["page/page.css", { type: "text/css; charset=utf-8", body: css }],
  ["page/page.js", { type: "text/javascript; charset=utf-8", body: pageScript }],
  ["page/patch.js", { type: "text/javascript; charset=utf-8", body: patchScript }],
  ...SIGN_NAMES.map((name) => [`page/${name}.svg`, { type: "image/svg+xml", body: iconFile(name) }] as const),
]);

/** Changes with the files: an open page of an older recorder notices. */
const ASSETS_VERSION = Bun.hash([...ASSETS.values()].map(({ body }) => body).join("\0")).toString(36);

/** See the head of the file. */
export class Page {
  readonly #live: () => Live | null;
  readonly #history = new RateHistory(CHART_SECONDS, RATE_SECONDS);
  #rendered: { live: Live; main: Markup } | null = null;

  /** @param live the picture of this second; null while the recorder starts. The same object = the same picture. */
  constructor(live: () => Live | null) {
    this.#live = live;
  }

  /** Takes a reading for the charts; to be called once a second. */
  sample(): void {
    const live = this.#live();
    if (live !== null) this.#history.add(live);
  }

  /** The document; null while the recorder starts. */
  document(): string | null {
    const rendered = this.#render();
    return rendered && documentOf(rendered.live, rendered.main);
  }

  /** `<main>` alone, one line: what an open page is sent; null while the recorder starts. */
  main(): string | null {
    return this.#render()?.main.text ?? null;
  }

  #render(): { live: Live; main: Markup } | null {
    const live = this.#live();
    if (live === null) return null;
    if (this.#rendered?.live !== live) {
      this.#history.add(live);
      const main = mainView(live, { history: this.#history, seconds: CHART_SECONDS, assets: ASSETS_VERSION });
      this.#rendered = { live, main };
    }
    return this.#rendered;
  }
}
