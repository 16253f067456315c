/**
 * Faults as a command line spells them: `silence symbol=BTCUSDT for=5s at=10s`, several separated by `;`.
 * Words stand for the fields of model.ts; what they may be is checked there.
 */
import { FAULT_FIELDS, FAULT_KINDS, type Fault, FaultError, type FaultKind, parseFault } from "./model.ts";

/** How a field is called and spelled. */
interface Word {
  readonly word: string;
  /** Undefined = this is no such value. */
  read(text: string): unknown;
  write(value: unknown): string;
  /** What is wanted, for an error. */
  readonly wanted: string;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DURATION = /^([+-]?\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/;
const SIZES: Readonly<Record<string, number>> = { B: 1, kB: 1000, MB: 1_000_000 };
const SIZE = /^(\d{1,9})(B|kB|MB)?$/;

function readDuration(text: string): number | undefined {
  const [, number, unit = ""] = DURATION.exec(text) ?? [];
  return number === undefined ? undefined : Math.round(Number(number) * (UNITS[unit] ?? 1));
}

function writeDuration(value: unknown): string {
  const ms = Number(value);
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

const duration = (word: string): Word => ({
  word,
  read: readDuration,
  write: writeDuration,
  wanted: "a time such as 500ms, 5s or 2m",
});
const text = (word: string): Word => ({ word, read: (value) => value, write: String, wanted: "a text" });
const number = (word: string): Word => ({
  word,
  read: (value) => (/^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined),
  write: String,
  wanted: "a number",
});
const yesNo = (word: string): Word => ({
  word,
  read: (value) => (value === "yes" ? true : value === "no" ? false : undefined),
  write: (value) => (value === true ? "yes" : "no"),
  wanted: "yes or no",
});

const WORDS: ReadonlyMap<string, Word> = new Map<string, Word>([
  ["forMs", duration("for")],
  ["afterMs", duration("at")],
  ["byMs", duration("by")],
  ["noticeMs", duration("notice")],
  ["afterOpenMs", duration("after-open")],
  ["pingEveryMs", duration("ping-every")],
  [
    "retryAfterS",
    {
      ...duration("retry-after"),
      read: (value) => {
        const ms = readDuration(value);
        return ms === undefined ? undefined : ms / 1000;
      },
      write: (value) => `${String(value)}s`,
    },
  ],
  [
    "connections",
    {
      word: "connections",
      read: (value) => (/^\d+(,\d+)*$/.test(value) ? value.split(",").map(Number) : value),
      write: String,
      wanted: "all, one, or numbers such as 1,2",
    },
  ],
  [
    "bytes",
    {
      word: "bytes",
      read: (value) => {
        const [, count, unit = "B"] = SIZE.exec(value) ?? [];
        return count === undefined ? undefined : Number(count) * (SIZES[unit] ?? 1);
      },
      write: String,
      wanted: "a size such as 500kB or 10MB",
    },
  ],
  ["symbol", text("symbol")],
  ["stream", text("stream")],
  ["reason", text("reason")],
  ["how", text("how")],
  ["lost", text("lost")],
  ["as", text("as")],
  ["on", text("on")],
  ["share", number("share")],
  ["code", number("code")],
  ["count", number("count")],
  ["sticky", yesNo("sticky")],
  ["cut", yesNo("cut")],
  ["instead", yesNo("instead")],
]);

/** Reads one fault or several. @throws FaultError which names the word that is wrong */
export function readFaults(line: string): Fault[] {
  const parts = line.split(";").map((part) => part.trim());
  const texts = parts.filter((part) => part !== "");
  if (texts.length === 0) throw new FaultError("", "a fault is wanted, such as: silence for=5s at=10s");
  return texts.map(readFault);
}

/** Writes a fault as {@link readFaults} reads it, without what is the default. */
export function writeFault(fault: Fault): string {
  const defaults = new Map<string, unknown>(Object.entries(parseFault({ ...fault, ...leftOut(fault) })));
  const words = Object.entries(fault).flatMap(([field, value]) => {
    const word = WORDS.get(field);
    if (word === undefined || value === undefined) return [];
    const usual = !REQUIRED.has(field) && equal(defaults.get(field), value);
    return usual ? [] : [`${word.word}=${word.write(value)}`];
  });
  return [fault.kind, ...words].join(" ");
}

/** Fields without which some kinds cannot be. */
const REQUIRED: ReadonlySet<string> = new Set(["forMs", "byMs"]);

/** All fields that may be left out, left out. */
function leftOut(fault: Fault): Record<string, undefined> {
  const fields = Object.keys(fault).filter((field) => field !== "kind" && !REQUIRED.has(field));
  return Object.fromEntries(fields.map((field) => [field, undefined]));
}

function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function readFault(line: string): Fault {
  const [name = "", ...rest] = line.split(/\s+/);
  const kind = FAULT_KINDS.find((known) => known === name);
  if (kind === undefined) {
    throw new FaultError("", `${name} is no fault; one of ${FAULT_KINDS.join(", ")} is wanted`);
  }
  const fields: Record<string, unknown> = { kind };
  for (const item of rest) {
    const [field, value] = readItem(kind, item);
    if (field in fields) throw new FaultError("", `${kind}: ${item.split("=")[0]} stands there twice`);
    fields[field] = value;
  }
  try {
    return parseFault(fields);
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    const [top = ""] = error.field.split(".");
    const word = WORDS.get(top)?.word ?? top;
    const why = error.message.replace(`${error.field}: `, "");
    throw new FaultError("", `${kind}: ${word}: ${fields[top] === undefined ? "is missing" : why}`);
  }
}

/** `for=5s`, or `sticky` for `sticky=yes`. */
function readItem(kind: FaultKind, item: string): [field: string, value: unknown] {
  const at = item.indexOf("=");
  const name = at < 0 ? item : item.slice(0, at);
  const known = (FAULT_FIELDS.get(kind) ?? []).flatMap((field) => {
    const word = WORDS.get(field);
    return word === undefined ? [] : [{ field, word }];
  });
  const found = known.find(({ word }) => word.word === name);
  if (found === undefined) {
    const words = known.map(({ word }) => word.word).join(", ");
    throw new FaultError("", `${kind}: has no ${name}; it has ${words}`);
  }
  const value = found.word.read(at < 0 ? "yes" : item.slice(at + 1));
  if (value === undefined || (at < 0 && value !== true)) {
    throw new FaultError("", `${kind}: ${name}: ${found.word.wanted} is wanted`);
  }
  return [found.field, value];
}
