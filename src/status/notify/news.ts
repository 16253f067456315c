/** What people are told of: a small part of the log. */
import type { EventName, FieldsOf, FieldValue } from "../events.ts";

/** Kinds of news, as in `notify.events`. */
export type NewsKind = "state" | "gap" | "run";

/** One thing that happened. */
export interface News {
  readonly kind: NewsKind;
  /** Epoch ms. */
  readonly at: number;
  readonly event: EventName;
  readonly fields: Readonly<Record<string, FieldValue | undefined>>;
  /** For people, one line. */
  readonly text: string;
  /** How many things of its kind it stands for. */
  readonly count: number;
}

/** The news in a line of the log; null when there is none. */
export function newsOf<E extends EventName>(
  event: E,
  given: FieldsOf<E> | undefined,
  at: number,
): News | null {
  const fields: News["fields"] = { ...given };
  const word = (name: string): string => textOf(fields[name]);
  const news = (kind: NewsKind, text: string, count = 1): News => ({ kind, at, event, fields, text, count });
  switch (event as EventName) {
    case "state_change":
      return news("state", `${word("from")} -> ${word("to")}: ${word("reason")}`);
    case "gap": {
      // What we did ourselves is no news.
      if (fields.certainty === "planned") return null;
      const missed = fields.missed === undefined ? "" : `, ${word("missed")} missed`;
      const what = `${word("exchange")} ${word("stream")}, ${word("symbols")} symbols`;
      return news(
        "gap",
        `gap (${word("certainty")}, ${word("reason")}): ${what}, ${word("from")} to ${word("to")}${missed}`,
      );
    }
    case "gaps_not_logged":
      return news("gap", `${word("count")} more gaps on ${word("exchange")}`, Number(fields.count) || 1);
    case "collector_start":
      return news("run", `run ${word("run")} has begun`);
    case "collector_stop":
      return news("run", `run ${word("run")} has ended${endOf(fields)}`);
    case "thread_died":
      return news("run", `the ${word("thread")} died, the recorder ends: ${word("why")}`);
    default:
      return null;
  }
}

/** What should not be so at the end of a run. */
function endOf({ lost, holds }: News["fields"]): string {
  const lostText = typeof lost === "number" && lost > 0 ? `, ${lost} rows found no file` : "";
  return holds === false ? `${lostText}, the balance does not hold` : lostText;
}

function textOf(value: FieldValue | undefined): string {
  if (value === undefined || value === null) return "?";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
