/** The balance on the page: both sides of it, and whether they are equal. */
import { countText } from "../../lib/readable.ts";
import type { Live } from "../live.ts";
import { html, type Markup } from "./html.ts";

type Balance = Live["balance"];

/** What came in, and where it is now, in the order of its way: name and what it means. */
export const BALANCE_TERMS = {
  in: [
    ["received", "received", "decoded and wanted"],
    ["recovered", "recovered", "from journals of earlier runs"],
  ],
  out: [
    ["inRing", "in ring", "in shared memory"],
    ["inTable", "in table", "in journal and memory"],
    ["inJournal", "in journal", "on disk only"],
    ["inOutbox", "in outbox", "Parquet, waiting"],
    ["uploading", "uploading", "on its way"],
    ["published", "published", "in the lake"],
    ["dropped", "dropped", "rings were full, or the disk failed"],
  ],
} as const satisfies Record<string, readonly (readonly [keyof Balance, string, string])[]>;

/** By how much the sides differ: what came in, less what is known of it. */
export function balanceDifference(balance: Balance): number {
  const sum = (terms: readonly (readonly ["holds" | keyof Omit<Balance, "holds">, string, string])[]) =>
    terms.reduce((total, [key]) => total + Number(balance[key]), 0);
  return sum(BALANCE_TERMS.in) - sum(BALANCE_TERMS.out);
}

/** In words, whether it holds. */
export function balanceVerdict(balance: Balance): string {
  if (balance.holds) return "holds: every event is accounted for";
  const difference = balanceDifference(balance);
  if (difference === 0) return "does not hold: a part is negative";
  const count = countText(Math.abs(difference));
  return `does not hold: ${count} events ${difference > 0 ? "are missing" : "too many"}`;
}

function term(
  balance: Balance,
  [key, name, meaning]: readonly [keyof Balance, string, string],
  operator: string,
): Markup {
  const value = Number(balance[key]);
  const kind = value === 0 ? "zero" : key === "dropped" || value < 0 ? "bad" : "";
  return html`
    <div class="term ${kind}" data-key="${key}">
      <dt>${name}<span class="meaning">${meaning}</span></dt>
      <dd><span class="operator" aria-hidden="true">${operator}</span>${countText(value)}</dd>
    </div>`;
}

/** The section. */
export function balanceView({ balance }: Live): Markup {
  return html`
    <section aria-labelledby="balance" class="balance">
      <h2 id="balance">
        Balance
        <span class="verdict ${balance.holds ? "good" : "bad"}">
          <span aria-hidden="true">${balance.holds ? "✓" : "✗"}</span> ${balanceVerdict(balance)}
        </span>
      </h2>
      <dl class="terms">
        ${BALANCE_TERMS.in.map((one, index) => term(balance, one, index === 0 ? "" : "+"))}
        ${BALANCE_TERMS.out.map((one, index) => term(balance, one, index === 0 ? "=" : "+"))}
      </dl>
    </section>`;
}
