/** Queue, writer, outbox, destinations and the process itself, on the page. */
import { countOf, countText, pctText, sizeText, spanText } from "../../lib/readable.ts";
import type { Live } from "../live.ts";
import { bar, FULL_PCT } from "./chart.ts";
import { type Content, html, type Markup } from "./html.ts";

/** A name and its value, and how it is marked. */
type Fact = readonly [name: string, value: Content, mark?: "bad" | "warn" | ""];

function card(id: string, title: string, facts: readonly Fact[]): Markup {
  return html`
    <section class="card" aria-labelledby="${id}" data-key="${id}">
      <h2 id="${id}">${title}</h2>
      <dl>
        ${facts.map(
          ([name, value, mark = ""]) => html`<div><dt>${name}</dt><dd class="${mark}">${value}</dd></div>`,
        )}
      </dl>
    </section>`;
}

/** How much of a bound is used; 0 = there is none. */
function ofBound(bytes: number, bound: number): Markup {
  if (bound === 0) return html`${sizeText(bytes)}`;
  return html`${bar((100 * bytes) / bound)}<span>${sizeText(bytes)} of ${sizeText(bound)}</span>`;
}

/** States of a breaker, in words. */
export const BREAKER_WORDS = {
  closed: "in use",
  open: "left alone after failures",
  half_open: "tried again with one file",
} as const satisfies Record<Live["destinations"][number]["state"], string>;

function destination(one: Live["destinations"][number], rank: number): Markup {
  return html`
    <div class="destination" data-key="${one.destination}">
      <dt>${one.destination} <span class="meaning">${rank === 0 ? "primary" : "fallback"}</span></dt>
      <dd class="${one.state === "closed" ? "" : "bad"}">${BREAKER_WORDS[one.state]}</dd>
      <dd class="detail">${countOf(one.files, "file")}; ${one.in_flight} of ${one.window} on their way</dd>
      ${one.error === null ? null : html`<dd class="detail bad">${one.error}</dd>`}
    </div>`;
}

/** The cards. */
export function storageView(live: Live): Markup {
  const { queue, writer, outbox, journal, windows_15m: windows } = live;
  const lastWrite = writer.last_write === null ? "none yet" : `${spanText(live.at - writer.last_write)} ago`;
  return html`
    <div class="cards">
      ${card("queue", "Queue", [
        [
          "in rings",
          html`${bar(queue.pct)}<span>${countText(queue.size)} of ${countText(queue.maxsize)}</span>`,
        ],
        [
          "fullest ring",
          queue.fullest === ""
            ? "–"
            : html`${queue.fullest} <span class="together">${pctText(queue.fullest_pct)}</span>`,
          queue.fullest_pct > FULL_PCT ? "bad" : "",
        ],
        ["dropped, 15 min", countText(windows.drops), windows.drops > 0 ? "bad" : ""],
        ["silences, 15 min", countText(windows.silences), windows.silences > 0 ? "warn" : ""],
        ["reconnects, 15 min", countText(windows.reconnects), windows.reconnects > 0 ? "warn" : ""],
        ["gaps, 15 min", countText(windows.gaps), windows.gaps > 0 ? "warn" : ""],
      ])}
      ${card("writer", "Writer", [
        ["rows published", countText(writer.total_written)],
        ["files published", countText(writer.files_written)],
        ["last file", lastWrite],
        ["rows pending", countText(writer.pending_events)],
        ["open segments", countText(writer.active_buffers)],
        ["failed uploads", countText(writer.upload_failures), writer.upload_failures > 0 ? "warn" : ""],
      ])}
      ${card("outbox", "Outbox and journal", [
        ["outbox", ofBound(outbox.bytes, outbox.max_bytes)],
        ["files waiting", countText(outbox.files)],
        ["oldest file", outbox.age_ms === null ? "–" : spanText(outbox.age_ms)],
        ["on their way", countText(writer.in_flight_uploads)],
        ["journal", ofBound(journal.bytes, journal.max_bytes)],
      ])}
      <section class="card" aria-labelledby="destinations" data-key="destinations">
        <h2 id="destinations">Destinations</h2>
        <dl>${live.destinations.map(destination)}</dl>
        <h2 id="process">Process</h2>
        <dl>
          <div><dt>memory</dt><dd>${sizeText(live.rss_mb * 2 ** 20)}</dd></div>
          <div><dt>run</dt><dd class="run">${live.run}</dd></div>
        </dl>
      </section>
    </div>`;
}
