/** The table of the page: one row for each stream of an exchange. */
import { countText, pctText, rateText, spanText } from "../../lib/readable.ts";
import type { Health, Live, LiveStream } from "../live.ts";
import { bar, FULL_PCT, sparkline } from "./chart.ts";
import type { RateHistory } from "./history.ts";
import { seriesName } from "./history.ts";
import { html, type Markup } from "./html.ts";

type Exchange = Live["exchanges"][number];

/** Sign before the word: another shape for each, for those who see no colours. */
const HEALTH_SIGNS: Readonly<Record<Health, string>> = {
  fresh: "●",
  waiting: "○",
  silent: "◌",
  lagging: "◐",
  offline: "×",
};

/** Names of the columns, and the classes of their cells. */
const HEAD = [
  ["Stream", "text name"],
  ["Health", "text health"],
  ["Events/s", "number rate"],
  ["Last minute", "chart"],
  ["Lag p50", "number p50"],
  ["Lag p99", "number p99"],
  ["Last event", "number age"],
  ["Gaps 15 min", "number gaps"],
  ["Dropped", "number dropped"],
  ["Ring", "number ring"],
] as const;

/** A cell; on narrow screens its label may stand before it. */
function cell(kind: string, label: string, content: string | Markup): Markup {
  return html`<td role="cell" class="${kind}" data-label="${label}">${content}</td>`;
}

/** A count that is best when it is 0. */
function fault(kind: string, label: string, count: number, mark: "bad" | "warn"): Markup {
  return cell(`number ${kind} ${count > 0 ? mark : "none"}`, label, countText(count));
}

function row(one: LiveStream, history: RateHistory, seconds: number): Markup {
  const name = seriesName(one);
  const lag = (ms: number | null) => (ms === null ? "–" : spanText(ms));
  return html`
    <tr role="row" data-key="${name}">
      <th role="rowheader" scope="row" class="text name">${one.stream}</th>
      <td role="cell" class="text health ${one.health}">
        <span aria-hidden="true">${HEALTH_SIGNS[one.health]}</span> ${one.health}
      </td>
      ${cell("number rate", "events/s", rateText(one.events_per_sec))}
      ${cell("chart", "last minute", sparkline(history.rates(name), seconds))}
      ${cell("number p50", "lag p50", lag(one.lag_p50_ms))}
      ${cell("number p99", "lag p99", lag(one.lag_p99_ms))}
      ${cell("number age", "last event", one.age_ms === null ? "–" : html`${spanText(one.age_ms)}<span class="ago"> ago</span>`)}
      ${fault("gaps", "gaps 15 min", one.gaps_15m, "warn")}
      ${fault("dropped", "dropped", one.dropped_total, "bad")}
      ${cell(
        `number ring ${one.ring_pct > FULL_PCT ? "bad" : ""}`,
        "ring",
        html`${bar(one.ring_pct)}<span>${pctText(one.ring_pct)}</span>`,
      )}
    </tr>`;
}

/** What is known of an exchange's clock: "+1.2 ms ± 0.4 ms". */
function clockText({ clock_offset_ms: offset, clock_error_ms: error }: Exchange): string | null {
  if (offset === null) return null;
  const sign = offset < 0 ? "" : "+";
  return `clock ${sign}${spanText(offset)}${error === null ? "" : ` ± ${spanText(error)}`}`;
}

function head(exchange: string, known: Exchange | undefined): Markup {
  const facts =
    known === undefined
      ? []
      : [
          `${known.open} of ${known.connections} connections`,
          `${countText(known.subscriptions)} subscriptions`,
          `${countText(known.symbols)} symbols`,
          `${countText(known.reconnects_total)} reconnects`,
          known.undecodable_total > 0 ? `${countText(known.undecodable_total)} undecodable` : null,
          clockText(known),
        ].filter((fact) => fact !== null);
  const down = known !== undefined && known.open < known.connections;
  return html`
    <tr role="row" class="exchange" data-key="head">
      <th role="rowheader" scope="rowgroup" colspan="${HEAD.length}">
        <span class="exchange-name">${exchange}</span>
        ${facts.map((fact, index) => html` <span class="fact${down && index === 0 ? " bad" : ""}">${fact}</span>`)}
      </th>
    </tr>`;
}

/** The table: exchanges in the order of the recorder, each with its streams. */
export function streamsTable(live: Live, history: RateHistory, seconds: number): Markup {
  const names = [...new Set(live.streams.map(({ exchange }) => exchange))];
  return html`
    <section aria-labelledby="streams">
      <h2 id="streams">Streams</h2>
      <table role="table" class="streams" aria-labelledby="streams">
        <thead role="rowgroup">
          <tr role="row">
            ${HEAD.map(([name, kind]) => html`<th role="columnheader" scope="col" class="${kind}">${name}</th>`)}
          </tr>
        </thead>
        ${names.map(
          (name) => html`
          <tbody role="rowgroup" data-key="${name}">
            ${head(
              name,
              live.exchanges.find(({ exchange }) => exchange === name),
            )}
            ${live.streams.filter(({ exchange }) => exchange === name).map((one) => row(one, history, seconds))}
          </tbody>`,
        )}
      </table>
    </section>`;
}
