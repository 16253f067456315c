/** The last gaps and log lines, on the page. */
import { clockText, countText, isoText, spanText } from "../../lib/readable.ts";
import type { Live, LiveGap, LiveLog } from "../live.ts";
import { html, type Markup } from "./html.ts";

function time(at: number): Markup {
  return html`<time datetime="${isoText(at)}">${clockText(at)}</time>`;
}

/** How long it lasted, as far as both ends are known. */
function lasted({ from, to }: LiveGap): string {
  return from === null || to === null ? "open" : spanText(to - from);
}

function gap(one: LiveGap): Markup {
  const missed = one.missed === null ? "" : `, ${countText(one.missed)} missed`;
  return html`
    <li data-key="${one.at}/${one.exchange}/${one.stream}/${one.symbol ?? "*"}/${one.reason}" class="${one.certainty}">
      ${time(one.at)}
      <span class="what">${one.exchange}/${one.stream} <b>${one.symbol ?? "all symbols"}</b></span>
      <span class="why">${one.reason}, <em>${one.certainty}</em>, ${lasted(one)}${missed}</span>
    </li>`;
}

function line(one: LiveLog): Markup {
  return html`
    <li data-key="${one.at}/${one.event}/${one.text}" class="level-${one.level}">
      ${time(one.at)}
      <span class="what"><em>${one.level}</em> <b>${one.event}</b></span>
      <span class="why">${one.text}</span>
    </li>`;
}

/** A list that scrolls within itself; reachable by keyboard. */
function list(id: string, title: string, entries: readonly Markup[], none: string): Markup {
  return html`
    <section aria-labelledby="${id}" class="recent" data-key="${id}">
      <h2 id="${id}">${title}</h2>
      ${
        entries.length === 0
          ? html`<p class="nothing">${none}</p>`
          : html`<ol class="lines ${id}-lines" tabindex="0" aria-labelledby="${id}">${entries}</ol>`
      }
    </section>`;
}

/** Both lists, last first. */
export function recentView(live: Live): Markup {
  return html`
    <div class="recents">
      ${list("gaps", "Recent gaps", live.gaps.map(gap), "No gap since the start.")}
      ${list("log", "Recent log lines", live.logs.map(line), "Nothing has been logged.")}
    </div>`;
}
