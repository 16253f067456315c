import type { Redactor } from "../../config/secrets.ts";
import type { Batch } from "./digest.ts";
import type { NewsKind } from "./news.ts";

/** One message to people, without secrets. */
export interface Message {
  /** The same when it is sent again as it was. */
  readonly id: string;
  readonly instance: string;
  /** Plain text; the first line is the headline. */
  readonly text: string;
  readonly events: readonly { readonly time: string; readonly event: string; readonly fields: object }[];
  readonly held_back: Readonly<Record<NewsKind, number>>;
}

/** Characters of a line; what a server sends may be long. */
const LINE_MAX = 300;
const KIND_NAMES: Readonly<Record<NewsKind, string>> = {
  state: "changes of state",
  gap: "gaps",
  run: "starts and ends",
};

/** Puts a batch into words. */
export function messageOf(batch: Batch, id: string, instance: string, redact: Redactor): Message {
  const { news, heldBack } = batch;
  // What ends is offline as well, and that is no alarm.
  const last = news.findLast(({ kind, event }) => kind === "state" || event === "collector_stop");
  const what =
    last === undefined ? "" : last.kind === "state" ? ` is ${String(last.fields.to)}` : " has ended";
  const headline = `tapedeck ${instance}${what}`;
  const held = (Object.keys(heldBack) as NewsKind[])
    .filter((kind) => heldBack[kind] > 0)
    .map((kind) => `${heldBack[kind]} ${KIND_NAMES[kind]}`);
  const lines = news.map(({ at, text }) => `${new Date(at).toISOString().slice(11, 19)} UTC ${text}`);
  if (held.length > 0) lines.unshift(`before that: ${held.join(", ")}`);
  return {
    id,
    instance,
    text: [headline, ...lines].map((line) => short(redact(line))).join("\n"),
    events: news.map(({ at, event, fields }) => ({
      time: new Date(at).toISOString(),
      event,
      fields: safe(fields, redact),
    })),
    held_back: heldBack,
  };
}

function short(line: string): string {
  const characters = [...line.replace(/\p{Cc}/gu, " ")];
  return characters.length > LINE_MAX ? `${characters.slice(0, LINE_MAX).join("")}…` : characters.join("");
}

function safe(fields: object, redact: Redactor): object {
  return JSON.parse(
    JSON.stringify(fields, (_name, value: unknown) => (typeof value === "string" ? redact(value) : value)),
  );
}
