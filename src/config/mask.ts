/** What may be shown of a value: secrets never, control characters never, and nothing endless. */
import type { Kind } from "./leaf.ts";

/** What stands in the place of a secret. */
export const MASK = "***";

/** The longest value that a message repeats, in characters. */
const SHOWN_LENGTH_MAX = 100;

/** What masking has to know of a setting. */
export interface Maskable {
  readonly kind: Kind;
  readonly secret: boolean;
}

/** Replaces user and password of a URL (or of what was meant to be one) by {@link MASK}. */
export function maskUrl(text: string): string {
  if (!text.includes("@")) return text;
  try {
    const url = new URL(text);
    // Without a host it is no URL of ours: "me:secret@host" parses, with the scheme "me".
    if (url.host !== "" && url.username === "" && url.password === "") return text;
  } catch {
    // Not a URL: whatever stands before the last @ may be a password, so it goes.
  }
  return maskProxy(text);
}

/** The URL of a proxy without whatever may be user and password in it, also where it was written wrongly. */
function maskProxy(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, `$1${MASK}@`);
}

/** A setting's value as it may be shown: masked whole when it is secret, without user and password in URLs. */
export function maskValue(value: unknown, setting: Maskable): unknown {
  if (setting.secret) return value === undefined || value === "" ? value : MASK;
  if (Array.isArray(value)) return value.map((item) => maskValue(item, setting));
  // A proxy's URL has no path that may hold an @.
  if (setting.kind === "proxy" && typeof value === "string") return maskProxy(value);
  // A URL may stand in the wrong place; a path such as /home/me@work must stay as it is.
  const url = typeof value === "string" && (setting.kind === "url" || value.includes("://"));
  return url ? maskUrl(value) : value;
}

/** A setting's value for one line of a message; `quoted` writes texts as TOML does. */
export function shownValue(value: unknown, setting: Maskable, quoted: boolean): string {
  const masked = maskValue(value, setting);
  if (typeof masked === "string") return shownText(quoted ? JSON.stringify(masked) : masked);
  // JSON has no words for Infinity and NaN, which TOML has.
  return shownText(typeof masked === "number" ? String(masked) : (JSON.stringify(masked) ?? String(masked)));
}

/** An argument for one line of a message. */
export function shownText(text: string): string {
  const clean = text.replace(/\p{Cc}/gu, "\uFFFD");
  const line = [...(clean.includes("://") ? maskUrl(clean) : clean)];
  return line.length > SHOWN_LENGTH_MAX ? `${line.slice(0, SHOWN_LENGTH_MAX).join("")}…` : line.join("");
}
