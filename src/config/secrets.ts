/** Keeps secrets out of texts that others have made: errors of servers and libraries, URLs, stack traces. */
import { describeSettings } from "./describe.ts";
import { MASK } from "./mask.ts";
import { type Settings, valueAt } from "./schema.ts";

/** A text as it may be shown. */
export type Redactor = (text: string) => string;

/** Shorter ones are not looked for: they would be found in every other word, and protect nothing. */
const LENGTH_MIN = 4;
/** A part of a secret URL that is at least this long is a secret by itself: a token in its path. */
const URL_PART_MIN = 16;

/** Secrets that do not come from our settings: the SDK's usual chain reads them by itself. */
const ENVIRONMENT = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/** Every secret that the program has been given: secret settings, users and passwords in URLs, AWS's own names. */
export function secretsOf(
  settings: Settings,
  env: Readonly<Record<string, string | undefined>> = process.env,
): readonly string[] {
  const secrets = new Set<string>();
  for (const name of ENVIRONMENT) secrets.add(env[name] ?? "");
  for (const { path, kind, secret } of describeSettings()) {
    const value = valueAt(settings, path);
    if (typeof value !== "string" || value === "") continue;
    if (secret) secrets.add(value);
    if (kind === "url" || kind === "proxy") for (const part of partsOf(value, secret)) secrets.add(part);
  }
  return [...secrets].filter((one) => one.length >= LENGTH_MIN);
}

/** What of a URL nobody may see. */
function partsOf(text: string, secret: boolean): readonly string[] {
  if (!URL.canParse(text)) return [];
  const { username, password, pathname, search } = new URL(text);
  const user = decode(username);
  const word = decode(password);
  const parts = [password, word];
  // As it stands in a header.
  if (user !== "" || word !== "") parts.push(Buffer.from(`${user}:${word}`).toString("base64"));
  if (secret) {
    // A message may hold the path alone, or one step of it.
    const steps = [...pathname.split("/"), ...search.slice(1).split(/[&=]/)];
    parts.push(...steps.flatMap((step) => [step, decode(step)]).filter((one) => one.length >= URL_PART_MIN));
  }
  return parts;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Masks these secrets wherever they stand in a text, also written as in a URL or in JSON. */
export function redactor(secrets: readonly string[]): Redactor {
  const forms = new Set(
    secrets.flatMap((one) => {
      const inUrl = encodeURIComponent(one);
      // Servers write %2F and %2f.
      const lower = inUrl.replace(/%../g, (escaped) => escaped.toLowerCase());
      return [one, inUrl, lower, JSON.stringify(one).slice(1, -1)];
    }),
  );
  if (forms.size === 0) return (text) => text;
  // The longest first: one may be the beginning of another.
  const words = [...forms].sort((a, b) => b.length - a.length).map((one) => RegExp.escape(one));
  const pattern = new RegExp(words.join("|"), "g");
  const cut = [...forms].filter((one) => one.length > LENGTH_MIN);
  return (text) => {
    const masked = text.replace(pattern, MASK);
    return [...masked.matchAll(/…|$/g)].reduceRight(
      (safe, { index }) => maskedBefore(safe, index, cut),
      masked,
    );
  };
}

/** A secret that was cut short at `end`, with the text around it: a quarter of it, and no less than 4 characters, is one. */
function maskedBefore(text: string, end: number, words: readonly string[]): string {
  for (const word of words) {
    const head = word.slice(0, Math.max(LENGTH_MIN, Math.ceil(word.length / 4)));
    const first = Math.max(0, end - word.length + 1);
    for (
      let at = text.indexOf(head, first);
      at >= 0 && at + head.length <= end;
      at = text.indexOf(head, at + 1)
    ) {
      if (word.startsWith(text.slice(at, end))) return text.slice(0, at) + MASK + text.slice(end);
    }
  }
  return text;
}

/** The redactor of a program with these settings. */
export function redactorOf(settings: Settings): Redactor {
  return redactor(secretsOf(settings));
}
