/** The small pictures of the page: SVG with attributes only, since the page's policy allows no inline style. */
import { rateText } from "../../lib/readable.ts";
import { html, type Markup } from "./html.ts";

/** Height of a chart in its own units; width is one for each second. */
const HEIGHT = 20;

/**
 * A line of rates, newest at the right, from 0 to the highest of them.
 *
 * @param rates events/s, oldest first
 * @param length seconds from edge to edge
 */
export function sparkline(rates: readonly number[], length: number): Markup {
  const top = Math.max(0, ...rates);
  const label = rates.length === 0 ? "no rates yet" : `last ${rates.length} s: at most ${rateText(top)}/s`;
  if (rates.length < 2) {
    return html`<svg class="spark" viewBox="0 0 ${length} ${HEIGHT}" role="img" aria-label="${label}"></svg>`;
  }
  const start = length - rates.length;
  const points = rates.map((rate, index) => {
    const y = top === 0 ? HEIGHT - 1 : HEIGHT - 1 - (rate / top) * (HEIGHT - 2);
    return `${start + index + 0.5} ${Math.round(y * 10) / 10}`;
  });
  const line = `M${points.join("L")}`;
  return html`
    <svg class="spark" viewBox="0 0 ${length} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${label}">
      <path class="area" d="${line}V${HEIGHT}H${start + 0.5}Z"/>
      <path class="line" d="${line}" vector-effect="non-scaling-stroke"/>
    </svg>`;
}

/** From here on a bar is drawn as one that is nearly full, and is said to be; per cent. */
export const FULL_PCT = 80;

/** A bar; what it means stands beside it as text. */
export function bar(pct: number): Markup {
  const width = Math.min(100, Math.max(0, pct));
  // What is not empty is seen as not empty.
  const shown = width === 0 ? 0 : Math.max(2, Math.round(width * 10) / 10);
  return html`
    <svg class="bar${pct > FULL_PCT ? " full" : ""}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="room" width="100" height="8"/><rect class="fill" width="${shown}" height="8"/>
    </svg>`;
}
