/** What the page shows of a picture of the recorder. Rendered here only: the browser takes it as it comes. */
import { clockText, countText, isoText, rateText, sizeText, spanText } from "../../lib/readable.ts";
import type { Live } from "../live.ts";
import { balanceView } from "./balance-view.ts";
import { sparkline } from "./chart.ts";
import { type RateHistory, seriesName } from "./history.ts";
import { html, type Markup } from "./html.ts";
import { sign, signOf } from "./icons.ts";
import { recentView } from "./recent.ts";
import { storageView } from "./storage-view.ts";
import { streamsTable } from "./streams-table.ts";

/** Title of the tab: the state first, since tabs are narrow. */
export function titleOf(live: Live): string {
  return `${live.state} · ${live.instance} · tapedeck`;
}

/** The worst lag p99 of all streams (ms), and whose it is; null before there is one. */
function worstLag(live: Live): { lag: number; name: string } | null {
  let worst: { lag: number; name: string } | null = null;
  for (const row of live.streams) {
    const { lag_p99_ms: lag } = row;
    if (lag !== null && (worst === null || lag > worst.lag)) worst = { lag, name: seriesName(row) };
  }
  return worst;
}

function figure(name: string, value: string, more: string | Markup, mark = ""): Markup {
  return html`
    <div class="figure" data-key="${name}">
      <dt>${name}</dt><dd><span class="value ${mark}">${value}</span> <span class="more">${more}</span></dd>
    </div>`;
}

function figures(live: Live, history: RateHistory, seconds: number): Markup {
  const rate = live.streams.reduce((sum, one) => sum + one.events_per_sec, 0);
  const { windows_15m: windows, outbox } = live;
  const worst = worstLag(live);
  return html`
    <dl class="figures">
      ${figure("events/s", rateText(rate), sparkline(history.total(), seconds))}
      ${figure("received", countText(live.balance.received), `in ${spanText(live.uptime * 1000)}`)}
      ${figure("dropped", countText(windows.drops), "in 15 min", windows.drops > 0 ? "bad" : "")}
      ${figure("gaps", countText(windows.gaps), "in 15 min", windows.gaps > 0 ? "warn" : "")}
      ${figure("worst lag p99", spanText(worst?.lag ?? null), worst?.name ?? "")}
      ${figure("to publish", countText(outbox.files), `files, ${sizeText(outbox.bytes)}`)}
    </dl>`;
}

/**
 * The part of the page that changes: `<main>`.
 *
 * @param assets version of style sheet and script: an open page of another one loads itself anew
 * @param seconds length of the charts
 */
export function mainView(
  live: Live,
  { history, seconds, assets }: { history: RateHistory; seconds: number; assets: string },
): Markup {
  const kind = signOf(live.state);
  return html`
    <main id="live" data-sign="${kind}" data-title="${titleOf(live)}" data-assets="${assets}">
      <header class="state ${kind}">
        ${sign(kind)}
        <div>
          <p class="word" role="status"><span class="hidden">State: </span>${live.state}</p>
          <p class="reason">${live.reason}</p>
          <p class="since">
            since <time datetime="${isoText(live.since)}">${clockText(live.since)}</time> UTC,${" "}
            ${spanText(Math.max(0, live.at - live.since))}
          </p>
        </div>
        <p class="as-of">as of <time id="as-of" datetime="${isoText(live.at)}">${clockText(live.at)}</time> UTC</p>
      </header>
      ${figures(live, history, seconds)}
      ${streamsTable(live, history, seconds)}
      ${balanceView(live)}
      ${storageView(live)}
      ${recentView(live)}
    </main>`;
}
